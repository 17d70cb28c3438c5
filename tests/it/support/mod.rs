//! Shared support of the tests: a gateway, a scripted upstream, and small helpers.

pub(crate) mod faults;
pub(crate) mod gateway;
pub(crate) mod raw;
pub(crate) mod upstream;

use http::StatusCode;
use serde_json::Value;

pub(crate) use gateway::Gateway;
pub(crate) use upstream::{FakeUpstream, Reply, score_of};

/// The providers whose wire shapes [`FakeUpstream`] speaks.
pub(crate) const SHAPES: [&str; 5] = ["cohere", "jina", "voyage", "mixedbread", "tei"];

/// The status of the page at `/docs/`, which a build may leave out.
pub(crate) const PAGE_STATUS: StatusCode = if cfg!(feature = "docs") { StatusCode::OK } else { StatusCode::NOT_FOUND };

/// The positions of an answer's results, best first.
pub(crate) fn order(answer: &Value) -> Vec<u64> {
    results(answer).iter().map(|result| result["index"].as_u64().unwrap()).collect()
}

/// Index and score of each result.
pub(crate) fn scores(answer: &Value) -> Vec<(u64, f64)> {
    let pair = |result: &Value| (result["index"].as_u64().unwrap(), result["relevance_score"].as_f64().unwrap());
    results(answer).iter().map(pair).collect()
}

/// `meta.rerankd` of an answer.
pub(crate) fn provenance(answer: &Value) -> &Value {
    &answer["meta"]["rerankd"]
}

fn results(answer: &Value) -> &Vec<Value> {
    answer["results"].as_array().unwrap_or_else(|| panic!("no results in {answer}"))
}

/// Expected ranking of `passages` by the fake upstream's scores: index and score, best first, ties in input order.
pub(crate) fn expected(query: &str, passages: &[&str]) -> Vec<(u64, f64)> {
    let mut ranked: Vec<_> = (0u64..).zip(passages).map(|(index, passage)| (index, score_of(query, passage))).collect();
    ranked.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
    ranked
}
