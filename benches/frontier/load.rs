//! Requests at a constant rate whatever becomes of those before them; a latency counts from when its request was due. A
//! request that finds every connection busy waits for one, and its wait counts: a slow answer cannot hide ("coordinated
//! omission").

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::workload::Workload;

/// Bytes of requests under way at most, and most connections.
const BYTES_UNDER_WAY: usize = 64 << 20;
const MOST_CONNECTIONS: usize = 64;
/// One answer in so many is checked score by score.
const CHECKED: u64 = 16;
/// Fewest requests of a trial, so that a 99th percentile means something…
const FEWEST_REQUESTS: f64 = 100.0;
/// …unless that takes longer than so many times the usual length.
const LONGEST: f64 = 2.5;
/// Most requests of a closed loop.
const MOST_REQUESTS: u64 = 1_000_000;
/// A request that takes longer is late. A trial with over one late request in a hundred ends: no limit holds.
pub(crate) const LATE: Duration = Duration::from_millis(100);

/// The latency of a rejected request.
const REJECTED: Duration = Duration::MAX;

/// The rhythm in which requests leave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// So many a second.
    Rate(f64),
    /// On each connection, as soon as the one before is answered.
    ClosedLoop,
    /// The same on one connection.
    OneByOne,
}

/// Requests to one address. No two trials make the same ones, unless the workload repeats itself.
pub(crate) struct Load {
    address: SocketAddr,
    pub(crate) workload: Workload,
    /// The first number that no request has had.
    unused: AtomicU64,
}

/// The result of a trial.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Ascending. That of a rejected request is [`REJECTED`].
    latencies: Vec<Duration>,
    elapsed: Duration,
    is_hopeless: bool,
}

/// The state that the connections of a trial share.
struct Trial {
    start: Instant,
    pace: Pace,
    numbers: Range<u64>,
    length: Duration,
    next: AtomicU64,
    late: AtomicU64,
    is_over: AtomicBool,
}

impl Load {
    pub(crate) fn new(address: SocketAddr, workload: Workload) -> Self {
        Self { address, workload, unused: AtomicU64::new(0) }
    }

    /// Makes requests for about `length`.
    pub(crate) fn run(&self, pace: Pace, length: Duration) -> Outcome {
        let seconds = length.as_secs_f64();
        let (requests, length) = match pace {
            Pace::Rate(rate) => {
                let seconds = (FEWEST_REQUESTS / rate).clamp(seconds, LONGEST * seconds);
                (whole(rate * seconds), Duration::from_secs_f64(seconds))
            }
            Pace::ClosedLoop | Pace::OneByOne => (MOST_REQUESTS, length),
        };
        let first = self.unused.fetch_add(requests, Ordering::Relaxed);
        let mut numbers = first..first + requests;
        if let Some((primer, primed)) = self.workload.primer(&numbers) {
            // At a rate all requests are prepared. A closed loop makes no more than were prepared in its time.
            let limit = if matches!(pace, Pace::Rate(_)) { Duration::MAX } else { length };
            let prepared = self.drive(&primer, Pace::ClosedLoop, primed.clone(), limit).latencies.len() as u64;
            if primed == numbers {
                numbers.end = first + prepared;
            }
        }
        self.drive(&self.workload, pace, numbers, length)
    }

    fn drive(&self, workload: &Workload, pace: Pace, numbers: Range<u64>, length: Duration) -> Outcome {
        let connections = match pace {
            Pace::OneByOne => 1,
            _ => (BYTES_UNDER_WAY / workload.body_bytes()).clamp(1, MOST_CONNECTIONS),
        };
        let trial = Trial {
            start: Instant::now(),
            pace,
            next: AtomicU64::new(numbers.start),
            numbers,
            length,
            late: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        };
        let mut latencies = Vec::new();
        thread::scope(|scope| {
            let threads: Vec<_> =
                (0..connections).map(|_| scope.spawn(|| trial.requests_of_one(self.address, workload))).collect();
            for thread in threads {
                latencies.extend(thread.join().unwrap());
            }
        });
        latencies.sort_unstable();
        Outcome { latencies, elapsed: trial.start.elapsed(), is_hopeless: trial.is_over.into_inner() }
    }
}

impl Trial {
    /// Makes requests on one connection until there are no more to make; returns their latencies.
    fn requests_of_one(&self, address: SocketAddr, workload: &Workload) -> Vec<Duration> {
        let mut connection = Connection::open(address).unwrap();
        let mut message = workload.message();
        let mut latencies = Vec::new();
        while !self.is_over.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.numbers.end {
                break;
            }
            workload.number(&mut message, number);
            let due = match self.pace {
                Pace::Rate(rate) => Duration::from_secs_f64(precise(number - self.numbers.start) / rate),
                Pace::ClosedLoop | Pace::OneByOne => self.start.elapsed(),
            };
            if due > self.length {
                break;
            }
            thread::sleep(due.saturating_sub(self.start.elapsed()));
            let (status, answer) = connection.exchange(&message).expect("rerankd answers every request");
            let latency = self.start.elapsed().saturating_sub(due);
            // A rejection is no answer: it counts as late.
            let is_late = status != 200 || latency > LATE;
            if status == 200 && number.is_multiple_of(CHECKED) {
                assert!(workload.is_right(number, answer), "a wrong answer: {}", String::from_utf8_lossy(answer));
            }
            latencies.push(if status == 200 { latency } else { REJECTED });
            if is_late {
                self.note_late();
            }
        }
        latencies
    }

    /// Ends a trial at a constant rate after too many late requests.
    fn note_late(&self) {
        let late = self.late.fetch_add(1, Ordering::Relaxed) + 1;
        let requests = self.numbers.end - self.numbers.start;
        if matches!(self.pace, Pace::Rate(_)) && late * 100 > requests {
            self.is_over.store(true, Ordering::Relaxed);
        }
    }
}

impl Outcome {
    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        let answers = self.latencies.partition_point(|latency| *latency < REJECTED);
        precise(answers as u64) / self.elapsed.as_secs_f64()
    }

    /// The 99th percentile in milliseconds; infinite if the trial was ended early.
    pub(crate) fn p99(&self) -> f64 {
        let rank = (self.latencies.len() * 99).div_ceil(100);
        match self.latencies.get(rank.saturating_sub(1)) {
            Some(latency) if !self.is_hopeless => latency.as_secs_f64() * 1e3,
            _ => f64::INFINITY,
        }
    }
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub(crate) fn precise(count: u64) -> f64 {
    count as f64
}

/// The count nearest to a positive number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are small and positive")]
fn whole(number: f64) -> u64 {
    number.round().max(1.0) as u64
}
