//! The headers that tell the origin of an answer's scores, in every dialect.

use http::HeaderMap;
use rerankd::dialect::DIALECTS;
use serde_json::{Value, json};

use crate::support::gateway::{NO_BREAKER, targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, provenance};

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

/// A body that every dialect can read in one way or another.
fn body(dialect: &str, passages: &[&str]) -> Value {
    match dialect {
        "tei" => json!({"query": "q", "texts": passages}),
        "nvidia" => {
            let passages: Vec<_> = passages.iter().map(|text| json!({ "text": text })).collect();
            json!({"query": {"text": "q"}, "passages": passages})
        }
        "dashscope" => json!({"model": "default", "input": {"query": "q", "documents": passages}}),
        "mixedbread" => json!({"query": "q", "input": passages}),
        "deepinfra" => json!({"queries": ["q"], "documents": passages}),
        _ => json!({"query": "q", "documents": passages}),
    }
}

#[tokio::test]
async fn every_dialect_tells_model_scale_counts_cost_and_times() {
    for dialect in DIALECTS {
        let name = dialect.name();
        let fake = FakeUpstream::start("cohere").await;
        let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
        let ask = async |passages: &[&str]| {
            let request = gateway.post("/rerank").header("x-rerank-dialect", name);
            let answer = request.body(body(name, passages).to_string()).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{name}: {:?}", answer.text().await);
            answer.headers().clone()
        };
        ask(&["a"]).await;
        let headers = ask(&["a", "b", "b"]).await;
        assert_eq!(text(&headers, "x-rerankd-model"), Some("up/rerank-v3.5"), "{name}");
        let scale = if name == "nvidia" { "logit" } else { "probability" };
        assert_eq!(text(&headers, "x-rerankd-scale"), Some(scale), "{name}");
        let counts = "total=2, hit=1, coalesced=0, scored=1, stale=0, unscored=0";
        assert_eq!(text(&headers, "x-rerankd-cache"), Some(counts), "{name}");
        assert_eq!(text(&headers, "x-rerankd-fallbacks"), Some("0"), "{name}");
        assert_eq!(text(&headers, "x-rerankd-degraded"), None, "{name}");
        let timing = text(&headers, "server-timing").unwrap();
        assert!(timing.starts_with("cache;dur=") && timing.contains(", total;dur="), "{name}: {timing}");
    }
}

#[tokio::test]
async fn headers_agree_with_the_body() {
    let fake = FakeUpstream::scripted("cohere", [Reply::status(500)]).await;
    let models = "[models.default]\ntargets = [{ upstream = 'up', model = 'rerank-v3.5' }, { upstream = 'local' }]\n";
    let config = format!("{NO_BREAKER}{}max_attempts = 1\n{models}", upstream("up", "cohere", &fake.url()));
    let gateway = Gateway::start(&config).await;
    for (model, fallbacks) in [("local/lexical", "1"), ("up/rerank-v3.5", "0")] {
        let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a", "b"], "raw_scores": true})).await;
        let told = provenance(&answer.body);
        assert_eq!(text(&answer.headers, "x-rerankd-model"), Some(model));
        assert_eq!(text(&answer.headers, "x-rerankd-scale"), told["score_scale"].as_str());
        assert_eq!(text(&answer.headers, "x-rerankd-fallbacks"), Some(fallbacks));
        let cost = text(&answer.headers, "x-rerankd-cost-usd").map(|cost| cost.parse::<f64>().unwrap());
        assert_eq!(cost, told["cost"]["spent_usd"].as_f64(), "{told}");
    }
}

#[tokio::test]
async fn an_answer_in_input_order_says_so_and_a_page_may_read_it() {
    let fake = FakeUpstream::start("cohere").await;
    fake.answer_always(Some(Reply::status(500)));
    let model = format!("{}on_failure = 'original_order'\n", targets("default", &[("up", "rerank-v3.5")]));
    let config = format!("{NO_BREAKER}{}max_attempts = 1\n{model}", upstream("up", "cohere", &fake.url()));
    let gateway = Gateway::start(&config).await;
    let body = json!({"query": "q", "documents": ["a", "b"]}).to_string();
    let page = gateway.send(gateway.post("/rerank").header("origin", "http://localhost:3000").body(body)).await;
    assert_eq!(page.body["meta"]["rerankd"]["reranked"], false, "{}", page.body);
    assert_eq!(text(&page.headers, "x-rerankd-model"), None);
    assert_eq!(text(&page.headers, "x-rerankd-scale"), None);
    assert_eq!(text(&page.headers, "x-rerankd-degraded"), Some("upstream_unavailable"));
    let exposed = text(&page.headers, "access-control-expose-headers").unwrap();
    for name in page.headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-rerankd-")) {
        assert!(exposed.contains(name), "{name}");
    }
    let other = gateway.try_rerank(json!({"query": "q", "documents": ["a"]})).await;
    assert_eq!(text(&other.headers, "access-control-expose-headers"), None, "no page asked");
}
