//! What a reply says was read and billed, wherever it says so.
//!
//! ```text
//! usage.total_tokens, prompt_tokens, input_tokens, search_units       OpenAI's family, OpenRouter; in camel case, too; under meta, too
//! meta.billed_units.total_tokens, input_tokens, search_units          Cohere's family
//! meta.tokens.input_tokens, tokens.input_tokens                       Cohere, SiliconFlow
//! ```
//! A count that is negative, fractional or absurd is no count: a made-up bill is worse than an unknown one.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

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
    pub(super) fn member(self, name: &str) -> Self {
        match (self, name) {
            (Self::Root | Self::Meta, "usage") => Self::Usage,
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
    /// Reads what stands in `group`, whatever its type. What cannot be read tells nothing.
    pub(super) fn read(&mut self, group: Group, value: &RawValue) {
        let members: Result<Members<'_>, _> = serde_json::from_str(value.get());
        for (name, value) in members.map(|members| members.0).unwrap_or_default() {
            match group.member(&name) {
                Group::Nowhere => self.take(group, &name, Loose::of(value)),
                group => self.read(group, value),
            }
        }
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
            "total_tokens" | "totalTokens" | "tokens" => 0,
            "prompt_tokens" | "promptTokens" => 1,
            "input_tokens" | "inputTokens" => 2,
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

/// The members of an object, in their order; of two with one name both.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

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

    /// Tokens told in these places counted as none.
    #[test]
    fn tokens_are_found_in_camel_case_and_under_meta() {
        for (group, members) in [
            (Group::Usage, r#"{"totalTokens":12}"#),
            (Group::Usage, r#"{"inputTokens":12,"outputTokens":0}"#),
            (Group::Usage, r#"{"promptTokens":12}"#),
            (Group::Usage, r#"{"tokens":12}"#),
            (Group::Meta, r#"{"usage":{"total_tokens":12}}"#),
        ] {
            let mut counts = Counts::default();
            counts.read(group, serde_json::from_str(members).unwrap());
            assert_eq!(counts.tokens(), Some(12), "{members}");
        }
    }
}
