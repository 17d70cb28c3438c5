//! A JSON value as text for a model to read: the block layout of YAML, keys in their order, nothing quoted
//! or escaped, what is empty left out.
//!
//! Cohere advises YAML for structured data (docs.cohere.com, "Rerank: structured data"). Quotation marks are for parsers, and what
//! reads this is a model, so strings stand as they are:
//!
//! ```text
//! title: Seoul
//! tags:
//!   - capital
//!   - Korea
//! page: 3
//! ```
//!
//! The layout is part of what makes a pair: changing it makes every cached score of such a document unknown.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Deeper values stand as JSON on one line: indentation must not make a small body large.
const MAX_DEPTH: usize = 6;

/// Lays out valid JSON; a string by itself is just its text. `None` if a string holds half of a surrogate pair, which is no text.
pub(super) fn laid_out(json: &str) -> Option<String> {
    let mut text = String::new();
    let mut reader = serde_json::Deserializer::from_str(json);
    Block { text: &mut text, depth: 0 }.deserialize(&mut reader).ok()?;
    Some(text)
}

/// Writes one value behind its key or dash.
struct Block<'t> {
    text: &'t mut String,
    depth: usize,
}

impl Block<'_> {
    fn inner(&mut self) -> Block<'_> {
        Block { text: self.text, depth: self.depth + 1 }
    }

    fn scalar(self, value: &str) {
        if self.depth > 0 && !value.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(value);
    }

    /// Ends a line that began at `start`; one that holds nothing behind its key or dash, which was written up to `lead`, is taken back.
    fn end_line(&mut self, start: usize, lead: usize) {
        if self.text.len() == lead {
            self.text.truncate(start);
        }
    }

    fn begin_line(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.extend(std::iter::repeat_n("  ", self.depth));
    }
}

impl<'de> DeserializeSeed<'de> for Block<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth > MAX_DEPTH {
            let raw = <&RawValue>::deserialize(deserializer)?;
            self.scalar(raw.get());
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Block<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let start = self.text.len();
            self.begin_line();
            self.text.push_str(&key);
            self.text.push(':');
            let lead = self.text.len();
            map.next_value_seed(self.inner())?;
            self.end_line(start, lead);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        loop {
            let start = self.text.len();
            self.begin_line();
            self.text.push('-');
            let lead = self.text.len();
            let item = items.next_element_seed(self.inner())?;
            self.end_line(start, lead);
            if item.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.scalar(value);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_laid_out_in_its_own_order() {
        let json = r#"{ "title" : "Seoul: a \"city\"", "tags": ["capital", {"of": "Korea"}, []], "page": 3, "share": 1.50,
                        "none": null, "open": true, "about": {"lines": "one\ntwo", "empty": {}} }"#;
        let expected = "title: Seoul: a \"city\"\ntags:\n  - capital\n  -\n    of: Korea\npage: 3\nshare: 1.5\n\
                        open: true\nabout:\n  lines: one\ntwo";
        for (json, expected) in
            [(json, expected), ("\"  as it is\"", "  as it is"), ("{}", ""), ("[\"a\", [\"b\"]]", "- a\n-\n  - b")]
        {
            assert_eq!(laid_out(json).as_deref(), Some(expected));
        }
        assert_eq!(laid_out(r#"{"a": "\ud800"}"#), None);
    }

    #[test]
    fn depth_does_not_make_a_small_body_large() {
        let json = format!("{}{}{}", "[".repeat(100), "1,".repeat(5_000) + "1", "]".repeat(100));
        assert!(laid_out(&json).unwrap().len() < 2 * json.len());
    }
}
