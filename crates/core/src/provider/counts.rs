//! Tokens read and search units billed, from any of the places where replies report them.
//!
//! ```text
//! usage.total_tokens, prompt_tokens, input_tokens, search_units    OpenAI's family, OpenRouter; also in camel case
//! meta.usage.…                                                     the same under meta
//! meta.billed_units.total_tokens, input_tokens, search_units       Cohere's family
//! meta.tokens.input_tokens, tokens.input_tokens                    Cohere, SiliconFlow
//! ```
//! A negative, fractional or absurd count is ignored: a made-up bill is worse than an unknown one.

use serde_json::value::RawValue;

use super::lookup::Members;
use super::loose::Loose;

/// Most tokens that one call can read: ten thousand passages of a hundred thousand tokens.
pub(super) const MAX_TOKENS: u64 = 1_000_000_000;
/// Most search units of one call. A unit is up to a hundred passages, and a long passage counts as several.
const MAX_SEARCH_UNITS: u64 = 100_000;

/// `count` as a number of search units; `None` if it is not a plausible one.
pub(super) fn search_units(count: Loose) -> Option<u64> {
    sane(count, MAX_SEARCH_UNITS)
}

/// `count` as a number of tokens; `None` if it is not a plausible one.
pub(super) fn tokens(count: Loose) -> Option<u64> {
    sane(count, MAX_TOKENS)
}

/// `count` as a whole number from 0 to `max`; `None` if it is none.
fn sane(count: Loose, max: u64) -> Option<u64> {
    let whole = u64::try_from(count.whole()?).ok()?;
    (whole <= max).then_some(whole)
}

/// The object of a reply in which a member stands.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Group {
    Root,
    Usage,
    Meta,
    BilledUnits,
    Tokens,
    /// An object without counts.
    Nowhere,
}

impl Group {
    /// The group of the object that is the member `name` of this one.
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
    /// Tokens, after the rank of the member that reported them. The lowest rank wins.
    tokens: Option<(u8, u64)>,
    /// The largest count of search units.
    search_units: Option<u64>,
}

impl Counts {
    /// Reads the counts in `group`, whose content is `value`. A value that is not an object is ignored.
    pub(super) fn read(&mut self, group: Group, value: &RawValue) {
        let Ok(Members(members)) = serde_json::from_str(value.get()) else { return };
        for (name, member) in members {
            match group.member(&name) {
                Group::Nowhere => self.take(group, &name, Loose::of(member)),
                inner => self.read(inner, member),
            }
        }
    }

    /// Number of tokens read, if reported.
    pub(super) fn tokens(&self) -> Option<u64> {
        self.tokens.map(|(_, tokens)| tokens)
    }

    /// Number of search units billed, if reported.
    pub(super) fn search_units(&self) -> Option<u64> {
        self.search_units
    }

    /// Takes the member `name` of `group` in, if it is a count.
    fn take(&mut self, group: Group, name: &str, value: Loose) {
        if name == "search_units" {
            if matches!(group, Group::Usage | Group::BilledUnits) {
                // The larger of two counts is kept; `None` is less than any.
                self.search_units = self.search_units.max(sane(value, MAX_SEARCH_UNITS));
            }
            return;
        }
        // Usage outranks billed units, and those outrank tokens. Within a group a total outranks a part. The ranks of
        // groups are three apart, because each has three ranks of members.
        let group_rank = match group {
            Group::Usage => 0,
            Group::BilledUnits => 3,
            Group::Tokens => 6,
            Group::Root | Group::Meta | Group::Nowhere => return,
        };
        let member_rank = match name {
            "total_tokens" | "totalTokens" | "tokens" => 0,
            "prompt_tokens" | "promptTokens" => 1,
            "input_tokens" | "inputTokens" => 2,
            _ => return,
        };
        let Some(count) = tokens(value) else { return };
        // Some servers that do not count report 0, so any other number is better.
        let rank = if count == 0 { u8::MAX } else { group_rank + member_rank };
        if self.tokens.is_none_or(|(best, _)| rank < best) {
            self.tokens = Some((rank, count));
        }
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

    /// Regression: tokens reported in these members were not counted.
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
