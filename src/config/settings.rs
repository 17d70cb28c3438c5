//! The configuration, checked and typed. Each part of the program owns the settings of its own section.

use rerankd_core::cache::settings::CacheSettings;
use rerankd_core::route::settings::{ModelSettings, UnknownModels};
use rerankd_core::upstream::settings::UpstreamSettings;
use rerankd_local::settings::LocalSettings;

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
    /// What to say and do about models that nobody knows.
    pub unknown_models: UnknownModels,
    /// Public models; always holds `default`.
    pub models: Vec<ModelSettings>,
}
