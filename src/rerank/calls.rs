//! Calls: some of the passages of a flight, encoded for one target and sent through its stack.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use tokio::time::Instant;

use super::batch::{CallLimits, cut, estimate_tokens};
use super::offload::{OFFLOAD_WIRE_BYTES, offload};
use super::request::RerankRequest;
use crate::error::{Error, ErrorKind};
use crate::provider::{InstructionSupport, ScoreBatch, Scoring};
use crate::route::Target;
use crate::upstream::call::{AttemptCounter, Call, Interest, Scores};
use crate::upstream::oversize::Oversize;
use crate::upstream::{Backend, Remote, Upstream, UpstreamError};

/// Everything in one call.
pub(super) const WHOLE: CallLimits = CallLimits { passages: usize::MAX, tokens: None, bytes: None };

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
    /// What there was too much of in the call that this one is a half of.
    pub(super) half_of: Option<Oversize>,
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
                remote.score(Call { body, passages, tokens, interest, attempt: 1, failure: None, attempts }).await
            }
            Backend::Local(_) => Err(UpstreamError::lasting(ErrorKind::Internal, "is not asked over HTTP")),
        }
    }

    /// The one call that asks `target` for all of `places`; `None` if it would take several.
    pub(super) async fn encode_whole(&self, target: &Arc<Target>, places: &[u32]) -> Option<Batch> {
        let Backend::Remote(remote) = &target.upstream.backend else { return None };
        let batches = self.encode(target, places.to_vec(), limits(target, remote)).await;
        let [batch] = <[Batch; 1]>::try_from(batches).ok()?;
        Some(batch)
    }

    /// The calls that ask `target` for `places`.
    pub(super) async fn encode(&self, target: &Arc<Target>, places: Vec<u32>, limits: CallLimits) -> Vec<Batch> {
        let Backend::Remote(remote) = &target.upstream.backend else { return Vec::new() };
        let (provider, counts_tokens) = (remote.provider, remote.counts_tokens);
        let (calls, target) = (self.clone(), target.clone());
        let bytes = self.text_bytes(&places);
        offload(bytes, OFFLOAD_WIRE_BYTES, move || {
            let query = instructed_query(&calls.request, target.facts.instruction);
            let text = |place: &u32| &*calls.texts[*place as usize];
            let ranges = cut(&query, places.iter().map(text), limits);
            let batch = |range: Range<usize>| {
                let places = places[range].to_vec();
                let passages: Vec<_> = places.iter().map(text).collect();
                let tokens = if counts_tokens { count_tokens(&query, &passages) } else { 0 };
                let options = &calls.request.options;
                let body = provider.encode(&ScoreBatch { model: &target.model, query: &query, passages, options });
                Batch { places, body: body.into(), tokens, half_of: None }
            };
            ranges.into_iter().map(batch).collect()
        })
        .await
    }

    /// An upstream's failure as a client may read it. Looks for quotations in all the texts, so for large requests it does so elsewhere.
    pub(super) async fn describe(&self, upstream: &Arc<Upstream>, error: UpstreamError) -> Error {
        let (upstream, calls) = (upstream.clone(), self.clone());
        offload(self.request.text_bytes(), OFFLOAD_WIRE_BYTES, move || {
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

/// What one call may hold: what the registry says, and what refusals taught.
pub(super) fn limits(target: &Target, remote: &Remote) -> CallLimits {
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
