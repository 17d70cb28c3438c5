//! Values at pointers, in JSON that is kept as text.
//!
//! For the few values of a reply that stand in no usual place. Each step reads one level of its object or list.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::loose::{Loose, Name};
use super::pointer::Step;

/// The value at `steps` below `json`; `None` if a step leads nowhere, or to members of one name that differ.
pub(super) fn value<'a>(json: &'a RawValue, steps: &[Step]) -> Option<&'a RawValue> {
    only(&values(json, steps))
}

/// The value that all of `values` are; `None` if they differ, or if there is none.
pub(super) fn only<'a>(values: &[&'a RawValue]) -> Option<&'a RawValue> {
    let (first, others) = values.split_first()?;
    // A repeated member does no harm unless the two differ.
    others.iter().all(|other| other.get() == first.get()).then_some(*first)
}

/// The values at `steps` below `json`: one, or one for each element of the lists on the way, and for each of several
/// members of one name.
pub(super) fn values<'a>(json: &'a RawValue, steps: &[Step]) -> Vec<&'a RawValue> {
    let mut found = vec![json];
    for step in steps {
        let mut next = Vec::with_capacity(found.len());
        for value in found {
            match step {
                Step::Member(name) => next.extend(members(value, name)),
                Step::Each => next.extend(elements(value)),
            }
        }
        found = next;
    }
    found
}

/// The text of a value: that of a string, else its JSON. `None` for null, objects and lists.
pub(super) fn text(json: &RawValue) -> Option<String> {
    match json.get().as_bytes().first()? {
        b'"' => serde_json::from_str(json.get()).ok(),
        b'n' | b'{' | b'[' => None,
        _ => Some(json.get().to_owned()),
    }
}

/// The number at a value, which may be spelt as a string.
pub(super) fn number(json: &RawValue) -> Option<f64> {
    match Loose::of(json) {
        Loose::Number(number) | Loose::Spelt(number) => Some(number),
        Loose::Null | Loose::Other => None,
    }
}

/// The members of an object with this name, or the element of a list that `name` is the number of.
fn members<'a>(json: &'a RawValue, name: &str) -> Vec<&'a RawValue> {
    if json.get().starts_with('[') {
        let number = name.parse::<usize>().ok();
        return number.and_then(|number| elements(json).get(number).copied()).into_iter().collect();
    }
    let Ok(Members(members)) = serde_json::from_str(json.get()) else { return Vec::new() };
    members.into_iter().filter(|(known, _)| known == name).map(|(_, value)| value).collect()
}

/// The elements of a list; none of any other value.
fn elements(json: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(json.get()).unwrap_or_default()
}

/// The members of an object, in their order. Of two with the same name both are kept.
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Members<'de>, A::Error> {
        let mut all = Vec::new();
        while let Some(Name(name)) = members.next_key()? {
            all.push((name, members.next_value()?));
        }
        Ok(Members(all))
    }
}

#[cfg(test)]
mod tests {
    use super::super::pointer::Pointer;
    use super::*;

    #[test]
    fn values_are_found_at_every_step() {
        let json: Box<RawValue> =
            serde_json::from_str(r#"{"a":[{"b":1},{"b":"two"},{}],"c":{"d/e":[7,8]},"n":null,"twice":1,"twice":2}"#)
                .unwrap();
        for (pointer, found) in [
            ("/a[]/b", vec!["1", "\"two\""]),
            ("/a/1/b", vec!["\"two\""]),
            ("/c/d~1e/1", vec!["8"]),
            ("/c/d~1e[]", vec!["7", "8"]),
            ("/x", vec![]),
            ("/a/b", vec![]),
            ("/a/9", vec![]),
            ("/n", vec!["null"]),
            ("/n/x", vec![]),
            ("/twice", vec!["1", "2"]),
        ] {
            let pointer = Pointer::parse(pointer).unwrap();
            let texts: Vec<_> = values(&json, pointer.steps()).into_iter().map(RawValue::get).collect();
            assert_eq!(texts, found, "{pointer}");
        }
    }

    /// Law 6.
    #[test]
    fn law_6_members_of_one_name_that_differ_are_no_value() {
        let json: Box<RawValue> = serde_json::from_str(r#"{"a":1,"a":2,"b":1,"b":1}"#).unwrap();
        let at = |name: &str| value(&json, &[Step::Member(name.to_owned())]).map(RawValue::get);
        assert_eq!((at("a"), at("b"), at("c")), (None, Some("1"), None));
    }
}
