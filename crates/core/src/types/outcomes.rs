//! Outcomes and reasons as closed sets. Each has one word, which answers, metrics and logs share.

use crate::error::ErrorKind;

/// The word for success.
const OK: &str = "ok";

/// The reason why an answer is less than what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DegradedReason {
    /// The scores are expired.
    StaleScores,
    /// Passages have no score because the provider refused them.
    PassagesRefused,
    /// The targets failed, the first of them in this way, and scores are missing.
    Failure(ErrorKind),
}

/// The outcome of a rerank request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// Reranked as asked.
    Ok,
    /// Answered, but with less than was asked for.
    Degraded,
    /// Answered with an error.
    Error(ErrorKind),
    /// The connection ended before the answer: the client left, stalled, or was cut off at shutdown.
    Abandoned,
}

/// The outcome of one target of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetOutcome {
    /// The target answered.
    Answered,
    /// The target was given up.
    Failed(ErrorKind),
}

/// The outcome of one HTTP attempt at an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The upstream returned scores.
    Scored,
    /// The attempt failed.
    Failed(ErrorKind),
    /// The attempt was dropped: the deadline passed, or the client disconnected.
    Cancelled,
}

/// The guard that forbade an attempt at an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShedReason {
    /// The circuit breaker is open, or the call has too little time to be a probe.
    CircuitOpen,
    /// The per-minute rate is used up.
    RateLimit,
    /// The queue for a permit is full.
    QueueFull,
}

/// The reason why a request of a shadow's sample is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowSkip {
    /// The day's budget is spent.
    OverBudget,
    /// As many comparisons as allowed are under way.
    NoPermit,
}

/// The outcome of a request of a shadow's sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowOutcome {
    /// The rankings were compared.
    Compared,
    /// The shadow was not asked.
    Skipped(ShadowSkip),
    /// The shadow's answer was less than what was asked for.
    Degraded(DegradedReason),
    /// Another target than the shadow's answered.
    Fallback,
    /// The shadow gave no answer.
    Failed(ErrorKind),
}

impl DegradedReason {
    /// Word in answers, metrics and logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::StaleScores => "stale_scores",
            Self::PassagesRefused => "passages_refused",
            Self::Failure(kind) => kind.code(),
        }
    }
}

impl RequestOutcome {
    /// Word in metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ok => OK,
            Self::Degraded => "degraded",
            Self::Error(kind) => kind.code(),
            Self::Abandoned => "abandoned",
        }
    }
}

impl TargetOutcome {
    /// Word in answers.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Answered => OK,
            Self::Failed(kind) => kind.code(),
        }
    }
}

impl AttemptOutcome {
    /// Word in metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Scored => OK,
            Self::Failed(kind) => kind.code(),
            Self::Cancelled => "cancelled",
        }
    }
}

impl ShedReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::CircuitOpen, Self::RateLimit, Self::QueueFull];

    /// Word in metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::CircuitOpen => "circuit_open",
            Self::RateLimit => "rate_limit",
            Self::QueueFull => "queue_full",
        }
    }
}

impl ShadowSkip {
    /// Word in metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::OverBudget => "skipped_over_budget",
            Self::NoPermit => "skipped_no_room",
        }
    }
}

impl ShadowOutcome {
    /// Word in metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Compared => "compared",
            Self::Skipped(skip) => skip.code(),
            Self::Degraded(reason) => reason.code(),
            Self::Fallback => "fallback",
            Self::Failed(kind) => kind.code(),
        }
    }
}
