//! Calls of a flight: some of its passages, encoded for one target and sent through the target's stack.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::time::Instant;

use super::batch::{CallLimits, cut};
use super::batch_planner::FlightSizes;
use super::declared_limits::declared_limits;
use super::free_refresh::FreePair;
use super::pieces::Pieces;
use crate::blocking::offload::{OFFLOAD_SEARCH_BYTES, OFFLOAD_WIRE_BYTES, offload};
use crate::cache::key::CacheScope;
use crate::error::{Error, ErrorKind};
use crate::provider::{InstructionSupport, PassageText, ScoreBatch};
use crate::route::{StackTarget, Target};
use crate::types::index::{FlightIndex, IndexVec, PieceIndex};
use crate::types::request::RerankRequest;
use crate::upstream::UpstreamError;
use crate::upstream::call::{AttemptCounter, Call, Payload, Scores, Waiters};
use crate::upstream::size::{TextSize, estimate_tokens};
use crate::upstream::size_evidence::Expectation;

/// The texts of one flight, from which its calls are made. Clones are cheap.
#[derive(Clone, Debug)]
pub(super) struct FlightTexts {
    pub(super) request: Arc<RerankRequest>,
    /// The pieces of the request's passages.
    pub(super) pieces: Arc<Pieces>,
    /// The piece that is sent for each pair of the flight.
    pub(super) pieces_of_places: Arc<IndexVec<FlightIndex, PieceIndex>>,
    /// HTTP attempts made for the request that leads the flight; shared with its trace.
    pub(super) attempts: AttemptCounter,
}

/// A batch as it is sent, and the places of its passages in the flight.
#[derive(Debug)]
pub(super) struct EncodedBatch {
    pub(super) places: Vec<FlightIndex>,
    /// Number of passages, those of free pairs included, which follow the others.
    pub(super) passages: usize,
    pub(super) payload: Payload,
    /// Estimated tokens of all pairs; 0 unless the upstream counts tokens.
    pub(super) tokens: usize,
}

impl FlightTexts {
    /// Bytes of the passages at `places`.
    pub(super) fn text_bytes(&self, places: &[FlightIndex]) -> usize {
        places.iter().map(|place| self.text(*place).len()).sum()
    }

    /// The text of the passage at `place`.
    pub(super) fn text(&self, place: FlightIndex) -> &str {
        self.text_of_piece(self.pieces_of_places[place])
    }

    /// The text of one piece of the request's passages.
    pub(super) fn text_of_piece(&self, piece: PieceIndex) -> &str {
        self.pieces.text(&self.request.passages, piece)
    }

    /// Sends one batch to one target.
    pub(super) async fn send(
        &self,
        target: &StackTarget,
        batch: &EncodedBatch,
        waiters: &Arc<Waiters>,
    ) -> Result<Scores, UpstreamError> {
        let call = Call {
            payload: batch.payload.clone(),
            url: target.url.clone(),
            passages: batch.passages,
            scale: target.facts.scale,
            tokens: batch.tokens,
            waiters: waiters.clone(),
            attempt: 1, // the stack's retries count up from here
            failure: None,
            attempts: self.attempts.clone(),
        };
        target.stack().score(call).await
    }

    /// The one call that asks `target` for all of `places`; `None` if several would be needed, by its declared limits
    /// or by those that it taught `caller`.
    pub(super) async fn encode_whole(
        &self,
        target: &StackTarget,
        places: &[FlightIndex],
        caller: CacheScope,
    ) -> Option<EncodedBatch> {
        if self.cut(target, places.to_vec(), declared_limits(target)).await.len() > 1
            || self.has_over_limit(target, places).await
        {
            return None;
        }
        let learned = target.stack().learned_limits.of(&target.model, caller, Instant::now());
        // Measuring reads every text, which is wasted while no limit is known.
        if !learned.is_empty() {
            let size = self.measure(target).await.call(places);
            if learned.expect(&size) == Expectation::Refused {
                return None;
            }
        }
        Some(self.encode(target, places.to_vec(), &[]).await)
    }

    /// `places` in one list for each call to `target`, by the declared limits alone.
    pub(super) async fn cut(
        &self,
        target: &Target,
        places: Vec<FlightIndex>,
        limits: CallLimits,
    ) -> Vec<Vec<FlightIndex>> {
        // Without a limit for which texts are read, even a large flight is cut right here.
        let bytes = if limits.read_texts() { self.text_bytes(&places) } else { 0 };
        let flight = self.clone();
        let instruction = target.facts.instruction;
        offload(bytes, OFFLOAD_WIRE_BYTES, move || {
            let query = instructed_query(&flight.request, instruction);
            let texts = places.iter().map(|place| flight.text(*place));
            let ranges = cut(&query, texts, limits);
            let mut places_of_calls = Vec::with_capacity(ranges.len());
            for range in ranges {
                places_of_calls.push(places[range].to_vec());
            }
            places_of_calls
        })
        .await
    }

    /// Sizes of the query, with the instruction that `target` gets in it, and of all passages of the flight.
    pub(super) async fn measure(&self, target: &Target) -> FlightSizes {
        let bytes = self.request.text_bytes();
        let flight = self.clone();
        let instruction = target.facts.instruction;
        offload(bytes, OFFLOAD_WIRE_BYTES, move || FlightSizes {
            query: TextSize::of(&instructed_query(&flight.request, instruction)),
            passages: flight
                .pieces_of_places
                .indices()
                .map(|place| TextSize::of(flight.text(place)))
                .collect::<Vec<_>>()
                .into(),
        })
        .await
    }

    /// The call that asks `target` for `places`, and for the `free` pairs behind them.
    pub(super) async fn encode(
        &self,
        target: &StackTarget,
        places: Vec<FlightIndex>,
        free: &[FreePair],
    ) -> EncodedBatch {
        let bytes = self.text_bytes(&places);
        let mut pieces: Vec<_> = places.iter().map(|place| self.pieces_of_places[*place]).collect();
        pieces.extend(free.iter().map(|pair| pair.piece));
        let flight = self.clone();
        let target = target.clone();
        offload(bytes, OFFLOAD_WIRE_BYTES, move || {
            let stack = target.stack();
            let query = instructed_query(&flight.request, target.facts.instruction);
            let texts = &flight.request.passages;
            let passages: Vec<_> = pieces.iter().map(|piece| flight.pieces.passage_text(texts, *piece)).collect();
            let tokens = if stack.counts_tokens { count_tokens(&query, &passages) } else { 0 };
            let options = &flight.request.options;
            let instruction = match target.facts.instruction {
                InstructionSupport::Field => options.instruction.as_deref(),
                InstructionSupport::None | InstructionSupport::Prepend => None,
            };
            let batch = ScoreBatch { model: &target.model, query: &query, instruction, passages, options };
            let payload = stack.format.encode(&batch);
            EncodedBatch { places, passages: pieces.len(), payload, tokens }
        })
        .await
    }

    /// An upstream's failure as a client may read it: without quotations of the request. The search for them reads all
    /// texts, so that of a large request runs on a blocking thread.
    pub(super) async fn describe(&self, target: &StackTarget, error: UpstreamError) -> Error {
        let target = target.clone();
        let flight = self.clone();
        offload(self.request.text_bytes(), OFFLOAD_SEARCH_BYTES, move || {
            let passages = flight.request.passages.iter().map(|passage| passage.text);
            let texts = passages.chain([&*flight.request.query]).chain(flight.request.options.instruction.as_deref());
            let upstream = &target.upstream;
            let detail = match upstream.quotable(&error, &texts) {
                Some(detail) => format!(": {detail}"),
                None => String::new(),
            };
            let hint = match (error.kind, upstream.key_setting()) {
                (ErrorKind::UpstreamUnauthorized, Some(setting)) => {
                    format!(" (check upstreams.{}.{setting})", upstream.name)
                }
                (ErrorKind::UpstreamModelRetired, _) => format!(" ({})", target.retirement_advice()),
                _ => String::new(),
            };
            let public = error.of_upstream(&upstream.name);
            Error { message: format!("{}{hint}{detail}", public.message), ..public }
        })
        .await
    }
}

/// Estimated tokens of all pairs, the query counted once a passage as in [`CallLimits::tokens`].
fn count_tokens(query: &str, passages: &[PassageText<'_>]) -> usize {
    let mut tokens = passages.len() * estimate_tokens(query);
    for passage in passages {
        tokens += estimate_tokens(passage.text);
    }
    tokens
}

/// The query, after the instruction if the model takes that as a part of the query.
pub(super) fn instructed_query(request: &RerankRequest, support: InstructionSupport) -> Cow<'_, str> {
    match (&request.options.instruction, support) {
        (Some(instruction), InstructionSupport::Prepend) => format!("{instruction}\n{}", request.query).into(),
        _ => Cow::Borrowed(&request.query),
    }
}
