//! Logs, on standard error, as text for people or JSON for machines.

mod fields;
mod filter;
mod formats;
mod log_queue;
pub mod refusal_log;
mod repeats;
pub mod settings;

use std::env;
use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::time::Duration;

use rerankd_core::telemetry::log_lines::dropped_lines;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub(crate) use self::filter::misspelt_target;
pub use self::filter::parse_filter;
pub(crate) use self::formats::timestamp;
use self::formats::{JsonLines, TextLines};
use self::log_queue::{LogLines, LogQueue};
use self::repeats::Repeats;

/// The target of the access log's lines, for `telemetry.log_filter`.
pub(crate) const ACCESS_TARGET: &str = "rerankd::access";
/// The target of the lines about requests that failed or were answered with less than was asked for.
pub(crate) const REQUEST_TARGET: &str = "rerankd::request";
/// The target of the lines about models that nobody knows and that the default model answered for.
pub(crate) const SUBSTITUTION_TARGET: &str = "rerankd::substitution";
/// The target of the lines about repeats, which are counted by nobody.
const REPEATS_TARGET: &str = "rerankd::repeated";

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
pub struct LogGuard {
    queue: Arc<LogQueue>,
    repeats: Repeats,
}

impl LogGuard {
    /// The task that tells of repeated warnings when they are due. It never ends.
    pub fn summaries(&self) -> impl Future<Output = ()> + Send + 'static {
        let repeats = self.repeats.clone();
        async move { repeats.run().await }
    }

    /// Tells of the repeated warnings that were counted so far.
    pub fn tell_repeats(&self) {
        self.repeats.flush();
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.tell_repeats();
        self.queue.close(FLUSH_TIMEOUT);
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
    let repeats = Repeats::default();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(LogLines(queue.clone()))
        // Errors would be printed to standard error, which panics where that is what fails.
        .log_internal_errors(false);
    // It fails if there is a subscriber already, which belongs to the embedding program and stays.
    let started = match format {
        LogFormat::Text => {
            let is_terminal = stderr().is_terminal();
            let lines = TextLines { is_terminal, has_colours: is_terminal && wants_colours() };
            builder.event_format(lines).finish().with(repeats.clone()).try_init()
        }
        LogFormat::Json => builder.event_format(JsonLines).finish().with(repeats.clone()).try_init(),
    };
    drop(started);
    Ok(LogGuard { queue, repeats })
}

/// Returns true unless the environment asks for plain text (<https://no-color.org>) or the terminal has no colours.
fn wants_colours() -> bool {
    let asks_for_none = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !asks_for_none && env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

#[cfg(test)]
mod tests;
