//! Recorded exchanges: each request of a client, and its answer byte for byte.
//!
//! `tests/golden/dialects/*.json` hold each dialect's contract, `tests/golden/clients/*.json` what applications send
//! that cannot be installed here. `sent` is what reaches the upstream, the distinct passages that are not blank, and
//! `scores` what it says of them; `meta.rerankd` is left out of answers.

use std::fs;

use http::Method;
use rerankd::dialect::{DIALECTS, Dialect};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::contract::repository;
use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply};

#[tokio::test]
async fn recorded_dialect_exchanges_return_the_recorded_answers() {
    for dialect in DIALECTS.map(Dialect::name) {
        replay_exchanges(&format!("dialects/{dialect}.json")).await;
    }
}

#[tokio::test]
async fn recorded_application_exchanges_return_the_recorded_answers() {
    let mut played = 0;
    for entry in fs::read_dir(repository("tests/golden/clients")).unwrap() {
        replay_exchanges(&format!("clients/{}", entry.unwrap().file_name().into_string().unwrap())).await;
        played += 1;
    }
    assert!(played >= 15, "{played}");
}

#[derive(Deserialize)]
struct Bodies {
    exchanges: Vec<Body>,
}

#[derive(Deserialize)]
struct Body {
    body: Option<Box<RawValue>>,
}

async fn replay_exchanges(path: &str) {
    let text =
        fs::read_to_string(repository("tests/golden").join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let golden: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    let fake = FakeUpstream::start("cohere").await;
    let server: Vec<_> = golden["server"].as_array().into_iter().flatten().map(|line| line.as_str().unwrap()).collect();
    let config = format!(
        "[server]\n{}\n[upstream_defaults]\nmax_attempts = 1\n{}{}aliases = ['*']\n",
        server.join("\n"),
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")]),
    );
    let gateway = Gateway::start(&config).await;
    // As they stand in the file: the order of an object's fields is part of what is scored.
    let bodies: Bodies = serde_json::from_str(&text).unwrap();
    for (exchange, Body { body }) in golden["exchanges"].as_array().unwrap().iter().zip(bodies.exchanges) {
        let place = format!("{path}: {}", exchange["about"].as_str().unwrap());
        fake.then(upstream_reply(exchange));
        let method = exchange["method"].as_str().map_or(Method::POST, |method| method.parse().unwrap());
        let url = gateway.url(exchange["path"].as_str().unwrap());
        let mut request = gateway.client.request(method, url).header("x-request-id", "golden");
        for (name, value) in exchange["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap());
        }
        if let Some(body) = body {
            request = request.body(body.get().to_owned());
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), exchange["status"], "{place}");
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("content-type").as_deref(), exchange["content_type"].as_str(), "{place}");
        assert_eq!(header("retry-after"), exchange.get("retry_after").map(ToString::to_string), "{place}");
        let text = response.text().await.unwrap();
        let mut answer: Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(meta) = answer.get_mut("meta").and_then(Value::as_object_mut) {
            assert!(meta.remove("rerankd").is_some(), "{place}: no provenance");
        }
        assert_eq!(&answer, exchange.get("answer").unwrap_or(&Value::Null), "{place}");
        assert_eq!(fake.unused(), 0, "{place}: the upstream was not asked");
        if let Some(sent) = exchange.get("sent") {
            let call = fake.calls().pop().unwrap();
            assert_eq!(json!({ "query": call.body["query"], "documents": call.passages() }), *sent, "{place}");
        }
    }
}

fn upstream_reply(exchange: &Value) -> Option<Reply> {
    if let Some(status) = exchange["upstream_status"].as_u64() {
        let body = json!({ "message": "slow down" }).to_string();
        return Some(Reply::Status(u16::try_from(status).unwrap(), vec![("retry-after", "7".to_owned())], body));
    }
    let scores = exchange["scores"].as_array()?.iter().enumerate();
    let results: Vec<_> = scores.map(|(index, score)| json!({ "index": index, "relevance_score": score })).collect();
    let body = json!({ "id": "u", "results": results, "meta": { "billed_units": { "search_units": 1.0 } } });
    Some(Reply::body(body.to_string()))
}
