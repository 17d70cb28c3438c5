//! Mixed load for a long time: what grows, and what gets slower.

use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::time::sleep;

use super::{LATENCY, SEED, check_scores};
use crate::faults::{Fault, FaultProxy, Script};
use crate::load::{Ask, Ending, Load, Outcome, count, precise, quantile};
use crate::report::{Bar, Report};
use crate::sidecar::{Footprint, Sidecar, model, upstream};
use crate::upstream::{Mock, Nature};
use crate::workload::Question;

const RATE: u32 = 100;
/// Cached queries that are asked again.
const QUERIES: u64 = 50;
/// Passages that overlapping questions draw from.
const POOL: u64 = 400;
/// Some clients hang up after this.
const IMPATIENCE: Duration = Duration::from_millis(10);
/// How often the process is looked at, as a part of the whole.
const SAMPLES: u32 = 200;
/// Bytes of the cache, for each second: it must be full early in the first quarter.
const CACHE_BYTES_A_SECOND: u64 = 16 << 10;

struct Sample {
    at: Duration,
    footprint: Footprint,
}

pub(crate) async fn run(length: Duration, report: &mut Report) {
    report.scenario("soak");
    let nature = |name| Nature { remembers: false, ..Nature::of(name, LATENCY) };
    let (primary, fallback) = (Mock::start(nature("primary")).await, Mock::start(nature("fallback")).await);
    let proxy = FaultProxy::start(primary.address(), SEED, faults()).await.unwrap();
    let config = [
        format!("[cache]\nmax_bytes = {}\n", (length.as_secs() * CACHE_BYTES_A_SECOND).max(1 << 20)),
        upstream("primary", "cohere", proxy.address()),
        upstream("fallback", "jina", fallback.address()),
        model(&["primary", "fallback"]),
    ];
    let sidecar = Sidecar::start(&config.concat()).await;
    let load = Load::new(&sidecar.client, RATE, length).run(ask);
    let (outcomes, samples) = tokio::join!(load, watch(&sidecar, length));
    report.note("length", length.as_secs_f64(), "s");
    report.count("requests", outcomes.len(), Bar::None);
    report.count("clients that hung up", count(&outcomes, |ending| ending == Ending::HungUp), Bar::None);
    report.count("client errors", count(&outcomes, Ending::is_error), Bar::AtMost(0.0));
    tell_memory(&samples, report);
    let quarter = outcomes.len() / 4;
    let p99 = |part: &[Outcome]| quantile(part, 0.99, Ending::is_answer);
    report.note("p99, first quarter", p99(&outcomes[..quarter]), "ms");
    report.note("p99, last quarter", p99(&outcomes[3 * quarter..]), "ms");
    check_scores(&outcomes, report);
    sidecar.end().await;
}

/// Two in a hundred calls meet a fault, one more is slow.
fn faults() -> Script {
    Script::mix(vec![
        (970, Fault::Clean),
        (5, Fault::status(503)),
        (5, Fault::Reset),
        (5, Fault::Truncate { share: 0.5 }),
        (5, Fault::Html),
        (10, Fault::Latency { base: LATENCY, jitter: 10 * LATENCY }),
    ])
}

/// A third of the questions is new, a third overlaps earlier ones, a third is earlier ones; 10 to 200 passages.
fn ask(number: u64) -> Ask {
    let mut chance = Rng::with_seed(number);
    let count = chance.u64(10..=200);
    let question = match number % 3 {
        0 => Question::unique(QUERIES + POOL + number, count),
        1 => {
            let first = chance.u64(0..POOL - count);
            Question::new(chance.u64(0..QUERIES), first..first + count)
        }
        _ => {
            let query = chance.u64(0..QUERIES);
            Question::new(query, 0..10 + 190 * query / QUERIES)
        }
    };
    Ask { question, patience: (chance.u32(0..50) == 0).then_some(IMPATIENCE) }
}

async fn watch(sidecar: &Sidecar, length: Duration) -> Vec<Sample> {
    let start = Instant::now();
    let mut samples = Vec::new();
    while start.elapsed() < length {
        samples.push(Sample { at: start.elapsed(), footprint: sidecar.footprint() });
        sleep(length / SAMPLES).await;
    }
    samples
}

fn tell_memory(samples: &[Sample], report: &mut Report) {
    let quarter = samples.len() / 4;
    let (first, last) = (&samples[..quarter], &samples[samples.len() - quarter..]);
    let megabytes = |sample: &Sample| precise(sample.footprint.memory) / f64::from(1 << 20);
    let descriptors = |sample: &Sample| precise(sample.footprint.descriptors as u64);
    let (before, after) = (median(first, megabytes), median(last, megabytes));
    report.note("resident memory, first quarter", before, "MB");
    report.note("resident memory, last quarter", after, "MB");
    let growth = 100.0 * (after / before - 1.0);
    // The allocator and the cache are still filling when a short run ends.
    report.figure_with_slack("growth", (growth, "%"), Bar::AtMost(25.0), Bar::AtMost(100.0));
    let minutes = |sample: &Sample| sample.at.as_secs_f64() / 60.0;
    report.note("slope over the last three quarters", slope(&samples[quarter..], minutes, megabytes), "MB/min");
    let (before, after) = (median(first, descriptors), median(last, descriptors));
    report.note("open descriptors, first quarter", before, "");
    report.figure("open descriptors, last quarter", after, "", Bar::AtMost(2.0 * before + 50.0));
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<_> = samples.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Of the line with the least squares.
fn slope(samples: &[Sample], x: impl Fn(&Sample) -> f64, y: impl Fn(&Sample) -> f64) -> f64 {
    let mean = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / precise(samples.len() as u64);
    let (mean_x, mean_y) = (mean(&x), mean(&y));
    let of_both: f64 = samples.iter().map(|sample| (x(sample) - mean_x) * (y(sample) - mean_y)).sum();
    let of_x: f64 = samples.iter().map(|sample| (x(sample) - mean_x).powi(2)).sum();
    of_both / of_x
}
