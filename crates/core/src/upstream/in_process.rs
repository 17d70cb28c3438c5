//! The embedded scorer as an upstream: calls of a few pairs go through the same stack as calls to a provider, and run
//! on a blocking thread.
//!
//! The stack gives it everything that providers have. Pairs are cached and coalesced, at most as many calls run as
//! there are threads for them, a bounded queue holds the others, and a call that nobody waits for stops before its next
//! pair.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tower::service_fn;

use super::breaker::BreakerSettings;
use super::call::{Call, CallFormat, Pairs, Payload, Scores};
use super::key_ring::KeyRing;
use super::rate::RateSettings;
use super::settings::{LongPassages, StackSettings};
use super::{Backend, LocalScorer, ScorerIdentity, Upstream, UpstreamError};
use crate::blocking::workers::Workers;
use crate::embedded::{CrossEncoderParts, EmbeddedScorers, LocalModel, NAME, PairModel, PairScorer};
use crate::error::ErrorKind;
use crate::provider::{KeyPlacement, ProviderFacts, ScoreScale};
use crate::telemetry::metrics::Metrics;

/// Pairs in one call. A pair takes tens of milliseconds, so the overhead of small calls is nothing, they spread evenly
/// over the threads, and their scores come early.
const MAX_PAIRS_PER_CALL: usize = 2;
/// Timeout that no call reaches: a call ends with its last pair, or earlier because nobody waits for it.
const UNREACHED_TIMEOUT: Duration = Duration::from_hours(1);

/// A reader of pairs: tells how much of a passage the cross-encoder reads.
#[derive(Clone)]
pub struct PairReader(Arc<Shared>);

/// The model, its loaded form and its threads, shared by all calls.
struct Shared {
    /// The model before it is loaded.
    model: Arc<dyn PairModel>,
    /// The loaded model; empty until the first call has loaded it.
    loaded: OnceLock<Arc<dyn PairScorer>>,
    /// Held by the call that loads, so that the others wait without a thread.
    loading: Arc<Semaphore>,
    /// The limit of calls that run at once: one a thread.
    workers: Workers,
}

/// The embedded scorer as an upstream. Loads nothing before it is used.
///
/// # Errors
/// A sentence: its stack cannot be set up.
pub fn upstream(scorers: EmbeddedScorers, metrics: &Metrics) -> Result<Upstream, String> {
    let EmbeddedScorers { lexical, cross_encoder, is_declined, hybrid } = scorers;
    let cross_encoder = match cross_encoder {
        Some(parts) => Some(Arc::new(self::cross_encoder(parts, metrics)?)),
        None => None,
    };
    let workers = Workers::new(processors());
    let embedded = LocalScorer { lexical, cross_encoder, is_declined, hybrid, workers };
    Ok(Upstream { name: NAME.to_owned(), backend: Backend::Local(Box::new(embedded)), by_name_only: false })
}

/// Number of processors that this process may use; 1 if the system does not say.
fn processors() -> usize {
    match std::thread::available_parallelism() {
        Ok(processors) => processors.get(),
        Err(_) => 1,
    }
}

/// The cross-encoder as an upstream of its own, under the embedded scorer's name. Loads nothing yet.
///
/// # Errors
/// A sentence: its stack cannot be set up.
fn cross_encoder(parts: CrossEncoderParts, metrics: &Metrics) -> Result<Upstream, String> {
    let CrossEncoderParts { model, threads, max_queue } = parts;
    let threads = match threads {
        Some(threads) => threads.get(),
        None => processors(),
    };
    let shared = Arc::new(Shared::new(model.clone(), threads));
    let pair_reader = PairReader(shared.clone());
    // Always ready: the layers around it bound the calls.
    let service = service_fn(move |call: Call| Box::pin(shared.clone().answer(call.payload)));
    let facts = LocalModel::CrossEncoder.facts();
    let settings = StackSettings {
        model_address: None,
        name: NAME.to_owned(),
        label: NAME.to_owned(),
        attempt_timeout: UNREACHED_TIMEOUT,
        max_attempts: 1,
        max_concurrency: threads,
        max_queue,
        rate: RateSettings::default(),
        breaker: BreakerSettings::OFF,
        long_passages: LongPassages::Provider,
        facts: ProviderFacts {
            max_passages: MAX_PAIRS_PER_CALL,
            models: BTreeMap::from([(LocalModel::CrossEncoder.name().to_owned(), facts)]),
            // It takes them, and its scores for them are often above those of relevant passages.
            rejects_blank_passages: true,
            ..ProviderFacts::unlimited(facts)
        },
        format: CallFormat::Pairs,
        identity: ScorerIdentity::Model(model),
        pair_reader: Some(pair_reader),
    };
    Ok(Upstream::behind(service, settings, metrics, Arc::new(KeyRing::new(&[], &KeyPlacement::bearer())?)))
}

impl PairReader {
    /// Bytes that the model reads of each passage of `pairs`, from its start. Empty if that cannot be told: the model
    /// failed.
    pub async fn bytes_read(&self, pairs: Pairs) -> Vec<usize> {
        let Ok(model) = self.0.clone().loaded_model().await else { return Vec::new() };
        let job = self.0.workers.run(move |caller| {
            let mut lengths = Vec::with_capacity(pairs.passages.len());
            for passage in &pairs.passages {
                if caller.is_cancelled() {
                    break;
                }
                let Ok(length) = model.bytes_read(&pairs.query, passage) else { return Vec::new() };
                lengths.push(length);
            }
            lengths
        });
        job.await.unwrap_or_default()
    }
}

impl fmt::Debug for PairReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PairReader").finish_non_exhaustive()
    }
}

impl Shared {
    fn new(model: Arc<dyn PairModel>, threads: usize) -> Self {
        let loading = Arc::new(Semaphore::new(1));
        Self { model, loaded: OnceLock::new(), loading, workers: Workers::new(threads) }
    }

    /// Scores the pairs of a call. Stops before the next pair if the call is not wanted any more.
    async fn answer(self: Arc<Self>, payload: Payload) -> Result<Scores, UpstreamError> {
        let Payload::Pairs(pairs) = payload else {
            return Err(failed("a call for another upstream arrived"));
        };
        let model = self.clone().loaded_model().await?;
        let job = self.workers.run(move |caller| score_pairs(&*model, &pairs, &|| !caller.is_cancelled()));
        match job.await {
            Ok(Ok(scores)) => Ok(Scores { scores, ..Scores::default() }),
            Ok(Err(reason)) => Err(failed(&reason)),
            Err(_) => Err(failed("the model panicked")),
        }
    }

    /// The model, loaded by the first call while the others wait. After a failure the next call tries again.
    async fn loaded_model(self: Arc<Self>) -> Result<Arc<dyn PairScorer>, UpstreamError> {
        if let Some(model) = self.loaded.get() {
            return Ok(model.clone());
        }
        // Fails only for a semaphore that was closed, and this one never is.
        let turn = self.loading.clone().acquire_owned().await.ok();
        let workers = self.workers.clone();
        // The thread keeps the model and the turn: a caller that disconnects throws no half-done work away, and the
        // next one does not begin a second time.
        let loaded = workers.run(move |_| {
            let _turn = turn;
            if let Some(model) = self.loaded.get() {
                return Ok(model.clone());
            }
            let model = self.model.load()?;
            Ok(self.loaded.get_or_init(|| model).clone())
        });
        match loaded.await {
            Ok(loaded) => loaded.map_err(|reason: String| failed(&reason)),
            Err(_) => Err(failed("the model panicked")),
        }
    }
}

/// The relevance of each passage.
///
/// # Errors
/// A sentence: the model failed, or `is_wanted` returned false.
fn score_pairs(model: &dyn PairScorer, pairs: &Pairs, is_wanted: &dyn Fn() -> bool) -> Result<Vec<f64>, String> {
    let mut scores = Vec::with_capacity(pairs.passages.len());
    for passage in &pairs.passages {
        // The scores so far are lost, but nobody waits for them.
        if !is_wanted() {
            return Err("nobody waits any more".to_owned());
        }
        let score = model.score(&pairs.query, passage)?;
        // No reply is checked by `provider::check` here, and only finite scores may be ranked and stored.
        if !ScoreScale::Probability.limits().contains(&score) {
            return Err("the model gave no score between 0 and 1".to_owned());
        }
        scores.push(score);
    }
    Ok(scores)
}

/// The error of a call that could not be scored.
fn failed(reason: &str) -> UpstreamError {
    UpstreamError::lasting(ErrorKind::UpstreamUnavailable, format!("cannot score: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, channel};

    use parking_lot::Mutex;

    use super::*;

    /// A model whose scores are a tenth of the lengths of the passages. Its first load fails if `fails_once`; each load
    /// or pair waits for a message if its gate is there.
    #[derive(Debug, Default)]
    struct Lengths {
        loads: AtomicUsize,
        fails_once: bool,
        load_gate: Option<Mutex<Receiver<()>>>,
        gate: Option<Mutex<Receiver<()>>>,
    }

    struct Gated(Arc<Lengths>);

    impl PairScorer for Gated {
        fn score(&self, _: &str, passage: &str) -> Result<f64, String> {
            if let Some(gate) = &self.0.gate {
                gate.lock().recv().map_err(|error| error.to_string())?;
            }
            Ok(f64::from(u32::try_from(passage.len()).unwrap()) / 10.0)
        }

        fn bytes_read(&self, _: &str, passage: &str) -> Result<usize, String> {
            Ok(passage.len())
        }
    }

    #[derive(Debug)]
    struct Model(Arc<Lengths>);

    impl PairModel for Model {
        fn load(&self) -> Result<Arc<dyn PairScorer>, String> {
            let before = self.0.loads.fetch_add(1, Ordering::Relaxed);
            if let Some(gate) = &self.0.load_gate {
                gate.lock().recv().map_err(|error| error.to_string())?;
            }
            if before == 0 && self.0.fails_once {
                return Err("model.onnx is torn".to_owned());
            }
            Ok(Arc::new(Gated(self.0.clone())))
        }

        fn address(&self) -> String {
            "test:lengths".to_owned()
        }

        fn digest(&self) -> io::Result<String> {
            Ok(String::new())
        }
    }

    fn shared(lengths: Lengths, threads: usize) -> (Arc<Shared>, Arc<Lengths>) {
        let lengths = Arc::new(lengths);
        (Arc::new(Shared::new(Arc::new(Model(lengths.clone())), threads)), lengths)
    }

    fn pairs(passages: &[&'static str]) -> Payload {
        let passages = passages.iter().map(|&passage| passage.into()).collect();
        Payload::Pairs(Arc::new(Pairs { query: "q".to_owned(), passages }))
    }

    #[tokio::test]
    async fn a_model_is_loaded_once_and_again_after_a_failure() {
        let (shared, lengths) = shared(Lengths { fails_once: true, ..Lengths::default() }, 2);
        let error = shared.clone().answer(pairs(&["a"])).await.unwrap_err();
        assert_eq!(error.what, "cannot score: model.onnx is torn");
        for _ in 0..3 {
            assert_eq!(shared.clone().answer(pairs(&["a", "bcd"])).await.unwrap().scores, [0.1, 0.3]);
        }
        assert_eq!(lengths.loads.load(Ordering::Relaxed), 2);
    }

    /// With deadlines shorter than a load, throwing it away would mean that no request ever gets the model.
    #[tokio::test]
    async fn a_load_goes_on_without_the_callers_that_waited_for_it() {
        let (release, gate) = channel();
        let (shared, lengths) = shared(Lengths { load_gate: Some(Mutex::new(gate)), ..Lengths::default() }, 4);
        for _ in 0..4 {
            let caller = tokio::spawn(shared.clone().answer(pairs(&["a"])));
            while lengths.loads.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            caller.abort();
            assert!(caller.await.unwrap_err().is_cancelled());
        }
        release.send(()).unwrap();
        assert_eq!(shared.clone().answer(pairs(&["a"])).await.unwrap().scores, [0.1]);
        assert_eq!(lengths.loads.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_score_that_is_no_probability_is_an_error() {
        let model = Gated(Arc::new(Lengths::default()));
        let Payload::Pairs(pairs) = pairs(&["good", "eleven letters"]) else { unreachable!() };
        assert!(score_pairs(&model, &pairs, &|| true).unwrap_err().contains("between 0 and 1"));
    }

    #[test]
    fn a_call_that_nobody_waits_for_stops_before_its_next_pair() {
        let scorer = Gated(Arc::new(Lengths::default()));
        let Payload::Pairs(pairs) = pairs(&["good", "bad"]) else { unreachable!() };
        assert_eq!(score_pairs(&scorer, &pairs, &|| true), Ok(vec![0.4, 0.3]));
        let asked = AtomicUsize::new(0);
        let is_wanted = || asked.fetch_add(1, Ordering::Relaxed) == 0;
        assert_eq!(score_pairs(&scorer, &pairs, &is_wanted), Err("nobody waits any more".to_owned()));
        assert_eq!(asked.load(Ordering::Relaxed), 2, "the first pair was scored");
    }

    /// A caller that disconnects gives up its place in the queue, but not the thread that still scores its pair.
    #[tokio::test]
    async fn no_more_calls_run_than_there_are_threads_whoever_has_left() {
        let (release, gate) = channel();
        let (shared, _) = shared(Lengths { gate: Some(Mutex::new(gate)), ..Lengths::default() }, 1);
        shared.clone().loaded_model().await.unwrap();
        let first = tokio::spawn(shared.clone().answer(pairs(&["good"])));
        while shared.workers.free() > 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let mut second = Box::pin(shared.clone().answer(pairs(&["bad"])));
        assert!(tokio::time::timeout(Duration::ZERO, &mut second).await.is_err());
        assert_eq!(shared.workers.free(), 0, "the first still runs");
        release.send(()).unwrap();
        release.send(()).unwrap();
        assert_eq!(second.await.unwrap().scores, [0.3]);
    }
}
