//! The lines that events become.

use std::io::Write;

use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::Value;
use tokio::time::{Instant, advance};
use tracing::subscriber::{DefaultGuard, set_default, with_default};

use super::*;
use crate::logging::log_queue::MAX_LINE_BYTES;

/// The bytes that were written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    /// The text so far, which is forgotten here.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock())).unwrap()
    }

    /// The sentences of the lines of JSON so far.
    fn messages(&self) -> Vec<String> {
        let mut messages = Vec::new();
        for line in self.take().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            messages.push(line["message"].as_str().unwrap().to_owned());
        }
        messages
    }
}

/// Runs `log` and returns the only line that it writes in a format.
macro_rules! line {
    ($format:expr, $log:expr) => {{
        let written = Written::default();
        let writer = written.clone();
        let builder = tracing_subscriber::fmt().with_writer(move || writer.clone());
        with_default(builder.event_format($format).finish(), $log);
        let text = written.take();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        text.trim_end().to_owned()
    }};
}

const PLAIN: TextLines = TextLines { is_terminal: false, has_colours: false };

fn json(log: impl FnOnce()) -> Value {
    let line = line!(JsonLines, log);
    assert!(line.len() < MAX_LINE_BYTES, "{} bytes", line.len());
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn json_has_numbers_lists_and_plain_strings() {
    let line = json(|| {
        let degraded = ["stale_scores", "passages_refused"];
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 80));
        tracing::event!(
            target: "rerankd::test",
            tracing::Level::WARN,
            request.id = "a-1",
            status = 200,
            duration_ms = 84.25,
            degraded = ?degraded,
            numbers = ?[1, 2],
            client = %address,
            is_probe = true,
            absent = None::<u64>,
            level = "of an upstream",
            "a \"sentence\"\nof {} lines",
            2
        );
    });
    let mut members = line.as_object().unwrap().clone();
    let timestamp = members.remove("timestamp").unwrap();
    assert!(humantime::parse_rfc3339(timestamp.as_str().unwrap()).is_ok(), "{timestamp}");
    let expected = serde_json::json!({
        "level": "WARN", "target": "rerankd::test", "message": "a \"sentence\"\nof 2 lines", "request.id": "a-1",
        "status": 200, "duration_ms": 84.25, "degraded": ["stale_scores", "passages_refused"], "numbers": [1, 2],
        "client": "127.0.0.1:80", "is_probe": true, "level_": "of an upstream",
    });
    assert_eq!(Value::Object(members), expected);
}

#[test]
fn a_line_of_json_is_never_so_long_that_it_is_cut() {
    for text in ["\"\n\u{1}\u{1b}".repeat(20_000), "✓".repeat(20_000), "x".repeat(100_000)] {
        let text = &*text;
        let list = vec!["word"; 10_000];
        let line = json(|| {
            tracing::info!(a = text, b = text, c = text, d = %text, e = ?list, f = text, g = text, h = text, "{text}");
        });
        assert!(line["message"].as_str().unwrap().ends_with('…'), "{line}");
        assert!(line["e"].as_str().unwrap().starts_with(r#"["word","word""#), "{line}");
    }
}

#[test]
fn text_is_one_line_without_control_characters() {
    let line = line!(PLAIN, || {
        tracing::info!(code = "a\u{1b}b", detail = %"c\u{1b}[2J\nd", count = 3, list = ?["e"], "f\r\ng\u{202e}");
    });
    let (timestamp, rest) = line.split_once(' ').unwrap();
    assert!(humantime::parse_rfc3339(timestamp).is_ok(), "{line}");
    assert_eq!(rest, " INFO f  g\u{fffd} code=\"a\\u{1b}b\" detail=c␛[2J d count=3 list=[\"e\"]");
}

#[test]
fn a_terminal_shows_the_time_of_day_and_a_request_tells_nothing_twice() {
    let request = || tracing::info!(target: ACCESS_TARGET, status = 200, code = "ok", "GET / 200");
    let terminal = line!(TextLines { is_terminal: true, has_colours: false }, request);
    let (time, rest) = terminal.split_once(' ').unwrap();
    assert!(time.len() == "18:00:55.617".len() && time.as_bytes()[2] == b':', "{time}");
    assert_eq!(rest, " INFO GET / 200 code=\"ok\"");
    let coloured = line!(TextLines { is_terminal: true, has_colours: true }, request);
    assert!(coloured.contains("\u{1b}[32m INFO\u{1b}[0m GET / 200\u{1b}[2m code"), "{coloured:?}");
}

proptest! {
    #[test]
    fn whatever_is_logged_is_one_line_of_json(message in any::<String>(), value in any::<String>()) {
        let line = json(|| tracing::info!(value, shown = ?value, bare = %value, "{message}"));
        prop_assert_eq!(line["message"].as_str(), Some(&*message));
        prop_assert_eq!(line["value"].as_str(), Some(&*value));
    }
}

/// A log whose repeated warnings are counted, while the guard lives.
fn counted() -> (Repeats, Written, DefaultGuard) {
    let written = Written::default();
    let repeats = Repeats::default();
    let writer = written.clone();
    let lines = tracing_subscriber::fmt().with_writer(move || writer.clone()).event_format(JsonLines).finish();
    let guard = set_default(lines.with(repeats.clone()));
    (repeats, written, guard)
}

fn warn(upstream: &str, number: u32) {
    tracing::warn!(upstream, code = "upstream_timeout", "number {number}");
}

#[tokio::test(start_paused = true)]
async fn a_warning_that_repeats_is_told_once_and_then_counted() {
    let (repeats, written, _guard) = counted();
    let telling = tokio::spawn(async move { repeats.run().await });
    for number in 0..188 {
        warn("up", number);
    }
    assert_eq!(written.messages(), ["number 0"]);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(written.messages(), ["×187 in 10 s: number 187"]);
    // Still the same outage: the next window has begun.
    warn("up", 200);
    assert_eq!(written.messages(), [""; 0]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(written.messages(), ["number 200"], "one by itself is no count");
    tokio::time::sleep(Duration::from_secs(20)).await;
    warn("up", 300);
    assert_eq!(written.messages(), ["number 300"], "it was quiet for long enough");
    telling.abort();
}

#[tokio::test(start_paused = true)]
async fn warnings_of_other_upstreams_and_information_are_not_left_out() {
    let (repeats, written, _guard) = counted();
    for upstream in ["one", "two", "one"] {
        warn(upstream, 1);
    }
    for _ in 0..3 {
        tracing::info!(upstream = "one", "information");
        tracing::error!("defect");
    }
    assert_eq!(written.messages().len(), 2 + 6);
    // The end of the process tells what was counted so far.
    advance(Duration::from_secs(3)).await;
    repeats.flush();
    assert_eq!(written.messages(), ["number 1"]);
    repeats.flush();
    assert_eq!(written.messages(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_single_repeat_is_logged_with_its_own_fields() {
    let (repeats, written, _guard) = counted();
    for id in ["r-1", "r-2"] {
        tracing::event!(
            target: REQUEST_TARGET,
            tracing::Level::WARN,
            request.id = id,
            status = 502,
            duration_ms = 84.25,
            change = -1,
            degraded = ?["a"],
            client = %"c d",
            is_probe = true,
            absent = None::<u64>,
            "answer of {id}"
        );
    }
    repeats.flush();
    let text = written.take();
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("timestamp").unwrap();
        lines.push(line.to_string());
    }
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[1], lines[0].replace("r-1", "r-2"));
    assert!(lines[1].contains(r#""request.id":"r-2""#), "{text}");
}

#[tokio::test(start_paused = true)]
async fn substituted_models_are_counted_like_warnings_but_are_none() {
    let (repeats, written, _guard) = counted();
    for model in ["one", "two", "one", "one"] {
        tracing::info!(target: SUBSTITUTION_TARGET, model, "{model} is unknown");
    }
    assert_eq!(written.messages(), ["one is unknown", "two is unknown"]);
    repeats.flush();
    let line: Value = serde_json::from_str(&written.take()).unwrap();
    assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"×2 in 0 s: one is unknown".into()));
}

#[tokio::test(start_paused = true)]
async fn kinds_of_warnings_are_bounded() {
    let (repeats, written, _guard) = counted();
    for number in 0..10_000 {
        warn(&format!("up-{number}"), number);
    }
    assert_eq!(repeats.kinds(), repeats::MAX_KINDS + 1);
    let started = Instant::now();
    repeats.flush();
    assert_eq!(started.elapsed(), Duration::ZERO);
    let messages = written.messages();
    assert_eq!(messages.len(), repeats::MAX_KINDS + 2);
    assert!(messages.last().unwrap().starts_with("×9743 in 0 s"), "{:?}", messages.last());
}
