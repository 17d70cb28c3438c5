//! The unknown passages of a plan, scored by one target.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use super::batch::{CallLimits, cut};
use super::offload::{OFFLOAD_LOCAL_BYTES, OFFLOAD_WIRE_BYTES, offload};
use super::plan::Plan;
use super::request::RerankRequest;
use super::response::Usage;
use crate::cache::ScoreCache;
use crate::error::{Error, ErrorKind};
use crate::local::LocalModel;
use crate::provider::{InstructionSupport, ScoreBatch, Scoring};
use crate::route::Target;
use crate::telemetry::metrics::Metrics;
use crate::upstream::call::{AttemptCounter, Call, Patience};
use crate::upstream::{Backend, Remote, Upstream, UpstreamError};

/// What scoring may use up.
#[derive(Clone, Debug)]
pub(super) struct Means<'a> {
    pub(super) deadline: Instant,
    pub(super) patience: Patience,
    pub(super) attempts: AttemptCounter,
    /// Where new scores go; `None` if they must not be kept.
    pub(super) cache: Option<&'a ScoreCache>,
    pub(super) metrics: &'a Metrics,
}

/// Scores what `plan` does not know, at `target`, and adds to `usage` what that was charged.
///
/// # Errors
/// The first call that failed for good. What other calls brought by then is in the cache.
pub(super) async fn score(
    target: &Target,
    request: &Arc<RerankRequest>,
    plan: &mut Plan,
    means: &Means<'_>,
    usage: &mut Usage,
) -> Result<(), Error> {
    match &target.upstream.backend {
        Backend::Local => {
            score_locally(target, request, plan, means.cache).await;
            Ok(())
        }
        Backend::Remote(remote) => score_remotely(target, remote, request, plan, means, usage).await,
    }
}

async fn score_locally(target: &Target, request: &Arc<RerankRequest>, plan: &mut Plan, cache: Option<&ScoreCache>) {
    let Some(model) = LocalModel::by_name(&target.model) else { return };
    let slots = plan.unknown().to_vec();
    let positions = plan.unknown_positions();
    let request = request.clone();
    let scores = offload(request.text_bytes(), OFFLOAD_LOCAL_BYTES, move || {
        let passages: Vec<&str> = positions.iter().map(|position| &*request.passages[*position].text).collect();
        model.score(&request.query, &passages)
    });
    plan.learn(&slots, &scores.await, cache);
}

async fn score_remotely(
    target: &Target,
    remote: &Remote,
    request: &Arc<RerankRequest>,
    plan: &mut Plan,
    means: &Means<'_>,
    usage: &mut Usage,
) -> Result<(), Error> {
    let slots = plan.unknown().to_vec();
    let positions = plan.unknown_positions();
    check_listwise_size(target, remote, positions.len())?;
    let batches = encode(target, remote, request, positions).await;
    let mut calls: FuturesUnordered<_> = batches
        .into_iter()
        .map(|batch| async move {
            let call = Call {
                body: batch.body,
                passages: batch.range.len(),
                deadline: means.deadline,
                patience: means.patience,
                attempt: 1,
                attempts: means.attempts.clone(),
            };
            (batch.range, remote.score(call).await)
        })
        .collect();
    while let Some((range, result)) = calls.next().await {
        let scored = match result {
            Ok(scored) => scored,
            Err(error) => return Err(describe(&target.upstream, request, error).await),
        };
        let billed = Usage {
            tokens: scored.tokens,
            search_units: scored.search_units,
            cost_usd: target.facts.billing.cost(scored.tokens, scored.search_units),
        };
        means.metrics.charge(&target.upstream.name, billed);
        *usage = usage.plus(billed);
        plan.learn(&slots[range], &scored.scores, means.cache);
    }
    Ok(())
}

/// A list that a listwise model cannot take whole is refused: splitting it would change its scores.
fn check_listwise_size(target: &Target, remote: &Remote, passages: usize) -> Result<(), Error> {
    if target.facts.scoring == Scoring::Pointwise || passages <= remote.facts.max_passages {
        return Ok(());
    }
    let message = format!(
        "{} scores a list as a whole and takes at most {} documents at once, the request has {passages}; send fewer, or if the \
         model scores each document by itself declare it as pointwise under [providers.{}.models]",
        target.address(),
        remote.facts.max_passages,
        remote.provider.name(),
    );
    Err(Error::new(ErrorKind::TooManyDocuments, message))
}

/// One call's worth of passages.
struct Batch {
    /// Which of the unknown slots.
    range: Range<usize>,
    body: Bytes,
}

async fn encode(target: &Target, remote: &Remote, request: &Arc<RerankRequest>, positions: Vec<usize>) -> Vec<Batch> {
    let limits = match target.facts.scoring {
        Scoring::Pointwise => CallLimits {
            passages: remote.facts.max_passages,
            tokens: target.facts.max_call_tokens,
            bytes: remote.facts.max_call_bytes,
        },
        Scoring::Listwise => CallLimits { passages: usize::MAX, tokens: None, bytes: None },
    };
    let (provider, model, instruction) = (remote.provider, target.model.clone(), target.facts.instruction);
    let text_bytes = request.text_bytes();
    let request = request.clone();
    offload(text_bytes, OFFLOAD_WIRE_BYTES, move || {
        let query = instructed_query(&request, instruction);
        let text = |position: &usize| &*request.passages[*position].text;
        let ranges = cut(&query, positions.iter().map(text), limits);
        let batch = |range: Range<usize>| {
            let passages = positions[range.clone()].iter().map(text).collect();
            let batch = ScoreBatch { model: &model, query: &query, passages, options: &request.options };
            Batch { range, body: provider.encode(&batch).into() }
        };
        ranges.into_iter().map(batch).collect()
    })
    .await
}

/// The query as the model wants it.
fn instructed_query(request: &RerankRequest, support: InstructionSupport) -> Cow<'_, str> {
    match (&request.options.instruction, support) {
        (Some(instruction), InstructionSupport::Prepend) => format!("{instruction}\n{}", request.query).into(),
        _ => Cow::Borrowed(&request.query),
    }
}

/// An upstream's failure as a client may read it. Looks for quotations in all the texts, so for large requests it does so elsewhere.
async fn describe(upstream: &Arc<Upstream>, request: &Arc<RerankRequest>, error: UpstreamError) -> Error {
    let (upstream, owned) = (upstream.clone(), request.clone());
    offload(request.text_bytes(), OFFLOAD_WIRE_BYTES, move || {
        let passages = owned.passages.iter().map(|passage| &*passage.text);
        let texts = passages.chain([&*owned.query]).chain(owned.options.instruction.as_deref());
        let said = upstream.quotable(&error, &texts).map_or_else(String::new, |said| format!(": {said}"));
        let hint = match error.kind {
            ErrorKind::UpstreamUnauthorized => format!(" (check upstreams.{}.api_key)", upstream.name),
            _ => String::new(),
        };
        let message = format!("{} {}{hint}{said}", upstream.name, error.what);
        Error { retry_after: error.retry_after, ..Error::new(error.kind, message) }
    })
    .await
}
