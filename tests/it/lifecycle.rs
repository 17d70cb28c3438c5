//! Models that end: failures that say so, rules for other failures, and what is told before the end.

use http::StatusCode;
use rerankd_core::error::ErrorKind;
use rerankd_core::route::lifecycle::notices;
use rerankd_core::types::date::Date;
use serde_json::{Value, json};

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, provenance};

fn reply(status: u16, body: &str) -> Reply {
    Reply::Status(status, vec![("content-type", "application/json".into())], body.to_owned())
}

fn date(text: &str) -> Date {
    Date::parse(text).unwrap()
}

/// A gateway with the upstream `up` of provider `jina` at `url`, whose `[providers.jina]` holds `facts` too.
async fn gateway(url: &str, facts: &str, model: &str) -> Gateway {
    let config = format!("{}{}{facts}", upstream("up", "jina", url), targets("default", &[("up", model)]));
    Gateway::start(&config).await
}

const BODY: &str = r#"{"query": "cat", "documents": ["a cat", "a dog"]}"#;

fn question() -> Value {
    serde_json::from_str(BODY).unwrap()
}

#[tokio::test]
async fn retired_model_is_asked_once_and_its_successor_is_named() {
    for (status, body) in [
        (410, ""),
        (404, r#"{"message":"rerank-english-v2.0 was sunset on December 1st, 2025. See our models."}"#),
        (400, r#"{"error":{"message":"The model `m` has been decommissioned","code":"model_decommissioned"}}"#),
        (200, r#"{"code":"ModelRetired","message":"the model is no longer available"}"#),
    ] {
        let fake = FakeUpstream::scripted("cohere", [reply(status, body)]).await;
        let gateway = Gateway::in_front_of("cohere", "rerank-english-v2.0", &fake.url()).await;
        let answer = gateway.try_rerank(question()).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (StatusCode::BAD_GATEWAY, &json!("upstream_model_retired")),
            "{status} {body}"
        );
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(
            detail.contains("rerank-english-v2.0 is retired; use rerank-v3.5 in the targets of your models"),
            "{detail}"
        );
        assert_eq!(fake.calls().len(), 1, "no retry after {status} {body}");
        let attempts =
            gateway.metric(r#"rerank_upstream_attempts_total{upstream="up",outcome="upstream_model_retired"}"#).await;
        assert!((attempts - 1.0).abs() < f64::EPSILON, "{attempts}");
    }
}

/// The provider is well, so nothing is held against it: neither its circuit, nor its permits, nor its key.
#[tokio::test]
async fn retired_model_opens_no_circuit_and_its_fallback_answers() {
    let retired = FakeUpstream::scripted("cohere", std::iter::repeat_n(reply(410, "{}"), 20)).await;
    let config = format!(
        "{}{}",
        upstream("up", "cohere", &retired.url()),
        targets("default", &[("up", "rerank-english-v2.0"), ("local", "lexical")])
    );
    let gateway = Gateway::start(&config).await;
    for number in 0..20 {
        let question = json!({"query": format!("cat {number}"), "documents": ["a cat", "a dog"]});
        let answer = gateway.rerank_with(question).await;
        assert_eq!(provenance(&answer)["upstream"], "local", "{answer}");
    }
    assert_eq!(retired.calls().len(), 20, "the circuit stayed closed, and nothing was retried");
    assert!(gateway.metric(r#"rerank_upstream_circuit_open{upstream="up"}"#).await < 0.5);
    for call in retired.calls() {
        assert_eq!(call.headers["authorization"], "Bearer test-key");
    }
}

#[tokio::test]
async fn missing_model_and_missing_address_are_told_apart_as_before() {
    for (status, body, code) in [
        (404, r#"{"message":"model 'm' not found, make sure the correct model ID was used"}"#, "upstream_rejected"),
        (404, r#"{"detail":"Not Found"}"#, "upstream_misconfigured"),
        (404, r#"{"message":"this path is deprecated"}"#, "upstream_misconfigured"),
        (405, "", "upstream_misconfigured"),
        (401, r#"{"message":"the model was retired"}"#, "upstream_unauthorized"),
    ] {
        let fake = FakeUpstream::scripted("cohere", [reply(status, body)]).await;
        let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
        let answer = gateway.try_rerank(question()).await;
        assert_eq!(answer.body["code"], code, "{status} {body}");
    }
}

/// Rules of a provider, with bodies as DashScope, Zhipu, llama.cpp and Xinference write them.
const RULES: &str = r#"
[providers.jina]
errors = [
  { code = "Arrearage", is = "quota_exhausted" },
  { code = "Throttling*", is = "rate_limited" },
  { status = 429, code = "1113", is = "quota_exhausted" },
  { code = "InvalidApiKey", is = "unauthorized" },
  { status = 500, says = "too large to process", is = "too_large" },
  { status = 500, says = "hasn't support", is = "rejected" },
  { status = 503, says = "maintenance", is = "unavailable", retry = false },
  { status = 400, code = "ModelNotExist", is = "model_missing" },
  { code = "ModelEnd", is = "model_retired" },
]
"#;

#[tokio::test]
async fn failures_are_sorted_by_the_rules_of_their_provider() {
    for (status, body, code, calls) in [
        (200, r#"{"code":"Arrearage","message":"Access denied","request_id":"r"}"#, "upstream_quota_exhausted", 1),
        (400, r#"{"code":"Arrearage","message":"Access denied","request_id":"r"}"#, "upstream_quota_exhausted", 1),
        (200, r#"{"code":"InvalidApiKey","message":"no such key"}"#, "upstream_unauthorized", 1),
        (429, r#"{"error":{"code":"1113","message":"balance"}}"#, "upstream_quota_exhausted", 1),
        (500, r#"{"detail":"rerank hasn't support `x` parameter."}"#, "upstream_rejected", 1),
        (503, r#"{"detail":"down for maintenance"}"#, "upstream_unavailable", 1),
        (503, r#"{"detail":"busy"}"#, "upstream_unavailable", 3),
        (400, r#"{"code":"ModelNotExist","message":"no"}"#, "upstream_rejected", 1),
        (500, r#"{"code":"ModelEnd","message":"no"}"#, "upstream_model_retired", 1),
        (200, r#"{"code":"Other","message":"no"}"#, "upstream_invalid_reply", 3),
    ] {
        let fake = FakeUpstream::start("jina").await;
        fake.answer_always(Some(reply(status, body)));
        let gateway = gateway(&fake.url(), RULES, "jina-reranker-v2-base-multilingual").await;
        let answer = gateway.try_rerank(question()).await;
        assert_eq!(answer.body["code"], code, "{status} {body}");
        assert_eq!(fake.calls().len(), calls, "{status} {body}");
    }
}

/// Law 10. A hint beyond the deadline ends the attempts, too.
#[tokio::test]
async fn failure_with_a_success_status_keeps_the_hint_when_to_try_again() {
    let body = r#"{"code":"Throttling.RateQuota","message":"slow down"}"#;
    let fake = FakeUpstream::start("jina").await;
    fake.answer_always(Some(Reply::Status(200, vec![("retry-after", "900".to_owned())], body.to_owned())));
    let gateway = gateway(&fake.url(), RULES, "jina-reranker-v2-base-multilingual").await;
    let answer = gateway.try_rerank(question()).await;
    assert_eq!((answer.body["code"].as_str(), fake.calls().len()), (Some("upstream_rate_limited"), 1));
    assert_eq!(answer.headers["retry-after"], "900");
}

/// A model that starts is told by the status alone, in some versions of a server.
#[tokio::test]
async fn rule_for_a_success_status_needs_no_body() {
    let facts = "[providers.jina]\nerrors = [{ status = [200, 202], is = 'unavailable', retry = false }]\n";
    for (status, body, code, calls) in [
        (202, "", "upstream_unavailable", 1),
        (202, r#"{"message":"starting"}"#, "upstream_unavailable", 1),
        (200, r#"{"message":"starting"}"#, "upstream_unavailable", 1),
        // No failure was told: the reply is broken.
        (200, "", "upstream_invalid_reply", 3),
    ] {
        let fake = FakeUpstream::start("jina").await;
        fake.answer_always(Some(reply(status, body)));
        let gateway = gateway(&fake.url(), facts, "jina-reranker-v2-base-multilingual").await;
        let answer = gateway.try_rerank(question()).await;
        assert_eq!((answer.body["code"].as_str(), fake.calls().len()), (Some(code), calls), "{status} {body}");
    }
}

/// The account is the operator's, and the model's name stands for any.
#[tokio::test]
async fn an_address_is_told_without_its_values() {
    let fake = FakeUpstream::start("jina").await;
    fake.answer_always(Some(reply(404, r#"{"errors":[{"code":7000,"message":"No route for that URI"}]}"#)));
    let gateway = Gateway::start(&format!(
        "[upstreams.up]\nprovider = 'workers-ai'\nbase_url = '{}'\napi_key = 'env:KEY'\n\
         path_values.account = '0a1b2c3d'\n{}",
        fake.url(),
        targets("default", &[("up", "@cf/baai/bge-reranker-base")]),
    ))
    .await;
    let answer = gateway.try_rerank(question()).await;
    let text = answer.body.to_string();
    assert!(text.contains("/client/v4/accounts/{account}/ai/run/{model}"), "{text}");
    assert!(!text.contains("0a1b2c3d") && !text.contains("MODEL"), "{text}");
    assert!(
        fake.calls()[0].path.ends_with("/0a1b2c3d/ai/run/@cf/baai/bge-reranker-base"),
        "{:?}",
        fake.calls()[0].path
    );
}

/// A server error that a rule calls a refusal is no evidence against the circuit; without the rule, five of them open
/// it.
#[tokio::test]
async fn permanent_server_error_opens_no_circuit() {
    for (facts, is_open) in [(RULES, false), ("", true)] {
        let body = r#"{"detail":"rerank hasn't support `x` parameter."}"#;
        let fake = FakeUpstream::start("jina").await;
        fake.answer_always(Some(reply(500, body)));
        let gateway = gateway(&fake.url(), facts, "jina-reranker-v2-base-multilingual").await;
        for number in 0..8 {
            gateway.try_rerank(json!({"query": format!("cat {number}"), "documents": ["a cat"]})).await;
        }
        let open = gateway.metric(r#"rerank_upstream_circuit_open{upstream="up"}"#).await;
        assert_eq!(open > 0.5, is_open);
    }
}

/// "Too many requests" with a success status is retried with the next key.
#[tokio::test]
async fn key_that_is_used_up_by_a_rule_makes_way_for_the_next() {
    let rate = reply(200, r#"{"code":"Throttling.RateQuota","message":"slow down"}"#);
    let fake = FakeUpstream::start("jina").await;
    fake.then([rate]);
    let config = format!(
        "[upstreams.up]\nprovider = 'jina'\nbase_url = '{}'\napi_keys = ['env:KEY', 'env:OTHER']\n{}{RULES}",
        fake.url(),
        targets("default", &[("up", "jina-reranker-v2-base-multilingual")])
    );
    let gateway = Gateway::start(&config).await;
    gateway.rerank_with(question()).await;
    let keys: Vec<_> = fake.calls().iter().map(|call| call.headers["authorization"].clone()).collect();
    assert_eq!(keys, ["Bearer test-key", "Bearer other-key"]);
}

/// A passage that is too long by a rule is found and left out, as if a list of words had named it.
#[tokio::test]
async fn size_by_a_rule_is_a_refusal_for_size() {
    let body = r#"{"error":{"message":"input is too large to process","type":"server_error"}}"#;
    let fake = FakeUpstream::scripted("jina", [reply(500, body)]).await;
    let gateway = gateway(&fake.url(), RULES, "jina-reranker-v2-base-multilingual").await;
    let answer = gateway.rerank_with(question()).await;
    assert_eq!(answer["results"].as_array().unwrap().len(), 2, "{answer}");
    assert!(fake.calls().len() > 1, "the call was cut");
}

/// Two names of one model share its scores, and whoever uses the old name is told once.
#[tokio::test]
async fn silent_alias_shares_the_scores_of_the_model_that_answers() {
    let facts = "[providers.jina.models.'old-name']\nscoring = 'pointwise'\nscale = 'probability'\n\
                 silent_alias_of = 'new-name'\n\
                 [providers.jina.models.'new-name']\nscoring = 'pointwise'\nscale = 'probability'\n";
    let fake = FakeUpstream::start("jina").await;
    let gateway = gateway(&fake.url(), facts, "old-name").await;
    let old = gateway.rerank_with(question()).await;
    let warnings = provenance(&old)["warnings"].as_array().unwrap().clone();
    assert_eq!(warnings, [json!("up/old-name is answered by new-name, whatever its name says")]);
    let mut question = question();
    question["model"] = json!("up/new-name");
    let new = gateway.rerank_with(question).await;
    assert_eq!(fake.calls().len(), 1, "the second name found the scores of the first");
    assert_eq!(provenance(&new)["warnings"], json!([]));
    let models: Value = serde_json::from_str(&gateway.get_text("/v1/models").await).unwrap();
    let listed = models["data"].as_array().unwrap().iter().find(|model| model["id"] == "up/old-name").unwrap();
    assert_eq!(
        listed["lifecycle"],
        json!([{"target": "up/old-name", "retired_on": null, "successor": null, "silent_alias_of": "new-name"}])
    );
}

#[tokio::test]
async fn configured_targets_are_warned_of_before_and_after_their_end() {
    let facts = "[providers.jina.models.'ending']\nretired_on = '2027-02-12'\nsuccessor = 'next'\n\
                 [providers.jina.models.'unused']\nretired_on = '2020-01-01'\n";
    let gateway = gateway("http://127.0.0.1:9", facts, "ending").await;
    let routes = &gateway.app.reranker.routes;
    let told = |today: &str, far_too| -> Vec<String> {
        notices(routes, date(today), far_too).into_iter().map(|notice| notice.message).collect()
    };
    assert_eq!(told("2026-01-01", false), [""; 0], "far ahead");
    assert_eq!(told("2026-01-01", true), ["up/ending will be retired on 2027-02-12; use next"]);
    assert_eq!(told("2027-02-11", false), ["up/ending will be retired on 2027-02-12; use next"]);
    let after = ["up/ending was retired on 2027-02-12, calls to it may fail; use next"];
    assert_eq!(told("2027-02-12", false), after, "the unused model is not told");
}

/// The end of a hosted service is told of upstreams that use it, and not of copies elsewhere.
#[tokio::test]
async fn end_of_a_service_is_told_of_its_own_host_alone() {
    for (base_url, count) in [("", 1), ("base_url = 'http://127.0.0.1:9'\n", 0)] {
        let config = format!(
            "[upstreams.up]\nprovider = 'jina'\napi_key = 'env:KEY'\n{base_url}{}[providers.jina]\n\
             retired_on = '2026-09-04'\nsuccessor = 'the weights'\n",
            targets("default", &[("up", "jina-reranker-v2-base-multilingual")])
        );
        let gateway = Gateway::start(&config).await;
        let notices = notices(&gateway.app.reranker.routes, date("2026-11-30"), false);
        assert_eq!(notices.len(), count);
        for notice in notices {
            let expected = "the service behind up was retired on 2026-09-04, calls to it may fail; use the weights";
            assert_eq!(notice.message, expected);
        }
    }
}

#[test]
fn retired_model_is_a_fault_that_only_the_operator_can_mend() {
    assert_eq!(ErrorKind::UpstreamModelRetired.status(), StatusCode::BAD_GATEWAY);
    assert!(ErrorKind::UpstreamModelRetired.is_caused_by_upstream());
}

#[test]
fn check_and_models_tell_of_an_end() {
    let sentence = "up/rerank-english-v2.0 was retired on 2025-04-30, calls to it may fail; use rerank-v3.5";
    let config = format!(
        "{}{}",
        upstream("up", "cohere", "http://127.0.0.1:9"),
        targets("default", &[("up", "rerank-english-v2.0")])
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config).unwrap();
    for (arguments, line) in [(["check"], format!("# Warning: {sentence}")), (["models"], sentence.to_owned())] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rerankd"));
        command.args(arguments).arg("--config").arg(file.path()).env_clear().env("KEY", "k");
        let output = command.output().unwrap();
        // `models` wraps its lines.
        let text = String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&line), "{text}{}", String::from_utf8_lossy(&output.stderr));
    }
}
