//! Invariants of every answer, whatever happened to the request.

use std::time::{Duration, Instant};

use rerankd_core::error::ErrorKind;
use serde_json::{Value, json};

use crate::support::gateway::Answer;
use crate::support::{Gateway, provenance, score_of};

/// Stands in every query and every passage, and must stand nowhere else.
pub(crate) const CANARY: &str = "zugvogel";

/// Margin after the deadline within which an answer must come. It catches requests that never end; a busy machine must
/// not exceed it.
const MARGIN: Duration = Duration::from_secs(10);
/// Longest wait for an expected event.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) query: String,
    pub(crate) passages: Vec<String>,
    pub(crate) top_n: Option<usize>,
    pub(crate) timeout: Duration,
    pub(crate) model: &'static str,
}

impl Question {
    /// The `number`th question of a day. Two in a row share their query and half of their passages; the last passage is
    /// the first again.
    pub(crate) fn numbered(number: usize) -> Self {
        let first = number % 2 * 3;
        let mut passages: Vec<_> = (first..first + 6).map(|place| format!("{CANARY} passage {place}")).collect();
        passages.push(passages[0].clone());
        Self {
            query: format!("{CANARY} query {}", number / 2),
            passages,
            top_n: (number % 3 == 2).then_some(3),
            timeout: Duration::from_secs(5),
            model: "default",
        }
    }

    pub(crate) fn body(&self) -> Value {
        json!({
            "model": self.model, "query": self.query, "documents": self.passages, "top_n": self.top_n,
            "timeout_ms": u64::try_from(self.timeout.as_millis()).unwrap(), "explain": true,
        })
    }

    /// Scores that every fake upstream gives the passages.
    pub(crate) fn truth(&self) -> Vec<f64> {
        self.passages.iter().map(|passage| score_of(&self.query, passage)).collect()
    }
}

/// Asks, and holds the answer against everything in this file.
pub(crate) async fn ask(gateway: &Gateway, question: &Question) -> Answer {
    ask_with(gateway, question, "cache-control", "").await
}

/// The same with a header.
pub(crate) async fn ask_with(gateway: &Gateway, question: &Question, header: &str, value: &str) -> Answer {
    let started = Instant::now();
    let request = gateway.post("/rerank").header(header, value).body(question.body().to_string());
    let answer = gateway.send(request).await;
    assert!(started.elapsed() < question.timeout + MARGIN, "{:?} for {question:?}", started.elapsed());
    let truth = match provenance(&answer.body)["upstream"].as_str() {
        Some("local") => local_truth(gateway, question).await,
        _ => question.truth(),
    };
    check(question, &answer, &truth);
    answer
}

/// Scores that the embedded scorer gives the passages when it is requested by name.
async fn local_truth(gateway: &Gateway, question: &Question) -> Vec<f64> {
    let asked = Question { model: "local", top_n: None, ..question.clone() };
    let answer = gateway.rerank_with(asked.body()).await;
    let mut scores = vec![f64::NAN; question.passages.len()];
    for (position, score) in results(&answer) {
        scores[position] = score.unwrap();
    }
    scores
}

/// Position and score of each result, in their order.
pub(crate) fn results(body: &Value) -> Vec<(usize, Option<f64>)> {
    let position = |result: &Value| usize::try_from(result["index"].as_u64().unwrap()).unwrap();
    let list = body["results"].as_array().unwrap_or_else(|| panic!("no results in {body}"));
    list.iter().map(|result| (position(result), result["relevance_score"].as_f64())).collect()
}

/// The reasons in the body.
pub(crate) fn degraded(answer: &Answer) -> Vec<&str> {
    let list = provenance(&answer.body)["degraded"].as_array();
    list.into_iter().flatten().map(|reason| reason.as_str().unwrap()).collect()
}

/// True if the first target scored every passage.
pub(crate) fn is_from_healthy_upstream(answer: &Answer) -> bool {
    provenance(&answer.body)["upstream"] == "up" && degraded(answer).is_empty()
}

/// Checks the answer to `question`, given the scores `truth` of its upstream.
pub(crate) fn check(question: &Question, answer: &Answer, truth: &[f64]) {
    let Answer { status, headers, body } = answer;
    let flags: Vec<_> = headers.get_all("x-rerankd-degraded").iter().map(|flag| flag.to_str().unwrap()).collect();
    assert_eq!(flags, degraded(answer), "header and body agree: {body}");
    assert!(!format!("{headers:?}").contains(CANARY), "{headers:?}");
    if status.is_success() {
        assert!(!provenance(body).to_string().contains(CANARY), "{body}");
        check_results(question, body, truth);
    } else {
        assert!(!body.to_string().contains(CANARY), "{body}");
        assert!(body.get("results").is_none() && flags.is_empty(), "{body}");
        let kind = ErrorKind::ALL.into_iter().find(|kind| body["code"] == kind.code());
        assert_eq!(kind.map(ErrorKind::status), Some(*status), "{body}");
        assert_ne!(kind, Some(ErrorKind::Internal), "{body}");
    }
}

fn check_results(question: &Question, body: &Value, truth: &[f64]) {
    let (results, provenance, all) = (results(body), provenance(body), truth.len());
    let mut positions: Vec<_> = results.iter().map(|(position, _)| *position).collect();
    positions.sort_unstable();
    positions.dedup();
    assert!(positions.len() == results.len() && positions.iter().all(|position| *position < all), "{body}");

    let scored = results.iter().take_while(|(_, score)| score.is_some()).count();
    let (head, tail) = results.split_at(scored);
    assert!(tail.iter().all(|(_, score)| score.is_none()), "what has no score stands last: {body}");
    assert!(tail.is_sorted_by_key(|(position, _)| *position), "in input order: {body}");
    for (position, score) in head {
        assert_eq!(*score, Some(truth[*position]), "an invented score at {position}: {body}");
    }
    let before = |left: &(usize, _), right: &(usize, _)| {
        truth[left.0] > truth[right.0] || (truth[left.0] == truth[right.0] && left.0 < right.0)
    };
    assert!(head.is_sorted_by(before), "best first, ties in input order: {body}");

    let pairs = |name: &str| provenance["pairs"][name].as_u64().unwrap();
    let parts = ["hit", "coalesced", "scored", "stale", "unscored"];
    assert_eq!(parts.map(pairs).iter().sum::<u64>(), pairs("total"), "{body}");
    let is_less = pairs("stale") > 0 || pairs("unscored") > 0;
    assert_eq!(degraded_list(provenance).is_empty(), !is_less, "said if, and only if, it is so: {body}");
    let wanted = question.top_n.unwrap_or(all).min(all);
    if is_less {
        // An answer that holds scores may be cut to `top_n`; one without, or one that was cut short, holds everything.
        assert!(results.len() == all || (scored > 0 && results.len() == wanted), "{body}");
    } else {
        assert_eq!((results.len(), scored), (wanted, wanted), "{body}");
        let left_out = (0..all).filter(|position| !positions.contains(position)).map(|position| truth[position]);
        let worst = head.last().map_or(f64::INFINITY, |(position, _)| truth[*position]);
        assert!(left_out.into_iter().all(|score| score <= worst), "the best {wanted}: {body}");
    }
    let is_reranked = scored > 0;
    assert_eq!(provenance["reranked"], is_reranked, "{body}");
    for name in ["upstream", "upstream_model", "score_scale"] {
        assert_eq!(provenance[name].is_string(), is_reranked, "{name} is declared if there are scores: {body}");
    }
}

fn degraded_list(provenance: &Value) -> &Vec<Value> {
    provenance["degraded"].as_array().unwrap()
}

/// Checks that no work is left in progress once all requests have ended, and that metrics hold no text of clients.
pub(crate) async fn wait_until_idle(gateway: &Gateway) {
    let started = Instant::now();
    let reranker = &gateway.app.reranker;
    let is_quiet = async || {
        reranker.flights.is_empty()
            && reranker.background.is_empty()
            && gateway.metric("rerank_requests_in_flight").await == 0.0
    };
    while !is_quiet().await {
        assert!(started.elapsed() < PATIENCE, "{} pairs in flight for nobody", reranker.flights.len());
        tokio::task::yield_now().await;
    }
    let metrics = gateway.get_text("/metrics").await;
    assert!(!metrics.contains(CANARY), "{metrics}");
}

/// Asks until the first target has recovered.
pub(crate) async fn ask_until_recovered(gateway: &Gateway, question: &Question, cache_control: &str) -> Answer {
    let started = Instant::now();
    loop {
        let answer = ask_with(gateway, question, "cache-control", cache_control).await;
        if is_from_healthy_upstream(&answer) {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "it did not recover: {} {}", answer.status, answer.body);
    }
}
