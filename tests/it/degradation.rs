//! Law 8, cell by cell: rerankd does what the table in `docs/degradation.md` says.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::ready;
use futures_util::stream::{self, StreamExt};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::bad_days::invariants::{
    CANARY, Question, ask, ask_until_recovered, ask_with, degraded, results, wait_until_idle,
};
use crate::contract::read;
use crate::support::faults::{Fault, FaultProxy, Script};
use crate::support::gateway::{Answer, targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, provenance};

const POLICIES: [&str; 5] = [
    "on_failure = \"error\"",
    "on_failure = \"original_order\"",
    "a fallback target",
    "cache.max_stale",
    "on_deadline = \"partial\"",
];

/// A deadline that the provoked failures outlast, where it is the failure.
const SHORT: Duration = Duration::from_millis(600);

/// Cells that are tried at once.
const AT_ONCE: usize = 4;

#[derive(Clone, Debug)]
struct Cell {
    failure: String,
    policy: String,
    outcome: String,
}

/// The cells of the document's table of outcomes.
fn table() -> Vec<Cell> {
    let document = read("docs/degradation.md");
    let rows = document.lines().skip_while(|line| !line.starts_with("| failure |"));
    let rows = rows.take_while(|line| line.starts_with('|')).map(|line| {
        let cells = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', ""));
        cells.collect::<Vec<_>>()
    });
    let rows: Vec<_> = rows.collect();
    assert_eq!(rows[0][1..], POLICIES);
    let of_row = |row: &Vec<String>| {
        assert_eq!(row.len(), rows[0].len(), "{row:?}");
        let cell = |(policy, outcome): (&String, &String)| Cell {
            failure: row[0].clone(),
            policy: policy.clone(),
            outcome: outcome.clone(),
        };
        rows[0].iter().zip(row).skip(1).map(cell).collect::<Vec<_>>()
    };
    rows[2..].iter().flat_map(of_row).collect()
}

#[tokio::test]
async fn law_8_every_cell_of_the_degradation_table_holds() {
    let cells = table();
    assert!(cells.len() >= 12 * POLICIES.len(), "the table was not found whole: {cells:?}");
    stream::iter(cells).for_each_concurrent(AT_ONCE, |cell| async move { Scene::set(cell).await.run().await }).await;
}

/// One cell under way.
struct Scene {
    cell: Cell,
    gateway: Gateway,
    up: FakeUpstream,
    proxy: FaultProxy,
    /// Kept for as long as it may be asked.
    _second: FakeUpstream,
    question: Question,
}

impl Scene {
    async fn set(cell: Cell) -> Self {
        let (up, second) = (FakeUpstream::start("cohere").await, FakeUpstream::start("jina").await);
        let proxy = FaultProxy::start(up.address(), 7, Script::new()).await.unwrap();
        let (mut breaker, mut settings) = ("consecutive_failures = 0", "max_attempts = 1\n".to_owned());
        let mut question = Question { top_n: Some(3), ..Question::numbered(0) };
        match &*cell.failure {
            "no answer within attempt_timeout" => settings.push_str("attempt_timeout = '150ms'\n"),
            "status 429, Retry-After beyond the deadline" => question.timeout = Duration::from_secs(20),
            "circuit open" => breaker = "consecutive_failures = 1\nejection = '2s'",
            "the upstream's queue is full" => settings.push_str("max_concurrency = 1\nmax_queue = 0\n"),
            "the deadline, some scored" => settings.push_str("max_passages = 1\nattempt_timeout = '2s'\n"),
            failure if failure.starts_with("the deadline") => settings.push_str("attempt_timeout = '2s'\n"),
            "one passage too large" => {
                question.top_n = None;
                question.passages.insert(1, format!("{CANARY} {}", "long ".repeat(200)));
            }
            _ => {}
        }
        let (cache, more_targets, policy) = match &*cell.policy {
            "a fallback target" => ("", Some(("second", "jina-reranker-v2-base-multilingual")), ""),
            "cache.max_stale" => ("[cache]\nttl = '50ms'\nmax_stale = '1h'\n", None, ""),
            policy => ("", None, policy),
        };
        let all_targets: Vec<_> = [("up", "rerank-v3.5")].into_iter().chain(more_targets).collect();
        let config = format!(
            "{cache}[upstream_defaults.breaker]\n{breaker}\n{}{settings}{}{}{policy}\n",
            upstream("up", "cohere", &proxy.url()),
            upstream("second", "jina", &second.url()),
            targets("default", &all_targets),
        );
        let gateway = Gateway::start(&config).await;
        Self { cell, gateway, up, proxy, _second: second, question }
    }

    async fn run(self) {
        self.fill_cache().await;
        let others = self.provoke_failure().await;
        let answer = ask(&self.gateway, &self.question()).await;
        self.check(&answer).await;

        let question = Question { model: "up/rerank-v3.5", top_n: None, ..self.question.clone() };
        let cached = ask_with(&self.gateway, &question, "cache-control", "only-if-cached").await;
        assert_eq!(cached.body["code"], "not_cached", "{:?}: {}", self.cell, cached.body);

        self.repair_upstream();
        if let Some(others) = others {
            others.await.unwrap();
        }
        let healthy = ask_until_recovered(&self.gateway, &self.question, "").await;
        let nothing_was_scored = answer.body["results"].is_null() || provenance(&answer.body)["reranked"] == false;
        if nothing_was_scored && !self.cell.failure.contains("some") {
            assert_eq!(provenance(&healthy.body)["pairs"]["hit"], 0, "{:?}: {}", self.cell, healthy.body);
        }
        wait_until_idle(&self.gateway).await;
    }

    /// The request that counts, sent when everything is prepared.
    fn question(&self) -> Question {
        let late = self.cell.failure.starts_with("the deadline");
        Question { timeout: if late { SHORT } else { self.question.timeout }, ..self.question.clone() }
    }

    /// A request other than the one that counts.
    fn other(&self) -> Question {
        Question { query: format!("{CANARY} another"), ..self.question.clone() }
    }

    /// Fills the cache with the scores that the cell needs, and waits until they are stale where it needs that.
    async fn fill_cache(&self) {
        let everything = self.cell.policy == "cache.max_stale";
        if everything || self.cell.failure == "the deadline, some known before" {
            let mut question = self.question.clone();
            if !everything {
                question.passages.truncate(2);
            }
            ask_until_recovered(&self.gateway, &question, "").await;
        }
        if everything {
            wait_until_stale(&self.gateway, &self.question).await;
        }
    }

    /// Makes the next request fail. Returns a request that must stay in progress meanwhile.
    async fn provoke_failure(&self) -> Option<JoinHandle<reqwest::Response>> {
        let nonsense = Reply::body("<html>");
        match &*self.cell.failure {
            "connection refused" => self.proxy.set(Script::always(Fault::Refuse)),
            "no answer within attempt_timeout" | "the deadline, nothing scored" | "the deadline, some known before" => {
                self.up.then([Reply::Hang]);
            }
            "status 429, Retry-After beyond the deadline" => {
                self.up.then([Reply::status_after(429, "retry-after", "30")]);
            }
            "status 200 and nonsense" => self.up.then([nonsense]),
            "circuit open" => {
                self.up.then([Reply::status(500)]);
                ask(&self.gateway, &self.other()).await;
            }
            "the upstream's queue is full" => {
                let arrived = self.up.calls().len();
                self.up.hold();
                let request = self.gateway.post("/rerank").body(self.other().body().to_string()).send();
                let under_way = tokio::spawn(async { request.await.unwrap() });
                self.up.wait_for_arrivals(arrived + 1).await;
                return Some(under_way);
            }
            "the deadline, some scored" => {
                let replies = [Reply::Score, Reply::Score, Reply::Score, Reply::Hang, Reply::Hang, Reply::Hang];
                self.up.then(replies);
            }
            // Asked about a single passage it says the same: no passage is to blame.
            "status 400" => self.up.answer_always(Some(Reply::status(400))),
            "one passage too large" => self.up.refuse_over(500),
            failure => {
                let status = failure.strip_prefix("status ").and_then(|status| status.parse().ok());
                self.up.then([Reply::status(status.unwrap_or_else(|| panic!("how is this provoked: {failure}?")))]);
            }
        }
        None
    }

    fn repair_upstream(&self) {
        self.proxy.set(Script::new());
        self.up.answer_always(None);
        self.up.refuse_nothing();
        self.up.release();
    }

    /// Checks that the answer is what the cell says, in addition to the invariants of every answer.
    async fn check(&self, answer: &Answer) {
        let Cell { failure, policy, outcome } = &self.cell;
        let context = format!("{failure} | {policy} | {outcome}: {} {}", answer.status, answer.body);
        let (status, rest) = outcome.split_once(' ').unwrap();
        assert_eq!(answer.status.as_str(), status, "{context}");
        let (kind, reason) = rest.split_once(": ").unwrap_or((rest, rest));
        let (provenance, reasons) = (provenance(&answer.body), degraded(answer));
        let results = || results(&answer.body);
        let sources = |source: &str| {
            let list = answer.body["results"].as_array().unwrap();
            list.iter().filter(|result| result["source"] == source).count()
        };
        let all = self.question.passages.len();
        let scored = || results().iter().filter(|(_, score)| score.is_some()).count();
        match kind {
            "original_order" => {
                assert!(results().into_iter().eq((0..all).map(|position| (position, None))), "{context}");
                assert_eq!((&provenance["reranked"], sources("unscored")), (&Value::from(false), all), "{context}");
            }
            "fallback" => {
                assert_eq!(provenance["upstream"], "second", "{context}");
                assert_eq!((reasons.len(), &provenance["fallbacks"]), (0, &Value::from(1)), "{context}");
                return;
            }
            "stale_scores" => {
                assert_eq!(provenance["upstream"], "up", "{context}");
                let fresh = if failure == "the deadline, some scored" { 3 } else { 0 };
                assert_eq!(provenance["pairs"]["stale"], 6 - fresh, "{context}");
                assert!(fresh > 0 || sources("stale") == 3, "{context}");
            }
            "partial" => {
                assert!(results().len() == all && (1..all).contains(&scored()), "all, whatever top_n says: {context}");
                assert_eq!(sources("unscored"), all - scored(), "{context}");
            }
            "passages_refused" => {
                assert_eq!((results().len(), scored(), sources("refused")), (all, all - 1, 1), "{context}");
                assert_eq!(results().last(), Some(&(1, None)), "{context}");
            }
            code => {
                assert_eq!(answer.body["code"], code, "{context}");
                return;
            }
        }
        assert_eq!(reasons, [reason], "{context}");
        let line = format!("rerank_degraded_answers_total{{model=\"default\",reason=\"{reason}\"}}");
        assert_eq!(self.gateway.metric(&line).await, 1.0, "{context}");
    }
}

/// Returns when nothing that is known for `question` is fresh. Scores of several calls grow old one after another.
async fn wait_until_stale(gateway: &Gateway, question: &Question) {
    let distinct = question.passages.iter().collect::<BTreeSet<_>>().len();
    let (started, all_of_them) = (Instant::now(), format!("{distinct} of the scores are not cached"));
    let told = async || ask_with(gateway, question, "cache-control", "only-if-cached").await.body["message"].clone();
    while told().await.as_str().is_none_or(|told| !told.starts_with(&all_of_them)) {
        assert!(started.elapsed() < Duration::from_secs(20), "scores do not grow old: {}", told().await);
    }
}

/// A client that waits for exactly as long as it allows would never see an answer that comes later.
#[tokio::test]
async fn stale_scores_are_returned_before_the_deadline() {
    let up = FakeUpstream::start("cohere").await;
    let cache = "[cache]\nttl = '50ms'\nmax_stale = '1h'\n";
    let config =
        format!("{cache}{}{}", upstream("up", "cohere", &up.url()), targets("default", &[("up", "rerank-v3.5")]));
    let gateway = Gateway::start(&config).await;
    let question = Question { timeout: Duration::from_millis(500), ..Question::numbered(0) };
    ask_until_recovered(&gateway, &question, "").await;
    wait_until_stale(&gateway, &question).await;
    // On a busy machine the answer may be late for other reasons, but not every time.
    let tries = stream::iter(0..20).then(|_| async {
        up.then([Reply::Hang]);
        let answer = ask(&gateway, &question).await;
        assert_eq!(degraded(&answer), ["stale_scores"]);
        provenance(&answer.body)["timings_ms"]["total"].as_f64().unwrap()
    });
    let in_time = std::pin::pin!(tries.skip_while(|total| ready(*total >= 500.0))).next().await;
    assert!(in_time.is_some(), "no answer came before its deadline");
}

/// A passage that was cut up has a score when all of its pieces have one.
#[tokio::test]
async fn passage_with_an_unscored_piece_is_no_partial_answer() {
    let up = FakeUpstream::scripted("cohere", [Reply::Score, Reply::Hang]).await;
    let config = format!(
        "{}max_passages = 1\nlong_passages = 'chunk_max'\nmax_passage_tokens = 40\n{}on_deadline = 'partial'",
        upstream("up", "cohere", &up.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    let passages = vec![format!("{CANARY} {}", "word ".repeat(30))];
    let question = Question { passages, timeout: SHORT, ..Question::numbered(0) };
    let answer = ask(&gateway, &question).await;
    assert_eq!(up.calls().len(), 2, "two pieces");
    assert_eq!(answer.body["code"], "deadline_exceeded", "{}", answer.body);
}

/// Stale scores of the target, then the next target, then the scores that are there, then input order.
#[tokio::test]
async fn combined_policies_apply_stale_then_fallback_then_partial_then_input_order() {
    let (up, second) = (FakeUpstream::start("cohere").await, FakeUpstream::start("jina").await);
    let config = format!(
        "[cache]\nttl = '50ms'\nmax_stale = '1h'\n{}max_passages = 1\nmax_attempts = 1\n{}max_attempts = 1\n{}{}",
        upstream("up", "cohere", &up.url()),
        upstream("second", "jina", &second.url()),
        targets("default", &[("up", "rerank-v3.5"), ("second", "jina-reranker-v2-base-multilingual")]),
        "on_failure = 'original_order'\non_deadline = 'partial'\n",
    );
    let gateway = Gateway::start(&config).await;
    let question = |query: &str| {
        let passages = vec![format!("{CANARY} a"), format!("{CANARY} b")];
        Question { query: query.to_owned(), passages, timeout: SHORT, top_n: None, ..Question::numbered(0) }
    };

    ask_until_recovered(&gateway, &question("stale"), "").await;
    wait_until_stale(&gateway, &question("stale")).await;
    // Always, not twice: what the first failure ends may or may not have been sent.
    up.answer_always(Some(Reply::status(500)));
    let answer = ask(&gateway, &question("stale")).await;
    assert_eq!((degraded(&answer), second.calls().len()), (vec!["stale_scores"], 0));

    let answer = ask(&gateway, &question("next target")).await;
    assert_eq!((degraded(&answer).len(), &provenance(&answer.body)["upstream"]), (0, &Value::from("second")));

    up.answer_always(None);
    up.then([Reply::Score, Reply::Hang]);
    second.then([Reply::status(500)]);
    let answer = ask(&gateway, &question("partial")).await;
    assert_eq!(
        (degraded(&answer), &provenance(&answer.body)["upstream"]),
        (vec!["deadline_exceeded"], &Value::from("up"))
    );

    up.answer_always(Some(Reply::status(500)));
    second.then([Reply::status(402)]);
    let answer = ask(&gateway, &question("input order")).await;
    assert_eq!((degraded(&answer), answer.status.as_u16()), (vec!["upstream_unavailable"], 200));

    let request = gateway.post("/rerank").header("cache-control", "only-if-cached");
    let answer = gateway.send(request.body(question("unknown").body().to_string())).await;
    assert_eq!(answer.body["code"], "not_cached", "whoever asks for known scores gets no others");
}
