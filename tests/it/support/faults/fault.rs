//! The vocabulary: everything that the proxy can do to an exchange.

use std::time::Duration;

use fastrand::Rng;

/// Treatment of one request by the proxy.
///
/// Faults that damage an answer (a reset in its midst, a wrong score) forward the request first: the provider has done
/// its work, and been paid for it. Faults that are answers of their own, or none, do not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Passes the answer on.
    Clean,
    /// Waits for `base` and up to `jitter` more, then is clean.
    Latency { base: Duration, jitter: Duration },
    /// Lets this share of the requests wait; the others are clean.
    Tail { share: f64, latency: Duration },
    /// Answers this share of the requests with `status`; the others are clean.
    Failing { share: f64, status: u16 },
    /// One of these, by weight.
    Mix(Vec<(u32, Fault)>),

    /// Nobody listens: the system refuses connections, those at rest are closed, exchanges under way end as they began.
    Refuse,
    /// Reads the request and resets the connection.
    Reset,
    /// Resets the connection after half of the body.
    ResetMidBody,
    /// Says that nothing will come, and stays.
    HalfClose,
    /// Reads the request, and that is all.
    BlackHole,
    /// Says `100 Continue`, and that is all.
    ContinueThenNothing,
    /// Answers a connection's first request, and closes the connection when it has read another, as a load balancer
    /// with a shorter keep-alive than the client's pool does.
    CloseOnReuse,

    /// Sends the head byte by byte, the last of it after this time; then the body.
    SlowHeaders(Duration),
    /// Sends the head, then so many bytes of the body at a time.
    Drip { bytes: usize, every: Duration },
    /// Announces the whole body, sends this share of it and closes the connection.
    Truncate { share: f64 },

    /// Random bytes instead of HTTP.
    Garbage,
    /// Status 200 with a page for people.
    Html,
    /// Status 200 with an error for a body.
    ErrorInside,
    /// This answer.
    Status { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// Status 429 with a hint when to come back.
    RetryAfter(RetryAfter),
    /// Status 200 with a few kilobytes that unpack to many megabytes.
    GzipBomb,
    /// Passes the answer on, with its scores changed.
    Scores(ScoreFault),
}

/// Hint about the time of the next attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RetryAfter {
    /// `Retry-After` in seconds.
    Seconds(u64),
    /// `Retry-After` as a date that far from now. Dates have whole seconds.
    Date(Duration),
    /// Seconds that stand in the body alone, where only people read them.
    InBody(u64),
    /// `Retry-After` in a whole day, longer than any request lives.
    Day,
    /// `Retry-After` at once.
    Zero,
    /// `Retry-After` with what is neither seconds nor a date.
    Nonsense,
}

/// Change of a good answer's scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ScoreFault {
    /// One score is the literal `NaN`, as Python's `json` writes it.
    NotANumber,
    /// One score is `1e999`: a number in JSON, infinite in floating point.
    Infinite,
    /// One index is -1.
    NegativeIndex,
    /// One index comes twice, another not at all.
    DuplicateIndex,
    /// One result is missing.
    TooFew,
    /// All is right but the order.
    Unsorted,
    /// Every score is moved by as much: nothing is wrong with the answer, but another model gave it.
    Shifted(f64),
}

impl Fault {
    /// An answer with this status and a sentence.
    pub(crate) fn status(status: u16) -> Self {
        let body = serde_json::json!({ "message": format!("the proxy was told to answer {status}") }).to_string();
        Self::Status { status, headers: vec![("content-type", "application/json".to_owned())], body }
    }

    /// Takes the decisions that were left to chance, as far as they are about which fault it is.
    pub(super) fn settle(self, chance: &mut Rng) -> Self {
        let wait = |base| Self::Latency { base, jitter: Duration::ZERO };
        match self {
            Self::Latency { base, jitter } => wait(base + jitter.mul_f64(chance.f64())),
            Self::Tail { share, latency } if chance.f64() < share => wait(latency),
            Self::Failing { share, status } if chance.f64() < share => Self::status(status),
            Self::Tail { .. } | Self::Failing { .. } => Self::Clean,
            Self::Mix(choices) => {
                let mut point = chance.u32(0..choices.iter().map(|(weight, _)| weight).sum());
                let chosen = choices.into_iter().find(|(weight, _)| {
                    let found = point < *weight;
                    point = point.saturating_sub(*weight);
                    found
                });
                chosen.map_or(Self::Clean, |(_, fault)| fault.settle(chance))
            }
            certain => certain,
        }
    }

    /// True if it can refuse connections.
    pub(super) fn refuses(&self) -> bool {
        match self {
            Self::Refuse => true,
            Self::Mix(choices) => choices.iter().any(|(_, fault)| fault.refuses()),
            _ => false,
        }
    }
}
