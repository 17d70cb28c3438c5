//! Resident memory of the process: with a cache that was filled several times over, and with bodies up to their bound.
//! The bars are the formula of `docs/operations.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::client::Client;
use crate::load::precise;
use crate::report::{Bar, Report};
use crate::sidecar::{Sidecar, model, upstream};
use crate::upstream::{Mock, Nature};
use crate::workload::Question;

/// `cache.max_bytes`.
const CACHE_BYTES: u64 = 16 << 20;
/// `server.max_body_bytes_in_flight`.
const BODY_BYTES: u64 = 24 << 20;
/// Lengths of lists of new passages.
const LENGTHS: [u64; 5] = [1, 10, 100, 1_000, 5_000];
/// Clients that fill the cache, each with one request after another.
const CLIENTS: u64 = 2;
/// Clients that fill the memory for bodies: with the longest lists, far more than fit.
const CROWD: u64 = 64;
/// Bytes of a passage in a body and of its score in the answer, a little more than they are.
const PASSAGE_BYTES: u64 = 300;
/// Most megabytes of a process that has answered nothing yet.
const IDLE: f64 = 20.0;

pub(crate) async fn run(report: &mut Report) {
    report.scenario("memory");
    for threads in [1, 2] {
        fill_cache(threads, report).await;
    }
    fill_bodies(report).await;
}

/// The most megabytes that a process may take, by the bounds of its cache and of its bodies in bytes.
fn formula(cache_bytes: u64, body_bytes: u64) -> f64 {
    40.0 + (1.15 * precise(cache_bytes) + 5.0 * precise(body_bytes)) / 1e6
}

fn megabytes(bytes: u64) -> f64 {
    precise(bytes) / 1e6
}

/// One length of lists after another in one process, so that what is kept for one length is not lost to the next.
async fn fill_cache(threads: u8, report: &mut Report) {
    let fillings = if report.is_quick() { 1.25 } else { 4.0 };
    let (provider, sidecar) = start(CACHE_BYTES, Duration::ZERO, threads).await;
    let idle = megabytes(sidecar.footprint().memory);
    report.figure(format!("idle, {threads} threads"), idle, "MB", Bar::AtMost(IDLE));
    let mut first = 0;
    for passages in LENGTHS {
        // A query takes about 650 bytes of the cache, and each pair 27.
        let requests = precise(CACHE_BYTES) * fillings / (precise(passages) * 27.0 + 650.0);
        first = ask(&sidecar.client, first, passages, requests.ceil()).await;
        let peak = megabytes(sidecar.footprint().peak);
        let what = format!("peak, lists of {passages}, {threads} threads");
        let in_flight = CLIENTS * passages * PASSAGE_BYTES;
        report.figure(what, peak, "MB", Bar::AtMost(formula(CACHE_BYTES, in_flight)));
    }
    let size = cache_bytes(&sidecar.client).await;
    report.figure("bytes of the cache", size, "", Bar::AtMost(precise(CACHE_BYTES)));
    report.figure("share of the cache in use", size / precise(CACHE_BYTES), "", Bar::AtLeast(0.9));
    sidecar.end().await;
    drop(provider);
}

/// More bodies at a time than may be in memory, several times.
async fn fill_bodies(report: &mut Report) {
    let cache_bytes = 1 << 20;
    let (provider, sidecar) = start(cache_bytes, Duration::from_millis(500), 2).await;
    for round in 0..4 {
        let mut crowd = JoinSet::new();
        for number in 0..CROWD {
            let client = sidecar.client.clone();
            let question = Question::unique(round * CROWD + number, LENGTHS[4]);
            // An answer or 429: there is no room for all.
            crowd.spawn(async move { client.rerank(question.body()).await.unwrap().0.as_u16() });
        }
        let statuses = crowd.join_all().await;
        assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
        report.count("answered at once", statuses.iter().filter(|status| **status == 200).count(), Bar::AtLeast(1.0));
    }
    let peak = megabytes(sidecar.footprint().peak);
    report.figure("peak, bodies to their bound", peak, "MB", Bar::AtMost(formula(cache_bytes, BODY_BYTES)));
    sidecar.end().await;
    drop(provider);
}

/// A provider and a process before it.
async fn start(cache_bytes: u64, latency: Duration, threads: u8) -> (Mock, Sidecar) {
    let provider = Mock::start(Nature { remembers: false, ..Nature::of("provider", latency) }).await;
    let config = [
        format!("[server]\nmax_body_bytes = {}\nmax_body_bytes_in_flight = {BODY_BYTES}\n", BODY_BYTES / 4),
        format!("[cache]\nmax_bytes = {cache_bytes}\n"),
        upstream("provider", "cohere", provider.address()),
        model(&["provider"]),
    ];
    let sidecar = Sidecar::start_with_threads(&config.concat(), threads).await;
    (provider, sidecar)
}

/// Asks `requests` questions like no others from number `first` on, a few at a time. Returns the number after the last.
async fn ask(client: &Arc<Client>, first: u64, passages: u64, requests: f64) -> u64 {
    let next = Arc::new(AtomicU64::new(first));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let client = client.clone();
        let next = next.clone();
        clients.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if precise(number - first) >= requests {
                    return;
                }
                let (status, _) = client.rerank(Question::unique(number, passages).body()).await.unwrap();
                assert_eq!(status, 200, "question {number}");
            }
        });
    }
    clients.join_all().await;
    next.load(Ordering::Relaxed)
}

/// `rerank_cache_size_bytes` of the metrics.
async fn cache_bytes(client: &Client) -> f64 {
    let (_, exposition) = client.get("/metrics").await.unwrap();
    let mut lines = std::str::from_utf8(&exposition).unwrap().lines();
    lines.find_map(|line| line.strip_prefix("rerank_cache_size_bytes ")).unwrap().parse().unwrap()
}
