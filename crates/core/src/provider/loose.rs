//! JSON values that are read for their meaning, whatever their type.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// 2^53: below it, every whole number is exact as `f64`. No count or position comes near it.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Any JSON value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Loose {
    Null,
    /// A number; integers over 2^53 are rounded.
    Number(f64),
    /// A string that spells a finite number.
    Spelt(f64),
    /// Anything else.
    Other,
}

impl Loose {
    /// The meaning of `value`. A value that cannot be read, such as a number out of range, is [`Loose::Other`].
    pub(super) fn of(value: &RawValue) -> Self {
        serde_json::from_str(value.get()).unwrap_or(Self::Other)
    }

    /// The value as a whole number, if it is one: `1`, `1.0` or `"1"`.
    pub(super) fn whole(self) -> Option<i64> {
        let (Self::Number(number) | Self::Spelt(number)) = self else { return None };
        #[expect(clippy::cast_possible_truncation, reason = "compared with the number below")]
        let whole = number as i64;
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
        let is_whole = number - whole as f64 == 0.0 && number.abs() < MAX_WHOLE;
        is_whole.then_some(whole)
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Loose, E> {
        Ok(Loose::Number(number))
    }

    #[expect(clippy::cast_precision_loss, reason = "what is over 2^53 is no count, no position and no score")]
    fn visit_i64<E: Error>(self, number: i64) -> Result<Loose, E> {
        Ok(Loose::Number(number as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "what is over 2^53 is no count, no position and no score")]
    fn visit_u64<E: Error>(self, number: u64) -> Result<Loose, E> {
        Ok(Loose::Number(number as f64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Loose, E> {
        match text.trim().parse::<f64>() {
            // Rust parses "NaN" and "inf" too.
            Ok(number) if number.is_finite() => Ok(Loose::Spelt(number)),
            _ => Ok(Loose::Other),
        }
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Loose, E> {
        Ok(Loose::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
        // The list must be read to its end, or serde_json fails.
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Loose, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }
}

/// The name of a member, borrowed unless it contains escapes.
pub(super) struct Name<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}
