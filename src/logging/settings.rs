//! Settings of logs and metrics: `[telemetry]`.

use super::LogFormat;

/// `[telemetry]`
#[derive(Clone, Debug)]
pub struct TelemetrySettings {
    /// Text or JSON.
    pub log_format: LogFormat,
    /// The events that are logged: a level, or directives such as `rerankd=debug,warn`.
    pub log_filter: String,
}
