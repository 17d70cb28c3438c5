//! A slow call and its hedge that fail in different ways.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rerankd_core::cache::control::CacheControl;
use rerankd_core::cache::key::CacheScope;
use rerankd_core::error::ErrorKind;
use rerankd_core::provider::KeyPlacement;
use rerankd_core::rerank::{RequestContext, Reranker};
use rerankd_core::types::passages::OwnedPassage;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::RerankResponse;
use rerankd_core::upstream::call::{Call, Scores};
use rerankd_core::upstream::key_ring::KeyRing;
use rerankd_core::upstream::size::MeasureSet;
use rerankd_core::upstream::size_refusal::SizeRefusal;
use rerankd_core::upstream::{Upstream, UpstreamError};
use tokio::time::{Instant, sleep};

use crate::assemble::assemble_with;
use crate::config::{Environment, Sources, load};

const CONFIG: &str = r"
[cache]
enabled = false
[upstreams.one]
provider = 'cohere'
base_url = 'http://one'
[upstreams.two]
provider = 'cohere'
base_url = 'http://two'
[models.default]
targets = [
  { upstream = 'one', model = 'rerank-v3.5', scores = 'main' },
  { upstream = 'two', model = 'rerank-v3.5', scores = 'main', weight = 0 },
]
[models.default.hedge]
enabled = true
after_quantile = 0.9
max_calls = 1.0
max_spend = 1.0
";
/// Calls after which the usual latency is known.
const ENOUGH: usize = 25;
/// Most passages of a call that both upstreams score.
const MAX_PASSAGES: usize = 2;

/// The upstream that refuses the size of a large call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refuser {
    /// The one that is asked first, late enough to be hedged; the hedge fails after it.
    First,
    /// The hedge; the first call fails after it.
    Hedge,
}

/// Scores small calls. Of a large one `refuser` refuses the size, and the other upstream fails later in another way.
async fn answer(refuser: Refuser, is_first: bool, call: Call) -> Result<Scores, UpstreamError> {
    if call.passages <= MAX_PASSAGES {
        sleep(Duration::from_millis(20)).await;
        return Ok(Scores { scores: vec![0.5; call.passages], ..Scores::default() });
    }
    if is_first == (refuser == Refuser::First) {
        sleep(Duration::from_millis(100)).await;
        let refusal = SizeRefusal { about: MeasureSet::PASSAGES, stated_passages: None, is_named: true };
        let error = UpstreamError::lasting(ErrorKind::UpstreamRejected, "answered with status 413");
        return Err(UpstreamError { size_refusal: Some(refusal), ..error });
    }
    sleep(Duration::from_millis(250)).await;
    Err(UpstreamError::lasting(ErrorKind::UpstreamUnauthorized, "answered with status 401"))
}

#[tokio::test(start_paused = true)]
async fn law_5_a_call_refused_for_its_size_is_split_although_its_hedge_fails() {
    large_call_is_split(Refuser::First).await;
}

#[tokio::test(start_paused = true)]
async fn law_5_a_call_whose_hedge_is_refused_for_its_size_is_split() {
    large_call_is_split(Refuser::Hedge).await;
}

async fn large_call_is_split(refuser: Refuser) {
    let reranker = assembled(CONFIG, move |is_first, call| answer(refuser, is_first, call));
    for count in [vec![1; ENOUGH], vec![4]].concat() {
        let response = ask(&reranker, "q", count).await;
        assert_eq!(response.provenance.pairs.scored, count);
        assert_eq!((response.provenance.fallbacks, response.provenance.degraded), (0, Vec::new()));
    }
}

/// The second upstream would refuse the query, so no call is spent on it.
#[tokio::test(start_paused = true)]
async fn a_call_over_a_declared_limit_of_the_second_upstream_is_not_hedged() {
    let config = CONFIG.replace("base_url = 'http://two'", "base_url = 'http://two'\nmax_query_characters = 1");
    let hedges = Arc::new(AtomicUsize::new(0));
    let counter = hedges.clone();
    let reranker = assembled(&config, move |is_first, call: Call| {
        counter.fetch_add(usize::from(!is_first), Ordering::Relaxed);
        async move {
            let milliseconds = if is_first && call.passages > MAX_PASSAGES { 200 } else { 20 };
            sleep(Duration::from_millis(milliseconds)).await;
            Ok(Scores { scores: vec![0.5; call.passages], ..Scores::default() })
        }
    });
    for count in [vec![1; ENOUGH], vec![4]].concat() {
        ask(&reranker, "q", count).await;
    }
    assert_eq!(hedges.load(Ordering::Relaxed), 1, "the slow call");
    ask(&reranker, "qq", 4).await;
    assert_eq!(hedges.load(Ordering::Relaxed), 1, "and not the one with the long query");
}

/// A pipeline of `config` before two upstreams that answer calls by `answer`, which is told if it is the first one.
fn assembled<F, A>(config: &str, answer: F) -> Reranker
where
    F: Fn(bool, Call) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Scores, UpstreamError>> + Send + 'static,
{
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config).unwrap();
    let sources = Sources { file: Some(file.path().to_owned()), environment: Environment::new(), listen: None };
    let settings = load(&sources).unwrap().settings;
    let reranker = assemble_with(&settings, |upstream, metrics| {
        let is_first = upstream.name == "one";
        let answer = answer.clone();
        let transport = tower::service_fn(move |call| Box::pin(answer(is_first, call)));
        let keys = Arc::new(KeyRing::new(&[], &KeyPlacement::bearer())?);
        Ok(Upstream::behind(transport, upstream.stack(), metrics, keys))
    });
    reranker.unwrap()
}

/// The answer to a request of `count` passages.
async fn ask(reranker: &Reranker, query: &'static str, count: usize) -> RerankResponse {
    let route = reranker.routes.resolve(None).unwrap();
    let passages = (0..count).map(|number| OwnedPassage { text: number.to_string().into(), object: None }).collect();
    let request = Arc::new(RerankRequest { query: query.into(), passages, ..RerankRequest::default() });
    let started = Instant::now();
    let deadline = started + Duration::from_secs(10);
    let control = CacheControl::default();
    let context = RequestContext { started, deadline, control, scope: CacheScope::SHARED };
    reranker.rerank(&route, &request, &context).await.unwrap()
}
