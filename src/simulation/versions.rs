//! Upstreams that tell the version of their model, and change it: no answer mixes two, and none is reused for another.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use rerankd_core::cache::control::CacheControl;
use rerankd_core::cache::key::CacheScope;
use rerankd_core::error::{Error, ErrorKind};
use rerankd_core::provider::KeyPlacement;
use rerankd_core::rerank::{RequestContext, Reranker};
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::RerankResponse;
use rerankd_core::upstream::call::{Call, Payload, Scores};
use rerankd_core::upstream::key_ring::KeyRing;
use rerankd_core::upstream::{Upstream, UpstreamError};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tracing::subscriber::set_default;

use super::faults::score_of;
use crate::assemble::assemble_with;
use crate::config::{Environment, Sources, load};

const CONFIG: &str = include_str!("versions.toml");
const SEEDS: u64 = 40;
const REQUESTS: usize = 60;
const VERSIONS: [Option<&str>; 4] = [None, Some("2026-09-01"), Some("2026-10-30"), Some("3")];

/// The next versions of the upstreams' model. The last one stays.
struct Upstreams {
    versions: Mutex<VecDeque<Option<&'static str>>>,
    calls: AtomicUsize,
    random: Mutex<fastrand::Rng>,
}

/// A pipeline before upstreams of one model.
struct Stage {
    reranker: Reranker,
    upstreams: Arc<Upstreams>,
}

impl Upstreams {
    /// The scores of a call, by the version that the model has when the reply is made.
    async fn answer(&self, call: Call) -> Result<Scores, UpstreamError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let milliseconds = self.random.lock().unwrap().u64(5..60);
        sleep(Duration::from_millis(milliseconds)).await;
        let version = {
            let mut versions = self.versions.lock().unwrap();
            if versions.len() > 1 { versions.pop_front().unwrap() } else { versions[0] }
        };
        let Payload::Body(sent) = &call.payload else { unreachable!("the upstream is a provider") };
        let body: Value = serde_json::from_slice(sent).unwrap();
        let query = body["query"].as_str().unwrap();
        let documents = body["documents"].as_array().unwrap();
        let scores = documents.iter().map(|text| score_by(version, query, text.as_str().unwrap())).collect();
        Ok(Scores { scores, model_version: version.map(str::to_owned), ..Scores::default() })
    }
}

fn score_by(version: Option<&str>, query: &str, passage: &str) -> f64 {
    score_of(version.unwrap_or("none"), query, passage)
}

impl Stage {
    fn new(seed: u64) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), CONFIG).unwrap();
        let sources = Sources { file: Some(file.path().to_owned()), environment: Environment::new(), listen: None };
        let settings = load(&sources).unwrap().settings;
        let upstreams = Arc::new(Upstreams {
            versions: Mutex::new([None].into()),
            calls: AtomicUsize::new(0),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
        });
        let reranker = assemble_with(&settings, |upstream, metrics| {
            let upstreams = upstreams.clone();
            let transport = tower::service_fn(move |call| {
                let upstreams = upstreams.clone();
                Box::pin(async move { upstreams.answer(call).await })
            });
            Ok(Upstream::behind(
                transport,
                upstream.stack(),
                metrics,
                Arc::new(KeyRing::new(&[], &KeyPlacement::bearer())?),
            ))
        })
        .unwrap();
        Self { reranker, upstreams }
    }

    fn next_versions(&self, versions: &[Option<&'static str>]) {
        *self.upstreams.versions.lock().unwrap() = versions.iter().copied().collect();
    }

    async fn ask(&self, model: &str, passages: &[&str], control: CacheControl) -> Result<RerankResponse, Error> {
        self.ask_as(CacheScope::SHARED, model, passages, control).await
    }

    async fn ask_as(
        &self,
        scope: CacheScope,
        model: &str,
        passages: &[&str],
        control: CacheControl,
    ) -> Result<RerankResponse, Error> {
        let passages = passages.iter().copied().collect();
        let request = Arc::new(RerankRequest { query: "q".into(), passages, ..RerankRequest::default() });
        let started = Instant::now();
        let deadline = started + Duration::from_secs(10);
        let context = RequestContext { started, deadline, control, scope };
        self.reranker.rerank(&self.reranker.routes.resolve(Some(model)).unwrap(), &request, &context).await
    }

    /// Asks and checks that all scores are of `version`. Returns the number of calls.
    async fn calls_for(&self, model: &str, passages: &[&str], version: Option<&str>) -> usize {
        let before = self.upstreams.calls.load(Ordering::Relaxed);
        let response = self.ask(model, passages, CacheControl::default()).await.unwrap();
        assert!(is_of(&response, passages, version), "{:?}", response.ranking);
        self.upstreams.calls.load(Ordering::Relaxed) - before
    }
}

/// Returns true if all scores of an answer are of this version.
fn is_of(response: &RerankResponse, passages: &[&str], version: Option<&str>) -> bool {
    response.ranking.iter().all(|ranked| {
        let right = score_by(version, "q", passages[ranked.position]);
        ranked.score.is_some_and(|score| score.total_cmp(&right).is_eq())
    })
}

#[tokio::test(start_paused = true)]
async fn law_2_scores_of_another_version_are_not_reused_and_cost_no_call_more_than_they_must() {
    let stage = Stage::new(1);
    let [_, one, two, _] = VERSIONS;
    stage.next_versions(&[one]);
    assert_eq!(stage.calls_for("default", &["a", "b"], one).await, 1, "the first version that is told is no change");
    assert_eq!(stage.calls_for("default", &["b", "a"], one).await, 0);
    stage.next_versions(&[two]);
    assert_eq!(stage.calls_for("default", &["a", "b"], one).await, 0, "nobody knows of the new version yet");
    // `a` was known by the old version, so all are asked for anew.
    assert_eq!(stage.calls_for("default", &["a", "c"], two).await, 2);
    assert_eq!(stage.calls_for("default", &["c", "a"], two).await, 0);
    assert_eq!(stage.calls_for("default", &["b"], two).await, 1, "the old score of b is not used");
    stage.next_versions(&[one]);
    assert_eq!(stage.calls_for("default", &["d"], one).await, 1, "an answer of one reply is not asked for again");
    assert_eq!(
        stage.calls_for("default", &["a", "b", "d"], one).await,
        0,
        "scores of the version before are known still"
    );
    stage.next_versions(&[None]);
    assert_eq!(stage.calls_for("default", &["e"], None).await, 1);
    assert_eq!(stage.calls_for("default", &["e"], None).await, 0);
}

#[tokio::test(start_paused = true)]
async fn law_3_a_whole_list_is_kept_under_the_version_that_scored_it() {
    let [_, one, two, _] = VERSIONS;
    for model in ["of_list", "picker"] {
        let stage = Stage::new(1);
        stage.next_versions(&[one]);
        assert_eq!(stage.calls_for(model, &["a", "b", "a"], one).await, 1);
        assert_eq!(stage.calls_for(model, &["a", "b", "a"], one).await, 0);
        stage.next_versions(&[two]);
        assert_eq!(stage.calls_for(model, &["c"], two).await, 1);
        assert_eq!(stage.calls_for(model, &["c"], two).await, 0);
        assert_eq!(stage.calls_for(model, &["a", "b", "a"], two).await, 1);
    }
}

/// Another gateway that falls back for one caller answers that one by another model.
#[tokio::test(start_paused = true)]
async fn law_13_one_callers_version_costs_another_nothing() {
    let stage = Stage::new(1);
    let [_, one, two, _] = VERSIONS;
    let [first, second] = ["first", "second"].map(CacheScope::of_caller);
    stage.next_versions(&[one, two]);
    let ask = async |caller: CacheScope, passages: &[&str]| {
        stage.ask_as(caller, "default", passages, CacheControl::default()).await.unwrap();
        stage.upstreams.calls.load(Ordering::Relaxed)
    };
    assert_eq!(ask(first, &["a", "b"]).await, 1);
    assert_eq!(ask(second, &["a"]).await, 2);
    assert_eq!(ask(first, &["b", "a"]).await, 2, "its scores are known");
    assert_eq!(ask(second, &["a"]).await, 2);
}

/// A refused passage has no score, so no version either.
#[tokio::test(start_paused = true)]
async fn law_13_a_passage_over_the_limit_does_not_make_the_first_version_another_one() {
    let stage = Stage::new(1);
    let [_, one, ..] = VERSIONS;
    stage.next_versions(&[one]);
    let long = "long ".repeat(30);
    stage.ask("limited", &["a", &long, "b"], CacheControl::default()).await.unwrap();
    assert_eq!(stage.upstreams.calls.load(Ordering::Relaxed), 1);
}

/// An upstream that runs two versions at a time: one call always gives an answer of one of them. Of several calls the
/// request is planned anew once, and then it is an error, never a mixture.
#[tokio::test(start_paused = true)]
async fn law_2_two_versions_at_a_time_give_an_answer_of_one_or_an_error() {
    let [_, one, two, _] = VERSIONS;
    let in_turn: Vec<_> = [one, two].into_iter().cycle().take(200).collect();
    let stage = Stage::new(1);
    stage.next_versions(&in_turn);
    for passages in [&["a"][..], &["a", "b"], &["a", "b", "c"], &["c", "d", "a"]] {
        let response = stage.ask("default", passages, CacheControl::default()).await.unwrap();
        assert!([one, two].iter().any(|version| is_of(&response, passages, *version)));
    }
    let no_store = CacheControl { store: false, ..CacheControl::default() };
    let error = stage.ask("split", &["a", "b", "c", "d"], no_store).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::UpstreamInvalidReply);
    assert!(error.message.starts_with("split scored by two versions of its model"), "{}", error.message);
}

/// The log as it is written.
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_version_is_logged_once_and_never_quotes_a_request() {
    let lines = Arc::new(Mutex::new(Vec::<u8>::new()));
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || Lines(writer.clone())).finish();
    let _guard = set_default(subscriber);
    let [_, one, two, _] = VERSIONS;
    let stage = Stage::new(1);
    for version in [one, one, two, two] {
        stage.next_versions(&[version]);
        let passage = format!("passage {}", stage.upstreams.calls.load(Ordering::Relaxed));
        stage.ask("default", &[&passage], CacheControl::default()).await.unwrap();
    }
    stage.next_versions(&[Some("secretpassage")]);
    stage.ask("default", &["my secretpassage"], CacheControl::default()).await.unwrap();
    let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    let changes: Vec<&str> = text.lines().filter(|line| line.contains("model_version_changed")).collect();
    assert_eq!(changes.len(), 2, "{text}");
    for part in ["upstream=\"one\"", "model=\"rerank-v3.5\"", "old=\"2026-09-01\"", "new=\"2026-10-30\""] {
        assert!(changes[0].contains(part), "{part}: {text}");
    }
    assert!(changes[1].contains("old=\"2026-10-30\"") && !text.contains("secretpassage"), "{text}");
}

/// Law 2 over random overlapping traffic: however versions change, and whatever is cached, shared, hedged, refreshed or
/// expired, every answer is of one version of the model.
#[tokio::test(start_paused = true)]
async fn law_2_every_answer_is_of_one_version_however_they_change() {
    let mut answers = 0;
    let mut failures = 0;
    let mut shared = 0;
    for seed in 0..SEEDS {
        let stage = Stage::new(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut requests = Vec::new();
        for _ in 0..REQUESTS {
            let model = ["default", "split", "hedged", "of_list"][random.usize(0..4)];
            let passages: Vec<String> =
                (0..random.usize(1..7)).map(|_| format!("passage {}", random.usize(0..9))).collect();
            let control =
                CacheControl { read: random.usize(0..8) > 0, store: random.usize(0..8) > 0, only_if_cached: false };
            requests.push((random.u64(0..60_000), model, passages, control));
        }
        let mut changes = Vec::new();
        for _ in 0..random.usize(0..40) {
            changes.push((random.u64(0..60_000), VERSIONS[random.usize(0..VERSIONS.len())]));
        }
        let version_changes = join_all(changes.into_iter().map(async |(at, version)| {
            sleep(Duration::from_millis(at)).await;
            stage.next_versions(&[version]);
        }));
        let traffic = join_all(requests.iter().map(async |(at, model, passages, control)| {
            sleep(Duration::from_millis(*at)).await;
            let passages: Vec<&str> = passages.iter().map(String::as_str).collect();
            (passages.clone(), stage.ask(model, &passages, *control).await)
        }));
        let (_, outcomes) = tokio::join!(version_changes, traffic);
        for (passages, outcome) in outcomes {
            match outcome {
                Ok(response) => {
                    answers += 1;
                    shared += response.provenance.pairs.hit + response.provenance.pairs.coalesced;
                    let of_one = VERSIONS.iter().any(|version| is_of(&response, &passages, *version));
                    assert!(of_one, "seed {seed}: {:?}", response.ranking);
                }
                Err(error) => {
                    assert_eq!(error.kind, ErrorKind::UpstreamInvalidReply, "{}", error.message);
                    failures += 1;
                }
            }
        }
    }
    assert!(answers > 2_000 && shared > 1_000 && failures < answers / 50, "{answers}, {shared}, {failures}");
}
