//! Logs, on standard error, as text for people or JSON for machines.

mod log_queue;
pub mod refusal_log;
pub mod settings;

use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::time::Duration;

use rerankd_core::telemetry::log_lines::dropped_lines;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use self::log_queue::{LogLines, LogQueue};

/// Longest time that the end of the process waits for standard error to take the last lines.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line an event.
    Text,
    /// One JSON object an event.
    Json,
}

/// Keeps the log written while it lives. Dropping it writes the lines that are left, for [`FLUSH_TIMEOUT`] at most.
#[derive(Debug)]
#[must_use]
pub struct LogGuard(Arc<LogQueue>);

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.0.close(FLUSH_TIMEOUT);
    }
}

/// Sends events at `filter` (a level, or directives such as `rerankd=debug,warn`) to standard error, by way of a
/// bounded buffer: logging never waits and cannot fail. A second call changes nothing.
///
/// # Errors
/// A sentence that says what is wrong with the filter, or that the system gives no thread.
pub fn start(format: LogFormat, filter: &str) -> Result<LogGuard, String> {
    let filter = parse_filter(filter)?;
    let queue = LogQueue::start(stderr(), dropped_lines())
        .map_err(|error| format!("the log needs a thread, which the system does not give: {error}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(LogLines(queue.clone()))
        // Errors would be printed to standard error, which panics where that is what fails.
        .log_internal_errors(false)
        .with_target(false);
    // It fails if there is a subscriber already, which belongs to the embedding program and stays.
    let started = match format {
        LogFormat::Text => builder.with_ansi(stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    drop(started);
    Ok(LogGuard(queue))
}

/// Parses a level, or directives such as `rerankd=debug,warn`.
///
/// # Errors
/// A sentence that says what is wrong with the filter.
pub fn parse_filter(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(filter).map_err(|error| format!("is not a log filter: {error}"))
}
