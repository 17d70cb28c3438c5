//! The model as an upstream: calls of a few pairs go through the same stack as calls to a provider, and run on a
//! blocking thread.
//!
//! The stack gives it everything that providers have. Pairs are cached and coalesced, at most as many calls run as
//! there are threads for them, a bounded queue holds the others, and a call that nobody waits for stops before its next
//! pair.

mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rten::ThreadPool;
use tower::Service;
use url::Url;

use self::wire::{LocalWire, Pairs, Reply};
use crate::blocking::workers::Workers;
use crate::error::ErrorKind;
use crate::local::cross_encoder::model::CrossEncoder;
use crate::local::cross_encoder::{ModelDirectory, probability};
use crate::local::settings::{CrossEncoderSettings, LocalSettings};
use crate::local::{LocalModel, NAME};
use crate::provider::{ProviderFacts, ScoreScale, WireReply};
use crate::telemetry::metrics::Metrics;
use crate::upstream::breaker::BreakerSettings;
use crate::upstream::call::{Call, Scores};
use crate::upstream::rate::RateSettings;
use crate::upstream::settings::{LongPassages, UpstreamSettings};
use crate::upstream::{Backend, LocalScorer, Upstream, UpstreamError, key_ring::KeyRing, read_scores};

/// Pairs in one call. A pair takes tens of milliseconds, so the overhead of small calls is nothing, they spread evenly
/// over the threads, and their scores come early.
const MAX_PAIRS_PER_CALL: usize = 2;
/// Timeout that no call reaches: a call ends with its last pair, or earlier because nobody waits for it.
const NEVER: Duration = Duration::from_hours(1);

/// The innermost service of the stack: scores the pairs of a call. Clones share the model.
#[derive(Clone)]
struct ScoringService(Arc<Shared>);

struct Shared {
    directory: ModelDirectory,
    max_tokens: usize,
    /// The model; `None` until the first call has loaded it.
    model: Mutex<Option<Arc<CrossEncoder>>>,
    /// Idle pools of one thread each. Several threads would speed up one pair by little.
    idle: Mutex<Vec<Arc<ThreadPool>>>,
    /// The limit of calls that run at once: one a thread.
    workers: Workers,
}

/// The embedded scorer as an upstream. Loads nothing before it is used.
///
/// # Errors
/// A sentence: the path of the model's directory cannot be written as a URL.
pub fn upstream(settings: &LocalSettings, metrics: &Metrics) -> Result<Upstream, String> {
    let cross_encoder = match &settings.cross_encoder {
        Some(settings) => Some(Arc::new(cross_encoder(settings, metrics)?)),
        None => None,
    };
    let embedded = LocalScorer { settings: settings.clone(), cross_encoder, workers: Workers::new(processors()) };
    Ok(Upstream { name: NAME.to_owned(), backend: Backend::Local(Box::new(embedded)) })
}

/// Number of processors that this process may use; 1 if the system does not say.
fn processors() -> usize {
    match std::thread::available_parallelism() {
        Ok(processors) => processors.get(),
        Err(_) => 1,
    }
}

/// The model as an upstream of its own, under the embedded scorer's name. Loads nothing yet.
///
/// # Errors
/// A sentence: the path of the directory cannot be written as a URL.
fn cross_encoder(settings: &CrossEncoderSettings, metrics: &Metrics) -> Result<Upstream, String> {
    let directory = &settings.directory;
    let mut url = Url::from_directory_path(directory.path())
        .map_err(|()| format!("{} is not an absolute path", directory.path().display()))?;
    // The URL identifies the scorer in evaluations, and its scores depend on the length at which pairs are cut.
    url.query_pairs_mut().append_pair("max_tokens", &settings.max_tokens.to_string());
    let threads = match settings.threads {
        Some(threads) => threads.get(),
        None => processors(),
    };
    let shared = Shared::new(directory.clone(), settings.max_tokens, threads);
    let facts = LocalModel::CrossEncoder.facts();
    let settings = UpstreamSettings {
        proxy: None,
        name: NAME.to_owned(),
        label: NAME.to_owned(),
        provider: &LocalWire,
        url,
        api_keys: Vec::new(),
        connect_timeout: NEVER,
        attempt_timeout: NEVER,
        max_attempts: 1,
        max_concurrency: threads,
        max_queue: settings.max_queue,
        rate: RateSettings::default(),
        breaker: BreakerSettings::OFF,
        long_passages: LongPassages::Provider,
        max_response_bytes: usize::MAX,
        refusal_words: Arc::default(),
        facts: ProviderFacts {
            base_url: None,
            key_hosts: Vec::new(),
            key_variables: Vec::new(),
            default_model: None,
            max_passages: MAX_PAIRS_PER_CALL,
            max_call_bytes: None,
            retry_statuses: Vec::new(),
            rejects_blank_passages: false,
            other_models: facts,
            models: BTreeMap::from([(LocalModel::CrossEncoder.name().to_owned(), facts)]),
        },
    };
    Ok(Upstream::behind(ScoringService(Arc::new(shared)), &settings, metrics, Arc::new(KeyRing::new(&[])?)))
}

impl Service<Call> for ScoringService {
    type Response = Scores;
    type Error = UpstreamError;
    type Future = BoxFuture<'static, Result<Scores, UpstreamError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move {
            let workers = shared.workers.clone();
            match workers.run(move |is_wanted| shared.answer(&call, is_wanted)).await {
                Ok(answer) => answer,
                Err(_) => Err(failed("the model panicked")),
            }
        })
    }
}

impl Shared {
    fn new(directory: ModelDirectory, max_tokens: usize, threads: usize) -> Self {
        let workers = Workers::new(threads);
        Self { directory, max_tokens, model: Mutex::default(), idle: Mutex::default(), workers }
    }

    /// Scores the pairs of a call. Stops before the next pair if the call is not wanted any more.
    fn answer(&self, call: &Call, is_wanted: &dyn Fn() -> bool) -> Result<Scores, UpstreamError> {
        let Ok(Pairs { query, passages }) = serde_json::from_slice(&call.body) else {
            return Err(failed("a call could not be read"));
        };
        if !is_wanted() {
            return Err(failed("nobody waits any more"));
        }
        let model = self.model().map_err(|reason| failed(&reason))?;
        let threads = self.threads();
        let mut scores = Vec::with_capacity(passages.len());
        for passage in &passages {
            // The scores so far are lost, but nobody waits for them.
            if !is_wanted() {
                break;
            }
            let logit = model.logit(&query, passage, &threads).map_err(|reason| failed(&reason))?;
            scores.push(probability(logit));
        }
        self.idle.lock().push(threads);
        let body = serde_json::to_vec(&Reply { scores }).unwrap_or_default();
        let reply = WireReply { body: body.into(), ..WireReply::default() };
        read_scores(&LocalWire, &reply, call.passages, ScoreScale::Probability)
    }

    /// The model, loaded on the first call. After a failure the next call tries again.
    fn model(&self) -> Result<Arc<CrossEncoder>, String> {
        // Held while the model is loaded, so that other calls wait and do not load it too.
        let mut model = self.model.lock();
        if let Some(model) = &*model {
            return Ok(model.clone());
        }
        let loaded = Arc::new(CrossEncoder::load(&self.directory, self.max_tokens)?);
        *model = Some(loaded.clone());
        Ok(loaded)
    }

    /// A pool of one thread: an idle one, else a new one. There are never more than calls that run at once.
    fn threads(&self) -> Arc<ThreadPool> {
        self.idle.lock().pop().unwrap_or_else(|| Arc::new(ThreadPool::with_num_threads(1)))
    }
}

/// The error of a call that could not be scored.
fn failed(reason: &str) -> UpstreamError {
    UpstreamError::lasting(ErrorKind::UpstreamUnavailable, format!("cannot score: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::time::Instant;

    use super::*;
    use crate::cache::key::CacheScope;
    use crate::provider::{Provider, ScoreBatch};
    use crate::types::request::ScoringOptions;
    use crate::upstream::call::{AttemptCounter, RetryMode, Waiter, Waiters};

    /// A model of ten words: see `tests/golden/local/make-tiny.py`.
    fn shared() -> Shared {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/local/tiny");
        Shared::new(ModelDirectory::at(&directory).unwrap(), 64, 1)
    }

    fn call(passages: &[&str]) -> Call {
        let options = ScoringOptions::default();
        let batch = ScoreBatch { model: "", query: "q", passages: passages.to_vec(), options: &options };
        let waiter =
            Waiter { deadline: Instant::now(), retry_mode: RetryMode::Wait, store: true, scope: CacheScope::SHARED };
        Call {
            body: LocalWire.encode(&batch).into(),
            passages: passages.len(),
            scale: ScoreScale::Probability,
            tokens: 0,
            waiters: Arc::new(Waiters::of(waiter)),
            attempt: 1,
            failure: None,
            attempts: AttemptCounter::default(),
        }
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_stops_and_gives_its_thread_back() {
        let shared = shared();
        let scores = shared.answer(&call(&["good", "bad"]), &|| true).unwrap().scores;
        assert!((scores[0] - probability(1.0)).abs() < 1e-6 && (scores[1] - probability(-3.0)).abs() < 1e-6);
        let error = shared.answer(&call(&["good", "bad"]), &|| false).unwrap_err();
        assert_eq!(error.what, "cannot score: nobody waits any more");
        assert_eq!(shared.idle.lock().len(), 1, "one thread served both");
    }

    /// A caller that disconnects gives up its place in the queue, but not the thread that still scores its pair.
    #[tokio::test]
    async fn no_more_calls_run_than_there_are_threads_whoever_has_left() {
        let reader = ScoringService(Arc::new(shared()));
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (locked, is_locked) = std::sync::mpsc::channel();
        let shared = reader.0.clone();
        let holder = std::thread::spawn(move || {
            let _model = shared.model.lock();
            locked.send(()).unwrap();
            released.recv().unwrap();
        });
        is_locked.recv().unwrap();
        let first = tokio::spawn(reader.clone().call(call(&["good"])));
        while reader.0.workers.free() > 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let mut second = reader.clone().call(call(&["bad"]));
        assert!(tokio::time::timeout(Duration::ZERO, &mut second).await.is_err());
        assert_eq!((reader.0.workers.free(), reader.0.idle.lock().len()), (0, 0), "the first still runs");
        release.send(()).unwrap();
        holder.join().unwrap();
        assert_eq!(second.await.unwrap().scores.len(), 1);
        assert!(reader.0.idle.lock().len() <= 1);
    }

    #[tokio::test]
    async fn a_pair_is_cut_to_the_models_length_and_a_blank_one_is_scored() {
        let shared = Shared { max_tokens: 16, ..shared() };
        // [CLS] q [SEP] and the last [SEP] leave room for twelve words of the passage.
        let long = "fair ".repeat(1_000);
        let scores = shared.answer(&call(&[&long, ""]), &|| true).unwrap().scores;
        assert!((scores[0] - probability(12.0 * 0.5 - 1.0)).abs() < 1e-6, "{scores:?}");
        assert!((scores[1] - probability(-1.0)).abs() < 1e-6, "{scores:?}");
    }
}
