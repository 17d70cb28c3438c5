//! The questions of the pipeline to an upstream's stack.

use std::fmt;
use std::time::{Duration, SystemTime};

use secrecy::ExposeSecret;
use tokio::time::Instant;
use tower::ServiceExt;

use super::attempt::FAIL_FAST_TIMEOUT_MIN;
use super::call::{Call, Scores};
use super::{ScoringStack, UpstreamError, redact};
use crate::types::date::Date;
use crate::types::model_version::ModelVersion;

impl ScoringStack {
    /// Limit on attempts in flight at the moment, from 1 to `max_concurrency`.
    #[must_use]
    pub fn concurrency_limit(&self) -> usize {
        self.guard.concurrency.limit()
    }

    /// The time after which a call with a body of `bytes` is late, at least 300 ms; `None` if too few calls of its size
    /// are known.
    #[must_use]
    pub fn late_after(&self, bytes: usize) -> Option<Duration> {
        Some(self.load_stats.late_after(bytes)?.max(FAIL_FAST_TIMEOUT_MIN))
    }

    /// The longest wait for the first answer to a call with a body of `bytes` while another target is ready, at least
    /// `least`; `None` if enough calls of its size are known, whose attempts end by [`Self::late_after`].
    #[must_use]
    pub fn first_wait(&self, bytes: usize, least: Duration) -> Option<Duration> {
        self.load_stats.first_wait(bytes, least)
    }

    /// Returns true if a call got its scores at `since` or later.
    #[must_use]
    pub fn has_answered_since(&self, since: Instant) -> bool {
        self.load_stats.has_answered_since(since)
    }

    /// Logs, once a day, that the upstream does not serve `model` any more. `advice` says so, with the way out. `model`
    /// is `None` if the registry does not list it.
    pub(crate) fn tell_model_retired(&self, model: Option<&str>, advice: &str) {
        self.guard.events.model_retired(model, advice, Date::of(SystemTime::now()));
    }

    /// The name of a version as a log line may show it. One that quotes a key or one of `texts` is told by a hash.
    #[must_use]
    pub fn shown_version<'a>(&self, name: &str, texts: &(impl Iterator<Item = &'a str> + Clone)) -> String {
        let secrets = self.keys.secrets();
        let plain: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
        if redact::quotes(name, texts, &plain) {
            return format!("{:016x}", ModelVersion::of(Some(name)).hash());
        }
        redact::shortened(name)
    }
    /// Scores one batch. Retries are included.
    ///
    /// # Errors
    /// The failure of the last attempt.
    pub async fn score(&self, call: Call) -> Result<Scores, UpstreamError> {
        self.service.clone().oneshot(call).await
    }
}

impl fmt::Debug for ScoringStack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ScoringStack").field("provider", &self.format.name()).finish_non_exhaustive()
    }
}
