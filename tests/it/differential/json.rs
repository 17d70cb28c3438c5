//! JSON as clients may write it: members in a given order, blanks anywhere, any character escaped or not.

use fastrand::Rng;
use serde_json::Value;

/// A value whose members keep their order.
#[derive(Clone, Debug)]
pub(super) enum Json {
    Literal(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::text(text),
            other => Self::Literal(other.to_string()),
        }
    }

    pub(super) fn object<const N: usize>(members: [(&str, Json); N]) -> Self {
        Self::Object(members.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// The value as text, in one of the many ways.
    pub(super) fn written(&self, rng: &mut Rng) -> String {
        let mut text = String::new();
        self.write(&mut text, rng);
        text
    }

    fn write(&self, out: &mut String, rng: &mut Rng) {
        blank(out, rng);
        match self {
            Self::Literal(literal) => out.push_str(literal),
            Self::Text(text) => write_text(text, out, rng),
            Self::List(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    item.write(out, rng);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (place, (name, value)) in members.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    blank(out, rng);
                    write_text(name, out, rng);
                    blank(out, rng);
                    out.push(':');
                    value.write(out, rng);
                }
                out.push('}');
            }
        }
        blank(out, rng);
    }
}

fn blank(out: &mut String, rng: &mut Rng) {
    if rng.u32(..20) == 0 {
        out.push_str([" ", "\n", "\t", "\r\n  "][rng.usize(..4)]);
    }
}

/// Escapes what must be, and of the rest nothing, a little or everything.
fn write_text(text: &str, out: &mut String, rng: &mut Rng) {
    let escaped_percent = [0, 0, 10, 100][rng.usize(..4)];
    out.push('"');
    for character in text.chars() {
        let must = character < ' ' || matches!(character, '"' | '\\');
        if must || rng.u32(..100) < escaped_percent {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&if rng.bool() { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") });
            }
        } else {
            out.push(character);
        }
    }
    out.push('"');
}
