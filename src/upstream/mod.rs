//! Places that score: a configured provider behind its stack, or the embedded scorer.

mod attempt;
pub mod call;
pub mod endpoint;
mod error;
pub mod redact;
mod retry;
mod retry_after;
mod stack;
mod transport;

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use tower::ServiceExt;

use self::call::{Call, Scores};
pub use self::error::UpstreamError;
use self::stack::{Stack, StackLimits, stack};
use self::transport::{Transport, TransportConfig};
use crate::config::settings::UpstreamSettings;
use crate::provider::{Provider, ProviderFacts};
use crate::telemetry::metrics::Metrics;

/// A configured place that scores.
#[derive(Debug)]
pub struct Upstream {
    /// Its name in the configuration, in answers and in metrics.
    pub name: String,
    /// Where its scores come from.
    pub backend: Backend,
}

/// Where scores come from.
#[derive(Debug)]
pub enum Backend {
    /// A provider over HTTP.
    Remote(Box<Remote>),
    /// The scorer inside this process.
    Local,
}

/// A provider behind its stack.
pub struct Remote {
    /// The wire shape.
    pub provider: &'static dyn Provider,
    /// What is known of the provider, with the upstream's own overrides.
    pub facts: ProviderFacts,
    api_key: Option<SecretString>,
    stack: Stack,
}

impl Upstream {
    /// The embedded scorer.
    #[must_use]
    pub fn local() -> Self {
        Self { name: crate::local::NAME.to_owned(), backend: Backend::Local }
    }

    /// A provider over HTTP.
    ///
    /// # Errors
    /// A sentence that says why no client can be made of the settings.
    pub fn remote(settings: &UpstreamSettings, metrics: &Metrics) -> Result<Self, String> {
        let transport = Transport::new(TransportConfig {
            provider: settings.provider,
            url: settings.url.clone(),
            api_key: settings.api_key.clone(),
            connect_timeout: settings.connect_timeout,
            max_response_bytes: settings.max_response_bytes,
            retry_statuses: settings.facts.retry_statuses.clone(),
        })?;
        let limits = StackLimits {
            max_attempts: settings.max_attempts,
            max_concurrency: settings.max_concurrency,
            attempt_timeout: settings.attempt_timeout,
        };
        let remote = Remote {
            provider: settings.provider,
            facts: settings.facts.clone(),
            api_key: settings.api_key.clone(),
            stack: stack(transport, limits, &Arc::new(metrics.upstream(&settings.name))),
        };
        Ok(Self { name: settings.name.clone(), backend: Backend::Remote(Box::new(remote)) })
    }
}

impl Upstream {
    /// The provider's words about a failure, shortened, unless they quote the key or one of `texts`.
    #[must_use]
    pub fn quotable<'a>(
        &self,
        error: &UpstreamError,
        texts: &(impl Iterator<Item = &'a str> + Clone),
    ) -> Option<String> {
        let key = match &self.backend {
            Backend::Remote(remote) => remote.api_key.as_ref().map_or("", |key| key.expose_secret()),
            Backend::Local => "",
        };
        let said = error.said.as_deref().filter(|said| !redact::quotes(said, texts, key))?;
        Some(redact::shortened(said))
    }
}

impl Remote {
    /// Scores one batch, with all retries.
    ///
    /// # Errors
    /// The last failure.
    pub async fn score(&self, call: Call) -> Result<Scores, UpstreamError> {
        self.stack.clone().oneshot(call).await
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Remote").field("provider", &self.provider.name()).finish_non_exhaustive()
    }
}
