//! Replies of upstreams: valid scores are used despite malformed fields beside them, absurd scores never, and absurd
//! counts are ignored.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, SHAPES, provenance, scores};

/// The name of the list of results and that of a score, as each provider documents them.
fn members(provider: &str) -> (&'static str, &'static str) {
    match provider {
        "voyage" => ("data", "relevance_score"),
        "mixedbread" => ("data", "score"),
        "tei" => ("", "score"),
        _ => ("results", "relevance_score"),
    }
}

/// The model that each provider is asked for: pointwise, with probabilities.
fn model(provider: &str) -> &'static str {
    match provider {
        "cohere" => "rerank-v3.5",
        "jina" => "jina-reranker-v2-base-multilingual",
        "voyage" => "rerank-2.5",
        "mixedbread" => "mixedbread-ai/mxbai-rerank-large-v2",
        _ => "tei",
    }
}

/// A reply of `provider` that holds `results` and `rest` (`,"member":…`), with `SCORE` as the provider calls it.
fn reply(provider: &str, results: &str, rest: &str) -> String {
    let (list, score) = members(provider);
    let body = if list.is_empty() { format!("[{results}]") } else { format!("{{\"{list}\":[{results}]{rest}}}") };
    body.replace("SCORE", score)
}

/// Answer to one request when the provider sends this reply once.
async fn ask(provider: &str, body: &str) -> crate::support::gateway::Answer {
    let fake = FakeUpstream::scripted(provider, [Reply::body(body)]).await;
    let config = format!(
        "{}max_attempts = 1\n{}",
        upstream("up", provider, &fake.url()),
        targets("default", &[("up", model(provider))])
    );
    let gateway = Gateway::start(&config).await;
    gateway.try_rerank(json!({"query": "cat", "documents": ["a cat", "a dog"]})).await
}

const GOOD: &str = r#"{"index":0,"SCORE":0.9},{"index":1,"SCORE":0.8}"#;

#[tokio::test]
async fn valid_scores_are_used_despite_malformed_other_fields() {
    for provider in SHAPES {
        for results in [
            r#"{"index":0,"relevance_score":0.9,"score":0.9},{"index":1,"score":0.8,"relevance_score":0.8}"#,
            r#"{"index":0.0,"SCORE":0.9},{"index":"1","SCORE":0.8}"#,
            r#"{"index":0,"index":0,"SCORE":0.9,"SCORE":0.9},{"SCORE":8e-1,"index":1e0}"#,
            r#"{"index":0,"SCORE":0.9,"document":"a cat","document":{"text":[null]},"id":7},{"index":1,"SCORE":0.8,"document":null}"#,
        ] {
            let answer = ask(provider, &reply(provider, results, "")).await;
            assert_eq!(answer.status, StatusCode::OK, "{provider}: {results}: {}", answer.body);
            assert_eq!(scores(&answer.body), [(0, 0.9), (1, 0.8)], "{provider}: {results}");
        }
        for rest in [
            r#","usage":"n/a""#,
            r#","usage":{"total_tokens":"many"}"#,
            r#","usage":{"total_tokens":[1],"prompt_tokens":{}}"#,
            r#","usage":[{"total_tokens":1}],"usage":7"#,
            r#","usage":null,"usage":{},"meta":true"#,
            r#","usage":1e999,"meta":{"billed_units":{"search_units":1e999,"input_tokens":"\ud83d"}}"#,
            r#","usage":{"\ud83d":1},"meta":{"\u0062illed_units":[]}"#,
            r#","meta":{"billed_units":"none","tokens":[],"api_version":1}"#,
            r#","meta":{"billed_units":{"search_units":"a few"},"billed_units":null}"#,
            r#","meta":[],"id":7,"model":{"name":["m"]},"object":null,"id":8,"warnings":"none""#,
        ] {
            let body = format!("\u{feff}{}", reply(provider, GOOD, rest));
            let answer = ask(provider, &body).await;
            assert_eq!(answer.status, StatusCode::OK, "{provider}: {rest}: {}", answer.body);
            assert_eq!(scores(&answer.body), [(0, 0.9), (1, 0.8)], "{provider}: {rest}");
            assert_eq!(answer.body["usage"]["total_tokens"], 0, "{provider}: {rest}");
        }
    }
}

#[tokio::test]
async fn documented_score_field_wins_over_the_other() {
    for provider in SHAPES {
        let (_, documented) = members(provider);
        let other = if documented == "score" { "relevance_score" } else { "score" };
        for results in [
            r#"{"index":0,"SCORE":0.9,"OTHER":0.1},{"index":1,"OTHER":0.9,"SCORE":0.8}"#,
            r#"{"index":0,"SCORE":0.9,"OTHER":1e999},{"index":1,"OTHER":"\ud83d","SCORE":0.8}"#,
            r#"{"index":0,"SCORE":0.9,"OTHER":"high"},{"index":1,"OTHER":{"a":[1]},"SCORE":0.8}"#,
            r#"{"index":0,"OTHER":0.9},{"index":1,"OTHER":0.8,"SCORE":null}"#,
        ] {
            let results = results.replace("OTHER", other);
            let answer = ask(provider, &reply(provider, &results, "")).await;
            assert_eq!(answer.status, StatusCode::OK, "{provider}: {results}: {}", answer.body);
            assert_eq!(scores(&answer.body), [(0, 0.9), (1, 0.8)], "{provider}: {results}");
        }
    }
}

#[tokio::test]
async fn law_6_malformed_score_or_index_returns_invalid_reply() {
    for provider in SHAPES {
        let other = if members(provider).1 == "score" { "relevance_score" } else { "score" };
        for second in [
            r#"{"index":0.5,"SCORE":0.8}"#,
            r#"{"index":"0.5","SCORE":0.8}"#,
            r#"{"index":"one","SCORE":0.8}"#,
            r#"{"index":"","SCORE":0.8}"#,
            r#"{"index":true,"SCORE":0.8}"#,
            r#"{"index":[1],"SCORE":0.8}"#,
            r#"{"index":null,"SCORE":0.8}"#,
            r#"{"index":1e300,"SCORE":0.8}"#,
            r#"{"index":-1.0,"SCORE":0.8}"#,
            r#"{"index":0,"index":1,"SCORE":0.8}"#,
            r#"{"index":1,"SCORE":0.8,"SCORE":0.7}"#,
            r#"{"index":1,"SCORE":"0.8"}"#,
            r#"{"index":1,"SCORE":"0.8","OTHER":0.8}"#,
            r#"{"index":1,"SCORE":[0.8],"OTHER":0.8}"#,
            r#"{"index":1,"SCORE":true}"#,
            r#"{"index":1,"SCORE":null}"#,
            r#"{"index":1}"#,
            "0.8",
            "[1,0.8]",
            "null",
        ] {
            let results = format!(r#"{{"index":0,"SCORE":0.9}},{}"#, second.replace("OTHER", other));
            let answer = ask(provider, &reply(provider, &results, "")).await;
            assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{provider}: {second}: {}", answer.body);
            assert_eq!(answer.body["code"], "upstream_invalid_reply", "{provider}: {second}");
        }
    }
}

#[tokio::test]
async fn token_usage_is_read_from_every_known_field() {
    for (provider, rest, tokens) in [
        ("jina", r#","usage":{"total_tokens":"12"}"#, 12),
        ("jina", r#","usage":{"prompt_tokens":12}"#, 12),
        ("voyage", r#","usage":{"prompt_tokens":12.0,"total_tokens":null}"#, 12),
        ("mixedbread", r#","usage":{"input_tokens":12,"output_tokens":0}"#, 12),
        ("jina", r#","meta":{"tokens":{"input_tokens":12,"output_tokens":0}}"#, 12),
        ("jina", r#","meta":{"billed_units":{"input_tokens":12,"search_units":0},"tokens":null},"usage":"n/a""#, 12),
        ("jina", r#","tokens":{"input_tokens":12,"output_tokens":1}"#, 12),
        ("jina", r#","meta":{"billed_units":{"total_tokens":12}}"#, 12),
        ("cohere", r#","meta":{"tokens":{"input_tokens":12}}"#, 12),
        ("cohere", r#","meta":{"billed_units":{"input_tokens":12,"search_units":1},"tokens":{"input_tokens":40}}"#, 12),
        ("jina", r#","usage":{"total_tokens":12,"prompt_tokens":7},"meta":{"tokens":{"input_tokens":5}}"#, 12),
        ("jina", r#","usage":{"total_tokens":1e999,"prompt_tokens":12}"#, 12),
        ("jina", r#","usage":{"total_tokens":0},"meta":{"tokens":{"input_tokens":12}}"#, 12),
    ] {
        let answer = ask(provider, &reply(provider, GOOD, rest)).await;
        assert_eq!(answer.body["usage"]["total_tokens"], tokens, "{provider}: {rest}: {}", answer.body);
    }
}

/// Attack 18: a bill of 1e18 units spoilt the counter for good.
#[tokio::test]
async fn absurd_usage_counts_are_ignored() {
    for units in ["1e18", "-1", "0.5", "1e300", "100001", "\"1e18\""] {
        let rest = format!(r#","meta":{{"billed_units":{{"search_units":{units},"input_tokens":{units}}}}}"#);
        let body = reply("cohere", GOOD, &rest.replace("100001", "1000000001"));
        let fake = FakeUpstream::scripted("cohere", [Reply::body(body), Reply::Score]).await;
        let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
        let body = json!({"query": "cat", "documents": ["a cat", "a dog"]});
        let answer = gateway.rerank_with(body).await;
        assert_eq!(answer["usage"]["total_tokens"], 0, "{units}");
        assert_eq!(answer["meta"]["billed_units"]["search_units"], 0, "{units}");
        assert_eq!(provenance(&answer)["cost"]["spent_usd"], Value::Null, "{units}");
        gateway.rerank("dog", &["a dog"]).await;
        let billed = "rerank_billed_units_total{upstream=\"up\",unit=\"search_units\"}";
        assert_eq!(gateway.metric(billed).await, 1.0, "{units}: only what made sense");
    }
}

/// Attack 18. A score that cannot be one is an error for good: the provider would say the same again.
#[tokio::test]
async fn law_6_score_off_its_scale_returns_502_naming_the_scale_setting() {
    for (provider, model, score, range) in [
        ("cohere", "rerank-v3.5", "-3", "0 to 1"),
        ("cohere", "rerank-v3.5", "1e300", "0 to 1"),
        ("cohere", "rerank-v3.5", "1.01", "0 to 1"),
        ("mixedbread", "mixedbread-ai/mxbai-rerank-large-v2", "7.25", "0 to 1"),
        ("tei", "tei", "-4.5", "0 to 1"),
        ("jina", "jina-reranker-v3", "1.5", "-1 to 1"),
        ("jina", "some/model", "1000001", "-1000000 to 1000000"),
        ("jina", "some/model", "-1e300", "-1000000 to 1000000"),
    ] {
        let results = format!(r#"{{"index":0,"SCORE":0.5}},{{"index":1,"SCORE":{score}}}"#);
        let fake = FakeUpstream::scripted(provider, [Reply::body(reply(provider, &results, ""))]).await;
        let gateway = Gateway::in_front_of(provider, model, &fake.url()).await;
        let answer = gateway.try_rerank(json!({"query": "cat", "documents": ["a cat", "a dog"]})).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{provider} {score}: {}", answer.body);
        assert_eq!(answer.body["code"], "upstream_invalid_reply");
        let detail = answer.body["detail"].as_str().unwrap();
        let start = "up sent scores that do not fit: that of index 1 is not within ";
        assert!(detail.starts_with(&format!("{start}{range}")), "{detail}");
        let way_out = format!("providers.{provider}.models");
        assert_eq!(detail.contains(&way_out) && detail.contains("scale"), range != "-1000000 to 1000000", "{detail}");
        assert_eq!(fake.calls().len(), 1, "{provider} {score}: paid for once");
    }
}

#[tokio::test]
async fn scores_at_the_ends_of_their_scale_are_accepted() {
    for (provider, model, declared, low, high) in [
        ("cohere", "rerank-v3.5", "", 0.0, 1.0),
        ("cohere", "rerank-v3.5", "", 1e-300, 1.000_000_1),
        ("jina", "jina-reranker-v3", "", -1.0, 1.001),
        ("jina", "some/model", "", -11.5, 1e6),
        ("tei", "tei", "[providers.tei.other_models]\nscale = 'logit'\n", -11.5, 9.25),
    ] {
        let results = format!(r#"{{"index":0,"SCORE":{low:?}}},{{"index":1,"SCORE":{high:?}}}"#);
        let fake = FakeUpstream::scripted(provider, [Reply::body(reply(provider, &results, ""))]).await;
        let config =
            format!("{}{}{declared}", upstream("up", provider, &fake.url()), targets("default", &[("up", model)]));
        let gateway = Gateway::start(&config).await;
        let answer = gateway.rerank("cat", &["a cat", "a dog"]).await;
        // Clients of this dialect get logits as probabilities.
        let shown = |score: f64| if declared.is_empty() { score } else { 1.0 / (1.0 + (-score).exp()) };
        assert_eq!(scores(&answer), [(1, shown(high)), (0, shown(low))], "{provider} {model}");
    }
}

/// Attack 13. Beside these, `crates/core/src/upstream/redact/` has a test of every disguise.
#[tokio::test]
async fn law_11_provider_message_quoting_the_request_is_withheld() {
    let passage = "Kim Cheol, born 900101, is HIV positive; ward 7 east";
    for (status, message, shown) in [
        (400, "too many tokens: max 512 per document, document 3 has 800", true),
        (422, "unknown field max_tokens_per_doc", true),
        (400, "cannot score: IS HIV POSITIVE", false),
        (400, "cannot score: k-i-m c-h-e-o-l", false),
        (422, r"cannot score: Kim\u0020Cheol", false),
        (413, "too long: &#x4b;im&nbsp;Cheol", false),
        (500, "cannot score: 900101%2C%20is", false),
        (400, "cannot score the query 'Cat'", false),
        (400, "no category", true),
        (429, "too many requests of test-ke*", true),
        (429, "too many requests of test-key", false),
        (429, "too many requests of TEST key", false),
        (401, "something harmless", false),
        (402, "something harmless", false),
        (403, "something harmless", false),
    ] {
        let body = json!({ "error": { "message": message } }).to_string();
        let fake = FakeUpstream::scripted("cohere", [Reply::Status(status, Vec::new(), body)]).await;
        let config = format!(
            "{}max_attempts = 1\n{}",
            upstream("up", "cohere", &fake.url()),
            targets("default", &[("up", "rerank-v3.5")])
        );
        let gateway = Gateway::start(&config).await;
        let answer = gateway.try_rerank(json!({"query": "cat", "documents": [passage]})).await;
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("up answered with status {status}")), "{detail}");
        assert_eq!(detail.ends_with(message), shown, "{detail}");
        assert_eq!(detail.contains(": "), shown, "{detail}");
    }
}

#[tokio::test]
async fn status_404_or_405_returns_upstream_misconfigured_naming_the_path() {
    for (status, body) in [
        (404, r#"{"detail":"Not Found"}"#),
        (404, "404 page not found"),
        (404, ""),
        (404, "<html>404</html>"),
        (405, r#"{"detail":"Method Not Allowed"}"#),
    ] {
        let fake = FakeUpstream::scripted("jina", [Reply::Status(status, Vec::new(), body.to_owned())]).await;
        let gateway = Gateway::in_front_of("jina", "m", &format!("{}/wrong", fake.url())).await;
        let answer = gateway.try_rerank(json!({"query": "cat", "documents": ["a cat"]})).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (502, &json!("upstream_misconfigured")));
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("up answered with status {status} at /wrong/v1/rerank")), "{detail}");
        assert!(detail.contains("base_url"), "{detail}");
        assert_eq!(fake.calls().len(), 1, "{body}");
    }
    let body = r#"{"error":{"message":"The model `m` does not exist.","type":"NotFoundError","code":404}}"#;
    let fake = FakeUpstream::scripted("jina", [Reply::Status(404, Vec::new(), body.to_owned())]).await;
    let gateway = Gateway::in_front_of("jina", "m", &fake.url()).await;
    let answer = gateway.try_rerank(json!({"query": "cat", "documents": ["a cat"]})).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (400, &json!("upstream_rejected")));
}

#[tokio::test]
async fn base_url_path_and_query_are_called_as_configured() {
    for (suffix, path, asked) in [
        ("/compatible-api/v1/reranks", "", "/compatible-api/v1/reranks"),
        ("/v1/reranking/", "", "/v1/reranking"),
        ("/v1/rerank?api-version=1", "", "/v1/rerank?api-version=1"),
        ("/openai?api-version=1", "", "/openai/v1/rerank?api-version=1"),
        ("/prefix", "path = '/our-model/invoke?a=b&c=d'\n", "/prefix/our-model/invoke?a=b&c=d"),
        ("", "path = '/'\n", "/"),
    ] {
        let fake = FakeUpstream::start("jina").await;
        let base = format!("{}{suffix}", fake.url());
        let config = format!("{}{path}{}", upstream("up", "jina", &base), targets("default", &[("up", "m")]));
        let gateway = Gateway::start(&config).await;
        gateway.rerank("cat", &["a cat"]).await;
        assert_eq!(fake.calls()[0].path_and_query, asked, "{suffix} {path}");
    }
}

/// Gateways between rerankd and a provider answer with status codes of their own.
#[tokio::test]
async fn gateway_statuses_502_to_529_are_retried() {
    for provider in SHAPES {
        for status in [502, 503, 504, 520, 521, 522, 523, 524, 527, 529] {
            let fake = FakeUpstream::scripted(provider, [Reply::status(status)]).await;
            let gateway = Gateway::in_front_of(provider, model(provider), &fake.url()).await;
            let answer = gateway.rerank("cat", &["a cat"]).await;
            assert_eq!(provenance(&answer)["attempts"], 2, "{provider} {status}");
        }
    }
}

/// A redirect could carry key and passages to another host, and would turn the POST into a GET.
#[tokio::test]
async fn redirects_are_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = FakeUpstream::start("cohere").await;
        let location = vec![("location", format!("{}/v2/rerank", elsewhere.url()))];
        let fake = FakeUpstream::scripted("cohere", [Reply::Status(status, location, String::new())]).await;
        let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
        let answer = gateway.try_rerank(json!({"query": "cat", "documents": ["a cat"]})).await;
        assert_eq!(answer.body["code"], "upstream_invalid_reply", "{status}");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("up answered with status {status} at /v2/rerank")), "{detail}");
        assert_eq!(elsewhere.connections(), 0, "{status}");
        assert_eq!(fake.calls().len(), 1, "{status}");
    }
}

/// Law 6. Whatever a refused reply says of its price is not believed either.
#[tokio::test]
async fn invalid_reply_adds_no_billed_units() {
    let rest = r#","meta":{"billed_units":{"search_units":3,"input_tokens":7}}"#;
    for results in [r#"{"index":0,"SCORE":0.5},{"index":1,"SCORE":1e9}"#, r#"{"index":0,"SCORE":0.5}"#, "0"] {
        let fake = FakeUpstream::scripted("cohere", [Reply::body(reply("cohere", results, rest)), Reply::Score]).await;
        let config = format!(
            "{}max_attempts = 1\n{}",
            upstream("up", "cohere", &fake.url()),
            targets("default", &[("up", "rerank-v3.5")])
        );
        let gateway = Gateway::start(&config).await;
        let body = json!({"query": "cat", "documents": ["a cat", "a dog"]});
        assert_eq!(gateway.try_rerank(body.clone()).await.status, StatusCode::BAD_GATEWAY, "{results}");
        gateway.rerank_with(body).await;
        let billed = "rerank_billed_units_total{upstream=\"up\",unit=\"search_units\"}";
        assert_eq!(gateway.metric(billed).await, 1.0, "{results}: only the good reply");
    }
}

/// Attack 5. Bodies over 64 KB were silence before, and their connections lost.
#[tokio::test]
async fn long_error_body_yields_its_leading_message() {
    let long = format!(r#"{{"message":"no such parameter: top_m","input":"{}"}}"#, "word ".repeat(12_000));
    let longer = format!(r#"{{"message":"no such parameter: top_m","input":"{}"}}"#, "word ".repeat(200_000));
    let plain = format!("no such parameter: top_m{}", " ".repeat(100_000));
    for body in [&long, &longer, &plain] {
        let fake = FakeUpstream::scripted("cohere", [Reply::Status(400, Vec::new(), body.clone())]).await;
        let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
        let answer = gateway.try_rerank(json!({"query": "cat", "documents": ["a cat"]})).await;
        assert_eq!(answer.body["detail"], "up answered with status 400: no such parameter: top_m");
    }
}
