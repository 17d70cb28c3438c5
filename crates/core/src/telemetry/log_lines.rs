//! The count of log lines that got lost.

use std::sync::LazyLock;

use prometheus_client::metrics::counter::Counter;

/// The lines missing from the log. A static, because the log belongs to the process and not to one server.
static DROPPED_LINES: LazyLock<Counter> = LazyLock::new(Counter::default);

/// The counter of log lines of this process that were dropped: there was no space for them, or they could not be
/// written.
#[must_use]
pub fn dropped_lines() -> Counter {
    DROPPED_LINES.clone()
}
