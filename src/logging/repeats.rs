//! Warnings that repeat: the first is logged, and the others are counted and told every ten seconds.
//!
//! During an outage every request warns of the same thing. One line for each would bury what else happens, and could
//! fill a disk. Two warnings are of a kind if they come from one place in the source and name the same upstream, model
//! and error code. The access log, which is no warning, still has every request. One repeat by itself is logged as it
//! came. Lines about models that the default one answered for are treated alike: clients choose those names.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::fields::EventFields;
use super::{REPEATS_TARGET, SUBSTITUTION_TARGET};

/// Time from the first warning of a kind to the line about the others, and from that line to the next.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(10);
/// Most kinds that are told apart. Beyond that, all warnings from one place in the source are of a kind.
pub(super) const MAX_KINDS: usize = 256;
/// The fields that tell kinds apart.
const KIND_FIELDS: [&str; 6] = ["upstream", "upstream.name", "model", "code", "circuit", "setting"];

thread_local! {
    /// True while this thread logs a warning that was counted, which must not be counted again.
    static IS_TELLING: Cell<bool> = const { Cell::new(false) };
}

/// The warnings of the last seconds. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats(Arc<RepeatTable>);

#[derive(Debug, Default)]
struct RepeatTable {
    windows: Mutex<HashMap<WarningKind, Window>>,
    /// Notified when a window opens while none was open.
    opened: Notify,
}

/// Features that warnings have in common if they count as the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct WarningKind {
    place: Identifier,
    /// The values of [`KIND_FIELDS`]; empty for the kinds beyond [`MAX_KINDS`].
    fields: Vec<Option<String>>,
}

/// The warnings of one kind since the last line about them.
#[derive(Debug)]
struct Window {
    since: Instant,
    /// Number of those that were not logged.
    left_out: u64,
    /// The fields of the latest of them; empty if there is none.
    latest: EventFields,
    metadata: &'static Metadata<'static>,
}

impl Window {
    fn new(metadata: &'static Metadata<'static>, since: Instant) -> Self {
        Self { since, left_out: 0, latest: EventFields::default(), metadata }
    }

    /// Logs what was left out, `elapsed` after the window began.
    fn log(&self, elapsed: Duration) {
        let fields = &self.latest;
        let repeated = self.left_out;
        if repeated == 1 {
            IS_TELLING.set(true);
            fields.log(self.metadata);
            IS_TELLING.set(false);
            return;
        }
        let seconds = (elapsed + Duration::from_millis(500)).as_secs();
        let upstream = fields.text("upstream").or_else(|| fields.text("upstream.name"));
        let code = fields.text("code");
        let message = format!("×{repeated} in {seconds} s: {}", fields.message);
        // The level of an event must be a constant.
        if *self.metadata.level() == Level::WARN {
            tracing::warn!(target: REPEATS_TARGET, repeated, seconds, upstream, code, "{message}");
        } else {
            tracing::info!(target: REPEATS_TARGET, repeated, seconds, upstream, code, "{message}");
        }
    }
}

impl Repeats {
    /// Notes a warning. Returns true if it is to be logged: it is the first of its kind in a while.
    fn note(&self, event: &Event<'_>, now: Instant) -> bool {
        let fields = EventFields::of(event);
        let values = KIND_FIELDS.map(|name| fields.text(name).map(str::to_owned)).to_vec();
        let mut kind = WarningKind { place: event.metadata().callsite(), fields: values };
        let mut windows = self.0.windows.lock();
        if windows.len() >= MAX_KINDS && !windows.contains_key(&kind) {
            kind.fields.clear();
        }
        if let Some(window) = windows.get_mut(&kind) {
            window.left_out += 1;
            window.latest = fields;
            return false;
        }
        let is_first = windows.is_empty();
        windows.insert(kind, Window::new(event.metadata(), now));
        drop(windows);
        if is_first {
            self.0.opened.notify_one();
        }
        true
    }

    /// Tells of the repeats in windows that are over at `now`, or in all. A kind that was quiet is forgotten.
    fn tell(&self, now: Instant, all: bool) {
        let mut due = Vec::new();
        self.0.windows.lock().retain(|_, window| {
            let elapsed = now.duration_since(window.since);
            if !all && elapsed < SUMMARY_INTERVAL {
                return true;
            }
            if window.left_out == 0 {
                return false;
            }
            let next = Window::new(window.metadata, now);
            due.push((std::mem::replace(window, next), elapsed));
            true
        });
        // Outside the lock: the line comes by here as well.
        for (window, elapsed) in due {
            window.log(elapsed);
        }
    }

    /// Number of kinds that are remembered.
    #[cfg(test)]
    pub(super) fn kinds(&self) -> usize {
        self.0.windows.lock().len()
    }

    /// Tells of all repeats that were not told yet.
    pub(super) fn flush(&self) {
        self.tell(Instant::now(), true);
    }

    /// Tells of repeats when they are due, for ever.
    pub(super) async fn run(&self) {
        loop {
            let next = self.0.windows.lock().values().map(|window| window.since + SUMMARY_INTERVAL).min();
            match next {
                Some(next) => {
                    sleep_until(next).await;
                    self.tell(Instant::now(), false);
                }
                None => self.0.opened.notified().await,
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // Information is not counted, and defects are too grave to be left out.
        let is_counted = *metadata.level() == Level::WARN || metadata.target() == SUBSTITUTION_TARGET;
        let is_about_repeats = metadata.target() == REPEATS_TARGET || IS_TELLING.get();
        !is_counted || is_about_repeats || self.note(event, Instant::now())
    }
}
