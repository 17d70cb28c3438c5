//! The fields that `rank_fields` names, as a tree. One pass over an object finds them all, however many there are.
//!
//! A name may be a path. `meta.title` is the field of that exact name, or else `title` in `meta`; if both exist, the
//! one with fewer steps wins. An object is read once for itself and once for each object around it that a path leads
//! through, so at most [`MAX_STEPS`] more times.

use std::collections::HashMap;

use faststr::FastStr;
use rerankd_core::error::Error;

use super::raw::{JsonKind, Raw, is_null};
use super::scan::each_field;

/// Highest number of names in one request; the OpenAPI document tells it.
pub(super) const MAX_NAMES: usize = 32;
/// Highest number of dots in one name. It bounds the recursion, and how often the same JSON is read.
const MAX_STEPS: usize = 4;

/// The names in the client's order, without repetitions, and the tree that finds their fields.
#[derive(Debug, Default)]
pub(super) struct RankFields {
    /// [`Wanted::name`] and the items of [`FoundFields`] go by the indices in this list.
    names: Vec<FastStr>,
    root: Level,
}

/// The fields wanted in one object, by their names in that object.
#[derive(Debug, Default)]
struct Level(HashMap<FastStr, Wanted>);

/// The reasons to look at one field of an object.
#[derive(Debug, Default)]
struct Wanted {
    /// Index in [`RankFields::names`] of the name that ends at this field, if there is one.
    name: Option<usize>,
    /// Fields wanted inside this field.
    inside: Level,
}

/// For each name, its value and the number of steps from the document to it. `None` where the name was not found. Of a
/// field that stands twice the first counts.
pub(super) type FoundFields<'a> = Vec<Option<(usize, Raw<'a>)>>;

impl RankFields {
    /// Checks the number of names, before any of them is read: a body has room for millions.
    ///
    /// # Errors
    /// `invalid_request` if there are more than [`MAX_NAMES`].
    pub(super) fn check_count(count: usize) -> Result<(), Error> {
        if count > MAX_NAMES {
            let message = format!("rank_fields has {count} names; it may have {MAX_NAMES}");
            return Err(Error::invalid_field("/rank_fields", message));
        }
        Ok(())
    }

    /// The tree of these names. Blank ones, which templates leave for variables that are not set, are skipped.
    ///
    /// # Errors
    /// `invalid_request` if there are more than [`MAX_NAMES`], or one has more than [`MAX_STEPS`] dots.
    pub(super) fn new(names: Vec<FastStr>) -> Result<Self, Error> {
        Self::check_count(names.len())?;
        let mut fields = Self::default();
        for (index, name) in names.into_iter().enumerate() {
            if name.matches('.').count() > MAX_STEPS {
                let message = format!("rank_fields[{index}] has more than {MAX_STEPS} dots");
                return Err(Error::invalid_field(format!("/rank_fields/{index}"), message));
            }
            let is_blank = name.trim().is_empty();
            // A repeated name would put the text of its field into the passage twice.
            if !is_blank && !fields.names.contains(&name) {
                fields.root.add(&name, fields.names.len());
                fields.names.push(name);
            }
        }
        Ok(fields)
    }

    /// Returns true if no fields are asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// A result in which no name has been found yet.
    pub(super) fn nothing_found<'a>(&self) -> FoundFields<'a> {
        vec![None; self.names.len()]
    }

    /// Notes a field of the document itself, and searches inside it if a path leads there.
    pub(super) fn note<'a>(&self, name: &str, value: Raw<'a>, found: &mut FoundFields<'a>) {
        self.root.note(name, value, 0, found);
    }

    /// The fields that were found, in the order of the names, each with the last part of its name: the field's own, by
    /// which [`super::pictures`] judges its value.
    pub(super) fn named<'f, 'a: 'f>(&'f self, found: &'f FoundFields<'a>) -> impl Iterator<Item = (&'f str, Raw<'a>)> {
        self.names.iter().zip(found).filter_map(|(name, found)| {
            let (_, value) = found.as_ref()?;
            let field = name.rsplit('.').next().unwrap_or_default();
            Some((field, *value))
        })
    }
}

impl Level {
    /// Adds the name with this index, whose path from here is `path`.
    fn add(&mut self, path: &str, index: usize) {
        // A field's own name may hold dots, so the whole path is wanted as one name too.
        self.0.entry(FastStr::new(path)).or_default().name = Some(index);
        if let Some((outer, inner)) = path.split_once('.') {
            self.0.entry(FastStr::new(outer)).or_default().inside.add(inner, index);
        }
    }

    /// Notes a field of an object that is `steps` objects below the document.
    fn note<'a>(&self, name: &str, value: Raw<'a>, steps: usize, found: &mut FoundFields<'a>) {
        let Some(wanted) = self.0.get(name) else { return };
        if is_null(value) {
            // `null` counts as absent, so another field may still be found for this name.
            return;
        }
        if let Some(index) = wanted.name {
            let nearest = &mut found[index];
            if nearest.is_none_or(|(nearest_steps, _)| steps < nearest_steps) {
                *nearest = Some((steps, value));
            }
        }
        if !wanted.inside.0.is_empty() && JsonKind::of(value.get()) == JsonKind::Object {
            // This cannot fail: the object is part of JSON that has been parsed already, and that holds no half of a
            // surrogate pair (`PassageRules::passage` has looked).
            let _ = each_field(value.get(), |name, value| {
                wanted.inside.note(&name, value, steps + 1, found);
                Some(())
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str], json: &str) -> Vec<String> {
        let fields = RankFields::new(names.iter().map(FastStr::new).collect()).unwrap();
        let mut found = fields.nothing_found();
        each_field(json, |name, value| {
            fields.note(&name, value, &mut found);
            Some(())
        })
        .unwrap();
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
