//! Every provider against its golden files: the bytes that are sent, the scores that are read, every documented error.
//!
//! `tests/golden/providers/PROVIDER/` holds `case.json` (what to expect), `request.json` (exact bytes), `reply.json`
//! and `errors/*.json`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use rerankd::config::PROVIDER_FILES;
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinSet;

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

/// A golden case: what to configure, and what to expect.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    model: String,
    /// Path of the call, with its query.
    path: String,
    /// Values of the path.
    #[serde(default)]
    path_values: BTreeMap<String, String>,
    /// Headers of the call beside those of JSON.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The header that shows the key `test-key`.
    #[serde(default = "bearer")]
    key_header: BTreeMap<String, String>,
    /// Response headers.
    #[serde(default)]
    reply_headers: BTreeMap<String, String>,
    #[serde(default)]
    warnings: Vec<String>,
    /// `total_tokens`, `search_units` and `cost_usd`.
    usage: Value,
    /// Scale of the upstream's scores.
    score_scale: String,
    /// Position and score, best first; the score is null for selectors.
    scores: Vec<(u64, Option<f64>)>,
    /// True if the model takes the instruction in a field; for readers.
    #[serde(default, rename = "instruction")]
    _instruction: bool,
}

fn bearer() -> BTreeMap<String, String> {
    [("authorization".to_owned(), "Bearer test-key".to_owned())].into()
}

impl Case {
    fn of(provider: &str) -> Self {
        let path = format!("{provider}/case.json");
        serde_json::from_str(&text(&path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The configuration of a gateway before `url`.
    fn config(&self, provider: &str, url: &str, max_attempts: u32) -> String {
        let mut values = String::new();
        for (name, value) in &self.path_values {
            writeln!(values, "path_values.{name} = '{value}'").unwrap();
        }
        format!(
            "[upstream_defaults]\nmax_attempts = {max_attempts}\n{}{values}{}",
            upstream("up", provider, url),
            targets("default", &[("up", &self.model)]),
        )
    }
}

/// The headers as a reply of the fake upstream gives them.
fn reply_headers(headers: &BTreeMap<String, String>) -> Vec<(&'static str, String)> {
    let mut reply: Vec<(&'static str, String)> = vec![("content-type", "application/json".into())];
    for (name, value) in headers {
        reply.push((name.clone().leak(), value.clone()));
    }
    reply
}

#[tokio::test]
async fn provider_requests_and_replies_match_golden_files() {
    let mut checks = JoinSet::new();
    for (name, _) in PROVIDER_FILES {
        checks.spawn(check_case(name));
    }
    let mut wrong = 0;
    while let Some(check) = checks.join_next().await {
        wrong += usize::from(check.is_err());
    }
    assert_eq!(wrong, 0, "see above");
}

/// Asks a provider as its golden case does, and panics at the first difference.
async fn check_case(name: &str) {
    let case = Case::of(name);
    let reply = Reply::Status(200, reply_headers(&case.reply_headers), text(&format!("{name}/reply.json")));
    let fake = FakeUpstream::scripted(name, [reply]).await;
    let gateway = Gateway::start(&case.config(name, &fake.url(), 1)).await;
    let answer = gateway.rerank_with(json("request.json")).await;

    let call = &fake.calls()[0];
    assert_eq!(call.text, text(&format!("{name}/request.json")).trim_end(), "{name}");
    assert_eq!(call.path_and_query, case.path, "{name}");
    for (header, value) in case.headers.iter().chain(&case.key_header) {
        assert_eq!(call.headers.get(header).map(|found| found.to_str().unwrap()), Some(&**value), "{name}: {header}");
    }
    assert_eq!(call.headers["content-type"], "application/json");
    assert!(call.headers["user-agent"].to_str().unwrap().starts_with("rerankd/"));

    let mut found = Vec::new();
    for result in answer["results"].as_array().unwrap() {
        found.push((result["index"].as_u64().unwrap(), result["relevance_score"].as_f64()));
    }
    let mut expected = Vec::new();
    for (index, score) in &case.scores[..2] {
        // Logits are answered as probabilities.
        let answered =
            score.map(|score| if case.score_scale == "logit" { 1.0 / (1.0 + (-score).exp()) } else { score });
        expected.push((*index, answered));
    }
    assert_eq!(found, expected, "{name}: cut to top_n after all were scored");
    assert_eq!(provenance(&answer)["warnings"], Value::from(case.warnings), "{name}");
    let answered_scale = if case.score_scale == "logit" { "probability" } else { &case.score_scale };
    assert_eq!(provenance(&answer)["score_scale"], answered_scale, "{name}");
    assert_eq!(answer["usage"]["total_tokens"], case.usage["total_tokens"], "{name}");
    assert_eq!(answer["meta"]["billed_units"]["search_units"], case.usage["search_units"], "{name}");
    let cost = provenance(&answer)["cost"]["spent_usd"].as_f64();
    let difference = cost.zip(case.usage["cost_usd"].as_f64()).map(|(found, expected)| (found - expected).abs());
    assert!(difference.map_or(cost.is_none(), |usd| usd < 1e-12), "{name}: {cost:?}, {}", case.usage);

    gateway.rerank_with(json("request.json")).await;
    assert_eq!(fake.calls().len(), 1, "{name}: the tail beyond top_n is known too");
}

/// A failure as the upstream reports it, and what to expect of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorCase {
    status: u16,
    body: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    code: String,
    /// The upstream's message as the client sees it; `None` if there is none.
    message: Option<String>,
    /// True if another attempt is made.
    retry: Option<bool>,
    /// The reason for which the call is too large, for readers.
    #[serde(default, rename = "oversize")]
    _oversize: Option<String>,
    /// The source of the envelope, for readers.
    #[serde(default, rename = "evidence")]
    _evidence: Option<String>,
}

#[tokio::test]
async fn every_documented_error_becomes_one_typed_error() {
    let mut checks = JoinSet::new();
    for (name, _) in PROVIDER_FILES {
        let mut seen = 0;
        for entry in fs::read_dir(golden(&format!("{name}/errors"))).unwrap() {
            let path = entry.unwrap().path();
            let place = path.display().to_string();
            let case: ErrorCase = serde_json::from_str(&fs::read_to_string(&path).unwrap())
                .unwrap_or_else(|error| panic!("{place}: {error}"));
            checks.spawn(check_error(name, case, place));
            seen += 1;
        }
        assert!(seen >= 4, "{name} has fixtures for its errors");
    }
    let mut faults = String::new();
    while let Some(fault) = checks.join_next().await {
        faults.extend(fault.unwrap());
    }
    assert!(faults.is_empty(), "{faults}");
}

/// The difference between what a client is told of a failure, and what it should be told.
async fn check_error(provider: &str, case: ErrorCase, place: String) -> Option<String> {
    let reply = Reply::Status(case.status, reply_headers(&case.headers), case.body);
    let fake = FakeUpstream::start(provider).await;
    fake.answer_always(Some(reply));
    let gateway = Gateway::start(&Case::of(provider).config(provider, &fake.url(), 2)).await;
    let answer = gateway.try_rerank(serde_json::json!({"query": "THE QUERY", "documents": ["THE INPUT"]})).await;
    let mut found = format!("{} {}", answer.body["code"], fake.calls().len());
    let mut expected = format!("{:?} {}", case.code, if case.retry == Some(true) { 2 } else { 1 });
    // What is said about a key is not handed on.
    if !matches!(&*case.code, "upstream_unauthorized" | "upstream_quota_exhausted")
        && let Some(message) = case.message
    {
        let detail = answer.body["detail"].as_str().unwrap_or_default().to_owned();
        if !detail.ends_with(&message) {
            found.push_str(&detail);
            expected.push_str(&message);
        }
    }
    if case.retry.is_none() {
        found.truncate(found.rfind(' ').unwrap_or_default());
        expected.truncate(expected.rfind(' ').unwrap_or_default());
    }
    (found != expected).then(|| format!("{place}\n  found    {found}\n  expected {expected}\n"))
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
