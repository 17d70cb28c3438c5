//! Calls: some of the passages of a flight, encoded for one target and sent through its stack.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use tokio::time::Instant;

use super::batch::{CallLimits, cut};
use super::batch_planner::FlightSizes;
use super::offload::{OFFLOAD_SEARCH_BYTES, OFFLOAD_WIRE_BYTES, offload};
use super::request::RerankRequest;
use crate::cache::key::CacheScope;
use crate::error::{Error, ErrorKind};
use crate::provider::{InstructionSupport, ScoreBatch, Scoring};
use crate::route::Target;
use crate::upstream::call::{AttemptCounter, Call, Interest, Scores};
use crate::upstream::size::{TextSize, estimate_tokens};
use crate::upstream::size_evidence::Expectation;
use crate::upstream::{Backend, Remote, Upstream, UpstreamError};

/// What calls are made of. Clones are cheap.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    pub(super) request: Arc<RerankRequest>,
    /// The passages of the flight's pairs, as they are sent.
    pub(super) texts: Arc<[ByteString]>,
    /// Attempts made for the request that leads.
    pub(super) attempts: AttemptCounter,
}

/// One call, and the places of its passages in the flight.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) places: Vec<u32>,
    pub(super) body: Bytes,
    /// Counted only where somebody wants to know.
    pub(super) tokens: usize,
}

impl Calls {
    /// Bytes of the passages at `places`.
    pub(super) fn text_bytes(&self, places: &[u32]) -> usize {
        places.iter().map(|place| self.texts[*place as usize].len()).sum()
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
                let scale = target.facts.scale;
                remote
                    .score(Call { body, passages, scale, tokens, interest, attempt: 1, failure: None, attempts })
                    .await
            }
            Backend::Local(_) => Err(UpstreamError::lasting(ErrorKind::Internal, "is not asked over HTTP")),
        }
    }

    /// The one call that asks `target` for all of `places`; `None` if it would take several.
    pub(super) async fn encode_whole(&self, target: &Arc<Target>, places: &[u32], caller: CacheScope) -> Option<Batch> {
        let Backend::Remote(remote) = &target.upstream.backend else { return None };
        if self.cut(target, places.to_vec(), declared_limits(target, remote)).await.len() > 1 {
            return None;
        }
        let learned = remote.learned_limits.of(&target.model, caller, Instant::now());
        if !learned.is_empty() && learned.expect(&self.measure(target).await.call(places)) == Expectation::Refused {
            return None;
        }
        self.encode(target, places.to_vec()).await
    }

    /// Places of the calls that ask `target` for `places`, as far as limits are declared.
    pub(super) async fn cut(&self, target: &Target, places: Vec<u32>, limits: CallLimits) -> Vec<Vec<u32>> {
        let bytes = if limits.tokens.is_some() { self.text_bytes(&places) } else { 0 };
        let calls = self.clone();
        let instruction = target.facts.instruction;
        offload(bytes, OFFLOAD_WIRE_BYTES, move || {
            let query = instructed_query(&calls.request, instruction);
            let texts = places.iter().map(|place| &*calls.texts[*place as usize]);
            let ranges = cut(&query, texts, limits);
            ranges.into_iter().map(|range| places[range].to_vec()).collect()
        })
        .await
    }

    /// Sizes of the query as `target` gets it and of all passages of the flight.
    pub(super) async fn measure(&self, target: &Target) -> FlightSizes {
        let bytes = self.texts.iter().map(|text| text.len()).sum();
        let calls = self.clone();
        let instruction = target.facts.instruction;
        offload(bytes, OFFLOAD_WIRE_BYTES, move || FlightSizes {
            query: TextSize::of(&instructed_query(&calls.request, instruction)),
            passages: calls.texts.iter().map(|text| TextSize::of(text)).collect(),
        })
        .await
    }

    /// The call that asks `target` for `places`; `None` if the target is not asked by calls.
    pub(super) async fn encode(&self, target: &Arc<Target>, places: Vec<u32>) -> Option<Batch> {
        let Backend::Remote(remote) = &target.upstream.backend else { return None };
        let provider = remote.provider;
        let counts_tokens = remote.counts_tokens;
        let bytes = self.text_bytes(&places);
        let calls = self.clone();
        let target = target.clone();
        let encode = move || {
            let query = instructed_query(&calls.request, target.facts.instruction);
            let passages: Vec<_> = places.iter().map(|place| &*calls.texts[*place as usize]).collect();
            let tokens = if counts_tokens { count_tokens(&query, &passages) } else { 0 };
            let options = &calls.request.options;
            let body = provider.encode(&ScoreBatch { model: &target.model, query: &query, passages, options });
            Batch { places, body: body.into(), tokens }
        };
        Some(offload(bytes, OFFLOAD_WIRE_BYTES, encode).await)
    }

    /// An upstream's failure as a client may read it. Looks for quotations in all the texts, so for large requests it does so elsewhere.
    pub(super) async fn describe(&self, upstream: &Arc<Upstream>, error: UpstreamError) -> Error {
        let (upstream, calls) = (upstream.clone(), self.clone());
        offload(self.request.text_bytes(), OFFLOAD_SEARCH_BYTES, move || {
            let passages = calls.request.passages.iter().map(|passage| &*passage.text);
            let texts = passages.chain([&*calls.request.query]).chain(calls.request.options.instruction.as_deref());
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

/// Most of one call, as the registry and the configuration say it. A listwise model gets everything in one call.
pub(super) fn declared_limits(target: &Target, remote: &Remote) -> CallLimits {
    match target.facts.scoring {
        Scoring::Pointwise => CallLimits {
            passages: remote.facts.max_passages,
            tokens: target.facts.max_call_tokens,
            bytes: remote.facts.max_call_bytes,
        },
        Scoring::Listwise => CallLimits { passages: usize::MAX, tokens: None, bytes: None },
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
