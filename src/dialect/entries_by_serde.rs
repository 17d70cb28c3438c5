//! The known fields of a body as `serde_json` reads it. It is the judge of what is JSON and writes the messages about
//! what is not; a body that [`super::entries`] can read for itself does not come here.

use rerankd_core::error::Error;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::entries::{Entries, Entry, Items, Value, find, is_opened, known_name, of_text};
use super::raw::{self, JsonIn, JsonKind, Raw, RepeatedField};
use super::unread_fields::UnreadFields;

/// Reads the known fields of a body.
///
/// # Errors
/// `invalid_json` with line and column; `invalid_request` if a field appears twice or the body is not an object.
pub(super) fn of_body(body: &str) -> Result<(Entries<'_>, UnreadFields<'_>), Error> {
    let repeated = RepeatedField::default();
    let mut unread = UnreadFields::default();
    let seed = ObjectVisitor { repeated: Some(&repeated), unread: &mut unread };
    let entries = raw::object(seed, &repeated, JsonIn { body, json: body, pointer: "" })?;
    Ok((entries, unread))
}

/// A seed that keeps the known fields of an object.
struct ObjectVisitor<'r, 'de> {
    /// For the body itself, in which no field may appear twice; `None` for an object in it.
    repeated: Option<&'r RepeatedField>,
    /// The other fields.
    unread: &'r mut UnreadFields<'de>,
}

impl<'de> DeserializeSeed<'de> for ObjectVisitor<'_, 'de> {
    type Value = Entries<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectVisitor<'_, 'de> {
    type Value = Entries<'de>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // Room for what clients usually send.
        let mut entries = Entries::with_capacity(8);
        while let Some(name) = map.next_key_seed(KnownName)? {
            let name = match name {
                FieldName::Known(name) => name,
                FieldName::Unread(name) => {
                    if map.next_value::<Option<IgnoredAny>>()?.is_some() {
                        self.unread.add(name);
                    }
                    continue;
                }
            };
            if find(&entries, name).is_some() {
                if let Some(repeated) = self.repeated {
                    return Err(repeated.found(name));
                }
                // Most fields of an inner object are not meant for us, so a repeated one is no error.
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = if is_opened(name) {
                map.next_value_seed(Opened { in_body: self.repeated.is_some(), unread: &mut *self.unread })?
            } else {
                Value::Plain(map.next_value()?)
            };
            entries.push(Entry::new(name, value));
        }
        Ok(entries)
    }
}

/// The name of a field.
enum FieldName<'de> {
    Known(&'static str),
    /// A field that no dialect reads; `None` if its name holds an escape.
    Unread(Option<&'de str>),
}

/// A seed that returns the name of a field.
struct KnownName;

impl<'de> DeserializeSeed<'de> for KnownName {
    type Value = FieldName<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KnownName {
    type Value = FieldName<'de>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(match known_name(name) {
            Some(known) => FieldName::Known(known),
            None => FieldName::Unread(Some(name)),
        })
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(match known_name(name) {
            Some(known) => FieldName::Known(known),
            None => FieldName::Unread(None),
        })
    }
}

/// A seed that keeps the items of a list, or the known fields of an object that is a field of the body itself.
struct Opened<'r, 'de> {
    /// False for a field of an object in the body. Objects there are not opened: no dialect nests deeper.
    in_body: bool,
    unread: &'r mut UnreadFields<'de>,
}

impl<'de> DeserializeSeed<'de> for Opened<'_, 'de> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Opened<'_, 'de> {
    type Value = Value<'de>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("anything")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Items::default();
        while let Some(item) = items.next_element::<Raw<'de>>()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        if self.in_body {
            let entries = ObjectVisitor { repeated: None, unread: self.unread }.visit_map(map)?;
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
        Ok(of_text(text))
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
