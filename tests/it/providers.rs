//! Every provider against its golden files: the bytes that are sent, the scores that are read, every documented error.
//!
//! `tests/golden/providers/PROVIDER/` holds `case.json` (what to expect), `request.json` (exact bytes), `reply.json`
//! and `errors/*.json`.

use std::fs;
use std::path::{Path, PathBuf};

use rerankd_core::provider::{PROVIDERS, Provider};
use serde_json::Value;

use crate::support::gateway::{settings, targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, provenance, scores};

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/providers").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(golden(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json(path: &str) -> Value {
    serde_json::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[tokio::test]
async fn provider_requests_and_replies_match_golden_files() {
    for name in PROVIDERS.map(Provider::name) {
        let case = json(&format!("{name}/case.json"));
        let model = case["model"].as_str().unwrap();
        let fake = FakeUpstream::scripted(
            name,
            [Reply::Status(
                200,
                vec![("x-compute-tokens", "17".into()), ("content-type", "application/json".into())],
                text(&format!("{name}/reply.json")),
            )],
        )
        .await;
        let gateway = Gateway::in_front_of(name, model, &fake.url()).await;
        let answer = gateway.rerank_with(json("request.json")).await;

        let call = &fake.calls()[0];
        assert_eq!(call.text, text(&format!("{name}/request.json")).trim_end(), "{name}");
        assert_eq!(call.path, case["path"].as_str().unwrap(), "{name}");
        assert_eq!(call.headers["authorization"], "Bearer test-key");
        assert_eq!(call.headers["content-type"], "application/json");
        assert!(call.headers["user-agent"].to_str().unwrap().starts_with("rerankd/"));

        let expected: Vec<(u64, f64)> = serde_json::from_value(case["scores"].clone()).unwrap();
        assert_eq!(scores(&answer), expected[..2], "{name}: cut to top_n after all were scored");
        assert_eq!(provenance(&answer)["warnings"], case["warnings"], "{name}");
        assert_eq!(provenance(&answer)["score_scale"], case["score_scale"], "{name}");
        assert_eq!(answer["usage"]["total_tokens"], case["usage"]["total_tokens"], "{name}");
        assert_eq!(answer["meta"]["billed_units"]["search_units"], case["usage"]["search_units"], "{name}");
        let cost = provenance(&answer)["cost"]["spent_usd"].as_f64().unwrap();
        assert!((cost - case["usage"]["cost_usd"].as_f64().unwrap()).abs() < 1e-12, "{name}: {cost}");

        gateway.rerank_with(json("request.json")).await;
        assert_eq!(fake.calls().len(), 1, "{name}: the tail beyond top_n is known too");
    }
}

#[tokio::test]
async fn every_documented_error_becomes_one_typed_error() {
    for name in PROVIDERS.map(Provider::name) {
        let model = json(&format!("{name}/case.json"))["model"].clone();
        let mut seen = 0;
        for entry in fs::read_dir(golden(&format!("{name}/errors"))).unwrap() {
            let path = entry.unwrap().path();
            let case: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
            let reply = Reply::Status(status, Vec::new(), case["body"].as_str().unwrap().to_owned());
            let fake = FakeUpstream::scripted(name, [reply]).await;
            let config = format!(
                "[upstream_defaults]\nmax_attempts = 1\n{}{}",
                upstream("up", name, &fake.url()),
                targets("default", &[("up", model.as_str().unwrap())])
            );
            let gateway = Gateway::start(&config).await;
            let answer =
                gateway.try_rerank(serde_json::json!({"query": "THE QUERY", "documents": ["THE INPUT"]})).await;
            assert_eq!(answer.body["code"], case["code"], "{}", path.display());
            let hint = if case["code"] == "upstream_unauthorized" { " (check upstreams.up.api_key)" } else { "" };
            // A message about the key is not handed on.
            let is_about_key = matches!(status, 401..=403);
            let said = case["message"]
                .as_str()
                .filter(|_| !is_about_key)
                .map_or_else(String::new, |message| format!(": {message}"));
            assert_eq!(
                answer.body["detail"],
                format!("up answered with status {status}{hint}{said}"),
                "{}",
                path.display()
            );
            seen += 1;
        }
        assert!(seen >= 4, "{name} has fixtures for its errors");
    }
}

#[tokio::test]
async fn reply_without_usage_has_null_cost() {
    let reply = r#"{"results":[{"index":0,"relevance_score":0.5}]}"#;
    let fake = FakeUpstream::scripted("cohere", [Reply::body(reply)]).await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    let answer = gateway.rerank("q", &["a"]).await;
    assert_eq!(provenance(&answer)["cost"]["spent_usd"], Value::Null);
}

#[tokio::test]
async fn jina_scores_may_be_negative_and_passage_limits_are_clamped() {
    let reply = r#"{"results":[{"index":0,"relevance_score":-0.3},{"index":1,"relevance_score":0.1}]}"#;
    let fake = FakeUpstream::scripted("jina", [Reply::body(reply)]).await;
    let gateway = Gateway::in_front_of("jina", "jina-reranker-v3", &fake.url()).await;
    let body = serde_json::json!({"query": "q", "documents": ["a", "b"], "max_tokens_per_doc": 100_000});
    let answer = gateway.rerank_with(body).await;
    assert_eq!(scores(&answer), [(1, 0.1), (0, -0.3)]);
    assert_eq!(provenance(&answer)["score_scale"], "cosine");
    assert_eq!(fake.calls()[0].body["max_doc_length"], 8192);
}

#[tokio::test]
async fn base_url_with_or_without_version_reaches_the_documented_path() {
    for (suffix, path) in [
        ("", "/v2/rerank"),
        ("/", "/v2/rerank"),
        ("/v2", "/v2/rerank"),
        ("/v1", "/v1/rerank"),
        ("/gw/v2/rerank", "/gw/v2/rerank"),
    ] {
        let fake = FakeUpstream::start("cohere").await;
        let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &format!("{}{suffix}", fake.url())).await;
        gateway.rerank("q", &["a"]).await;
        assert_eq!(fake.calls()[0].path, path, "{suffix}");
    }
}

#[test]
fn voyage_key_prefix_selects_the_host() {
    let host = |key: &str| {
        let config = format!("[upstreams.v]\nprovider = 'voyage'\napi_key = 'file:{key}'");
        settings(&config).upstreams[0].url.host_str().unwrap().to_owned()
    };
    let file = |key: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), key).unwrap();
        file
    };
    let (plain, atlas) = (file("pa-1"), file("al-1"));
    assert_eq!(host(plain.path().to_str().unwrap()), "api.voyageai.com");
    assert_eq!(host(atlas.path().to_str().unwrap()), "ai.mongodb.com");
}
