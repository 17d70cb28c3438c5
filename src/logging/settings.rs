//! Settings of logs and metrics: `[telemetry]`.

use std::io::{IsTerminal, stderr};

use super::LogFormat;

/// `[telemetry]`
#[derive(Clone, Debug)]
pub struct TelemetrySettings {
    /// Text or JSON.
    pub log_format: LogFormat,
    /// Extent of the access log.
    pub access_log: AccessLog,
    /// The events that are logged: a level, or directives such as `rerankd=debug,warn`.
    pub log_filter: String,
}

/// `telemetry.access_log`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// On if standard error is a terminal, so that somebody reads along.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl AccessLog {
    /// Returns true if requests of this process are logged.
    #[must_use]
    pub fn is_on(self) -> bool {
        match self {
            Self::Auto => stderr().is_terminal(),
            Self::On => true,
            Self::Off => false,
        }
    }
}
