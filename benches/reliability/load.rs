//! Open-loop load: requests leave at a constant rate, whatever becomes of those before them, and their latency counts from when they
//! were due. A slow answer delays no later request, so it cannot hide them ("coordinated omission").

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::client::Client;
use crate::workload::{Question, Verdict};

/// How far windows are moved on when they slide.
const STEP: Duration = Duration::from_millis(10);

/// One request to be made.
pub(crate) struct Ask {
    pub(crate) question: Question,
    /// The client hangs up after this.
    pub(crate) patience: Option<Duration>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Answered(Verdict),
    /// Another status than 200.
    Refused(u16),
    /// No whole answer.
    Broken,
    /// The client hung up.
    HungUp,
    /// Sent to another server, which is not part of this: this one had asked for it.
    Elsewhere,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// When it was due, from the start.
    pub(crate) due: Duration,
    /// From then to its end.
    pub(crate) latency: Duration,
    pub(crate) ending: Ending,
}

#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) client: Arc<Client>,
    /// Requests a second.
    pub(crate) rate: u32,
    pub(crate) length: Duration,
    /// Whether requests are still to be sent there.
    pub(crate) welcome: Arc<AtomicBool>,
}

impl Load {
    pub(crate) fn new(client: &Arc<Client>, rate: u32, length: Duration) -> Self {
        Self { client: client.clone(), rate, length, welcome: Arc::new(AtomicBool::new(true)) }
    }

    /// Makes the requests that `ask` gives for their numbers, and waits for their ends.
    pub(crate) async fn run(self, ask: impl Fn(u64) -> Ask + Send + Sync + 'static) -> Vec<Outcome> {
        let (told, mut endings) = mpsc::unbounded_channel();
        let (handle, ask) = (Handle::current(), Arc::new(ask));
        // A thread of its own sleeps more exactly than the runtime's clock, which knows milliseconds.
        let pacing = spawn_blocking(move || {
            let start = Instant::now();
            for number in 0..u64::from(self.rate) * u64::try_from(self.length.as_millis()).unwrap() / 1000 {
                let due = Duration::from_secs(1).mul_f64(precise(number) / f64::from(self.rate));
                thread::sleep((start + due).saturating_duration_since(Instant::now()));
                let (client, ask, told) = (self.client.clone(), ask.clone(), told.clone());
                let is_welcome = self.welcome.load(Ordering::Relaxed);
                handle.spawn(async move {
                    let ending = if is_welcome { send(&client, ask(number)).await } else { Ending::Elsewhere };
                    let latency = start.elapsed().saturating_sub(due);
                    told.send(Outcome { due, latency, ending }).expect("somebody counts");
                });
            }
        });
        let mut outcomes = Vec::new();
        while let Some(outcome) = endings.recv().await {
            outcomes.push(outcome);
        }
        pacing.await.unwrap();
        outcomes.sort_by_key(|outcome| outcome.due);
        outcomes
    }

    /// Questions like no others, of so many passages.
    pub(crate) async fn unique(self, passages: u64) -> Vec<Outcome> {
        self.run(move |number| Ask { question: Question::unique(number, passages), patience: None }).await
    }
}

async fn send(client: &Client, ask: Ask) -> Ending {
    let Ask { question, patience } = ask;
    let exchange = client.rerank(question.body());
    let answer = match patience {
        Some(patience) => match timeout(patience, exchange).await {
            Ok(answer) => answer,
            Err(_) => return Ending::HungUp,
        },
        None => exchange.await,
    };
    match answer {
        Ok((status, body)) if status == 200 => Ending::Answered(question.judge(&body)),
        Ok((status, _)) => Ending::Refused(status.as_u16()),
        Err(_) => Ending::Broken,
    }
}

impl Ending {
    pub(crate) fn is_answer(self) -> bool {
        matches!(self, Self::Answered(_))
    }

    /// What a client would call a failure.
    pub(crate) fn is_error(self) -> bool {
        matches!(self, Self::Refused(_) | Self::Broken)
    }
}

/// How many ended so.
pub(crate) fn count(outcomes: &[Outcome], is_counted: impl Fn(Ending) -> bool) -> usize {
    outcomes.iter().filter(|outcome| is_counted(outcome.ending)).count()
}

/// How many were answered within `length` from the start.
pub(crate) fn answered_within(outcomes: &[Outcome], length: Duration) -> usize {
    let is_in_time = |outcome: &&Outcome| outcome.ending.is_answer() && outcome.due + outcome.latency <= length;
    outcomes.iter().filter(is_in_time).count()
}

/// Answers with a wrong score. There must never be any.
pub(crate) fn wrong(outcomes: &[Outcome]) -> usize {
    count(outcomes, |ending| ending == Ending::Answered(Verdict::Wrong))
}

/// The latency below which this share of those that ended so stays, in milliseconds.
pub(crate) fn quantile(outcomes: &[Outcome], quantile: f64, is_counted: impl Fn(Ending) -> bool) -> f64 {
    let mut latencies = Histogram::<u64>::new(3).unwrap();
    for outcome in outcomes.iter().filter(|outcome| is_counted(outcome.ending)) {
        // Not `saturating_record`: that cuts values off at a range which only `record` extends.
        latencies.record(u64::try_from(outcome.latency.as_micros()).unwrap()).unwrap();
    }
    precise(latencies.value_at_quantile(quantile)) / 1e3
}

/// How long after `since` all is well for good: every window from then on is.
pub(crate) fn settled(
    outcomes: &[Outcome],
    since: Duration,
    window: Duration,
    is_well: impl Fn(&[Outcome]) -> bool,
) -> f64 {
    let end = outcomes.last().map_or(Duration::ZERO, |last| last.due);
    let mut well_from = since;
    let mut start = since;
    while start + window <= end {
        let first = outcomes.partition_point(|outcome| outcome.due < start);
        let last = outcomes.partition_point(|outcome| outcome.due < start + window);
        if !is_well(&outcomes[first..last]) {
            well_from = start + STEP;
        }
        start += STEP;
    }
    if well_from + window > end { f64::INFINITY } else { well_from.saturating_sub(since).as_secs_f64() }
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "counts and microseconds are small")]
pub(crate) fn precise(count: u64) -> f64 {
    count as f64
}

/// A share of counts.
pub(crate) fn ratio(part: usize, whole: usize) -> f64 {
    precise(part as u64) / precise(whole as u64)
}
