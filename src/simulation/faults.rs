//! Simulated upstreams, whose faults follow a schedule.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rerankd_core::error::ErrorKind;
use rerankd_core::upstream::UpstreamError;
use rerankd_core::upstream::call::{Call, Payload, Scores};
use rerankd_core::upstream::size::MeasureSet;
use rerankd_core::upstream::size_refusal::SizeRefusal;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tower::Service;

/// The passage that [`Behaviour::Picky`] upstreams refuse.
const POISON: &str = "\"passage 3\"";

/// The behaviour of an upstream for some time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Behaviour {
    Fine { milliseconds: u64 },
    Tail { share: f64, milliseconds: u64 },
    Refusing,
    Failing { share: f64 },
    BlackHole,
    Limited { seconds: Option<u64> },
    Nonsense,
    Small { passages: usize },
    Picky,
    Unauthorized,
}

/// One simulated upstream.
#[derive(Debug)]
pub(super) struct SimulatedUpstream {
    /// Part of the hash that its scores are made of: upstreams with the same salt give the same scores.
    pub(super) salt: &'static str,
    pub(super) max_in_flight: usize,
    /// Behaviour from each moment on, ascending, since `began`.
    pub(super) schedule: Vec<(Duration, Behaviour)>,
    pub(super) began: Instant,
    pub(super) random: Mutex<fastrand::Rng>,
    pub(super) calls: AtomicUsize,
    pub(super) sent: AtomicUsize,
    pub(super) in_flight: AtomicUsize,
    pub(super) billed: AtomicUsize,
}

#[derive(Clone, Debug)]
pub(super) struct SimulatedTransport(pub(super) Arc<SimulatedUpstream>);

pub(super) fn score_of(salt: &str, query: &str, passage: &str) -> f64 {
    let hash = blake3::hash(format!("{salt}|{query}|{passage}").as_bytes());
    f64::from(hash.as_bytes()[0]) / 256.0
}

impl SimulatedUpstream {
    pub(super) fn new(salt: &'static str, max_in_flight: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut at = Duration::ZERO;
        let mut schedule = vec![(at, Behaviour::Fine { milliseconds: random.u64(5..80) })];
        for _ in 0..8 {
            at += Duration::from_millis(random.u64(500..12_000));
            schedule.push((at, random_behaviour(&mut random)));
        }
        let random = Mutex::new(random);
        Self {
            salt,
            max_in_flight,
            schedule,
            began: Instant::now(),
            random,
            calls: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            billed: AtomicUsize::new(0),
        }
    }

    pub(super) fn behaviour(&self) -> Behaviour {
        let now = self.began.elapsed();
        for (begin, behaviour) in self.schedule.iter().rev() {
            if *begin <= now {
                return *behaviour;
            }
        }
        Behaviour::BlackHole
    }

    pub(super) fn draw(&self) -> f64 {
        self.random.lock().unwrap().f64()
    }

    pub(super) async fn answer(&self, call: &Call) -> Result<Scores, UpstreamError> {
        let usual = Duration::from_millis(5) + Duration::from_millis(30).mul_f64(self.draw());
        let failure = |kind| Err(UpstreamError::passing(kind, "failed as it was told"));
        let Payload::Body(sent) = &call.payload else { unreachable!("the upstream is a provider") };
        match self.behaviour() {
            Behaviour::Fine { milliseconds } => sleep(Duration::from_millis(milliseconds)).await,
            Behaviour::Tail { share, milliseconds } if self.draw() < share => {
                sleep(Duration::from_millis(milliseconds)).await;
            }
            Behaviour::Refusing => return failure(ErrorKind::UpstreamUnavailable),
            Behaviour::Failing { share } => {
                sleep(usual).await;
                if self.draw() < share {
                    return failure(ErrorKind::UpstreamUnavailable);
                }
            }
            Behaviour::BlackHole => std::future::pending().await,
            Behaviour::Limited { seconds } => {
                let limited = UpstreamError::passing(ErrorKind::UpstreamRateLimited, "failed as it was told");
                return Err(UpstreamError { retry_after: seconds.map(Duration::from_secs), ..limited });
            }
            Behaviour::Nonsense => {
                sleep(usual).await;
                return failure(ErrorKind::UpstreamInvalidReply);
            }
            Behaviour::Small { passages } if call.passages > passages => {
                let refusal = UpstreamError::lasting(ErrorKind::UpstreamRejected, "answered with status 413");
                return Err(UpstreamError { size_refusal: Some(named(MeasureSet::PASSAGES)), ..refusal });
            }
            Behaviour::Picky if sent.windows(POISON.len()).any(|window| window == POISON.as_bytes()) => {
                let refusal = UpstreamError::lasting(ErrorKind::UpstreamRejected, "answered with status 413");
                return Err(UpstreamError { size_refusal: Some(named(MeasureSet::TEXT)), ..refusal });
            }
            Behaviour::Tail { .. } | Behaviour::Small { .. } | Behaviour::Picky => sleep(usual).await,
            Behaviour::Unauthorized => {
                return Err(UpstreamError::lasting(ErrorKind::UpstreamUnauthorized, "answered with status 401"));
            }
        }
        let body: Value = serde_json::from_slice(sent).unwrap();
        let query = body["query"].as_str().unwrap();
        let documents = body["documents"].as_array().unwrap();
        let scores = documents.iter().map(|text| score_of(self.salt, query, text.as_str().unwrap())).collect();
        self.billed.fetch_add(1, Ordering::Relaxed);
        Ok(Scores { scores, search_units: Some(1), ..Scores::default() })
    }
}

fn named(about: MeasureSet) -> SizeRefusal {
    SizeRefusal { about, stated_passages: None, is_named: true }
}

pub(super) fn random_behaviour(random: &mut fastrand::Rng) -> Behaviour {
    match random.usize(0..13) {
        0..=2 => Behaviour::Fine { milliseconds: random.u64(1..200) },
        3 => Behaviour::Tail { share: 0.1, milliseconds: 2_000 },
        4 => Behaviour::Refusing,
        5 => Behaviour::Failing { share: random.f64() },
        6 => Behaviour::BlackHole,
        7 => Behaviour::Limited { seconds: Some(random.u64(0..90)) },
        8 => Behaviour::Limited { seconds: None },
        9 => Behaviour::Nonsense,
        10 => Behaviour::Small { passages: random.usize(1..5) },
        11 => Behaviour::Picky,
        _ => Behaviour::Unauthorized,
    }
}

impl Service<Call> for SimulatedTransport {
    type Response = Scores;
    type Error = UpstreamError;
    type Future = BoxFuture<'static, Result<Scores, UpstreamError>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), UpstreamError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        struct Present(Arc<SimulatedUpstream>);
        impl Drop for Present {
            fn drop(&mut self) {
                self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let upstream = self.0.clone();
        Box::pin(async move {
            upstream.calls.fetch_add(1, Ordering::Relaxed);
            upstream.sent.fetch_add(call.passages, Ordering::Relaxed);
            let crowd = upstream.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
            let _present = Present(upstream.clone());
            assert!(crowd <= upstream.max_in_flight, "{crowd} calls at once at {}", upstream.salt);
            upstream.answer(&call).await
        })
    }
}
