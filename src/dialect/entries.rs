//! One pass over a body that keeps the fields which some dialect reads and skips all others.

use rerankd_core::error::Error;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::raw::{self, JsonIn, JsonKind, Raw, RepeatedField};

/// Fields whose values are kept as slices of the body. A field that a dialect reads must stand here or in [`OPENED`],
/// by its name in its own object: for the dialects no other exists.
const RAW_FIELDS: [&str; 16] = [
    "model",
    "query",
    "property",
    "top_n",
    "top_k",
    "return_documents",
    "return_input",
    "return_text",
    "raw_scores",
    "truncation",
    "instruction",
    "instruct",
    "max_tokens_per_doc",
    "max_doc_length",
    "timeout_ms",
    "explain",
];
/// Fields that hold a list or an object, which is opened in the same pass.
const OPENED: [&str; 7] = ["documents", "texts", "passages", "input", "queries", "parameters", "rank_fields"];

/// Known fields with their values, in the order of the body. Each name appears once.
pub(super) type Entries<'a> = Vec<(&'static str, Value<'a>)>;

/// The value of a field.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// A slice of the body.
    Plain(Raw<'a>),
    /// The items of a list, as slices of the body.
    List(Vec<Raw<'a>>),
    /// The known fields of an object.
    Object(Entries<'a>),
    /// The kind of a value that stands where a list or an object was expected.
    Other(JsonKind),
    /// A blank string that stands where a list or an object was expected. It counts as absent.
    Blank,
}

/// Reads the known fields of a body.
///
/// # Errors
/// `invalid_json` with line and column; `invalid_request` if a field appears twice or the body is not an object.
pub(super) fn of_body(body: &str) -> Result<Entries<'_>, Error> {
    let repeated = RepeatedField::default();
    let seed = ObjectVisitor { repeated: Some(&repeated) };
    raw::object(seed, &repeated, JsonIn { body, json: body, pointer: "" })
}

/// A seed that keeps the known fields of an object.
struct ObjectVisitor<'r> {
    /// For the body itself, in which no field may appear twice; `None` for an object in it.
    repeated: Option<&'r RepeatedField>,
}

impl<'de> DeserializeSeed<'de> for ObjectVisitor<'_> {
    type Value = Entries<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = Entries<'de>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // Room for what clients usually send.
        let mut entries = Entries::with_capacity(8);
        while let Some(name) = map.next_key_seed(KnownName)? {
            let Some(name) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if entries.iter().any(|(known, _)| *known == name) {
                if let Some(repeated) = self.repeated {
                    return Err(repeated.found(name));
                }
                // Most fields of an inner object are not meant for us, so a repeated one is no error.
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let opened = OPENED.contains(&name);
            let value = if opened {
                map.next_value_seed(Opened { in_body: self.repeated.is_some() })?
            } else {
                Value::Plain(map.next_value()?)
            };
            entries.push((name, value));
        }
        Ok(entries)
    }
}

/// A seed that returns the name of a field if it is known.
struct KnownName;

impl<'de> DeserializeSeed<'de> for KnownName {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KnownName {
    type Value = Option<&'static str>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(RAW_FIELDS.iter().chain(&OPENED).copied().find(|known| *known == name))
    }
}

/// A seed that keeps the items of a list, or the known fields of an object that is a field of the body itself.
struct Opened {
    /// False for a field of an object in the body. Objects there are not opened: no dialect nests deeper.
    in_body: bool,
}

impl<'de> DeserializeSeed<'de> for Opened {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Opened {
    type Value = Value<'de>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("anything")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        // Room for a usual list, which is then not copied as it grows.
        let mut list: Vec<&RawValue> = Vec::with_capacity(64);
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        if self.in_body {
            let entries = ObjectVisitor { repeated: None }.visit_map(map)?;
            return Ok(Value::Object(entries));
        }
        // A visitor must read its map to the end.
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other(JsonKind::Object))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Other(JsonKind::Null))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(if text.trim().is_empty() { Value::Blank } else { Value::Other(JsonKind::String) })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Value::Other(JsonKind::Boolean))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::Other(JsonKind::Number))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Value::Other(JsonKind::Number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Other(JsonKind::Number))
    }
}
