//! Parsers of values: each takes what stands at a key and returns what it means, or a sentence about what it must be.

use std::ops::RangeInclusive;
use std::time::Duration;

use rerankd_core::suggestion::suggestion;
use rerankd_core::types::date::Date;
use toml::Value;

/// A list of the names that would have been right, with the one that was probably meant.
pub(super) fn known_names(word: &str, names: &[&str]) -> String {
    format!("known are {}{}", names.join(", "), suggestion(word, names.iter().copied()))
}

pub(super) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err("must be a text".into()),
    }
}

pub(super) fn texts(value: &Value) -> Result<Vec<String>, String> {
    let items = value.as_array().ok_or("must be a list of texts")?;
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        let text = item.as_str().ok_or("must be a list of texts")?;
        texts.push(text.to_owned());
    }
    Ok(texts)
}

/// A table of texts, in its order.
pub(super) fn pairs(value: &Value) -> Result<Vec<(String, String)>, String> {
    let table = value.as_table().ok_or("must be a table of texts")?;
    let mut pairs = Vec::with_capacity(table.len());
    for (name, value) in table {
        pairs.push((name.clone(), text(value).map_err(|message| format!("{name} {message}"))?));
    }
    Ok(pairs)
}

/// A truth value; `"true"` and `"false"` too, because the environment holds only texts.
pub(super) fn boolean(value: &Value) -> Result<bool, String> {
    let truth = match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_bool(),
    };
    truth.ok_or_else(|| "must be true or false".into())
}

/// One HTTP status in a range, or a list of them.
pub(super) fn statuses(range: RangeInclusive<usize>) -> impl Fn(&Value) -> Result<Vec<u16>, String> {
    let status = count(range);
    move |value| {
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let mut statuses = Vec::with_capacity(items.len());
        for item in items {
            // The range of a status fits, so the default is never taken.
            statuses.push(u16::try_from(status(item)?).unwrap_or(u16::MAX));
        }
        Ok(statuses)
    }
}

/// A whole number in a range; as a text too, because the environment holds only texts.
pub(super) fn count(range: RangeInclusive<usize>) -> impl Fn(&Value) -> Result<usize, String> {
    move |value| {
        let number: Option<i64> = match value {
            Value::String(text) => text.parse().ok(),
            other => other.as_integer(),
        };
        if let Some(number) = number
            && let Ok(count) = usize::try_from(number)
            && range.contains(&count)
        {
            return Ok(count);
        }
        Err(format!("must be a whole number from {} to {}", range.start(), range.end()))
    }
}

/// The units of a size, with their bytes.
const SIZE_UNITS: [(&str, usize); 9] = [
    ("kB", 1_000),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// A size in bytes, in a range: a whole number, or a text such as `"256MB"` (10^6 bytes each) or `"64MiB"` (2^20).
pub(super) fn bytes(range: RangeInclusive<usize>) -> impl Fn(&Value) -> Result<usize, String> {
    move |value| {
        let size = match value {
            Value::String(text) => size_of(text),
            _ => count(0..=usize::MAX)(value).ok(),
        };
        match size {
            Some(size) if range.contains(&size) => Ok(size),
            _ => Err(format!(
                "must be a size in bytes such as 1048576, \"256MB\" or \"64MiB\", from {} to {}",
                range.start(),
                range.end()
            )),
        }
    }
}

/// The bytes of a size in words; `None` if it is none, or too large to count.
fn size_of(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let number: usize = digits.trim().parse().ok()?;
    if unit.is_empty() || unit == "B" {
        return Some(number);
    }
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// An amount of US dollars: a number of at least 0.
pub(super) fn price(value: &Value) -> Result<f64, String> {
    match number(value) {
        Some(price) if price >= 0.0 => Ok(price),
        _ => Err("must be a number of at least 0".into()),
    }
}

/// A calendar date.
pub(super) fn date(value: &Value) -> Result<Date, String> {
    match value.as_str().and_then(Date::parse) {
        Some(date) => Ok(date),
        None => Err("must be a date as a text, such as \"2026-11-28\"".into()),
    }
}

/// A part of a whole, 0 to 1.
pub(super) fn share(value: &Value) -> Result<f64, String> {
    match number(value) {
        Some(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a number from 0 to 1".into()),
    }
}

/// A finite number; as a text too, because the environment holds only texts.
fn number(value: &Value) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "prices and shares are small")]
    let number = match value {
        Value::Float(number) => *number,
        Value::Integer(number) => *number as f64,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    // TOML and Rust both know "inf" and "nan".
    number.is_finite().then_some(number)
}

/// A duration such as `"250ms"`, in a range.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Value) -> Result<Duration, String> {
    move |value| {
        if let Some(text) = value.as_str()
            && let Ok(duration) = humantime::parse_duration(text)
            && range.contains(&duration)
        {
            return Ok(duration);
        }
        let min = humantime::format_duration(*range.start());
        let max = humantime::format_duration(*range.end());
        Err(format!("must be a duration such as \"250ms\" or \"2s\", from {min} to {max}"))
    }
}

/// One of a closed set of words, each with its value.
pub(super) fn one_of<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&Value) -> Result<T, String> {
    move |value| {
        let word = value.as_str();
        for (name, meaning) in words {
            if word == Some(name) {
                return Ok(*meaning);
            }
        }
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let hint = match word {
            Some(word) => suggestion(word, names.iter().copied()),
            None => String::new(),
        };
        Err(format!("must be one of {}{hint}", names.join(", ")))
    }
}
