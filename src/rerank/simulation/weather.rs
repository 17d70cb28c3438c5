//! Upstreams that do what their weather says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tower::Service;

use crate::error::ErrorKind;
use crate::upstream::UpstreamError;
use crate::upstream::call::{Call, Scores};
use crate::upstream::size::MeasureSet;
use crate::upstream::size_refusal::SizeRefusal;

/// The passage that some upstreams do not take.
const POISON: &str = "\"passage 3\"";

/// What an upstream does with a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Weather {
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

/// One upstream of the simulated world.
#[derive(Debug)]
pub(super) struct Sky {
    /// What its scores are made with.
    pub(super) salt: &'static str,
    pub(super) most_at_once: usize,
    /// Weather from each moment on.
    pub(super) forecast: Vec<(Duration, Weather)>,
    pub(super) began: Instant,
    pub(super) random: Mutex<fastrand::Rng>,
    pub(super) calls: AtomicUsize,
    pub(super) sent: AtomicUsize,
    pub(super) at_once: AtomicUsize,
    pub(super) billed: AtomicUsize,
}

#[derive(Clone, Debug)]
pub(super) struct Simulated(pub(super) Arc<Sky>);

pub(super) fn score_of(salt: &str, query: &str, passage: &str) -> f64 {
    let hash = blake3::hash(format!("{salt}|{query}|{passage}").as_bytes());
    f64::from(hash.as_bytes()[0]) / 256.0
}

impl Sky {
    pub(super) fn new(salt: &'static str, most_at_once: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut at = Duration::ZERO;
        let mut forecast = vec![(at, Weather::Fine { milliseconds: random.u64(5..80) })];
        for _ in 0..8 {
            at += Duration::from_millis(random.u64(500..12_000));
            forecast.push((at, weather(&mut random)));
        }
        let random = Mutex::new(random);
        let (calls, sent, at_once, billed) = Default::default();
        Self { salt, most_at_once, forecast, began: Instant::now(), random, calls, sent, at_once, billed }
    }

    pub(super) fn weather(&self) -> Weather {
        let now = self.began.elapsed();
        self.forecast.iter().rev().find(|(at, _)| *at <= now).map_or(Weather::BlackHole, |(_, weather)| *weather)
    }

    pub(super) fn draw(&self) -> f64 {
        self.random.lock().unwrap().f64()
    }

    pub(super) async fn answer(&self, call: &Call) -> Result<Scores, UpstreamError> {
        let usual = Duration::from_millis(5) + Duration::from_millis(30).mul_f64(self.draw());
        let failure = |kind| Err(UpstreamError::passing(kind, "failed as it was told"));
        match self.weather() {
            Weather::Fine { milliseconds } => sleep(Duration::from_millis(milliseconds)).await,
            Weather::Tail { share, milliseconds } if self.draw() < share => {
                sleep(Duration::from_millis(milliseconds)).await;
            }
            Weather::Refusing => return failure(ErrorKind::UpstreamUnavailable),
            Weather::Failing { share } => {
                sleep(usual).await;
                if self.draw() < share {
                    return failure(ErrorKind::UpstreamUnavailable);
                }
            }
            Weather::BlackHole => std::future::pending().await,
            Weather::Limited { seconds } => {
                let limited = UpstreamError::passing(ErrorKind::UpstreamRateLimited, "failed as it was told");
                return Err(UpstreamError { retry_after: seconds.map(Duration::from_secs), ..limited });
            }
            Weather::Nonsense => {
                sleep(usual).await;
                return failure(ErrorKind::UpstreamInvalidReply);
            }
            Weather::Small { passages } if call.passages > passages => {
                let refusal = UpstreamError::lasting(ErrorKind::UpstreamRejected, "answered with status 413");
                return Err(UpstreamError { size_refusal: Some(named(MeasureSet::PASSAGES)), ..refusal });
            }
            Weather::Picky if call.body.windows(POISON.len()).any(|window| window == POISON.as_bytes()) => {
                let refusal = UpstreamError::lasting(ErrorKind::UpstreamRejected, "answered with status 413");
                return Err(UpstreamError { size_refusal: Some(named(MeasureSet::TEXT)), ..refusal });
            }
            Weather::Tail { .. } | Weather::Small { .. } | Weather::Picky => sleep(usual).await,
            Weather::Unauthorized => {
                return Err(UpstreamError::lasting(ErrorKind::UpstreamUnauthorized, "answered with status 401"));
            }
        }
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        let query = body["query"].as_str().unwrap();
        let documents = body["documents"].as_array().unwrap();
        let scores = documents.iter().map(|text| score_of(self.salt, query, text.as_str().unwrap())).collect();
        self.billed.fetch_add(1, Ordering::Relaxed);
        Ok(Scores { scores, tokens: None, search_units: Some(1) })
    }
}

fn named(about: MeasureSet) -> SizeRefusal {
    SizeRefusal { about, stated_passages: None, is_named: true }
}

pub(super) fn weather(random: &mut fastrand::Rng) -> Weather {
    match random.usize(0..13) {
        0..=2 => Weather::Fine { milliseconds: random.u64(1..200) },
        3 => Weather::Tail { share: 0.1, milliseconds: 2_000 },
        4 => Weather::Refusing,
        5 => Weather::Failing { share: random.f64() },
        6 => Weather::BlackHole,
        7 => Weather::Limited { seconds: Some(random.u64(0..90)) },
        8 => Weather::Limited { seconds: None },
        9 => Weather::Nonsense,
        10 => Weather::Small { passages: random.usize(1..5) },
        11 => Weather::Picky,
        _ => Weather::Unauthorized,
    }
}

impl Service<Call> for Simulated {
    type Response = Scores;
    type Error = UpstreamError;
    type Future = BoxFuture<'static, Result<Scores, UpstreamError>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), UpstreamError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        struct Present(Arc<Sky>);
        impl Drop for Present {
            fn drop(&mut self) {
                self.0.at_once.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let sky = self.0.clone();
        Box::pin(async move {
            sky.calls.fetch_add(1, Ordering::Relaxed);
            sky.sent.fetch_add(call.passages, Ordering::Relaxed);
            let crowd = sky.at_once.fetch_add(1, Ordering::Relaxed) + 1;
            let _present = Present(sky.clone());
            assert!(crowd <= sky.most_at_once, "{crowd} calls at once at {}", sky.salt);
            sky.answer(&call).await
        })
    }
}
