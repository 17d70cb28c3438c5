//! Request and reply of an upstream's stack: one encoded batch, and its scores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use faststr::FastStr;
use url::Url;

use super::error::UpstreamError;
use crate::provider::{Billing, ScoreBatch, ScoreScale, Wire};
use crate::types::response::Usage;

pub use super::waiters::{RetryMode, Waiter, Waiters};

/// One encoded batch to be scored. Cheap to clone: a retry sends the same bytes.
#[derive(Clone, Debug)]
pub struct Call {
    /// The query and the passages, in the upstream's format.
    pub payload: Payload,
    /// Address, if the model has one of its own; `None` for the upstream's.
    pub url: Option<Arc<Url>>,
    /// Number of passages.
    pub passages: usize,
    /// Scale that the scores must be on.
    pub scale: ScoreScale,
    /// Tokens of all pairs, estimated high; 0 if the upstream's tokens are not limited.
    pub tokens: usize,
    /// The waiters of the call.
    pub waiters: Arc<Waiters>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Failure of the attempt before this one, with the keys that were refused so far; `None` in the first.
    pub failure: Option<UpstreamError>,
    /// Attempts made for the whole request, over all its calls.
    pub attempts: AttemptCounter,
}

/// The format in which an upstream takes its calls.
#[derive(Clone, Debug)]
pub enum CallFormat {
    /// The request body of a provider.
    Body(Arc<Wire>),
    /// Plain texts, for a scorer in this process.
    Pairs,
}

/// The query and the passages of a call. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Payload {
    /// The request body of a provider.
    Body(Bytes),
    /// Plain texts, for a scorer in this process.
    Pairs(Arc<Pairs>),
}

/// The texts of a call to a scorer in this process.
#[derive(Debug)]
pub struct Pairs {
    /// The search text.
    pub query: String,
    /// The passages, in the order in which their scores are expected.
    pub passages: Vec<FastStr>,
}

impl CallFormat {
    /// `batch` in this format.
    #[must_use]
    pub fn encode(&self, batch: &ScoreBatch<'_>) -> Payload {
        match self {
            Self::Body(wire) => Payload::Body(wire.encode(batch).into()),
            Self::Pairs => {
                let passages = batch.passages.iter().map(|passage| FastStr::new(passage.text)).collect();
                Payload::Pairs(Arc::new(Pairs { query: batch.query.to_owned(), passages }))
            }
        }
    }

    /// The provider's name; `local` for a scorer in this process.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Body(wire) => wire.name(),
            Self::Pairs => crate::embedded::NAME,
        }
    }

    /// The table of the configuration with the facts about its models.
    #[must_use]
    pub fn setting(&self) -> String {
        match self {
            Self::Body(wire) => wire.setting(),
            Self::Pairs => crate::embedded::NAME.to_owned(),
        }
    }

    /// Returns true if the upstream can limit the tokens of a passage.
    #[must_use]
    pub fn limits_passage_tokens(&self) -> bool {
        match self {
            Self::Body(wire) => wire.limits_passage_tokens(),
            Self::Pairs => false,
        }
    }
}

impl Payload {
    /// Size in bytes. Latencies are compared among calls of about the same size.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Body(body) => body.len(),
            Self::Pairs(pairs) => pairs.query.len() + pairs.passages.iter().map(FastStr::len).sum::<usize>(),
        }
    }
}

/// Count of attempts over all calls of one request. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct AttemptCounter(Arc<AtomicU32>);

impl AttemptCounter {
    /// Counts one more attempt.
    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Attempts made so far.
    #[must_use]
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The scores of one call, checked: as many as passages, in their order, finite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// Scores in the order of the passages.
    pub scores: Vec<f64>,
    /// Tokens read, if reported.
    pub tokens: Option<u64>,
    /// Search units billed, if reported.
    pub search_units: Option<u64>,
    /// US dollars that the upstream says it charged; `None` if it did not say.
    pub cost_usd: Option<f64>,
    /// Version of the model that scored, if reported; at most 128 bytes.
    pub model_version: Option<String>,
}

impl Scores {
    /// The charge for the call: what the upstream itself says, else the list price of `billing`.
    #[must_use]
    pub fn usage(&self, billing: Billing) -> Usage {
        let Self { tokens, search_units, cost_usd, .. } = *self;
        let cost_usd = cost_usd.or_else(|| billing.cost(1, tokens, search_units));
        Usage { tokens, search_units, cost_usd }
    }
}
