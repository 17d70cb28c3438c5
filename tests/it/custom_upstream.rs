//! `examples/custom-upstream.toml`, as it stands, before a scripted server that speaks as the file says.

use http::StatusCode;
use serde_json::{Value, json};

use crate::contract::read;
use crate::support::gateway::Answer;
use crate::support::{FakeUpstream, Gateway, Reply, order, provenance, scores};

const SCORED: &str = r#"{"state":"done","outcome":{"hits":[{"ref":"p-1","scores":[0.93,0.41]},{"ref":"p-0","scores":[0.25]}]},
    "billing":{"tokens":57}}"#;

/// A gateway with the example before `fake`, whose address the environment gives.
async fn gateway_before(fake: &FakeUpstream) -> Gateway {
    let url = fake.url();
    let variables = [
        ("SIEVE_API_KEY", "sieve-key"),
        ("SIEVE_WORKSPACE", "search-team"),
        ("RERANKD__UPSTREAMS__SIEVE__BASE_URL", &*url),
        ("RERANKD__UPSTREAMS__SIEVE_PICK__BASE_URL", &*url),
        ("RERANKD__UPSTREAM_DEFAULTS__MAX_ATTEMPTS", "1"),
    ];
    Gateway::start_in(&variables, &read("examples/custom-upstream.toml")).await
}

/// Answer of Sieve's model alone, without the fallback, when the server sends this reply.
async fn ask(reply: Reply) -> Answer {
    let fake = FakeUpstream::scripted("sieve", [reply]).await;
    let gateway = gateway_before(&fake).await;
    gateway.try_rerank(json!({"model": "sieve/sieve-2", "query": "SECRET QUERY", "documents": ["SECRET TEXT"]})).await
}

#[tokio::test]
async fn custom_upstream_is_asked_as_declared_and_ranks() {
    let fake = FakeUpstream::scripted("sieve", [Reply::body(SCORED)]).await;
    let gateway = gateway_before(&fake).await;
    let request = json!({
        "query": "capital of Korea",
        "documents": ["Busan is a port.", "Seoul is the capital of Korea.", "  "],
        "instruction": "prefer cities",
        "top_n": 3,
    });
    let answer = gateway.rerank_with(request.clone()).await;

    let call = &fake.calls()[0];
    assert_eq!(call.path_and_query, "/v3/workspaces/search-team/models/sieve-2/rank?edition=2026-11");
    assert_eq!(call.headers["x-sieve-key"], "sieve-key");
    assert!(!call.headers.contains_key("authorization"));
    let expected = json!({
        "input": {
            "question": "capital of Korea",
            "items": [
                {"ref": "p-0", "kind": "text", "body": {"text": "Busan is a port."}},
                {"ref": "p-1", "kind": "text", "body": {"text": "Seoul is the capital of Korea."}},
            ],
        },
        "settings": {"echo": false, "hint": "prefer cities", "keep": 2},
    });
    assert_eq!(call.body, expected);

    assert_eq!(scores(&answer), [(1, 0.93), (0, 0.25), (2, 0.0)], "the blank passage is last");
    assert_eq!(provenance(&answer)["score_scale"], "probability");
    let warning = "sieve/sieve-2 refuses blank documents; 1 got the score 0 unasked";
    assert_eq!(provenance(&answer)["warnings"], json!([warning]));
    assert_eq!(answer["usage"]["total_tokens"], 57);
    let usd = provenance(&answer)["cost"]["spent_usd"].as_f64().unwrap();
    assert!((usd - 57.0 * 0.03 / 1e6).abs() < 1e-12, "{usd}");

    gateway.rerank_with(request).await;
    assert_eq!(fake.calls().len(), 1, "pairs are cached one by one, as the model is declared pointwise");
}

#[tokio::test]
async fn reply_that_does_not_match_is_told_by_upstream_and_pointer_and_quotes_nothing() {
    for (reply, place) in [
        (
            r#"{"state":"done","outcome":{"hits":[{"ref":"p-0","scores":["SECRET"]}]}}"#,
            "/outcome/hits[0]/scores/0 is no number",
        ),
        (r#"{"state":"done","outcome":{"hits":[{"ref":"p-0","score":0.5}]}}"#, "/outcome/hits[0]/scores/0 is missing"),
        (r#"{"state":"done","outcome":{"hits":[{"SECRET":"p-0","scores":[0.5]}]}}"#, "/outcome/hits[0]/ref is missing"),
        (r#"{"state":"done","outcome":{"hits":"SECRET"}}"#, "/outcome/hits is no list"),
        (r#"{"state":"done","SECRET":1}"#, "/outcome is missing"),
    ] {
        let answer = ask(Reply::body(reply)).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{}", answer.body);
        assert_eq!(answer.body["code"], "upstream_invalid_reply");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains("sieve") && detail.contains(place), "{detail}");
        assert!(!answer.body.to_string().contains("SECRET"), "{}", answer.body);
    }
}

#[tokio::test]
async fn custom_upstream_that_fails_is_followed_by_the_next_target() {
    let fake = FakeUpstream::scripted("sieve", [Reply::status(503)]).await;
    let gateway = gateway_before(&fake).await;
    let answer = gateway.rerank("capital of Korea", &["Busan is a port.", "Seoul is the capital of Korea."]).await;
    assert_eq!(answer["results"][0]["index"], 1);
    assert_ne!(provenance(&answer)["upstream"], Value::from("sieve"));
}

#[tokio::test]
async fn failures_of_a_custom_upstream_mean_what_its_rules_say() {
    for (status, code, message, expected) in [
        (200, "E_FUNDS", "top up", "upstream_quota_exhausted"),
        (200, "E_BUSY_SHARD", "come back", "upstream_unavailable"),
        (500, "E_ITEM", "Text too long", "upstream_rejected"),
        (500, "E_ITEM", "broken", "upstream_unavailable"),
        (200, "E_OTHER", "never", "upstream_rejected"),
    ] {
        let body = json!({"state": "failed", "error": {"code": code, "message": message}});
        let answer = ask(Reply::Status(status, Vec::new(), body.to_string())).await;
        assert_eq!(answer.body["code"], expected, "{status} {code}: {}", answer.body);
    }
}

#[tokio::test]
async fn limits_in_characters_of_a_custom_upstream_are_kept_without_a_call() {
    let fake = FakeUpstream::scripted("sieve", [Reply::body(SCORED)]).await;
    let gateway = gateway_before(&fake).await;
    // Of two bytes a character: the limits count characters.
    let longest = "é".repeat(8000);
    let request = json!({"model": "sieve/sieve-2", "query": "q", "documents": ["short", longest, "é".repeat(8001)]});
    let answer = gateway.rerank_with(request).await;
    assert_eq!(fake.calls()[0].body["input"]["items"].as_array().unwrap().len(), 2, "{answer}");
    assert_eq!(answer["results"][2]["index"], 2);
    let warnings = provenance(&answer)["warnings"].to_string();
    assert!(warnings.contains("8,000 characters of a document") && warnings.contains("one has 8,001;"), "{warnings}");

    let request = json!({"model": "sieve/sieve-2", "query": "é".repeat(501), "documents": ["short"]});
    let answer = gateway.try_rerank(request).await;
    assert_eq!(answer.body["code"], "upstream_rejected", "{}", answer.body);
    assert!(answer.body["detail"].as_str().unwrap().contains("500"), "{}", answer.body);
    assert_eq!(fake.calls().len(), 1);
}

#[tokio::test]
async fn custom_upstream_that_picks_ranks_without_scores() {
    let fake = FakeUpstream::scripted("sieve", [Reply::body(r#"{"picked":[{"ref":"2"},{"ref":"0"}]}"#)]).await;
    let gateway = gateway_before(&fake).await;
    let answer = gateway.rerank_with(json!({"model": "picked", "query": "q", "documents": ["a", "b", "c", "d"]})).await;
    let items = [("0", "a"), ("1", "b"), ("2", "c"), ("3", "d")].map(|(name, text)| json!({"ref": name, "text": text}));
    assert_eq!(fake.calls()[0].body, json!({"question": "q", "items": items}));
    assert_eq!(order(&answer), [2, 0, 1, 3]);
    for result in answer["results"].as_array().unwrap() {
        assert_eq!(result["relevance_score"], Value::Null);
    }
    assert_eq!(provenance(&answer)["score_scale"], "none");
}
