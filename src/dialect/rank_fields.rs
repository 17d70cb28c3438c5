//! The fields that `rank_fields` names, as a tree: one pass over an object finds them all, however many there are.
//!
//! A name may be a path. `meta.title` is the field of that very name, or else `title` in `meta`; the nearer one is
//! meant where there are both. An object is read once for itself and once for each object around it that a path leads
//! through, so at most [`MAX_STEPS`] times more.

use std::borrow::Cow;
use std::collections::HashMap;

use bytestring::ByteString;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::document::Name;
use super::raw::{Raw, is_null};
use crate::error::Error;

/// Most names.
const MAX_NAMES: usize = 32;
/// Most dots in one of them.
const MAX_STEPS: usize = 4;

/// The names, in their order, and how to find them.
#[derive(Debug, Default)]
pub(super) struct RankFields {
    names: Vec<ByteString>,
    root: Level,
}

/// What is looked for in an object.
#[derive(Debug, Default)]
struct Level(HashMap<ByteString, Wanted>);

/// What is looked for under one name.
#[derive(Debug, Default)]
struct Wanted {
    /// The name that the field itself is, by its place among the names.
    itself: Option<usize>,
    /// What is looked for in it.
    inside: Level,
}

/// The value of each name, and how many steps lead to it.
pub(super) type FoundFields<'a> = Vec<Option<(usize, Raw<'a>)>>;

impl RankFields {
    /// # Errors
    /// `invalid_request` if there are too many.
    pub(super) fn check_count(count: usize) -> Result<(), Error> {
        if count > MAX_NAMES {
            let message = format!("rank_fields has {count} names; it may have {MAX_NAMES}");
            return Err(Error::invalid_field("/rank_fields", message));
        }
        Ok(())
    }

    /// # Errors
    /// `invalid_request` if there are too many, or one leads too deep.
    pub(super) fn new(names: Vec<ByteString>) -> Result<Self, Error> {
        Self::check_count(names.len())?;
        let mut fields = Self::default();
        for (index, name) in names.into_iter().enumerate() {
            if name.bytes().filter(|byte| *byte == b'.').count() > MAX_STEPS {
                let message = format!("rank_fields[{index}] has more than {MAX_STEPS} dots");
                return Err(Error::invalid_field(format!("/rank_fields/{index}"), message));
            }
            // Twice the same field would be twice its text.
            if !fields.names.contains(&name) {
                fields.root.add(&name, fields.names.len());
                fields.names.push(name);
            }
        }
        Ok(fields)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Nothing found yet.
    pub(super) fn nothing_found<'a>(&self) -> FoundFields<'a> {
        vec![None; self.names.len()]
    }

    /// Takes a field of the object itself.
    pub(super) fn take<'a>(&self, name: &str, value: Raw<'a>, found: &mut FoundFields<'a>) {
        self.root.take(name, value, 0, found);
    }

    /// The last part of each name, which is that of the field, with what was found.
    pub(super) fn named<'f, 'a: 'f>(&'f self, found: &'f FoundFields<'a>) -> impl Iterator<Item = (&'f str, Raw<'a>)> {
        let field = |name: &'f ByteString| name.rsplit('.').next().unwrap_or_default();
        self.names.iter().zip(found).filter_map(move |(name, found)| Some((field(name), found.as_ref()?.1)))
    }
}

impl Level {
    fn add(&mut self, path: &str, name: usize) {
        self.0.entry(path.into()).or_default().itself = Some(name);
        if let Some((outer, inner)) = path.split_once('.') {
            self.0.entry(outer.into()).or_default().inside.add(inner, name);
        }
    }

    fn take<'a>(&self, name: &str, value: Raw<'a>, steps: usize, found: &mut FoundFields<'a>) {
        let Some(wanted) = self.0.get(name) else { return };
        if is_null(value) {
            return;
        }
        if let Some(place) = wanted.itself.map(|place| &mut found[place])
            && place.is_none_or(|(nearest, _)| steps < nearest)
        {
            *place = Some((steps, value));
        }
        if !wanted.inside.0.is_empty() && value.get().starts_with('{') {
            let inner = Inner { level: &wanted.inside, steps: steps + 1, found };
            // The object is a part of JSON that has been read already.
            drop(inner.deserialize(&mut serde_json::Deserializer::from_str(value.get())));
        }
    }
}

/// An object that a path leads into.
struct Inner<'f, 'a> {
    level: &'f Level,
    steps: usize,
    found: &'f mut FoundFields<'a>,
}

impl<'de: 'a, 'a> DeserializeSeed<'de> for Inner<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Inner<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
            let name: Cow<'de, str> = name;
            self.level.take(&name, map.next_value()?, self.steps, self.found);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str], json: &str) -> Vec<String> {
        let fields = RankFields::new(names.iter().map(|name| ByteString::from(*name)).collect()).unwrap();
        let mut found = fields.nothing_found();
        let seed = Inner { level: &fields.root, steps: 0, found: &mut found };
        seed.deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap();
        fields.named(&found).map(|(name, raw)| format!("{name}={}", raw.get())).collect()
    }

    #[test]
    fn names_lead_into_objects_and_the_nearest_is_meant() {
        let json = r#"{"a":{"b":1,"b.c":2,"b.d":null,"e":{"f":3}},"a.b":4,"g":[1],"a.e":null,"b":{"c":5}}"#;
        assert_eq!(found(&["a.b"], json), ["b=4"]);
        assert_eq!(found(&["a.b.c"], json), ["c=2"]);
        assert_eq!(found(&["a.e.f", "g", "a.e", "b.c"], json), ["f=3", "g=[1]", "e={\"f\":3}", "c=5"]);
        assert!(found(&["a.b.d", "g.h", "none", "a.b.c.d"], json).is_empty());
        assert_eq!(found(&["b.c", "b"], r#"{"b":{"c":1}}"#), ["c=1", "b={\"c\":1}"]);
        assert_eq!(found(&["a", "a", "a"], r#"{"a":1}"#), ["a=1"]);
    }
}
