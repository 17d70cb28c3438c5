//! The part of a request that asks the upstream, for everybody who waits: a task that fills one flight.
//!
//! ```text
//!  led pairs ─▶ encode, cut into calls ─▶ upstream stack ─┬─▶ scores ─▶ cache ─▶ land
//!                     ▲                                   ├─▶ too large ─▶ halves ─┐
//!                     └───────────────────────────────────┼────────────────────────┘
//!                                                         ├─▶ too large, one passage ─▶ refuse
//!                                                         └─▶ failed for good ─▶ fail
//! ```

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use super::batch::{CallLimits, cut, estimate_tokens};
use super::hedge::Hedge;
use super::offload::{OFFLOAD_WIRE_BYTES, offload};
use super::request::RerankRequest;
use super::response::Usage;
use crate::cache::ScoreCache;
use crate::cache::age::Age;
use crate::coalesce::Lead;
use crate::error::{Error, ErrorKind};
use crate::provider::{InstructionSupport, ScoreBatch, Scoring};
use crate::route::Target;
use crate::telemetry::metrics::Metrics;
use crate::upstream::call::{AttemptCounter, Call, Interest, Scores};
use crate::upstream::oversize::Oversize;
use crate::upstream::{Backend, Remote, Upstream, UpstreamError};

/// Calls refused for size that one flight may cost before it is given up, beside those that halving to a single passage needs: when
/// everything is refused the passages are not to blame.
const MOST_REFUSALS: usize = 8;

/// What it takes to fill a flight.
#[derive(Clone, Debug)]
pub(super) struct Fill {
    pub(super) target: Arc<Target>,
    /// Other targets of the same scores, if slow calls may be sent to them too.
    pub(super) twins: Vec<Arc<Target>>,
    pub(super) hedge: Option<Hedge>,
    pub(super) request: Arc<RerankRequest>,
    /// The passages of the led pairs, as they are sent.
    pub(super) texts: Vec<ByteString>,
    pub(super) cache: ScoreCache,
    pub(super) metrics: Arc<Metrics>,
    /// Attempts made for the request that leads.
    pub(super) attempts: AttemptCounter,
}

/// One call, and the places of its passages in the flight.
pub(super) struct Batch {
    pub(super) places: Vec<u32>,
    pub(super) body: Bytes,
    /// Counted only where somebody wants to know.
    tokens: usize,
    /// What there was too much of in the call that this one is a half of.
    half_of: Option<Oversize>,
}

/// What was learnt about the size of calls, if it was: the largest half of a refused call that was accepted, and whether single passages were
/// to blame for the refusals instead.
#[derive(Default)]
struct Lesson {
    accepted: Option<(Oversize, usize, usize)>,
    poison: bool,
}

/// What came of a batch: nobody waits for it any more, or who answered and what.
type Outcome = Option<(Arc<Target>, Result<Scores, UpstreamError>)>;

const WHOLE: CallLimits = CallLimits { passages: usize::MAX, tokens: None, bytes: None };

impl Fill {
    /// Fills the flight of `lead`.
    pub(super) async fn run(self, lead: Lead, reads_cache: bool) {
        let fill = Arc::new(self);
        if reads_cache {
            fill.land_known(&lead);
        }
        let places = lead.pending();
        let Backend::Remote(remote) = &fill.target.upstream.backend else { return };
        let mut most_refusals = MOST_REFUSALS + 2 * places.len().next_power_of_two().ilog2() as usize;
        let mut lesson = Lesson::default();
        let batches = fill.encode(&fill.target, places, limits(&fill.target, remote)).await;
        let (mut waiting, mut calls) = (VecDeque::from(batches), FuturesUnordered::new());
        loop {
            // One large request must not fill the upstream's queue, and be turned away by it: it takes a share of the places at a time.
            while calls.len() < remote.places().max(1) {
                let Some(batch) = waiting.pop_front() else { break };
                calls.push(fill.call(&lead, batch));
            }
            let Some((batch, outcome)) = calls.next().await else { break };
            let places = &batch.places;
            match outcome {
                None => {}
                Some((target, Ok(scores))) => {
                    if batch.half_of.is_some() {
                        // As long as parts are accepted it is single passages that are too large.
                        most_refusals += 2;
                    }
                    lesson.accepted(batch.half_of, places.len(), fill.text_bytes(places));
                    fill.land(&lead, &target, places, &scores);
                }
                Some((target, Err(error))) if error.oversize.is_some() && fill.may_split() && most_refusals > 0 => {
                    most_refusals -= 1;
                    if places.len() == 1 {
                        lesson.poison = true;
                        lead.refuse(places, fill.describe(&target.upstream, error).await);
                        continue;
                    }
                    let (left, right) = places.split_at(places.len() / 2);
                    for half in [right, left] {
                        for half in fill.encode(&fill.target, half.to_vec(), WHOLE).await {
                            waiting.push_front(Batch { half_of: error.oversize, ..half });
                        }
                    }
                }
                Some((target, Err(error))) => lead.fail(places, fill.describe(&target.upstream, error).await),
            }
        }
        lesson.draw(remote);
    }

    fn text_bytes(&self, places: &[u32]) -> usize {
        places.iter().map(|place| self.texts[*place as usize].len()).sum()
    }

    /// Between the request's look into the cache and its claim another flight may have landed.
    fn land_known(&self, lead: &Lead) {
        let found = self.cache.get_many(lead.query(), lead.keys());
        let usable = |(place, found): (u32, &Option<crate::cache::age::Found>)| {
            let found = found.filter(|found| found.age == Age::Fresh)?;
            Some((place, found.score))
        };
        let known: Vec<_> = (0..).zip(&found).filter_map(usable).collect();
        // Half a list is of no use to a listwise model.
        if !known.is_empty() && (self.may_split() || known.len() == found.len()) {
            lead.land_known(&known);
        }
    }

    fn may_split(&self) -> bool {
        self.target.facts.scoring == Scoring::Pointwise
    }

    /// Makes one call, unless nobody waits for it.
    async fn call(self: &Arc<Self>, lead: &Lead, batch: Batch) -> (Batch, Outcome) {
        let interest = lead.interest();
        let scored = async {
            let first = self.send(&self.target, &batch, interest);
            match &self.hedge {
                Some(hedge) if !self.twins.is_empty() => hedge.race(self, first, &batch, interest).await,
                _ => (self.target.clone(), first.await),
            }
        };
        let outcome = tokio::select! {
            biased;
            () = lead.forsaken(&batch.places) => None,
            scored = scored => Some(scored),
        };
        (batch, outcome)
    }

    /// Sends one batch to one target.
    pub(super) async fn send(
        &self,
        target: &Target,
        batch: &Batch,
        interest: &Arc<Interest>,
    ) -> Result<Scores, UpstreamError> {
        let (body, passages, tokens) = (batch.body.clone(), batch.places.len(), batch.tokens);
        let (interest, attempts) = (interest.clone(), self.attempts.clone());
        match &target.upstream.backend {
            Backend::Remote(remote) => {
                remote.score(Call { body, passages, tokens, interest, attempt: 1, attempts }).await
            }
            Backend::Local => Err(UpstreamError::lasting(ErrorKind::Internal, "is not asked over HTTP")),
        }
    }

    /// The one call that asks `target` for all of `places`; `None` if it would take several.
    pub(super) async fn encode_whole(self: &Arc<Self>, target: &Arc<Target>, places: &[u32]) -> Option<Batch> {
        let Backend::Remote(remote) = &target.upstream.backend else { return None };
        let batches = self.encode(target, places.to_vec(), limits(target, remote)).await;
        let [batch] = <[Batch; 1]>::try_from(batches).ok()?;
        Some(batch)
    }

    /// The calls that ask `target` for `places`.
    async fn encode(self: &Arc<Self>, target: &Arc<Target>, places: Vec<u32>, limits: CallLimits) -> Vec<Batch> {
        let Backend::Remote(remote) = &target.upstream.backend else { return Vec::new() };
        let (provider, counts_tokens) = (remote.provider, remote.counts_tokens);
        let (fill, target) = (self.clone(), target.clone());
        let bytes = self.text_bytes(&places);
        offload(bytes, OFFLOAD_WIRE_BYTES, move || {
            let query = instructed_query(&fill.request, target.facts.instruction);
            let text = |place: &u32| &*fill.texts[*place as usize];
            let ranges = cut(&query, places.iter().map(text), limits);
            let batch = |range: Range<usize>| {
                let places = places[range].to_vec();
                let passages: Vec<_> = places.iter().map(text).collect();
                let tokens = if counts_tokens { count_tokens(&query, &passages) } else { 0 };
                let options = &fill.request.options;
                let body = provider.encode(&ScoreBatch { model: &target.model, query: &query, passages, options });
                Batch { places, body: body.into(), tokens, half_of: None }
            };
            ranges.into_iter().map(batch).collect()
        })
        .await
    }

    /// Remembers scores, says what they cost, and hands them out, in this order.
    fn land(&self, lead: &Lead, target: &Target, places: &[u32], scores: &Scores) {
        let billed = Usage {
            tokens: scores.tokens,
            search_units: scores.search_units,
            cost_usd: target.facts.billing.cost(scores.tokens, scores.search_units),
        };
        self.metrics.charge(&target.upstream.name, billed);
        lead.charge(billed);
        if lead.interest().may_store() {
            let key = |place: &u32| lead.keys()[*place as usize];
            let known: Vec<_> = places.iter().map(key).zip(scores.scores.iter().copied()).collect();
            self.cache.put_many(lead.query(), &known);
        }
        lead.land(places, &scores.scores);
    }

    /// An upstream's failure as a client may read it. Looks for quotations in all the texts, so for large requests it does so elsewhere.
    async fn describe(self: &Arc<Self>, upstream: &Arc<Upstream>, error: UpstreamError) -> Error {
        let (upstream, fill) = (upstream.clone(), self.clone());
        offload(self.request.text_bytes(), OFFLOAD_WIRE_BYTES, move || {
            let passages = fill.request.passages.iter().map(|passage| &*passage.text);
            let texts = passages.chain([&*fill.request.query]).chain(fill.request.options.instruction.as_deref());
            let said = upstream.quotable(&error, &texts).map_or_else(String::new, |said| format!(": {said}"));
            let hint = match error.kind {
                ErrorKind::UpstreamUnauthorized => format!(" (check upstreams.{}.api_key)", upstream.name),
                _ => String::new(),
            };
            let told = error.of_upstream(&upstream.name);
            Error { message: format!("{}{hint}{said}", told.message), ..told }
        })
        .await
    }
}

impl Lesson {
    fn accepted(&mut self, half_of: Option<Oversize>, passages: usize, bytes: usize) {
        if let Some(oversize) = half_of {
            let (_, most, most_bytes) = self.accepted.unwrap_or((oversize, 0, 0));
            self.accepted = Some((oversize, passages.max(most), bytes.max(most_bytes)));
        }
    }

    /// One passage that is too long by itself says nothing about how much of others can be sent.
    fn draw(self, remote: &Remote) {
        if let Some((oversize, passages, bytes)) = self.accepted.filter(|_| !self.poison) {
            remote.learnt.learn(oversize, passages, bytes, Instant::now());
        }
    }
}

/// What one call may hold: what the registry says, and what refusals taught.
fn limits(target: &Target, remote: &Remote) -> CallLimits {
    let now = Instant::now();
    match target.facts.scoring {
        Scoring::Pointwise => CallLimits {
            passages: remote.learnt.passages(now).unwrap_or(usize::MAX).min(remote.facts.max_passages),
            tokens: target.facts.max_call_tokens,
            bytes: remote.learnt.bytes(now).into_iter().chain(remote.facts.max_call_bytes).min(),
        },
        Scoring::Listwise => WHOLE,
    }
}

/// As [`CallLimits::tokens`] counts them.
fn count_tokens(query: &str, passages: &[&str]) -> usize {
    passages.len() * estimate_tokens(query) + passages.iter().map(|passage| estimate_tokens(passage)).sum::<usize>()
}

/// The query as the model wants it.
fn instructed_query(request: &RerankRequest, support: InstructionSupport) -> Cow<'_, str> {
    match (&request.options.instruction, support) {
        (Some(instruction), InstructionSupport::Prepend) => format!("{instruction}\n{}", request.query).into(),
        _ => Cow::Borrowed(&request.query),
    }
}
