//! The two formats of log lines: text for people, JSON for machines.

use std::fmt;

use serde_json::Value;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::fields::{EventFields, FieldValue, write_visible};
use super::{ACCESS_TARGET, REQUEST_TARGET};

/// Bytes of an event's sentence in JSON. With [`MAX_VALUE_BYTES`] it keeps every line below the length at which the
/// queue cuts lines: a cut object is no JSON.
const MAX_SENTENCE_BYTES: usize = 4 * 1024;
/// Bytes of the value of any other field in JSON. An event has at most 32 fields, and none of rerankd's over 20.
const MAX_VALUE_BYTES: usize = 320;
/// Members of every line. Fields of other crates that have one of these names get an underscore.
const OWN_MEMBERS: [&str; 4] = ["timestamp", "level", "target", "message"];
/// Fields of a line about a request that its sentence tells already.
const TOLD: [&str; 11] = [
    "method",
    "path",
    "status",
    "duration_ms",
    "upstream",
    "upstream_model",
    "pairs",
    "cached",
    "fallbacks",
    "degraded",
    "cost_usd",
];
/// The part of a timestamp that a terminal shows: hours to milliseconds.
const TIME_OF_DAY: std::ops::Range<usize> = 11..23;

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";

/// One line of text an event: `TIMESTAMP LEVEL sentence field=value`.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextLines {
    /// True where a person reads along: then the time has no date.
    pub(super) is_terminal: bool,
    pub(super) has_colours: bool,
}

/// One JSON object an event, with the fields as members.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let fields = EventFields::of(event);
        let timestamp = timestamp();
        let time = if self.is_terminal { timestamp.get(TIME_OF_DAY).unwrap_or_default() } else { &timestamp };
        let level = metadata.level();
        if self.has_colours {
            write!(writer, "{DIM}{time}{RESET} {}{level:>5}{RESET} ", colour(*level))?;
        } else {
            write!(writer, "{time} {level:>5} ")?;
        }
        write_visible(&mut writer, &fields.message)?;
        let is_request = matches!(metadata.target(), ACCESS_TARGET | REQUEST_TARGET);
        if self.has_colours {
            writer.write_str(DIM)?;
        }
        for (name, value) in &fields.others {
            if !(is_request && TOLD.contains(name)) {
                write!(writer, " {name}={value}")?;
            }
        }
        if self.has_colours {
            writer.write_str(RESET)?;
        }
        writer.write_char('\n')
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let fields = EventFields::of(event);
        let members = [
            ("timestamp", timestamp()),
            ("level", metadata.level().to_string()),
            ("target", metadata.target().to_owned()),
        ];
        writer.write_char('{')?;
        for (name, text) in members {
            write!(writer, "\"{name}\":{},", json_text(&text, MAX_VALUE_BYTES))?;
        }
        write!(writer, "\"message\":{}", json_text(&fields.message, MAX_SENTENCE_BYTES))?;
        for (name, value) in &fields.others {
            let mark = if OWN_MEMBERS.contains(name) { "_" } else { "" };
            write!(writer, ",{}:", Value::from(format!("{name}{mark}")))?;
            match value {
                FieldValue::Text(text) | FieldValue::Shown(text) => {
                    writer.write_str(&json_text(text, MAX_VALUE_BYTES))?;
                }
                FieldValue::Json(value) => write_bounded(&mut writer, value)?,
            }
        }
        writer.write_str("}\n")
    }
}

/// The present time in UTC, to the microsecond.
pub(crate) fn timestamp() -> String {
    let mut timestamp = String::new();
    // Writing to a string cannot fail.
    let written = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    debug_assert!(written.is_ok());
    timestamp
}

/// The escape sequence of a level's colour.
const fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

/// `text` as a JSON string of about `max_bytes` at most.
fn json_text(text: &str, max_bytes: usize) -> String {
    let mut bytes = 0;
    for (at, character) in text.char_indices() {
        bytes += match character {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            '\0'..='\u{1f}' => 6,
            _ => character.len_utf8(),
        };
        if bytes > max_bytes {
            return Value::from(format!("{}…", &text[..at])).to_string();
        }
    }
    Value::from(text).to_string()
}

/// Writes a number, a truth value or a list; a list that is too long as the text of its beginning.
fn write_bounded(writer: &mut Writer<'_>, value: &Value) -> fmt::Result {
    let json = value.to_string();
    if json.len() > MAX_VALUE_BYTES {
        return writer.write_str(&json_text(&json, MAX_VALUE_BYTES));
    }
    writer.write_str(&json)
}
