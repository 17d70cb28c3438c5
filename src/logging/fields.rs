//! The fields of an event, as text or as JSON.

use std::fmt::{self, Debug, Write};

use rerankd_core::text::visible;
use serde_json::Value as Json;
use tracing::field::{Field, Value, Visit, display};
use tracing::{Event, Metadata};

/// Name under which tracing keeps the sentence of an event.
const MESSAGE: &str = "message";
/// Most fields of an event, a limit of tracing.
const MAX_FIELDS: usize = 32;

/// The value of a field.
#[derive(Clone, Debug)]
pub(super) enum FieldValue {
    /// A string, which text puts in quotation marks.
    Text(String),
    /// A value in its own notation, such as an address or an error.
    Shown(String),
    /// A number, a truth value or a list.
    Json(Json),
}

/// The sentence and the other fields of an event.
#[derive(Debug, Default)]
pub(super) struct EventFields {
    pub(super) message: String,
    pub(super) others: Vec<(&'static str, FieldValue)>,
}

impl EventFields {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut fields = Self::default();
        event.record(&mut fields);
        fields
    }

    /// The value of a field that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.others.iter().find(|(other, _)| *other == name)?;
        match value {
            FieldValue::Text(text) | FieldValue::Shown(text) => Some(text),
            FieldValue::Json(_) => None,
        }
    }

    /// Logs the event once more, of which these are the fields.
    pub(super) fn log(&self, metadata: &'static Metadata<'static>) {
        let message = display(&self.message);
        let mut values: Vec<(Field, Box<dyn Value + '_>)> = Vec::with_capacity(MAX_FIELDS);
        if let Some(field) = metadata.fields().field(MESSAGE) {
            values.push((field, Box::new(message)));
        }
        for (name, value) in &self.others {
            if let Some(field) = metadata.fields().field(*name) {
                values.push((field, value.recorded()));
            }
        }
        // Nothing is recorded for a field without a value, but the array needs one in each place.
        let Some((first, _)) = values.first() else { return };
        let recorded: [(&Field, Option<&dyn Value>); MAX_FIELDS] =
            std::array::from_fn(|index| match values.get(index) {
                Some((field, value)) => (field, Some(&**value)),
                None => (first, None),
            });
        Event::dispatch(metadata, &metadata.fields().value_set(&recorded));
    }

    fn add(&mut self, field: &Field, value: FieldValue) {
        match value {
            FieldValue::Text(text) | FieldValue::Shown(text) if field.name() == MESSAGE => self.message = text,
            value => self.others.push((field.name(), value)),
        }
    }
}

impl Visit for EventFields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, FieldValue::Json(value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, FieldValue::Json(value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, FieldValue::Json(value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, FieldValue::Json(value.into()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, FieldValue::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let shown = format!("{value:?}");
        // Tracing has no lists. One of words or numbers is written by `Debug` as JSON would be.
        if shown.starts_with('[')
            && let Ok(list @ Json::Array(_)) = serde_json::from_str(&shown)
        {
            return self.add(field, FieldValue::Json(list));
        }
        self.add(field, FieldValue::Shown(shown));
    }
}

impl FieldValue {
    /// The value as tracing records it, so that it is read back as the same.
    fn recorded(&self) -> Box<dyn Value + '_> {
        match self {
            Self::Text(text) => Box::new(text.as_str()),
            Self::Shown(text) => Box::new(display(text)),
            Self::Json(Json::Bool(flag)) => Box::new(*flag),
            Self::Json(Json::Number(number)) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => Box::new(number),
                (_, Some(number), _) => Box::new(number),
                (.., number) => Box::new(number),
            },
            Self::Json(json) => Box::new(display(json)),
        }
    }
}

/// The value as text: `"a word"`, `127.0.0.1:8787`, `84.2`.
impl fmt::Display for FieldValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(formatter, "{text:?}"),
            Self::Shown(text) => write_visible(formatter, text),
            Self::Json(value) => write!(formatter, "{value}"),
        }
    }
}

/// Writes `text` on one line, without characters that would steer a terminal.
pub(super) fn write_visible(output: &mut impl Write, text: &str) -> fmt::Result {
    for character in text.chars() {
        output.write_char(visible(character))?;
    }
    Ok(())
}
