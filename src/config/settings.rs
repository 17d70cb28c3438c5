//! The configuration, checked and typed. Each part of the program owns the settings of its own section.

use rerankd_core::cache::settings::CacheSettings;
use rerankd_core::route::settings::{ModelSettings, UnknownModels};
use rerankd_core::upstream::settings::UpstreamSettings;
use rerankd_local::settings::LocalSettings;

use crate::config::Fault;
use crate::config::availability::ListedProvider;
use crate::http::settings::ServerSettings;
use crate::logging::settings::TelemetrySettings;

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The HTTP server.
    pub server: ServerSettings,
    /// The score cache.
    pub cache: CacheSettings,
    /// Logs.
    pub telemetry: TelemetrySettings,
    /// The embedded scorer.
    pub local: LocalSettings,
    /// Services that score, in the order of the configuration; the embedded scorer is not among them.
    pub upstreams: Vec<UpstreamSettings>,
    /// Every provider, with what is missing to use it.
    pub providers: Vec<ListedProvider>,
    /// Treatment of models that nobody knows.
    pub unknown_models: UnknownModels,
    /// Public models; always holds `default`.
    pub models: Vec<ModelSettings>,
}

impl Settings {
    /// The warning that anybody who reaches the server can spend the operator's money; `None` if that is not so.
    #[must_use]
    pub fn exposure_warning(&self) -> Option<Fault> {
        let listen = self.server.listen;
        let has_paid_upstream = self.upstreams.iter().any(|upstream| !upstream.api_keys.is_empty());
        if listen.ip().to_canonical().is_loopback() || !self.server.api_keys.is_empty() || !has_paid_upstream {
            return None;
        }
        let message = format!(
            "anyone who reaches {listen} can rerank at the cost of the configured keys; set server.api_keys, or \
             listen on 127.0.0.1"
        );
        Some(Fault { place: None, path: "server.listen".to_owned(), message })
    }
}
