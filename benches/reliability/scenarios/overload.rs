//! Ten times as much is asked as the provider can bear: what is still answered, and how fast the rest is told no.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{PASSAGES, SECOND, check_scores};
use crate::client::Client;
use crate::load::{Ending, Load, answered_within, count, precise, quantile, ratio};
use crate::report::{Bar, Report};
use crate::sidecar::{Sidecar, model, upstream};
use crate::upstream::{Mock, Nature};
use crate::workload::Question;

const PLACES: u32 = 8;
/// With the places: some 200 answers a second, so that two cores can bear ten times as much.
const SLOW: Duration = Duration::from_millis(40);
const TIMES: f64 = 10.0;

pub(crate) async fn run(report: &mut Report) {
    report.scenario("overload, ten times");
    let length = if report.is_quick() { 3 } else { 10 } * SECOND;
    let nature = Nature { places: PLACES as usize, ..Nature::of("primary", SLOW) };
    let capacity = capacity(nature, length / 3).await;
    let mock = Mock::start(nature).await;
    let patience = if report.is_quick() { "600ms" } else { "2s" };
    let server = format!("[server]\nrequest_timeout = '{patience}'\n");
    let limits = format!("[upstream_defaults]\nmax_concurrency = {PLACES}\nmax_queue = {}\n", 2 * PLACES);
    // The overload outlasts the deadlines of those who are let in: only then it shows if some are never served.
    let config = [server, limits, upstream("primary", "cohere", mock.address()), model(&["primary"])].concat();
    let sidecar = Sidecar::start(&config).await;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousand")]
    let rate = (TIMES * capacity) as u32;
    let outcomes = Load::new(&sidecar.client, rate, length).unique(PASSAGES).await;
    let answered = count(&outcomes, Ending::is_answer);
    // What is answered when the load is over is not part of what was borne under it.
    let goodput = precise(answered_within(&outcomes, length) as u64) / length.as_secs_f64();
    let is_rejection = |ending| ending == Ending::Refused(429);
    let others = outcomes.len() - answered - count(&outcomes, is_rejection);
    report.note("capacity, asked directly", capacity, "/s");
    report.note("asked for", f64::from(rate), "/s");
    let (bar, quick_bar) = (Bar::AtLeast(90.0), Bar::AtLeast(70.0));
    report.figure_with_slack("answers, of the capacity", (100.0 * goodput / capacity, "%"), bar, quick_bar);
    let rejected = quantile(&outcomes, 0.99, is_rejection);
    report.figure_with_slack("p99 of rejections", (rejected, "ms"), Bar::AtMost(10.0), Bar::AtMost(100.0));
    report.count("neither answered nor rejected", others, Bar::AtMost(0.0));
    report.note("p50 of answers", quantile(&outcomes, 0.5, Ending::is_answer), "ms");
    report.note("p99 of answers", quantile(&outcomes, 0.99, Ending::is_answer), "ms");
    report.note("longest answer", quantile(&outcomes, 1.0, Ending::is_answer), "ms");
    let counts = mock.counts();
    report.note("calls that the provider refused", 100.0 * ratio(counts.refused, counts.requests), "%");
    let twice = counts.documents - counts.distinct;
    report.count("pairs scored twice", twice, Bar::AtMost(0.0));
    check_scores(&outcomes, report);
    sidecar.end().await;
}

/// Answers a second when every place is always taken, without rerankd.
async fn capacity(nature: Nature, length: Duration) -> f64 {
    let mock = Mock::start(nature).await;
    let client = Arc::new(Client::new(mock.address()));
    let number = Arc::new(AtomicU64::default());
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..PLACES {
        let (client, number) = (client.clone(), number.clone());
        workers.spawn(async move {
            while start.elapsed() < length {
                let question = Question::unique(number.fetch_add(1, Ordering::Relaxed), PASSAGES);
                assert_eq!(client.rerank(question.body()).await.unwrap().0, 200);
            }
        });
    }
    workers.join_all().await;
    precise(mock.counts().requests as u64) / start.elapsed().as_secs_f64()
}
