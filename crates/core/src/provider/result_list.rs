//! The list of results in a reply: position and score of each, in any spelling, wherever the list lies.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::lookup::{self, text};
use super::loose::{Loose, Name};
use super::pointer::Step;
use super::reply_template::{Element, MemberNames, ReplyTemplate};

/// Names of a score that other providers use. A reply may have one of them instead of the documented one.
pub(super) const OTHER_SCORE_NAMES: [&str; 2] = ["relevance_score", "score"];

/// A list of results, at the end of `steps`.
#[derive(Clone, Copy)]
pub(super) struct List<'t> {
    pub(super) steps: &'t [Step],
    pub(super) template: &'t ReplyTemplate,
}

impl<'t> List<'t> {
    /// The reader that puts the results into `results`.
    pub(super) fn into_results<'r>(self, results: &'r mut Vec<(i64, f64)>) -> Results<'t, 'r> {
        Results { list: self, results }
    }
}

/// Results on their way into `results`: position and score of each, in the upstream's order.
pub(super) struct Results<'t, 'r> {
    list: List<'t>,
    results: &'r mut Vec<(i64, f64)>,
}

impl<'de> DeserializeSeed<'de> for Results<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.list.steps.first() {
            Some(Step::Member(_)) => deserializer.deserialize_map(self),
            _ => deserializer.deserialize_seq(self),
        }
    }
}

impl<'de> Visitor<'de> for Results<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of results, or an object that leads to it")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let List { steps, template } = self.list;
        let [Step::Member(wanted), steps @ ..] = steps else { return Err(A::Error::custom("an object")) };
        let mut found = false;
        while let Some(Name(name)) = members.next_key()? {
            if name != wanted.as_str() {
                members.next_value::<IgnoredAny>()?;
            } else if found {
                return Err(A::Error::custom("the list is there twice"));
            } else {
                found = true;
                members.next_value_seed(Results { list: List { steps, template }, results: self.results })?;
            }
        }
        if found { Ok(()) } else { Err(A::Error::custom("the list is missing")) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let List { steps, template } = self.list;
        let [Step::Each, steps @ ..] = steps else { return Err(A::Error::custom("a list")) };
        if !steps.is_empty() {
            while items.next_element_seed(Results { list: List { steps, template }, results: self.results })?.is_some()
            {
            }
            return Ok(());
        }
        match &template.element {
            Element::Members(names) => {
                while let Some(scored) = items.next_element_seed(Scored(names))? {
                    self.results.push(scored);
                }
            }
            Element::Score => {
                while let Some(score) = items.next_element::<Loose>()? {
                    let Loose::Number(score) = score else { return Err(A::Error::custom("a score is no number")) };
                    self.results.push((order(self.results.len()), score));
                }
            }
            Element::Other => {
                while let Some(result) = items.next_element::<&RawValue>()? {
                    let scored = looked_up(template, result, self.results.len()).map_err(A::Error::custom)?;
                    self.results.push(scored);
                }
            }
        }
        Ok(())
    }
}

/// The position of a result that stands behind `earlier` others, where the order says it.
fn order(earlier: usize) -> i64 {
    i64::try_from(earlier).unwrap_or(i64::MAX)
}

/// The number in an id that rerankd chose; `None` for any other, such as one with a sign or a leading zero.
pub(super) fn number_of_id(id: &str, prefix: &str) -> Option<i64> {
    let digits = id.strip_prefix(prefix)?;
    let number: i64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

/// Position and score of a result, each at its pointer.
fn looked_up(template: &ReplyTemplate, result: &RawValue, earlier: usize) -> Result<(i64, f64), &'static str> {
    let shape = &template.shape;
    let position = match (&shape.index, &shape.id) {
        (Some(index), _) => {
            let value = lookup::value(result, index.steps()).ok_or("an index is missing")?;
            Loose::of(value).whole().ok_or("an index is no whole number")?
        }
        (None, Some(id)) => {
            let value = lookup::value(result, id.steps()).ok_or("an id is missing")?;
            let name = text(value).ok_or("an id is no text")?;
            number_of_id(&name, &shape.id_prefix).ok_or("an id was never sent")?
        }
        (None, None) => order(earlier),
    };
    let Some(score) = &shape.score else {
        // A selector: what is named first is best.
        return Ok((position, f64::NAN));
    };
    let value = lookup::value(result, score.steps()).ok_or("a score is missing")?;
    match Loose::of(value) {
        Loose::Number(score) => Ok((position, score)),
        Loose::Spelt(score) if shape.text_scores => Ok((position, score)),
        _ => Err("a score is no number"),
    }
}

/// A member of a scored passage.
enum Member {
    Index,
    /// The score under its documented name.
    DocumentedScore,
    /// A score under another provider's name.
    OtherScore,
    Unread,
}

/// The name of a member of a scored passage, beside the documented names.
struct MemberName<'t>(&'t MemberNames);

impl<'de> DeserializeSeed<'de> for MemberName<'_> {
    type Value = Member;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberName<'_> {
    type Value = Member;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Member, E> {
        Ok(if name == self.0.index {
            Member::Index
        } else if name == self.0.score {
            Member::DocumentedScore
        } else if OTHER_SCORE_NAMES.contains(&name) {
            Member::OtherScore
        } else {
            Member::Unread
        })
    }
}

/// One scored passage.
struct Scored<'t>(&'t MemberNames);

impl<'de> DeserializeSeed<'de> for Scored<'_> {
    type Value = (i64, f64);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(i64, f64), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Scored<'_> {
    type Value = (i64, f64);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with index and score")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(i64, f64), A::Error> {
        let mut index = None;
        // The score under the documented name.
        let mut documented = None;
        // Kept raw: it is parsed only if the documented name brings no score.
        let mut other = None;
        let MemberNames { index: index_name, score: documented_name, .. } = self.0;
        while let Some(member) = members.next_key_seed(MemberName(self.0))? {
            match member {
                Member::Index => {
                    let Some(position) = members.next_value::<Loose>()?.whole() else {
                        return Err(A::Error::custom("an index is no whole number"));
                    };
                    // A repeated member does no harm unless the two differ.
                    if index.is_some_and(|earlier| earlier != position) {
                        return Err(A::Error::custom(format!("{index_name} is there twice")));
                    }
                    index = Some(position);
                }
                Member::DocumentedScore => {
                    let score = members.next_value::<Loose>()?;
                    if documented.is_some_and(|earlier| earlier != score) {
                        return Err(A::Error::custom(format!("{documented_name} is there twice")));
                    }
                    documented = Some(score);
                }
                Member::OtherScore => other = Some(members.next_value::<&RawValue>()?),
                Member::Unread => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        let index = index.ok_or_else(|| A::Error::custom(format!("{index_name} is missing")))?;
        let score = match documented {
            None | Some(Loose::Null) => other.map(Loose::of),
            // Even if it is no number: the other name must not make up for a broken score.
            found => found,
        };
        match score {
            Some(Loose::Number(score)) => Ok((index, score)),
            _ => Err(A::Error::custom(format!("{documented_name} is missing"))),
        }
    }
}
