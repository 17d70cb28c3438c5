//! What a reply says was read and billed, wherever it says so.
//!
//! ```text
//! usage.total_tokens, prompt_tokens, input_tokens, search_units       OpenAI's family, OpenRouter
//! meta.billed_units.total_tokens, input_tokens, search_units          Cohere's family
//! meta.tokens.input_tokens, tokens.input_tokens                       Cohere, SiliconFlow
//! ```
//! A count that is negative, fractional or absurd is no count: a made-up bill is worse than an unknown one.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::loose::{Loose, Name};

/// Most tokens that one call can have read: ten thousand passages of a hundred thousand tokens.
const MAX_TOKENS: u64 = 1_000_000_000;
/// Most search units of one call: each is up to a hundred passages, and a long passage counts as several.
const MAX_SEARCH_UNITS: u64 = 100_000;

/// A count of tokens, if it is one.
pub(super) fn tokens(count: Loose) -> Option<u64> {
    sane(count, MAX_TOKENS)
}

fn sane(count: Loose, most: u64) -> Option<u64> {
    u64::try_from(count.whole()?).ok().filter(|count| *count <= most)
}

/// Where in a reply a member stands.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Group {
    Root,
    Usage,
    Meta,
    BilledUnits,
    Tokens,
    /// Where nothing is counted.
    Nowhere,
}

impl Group {
    /// The group that a member of this one is.
    fn member(self, name: &str) -> Self {
        match (self, name) {
            (Self::Root, "usage") => Self::Usage,
            (Self::Root, "meta") => Self::Meta,
            (Self::Meta, "billed_units") => Self::BilledUnits,
            (Self::Root | Self::Meta, "tokens") => Self::Tokens,
            _ => Self::Nowhere,
        }
    }
}

/// The counts of one reply.
#[derive(Default)]
pub(super) struct Counts {
    /// With the rank of the place that told them: the lowest counts.
    tokens: Option<(u8, u64)>,
    search_units: Option<u64>,
}

impl Counts {
    /// Reads the value of the member `name` of `group`.
    pub(super) fn reader(&mut self, group: Group, name: &str) -> GroupReader<'_> {
        GroupReader { counts: self, group: group.member(name) }
    }

    /// Tokens read, if they are told.
    pub(super) fn tokens(&self) -> Option<u64> {
        self.tokens.map(|(_, tokens)| tokens)
    }

    /// Search units billed, if they are told.
    pub(super) fn search_units(&self) -> Option<u64> {
        self.search_units
    }

    fn take(&mut self, group: Group, name: &str, value: Loose) {
        if name == "search_units" {
            if matches!(group, Group::Usage | Group::BilledUnits) {
                self.search_units = self.search_units.max(sane(value, MAX_SEARCH_UNITS));
            }
            return;
        }
        let place = match group {
            Group::Usage => 0,
            Group::BilledUnits => 3,
            Group::Tokens => 6,
            Group::Root | Group::Meta | Group::Nowhere => return,
        };
        let member = match name {
            "total_tokens" => 0,
            "prompt_tokens" => 1,
            "input_tokens" => 2,
            _ => return,
        };
        let Some(told) = tokens(value) else { return };
        // 0 is what some say who do not count; whoever says more knows more.
        let rank = if told == 0 { u8::MAX } else { place + member };
        if self.tokens.is_none_or(|(best, _)| rank < best) {
            self.tokens = Some((rank, told));
        }
    }
}

/// Reads one group, whatever its type.
pub(super) struct GroupReader<'a> {
    counts: &'a mut Counts,
    group: Group,
}

impl<'de> DeserializeSeed<'de> for GroupReader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.group == Group::Nowhere {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(drop);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for GroupReader<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = members.next_key()? {
            if self.group.member(&name) == Group::Nowhere {
                let value = members.next_value()?;
                self.counts.take(self.group, &name, value);
            } else {
                members.next_value_seed(self.counts.reader(self.group, &name))?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_make_no_sense_are_none() {
        for (value, count) in [
            ("1.0", Some(1)),
            ("\"12\"", Some(12)),
            ("0", Some(0)),
            ("-3", None),
            ("0.5", None),
            ("1e18", None),
            ("100001", None),
            ("\"NaN\"", None),
            ("null", None),
            ("[1]", None),
        ] {
            assert_eq!(sane(serde_json::from_str(value).unwrap(), MAX_SEARCH_UNITS), count, "{value}");
        }
    }
}
