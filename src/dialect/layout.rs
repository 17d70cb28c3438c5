//! A JSON value as text for a model to read: the block layout of YAML, keys in their order, nothing quoted or escaped, what is empty
//! left out.
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

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::pictures;

/// Deeper values stand as they came, on one line.
const MAX_DEPTH: usize = 6;
/// A layout may be so many times as long as the JSON, and so much longer again; beyond that the JSON itself stands. Indentation must
/// not make a small body large.
const MAX_GROWTH: usize = 2;
const MAX_GROWTH_BYTES: usize = 256;

/// JSON, laid out.
#[derive(Debug, PartialEq)]
pub(super) struct Layout {
    /// The text.
    pub(super) text: String,
    /// How many pictures were left out of it.
    pub(super) pictures: usize,
}

/// Lays out valid JSON; a string by itself is just its text. Pictures are left out, and what only describes them.
/// `None` if a string holds half of a surrogate pair, which is no text.
pub(super) fn laid_out(json: &str) -> Option<Layout> {
    let mut page =
        Page { text: String::new(), most: MAX_GROWTH * json.len() + MAX_GROWTH_BYTES, pictures: 0, media_around: 0 };
    match page.write(json, 0) {
        Ok(()) => Some(Layout { text: page.text, pictures: page.pictures }),
        Err(_) if page.is_full() => {
            let (text, pictures) = pictures::left_out(json);
            Some(Layout { text: text.into_owned(), pictures })
        }
        Err(_) => None,
    }
}

struct Page {
    text: String,
    most: usize,
    pictures: usize,
    /// How many of the fields around what is being written are called pictures.
    media_around: usize,
}

impl Page {
    /// Writes one value behind its key or dash.
    fn write(&mut self, json: &str, depth: usize) -> serde_json::Result<()> {
        if depth > MAX_DEPTH {
            if pictures::is_file_in("", json) {
                self.pictures += 1;
                return Ok(());
            }
            let (text, pictures) = pictures::left_out(json);
            self.pictures += pictures;
            self.scalar(&text, depth);
            return Ok(());
        }
        match json.as_bytes().first() {
            Some(b'{') if pictures::is_buffer(json) => {
                self.pictures += 1;
                Ok(())
            }
            Some(b'{' | b'[') => serde_json::Deserializer::from_str(json).deserialize_any(Block { page: self, depth }),
            Some(b'"') => {
                let text: String = serde_json::from_str(json)?;
                let words = pictures::words_beside(&text);
                self.pictures += usize::from(words.is_some());
                self.scalar(words.as_deref().unwrap_or(&text), depth);
                Ok(())
            }
            Some(b'n') => Ok(()),
            // Numbers as they stand: another form could be far longer.
            _ => {
                self.scalar(json, depth);
                Ok(())
            }
        }
    }

    fn scalar(&mut self, value: &str, depth: usize) {
        if depth > 0 && !value.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(value);
    }

    /// A line that begins with `lead`; taken back if its value is empty. Says whether it stays.
    fn line<E: Error>(&mut self, lead: &[&str], value: &RawValue, depth: usize) -> Result<bool, E> {
        let start = self.text.len();
        if start > 0 {
            self.text.push('\n');
        }
        self.text.extend(std::iter::repeat_n("  ", depth));
        self.text.extend(lead.iter().copied());
        let empty = self.text.len();
        self.write(value.get(), depth + 1).map_err(E::custom)?;
        let stays = self.text.len() > empty;
        if !stays {
            self.text.truncate(start);
        }
        if self.is_full() { Err(E::custom("too long")) } else { Ok(stays) }
    }

    fn is_full(&self) -> bool {
        self.text.len() > self.most
    }
}

/// The lines of an object or of a list.
struct Block<'p> {
    page: &'p mut Page,
    depth: usize,
}

impl<'de> Visitor<'de> for Block<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let start = self.page.text.len();
        let pictures = self.page.pictures;
        let mut has_words = false;
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            let says_media = pictures::says_media(&key);
            self.page.media_around += usize::from(says_media);
            // What stands in a field that is called a picture is looked at as if it were called so itself.
            let name = if self.page.media_around > 0 { "image" } else { &*key };
            let is_file = pictures::is_file_in(name, value.get()) || pictures::is_file_in(&key, value.get());
            let stays = !is_file && self.page.line(&[&key, ":"], value, self.depth)?;
            self.page.media_around -= usize::from(says_media);
            self.page.pictures += usize::from(is_file);
            has_words |= stays && !pictures::is_description(&key);
        }
        if self.page.pictures > pictures && !has_words {
            self.page.text.truncate(start);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            if self.page.media_around > 0 && pictures::is_file_in("image", item.get()) {
                self.page.pictures += 1;
                continue;
            }
            self.page.line(&["-"], item, self.depth)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_laid_out_in_its_own_order() {
        let json = r#"{ "title" : "Seoul: a \"city\"", "tags": ["capital", {"of": "Korea"}, []], "page": 3, "share": 1.50,
                        "none": null, "open": true, "about": {"lines": "one\ntwo", "empty": {}}, "blank": "" }"#;
        let expected = "title: Seoul: a \"city\"\ntags:\n  - capital\n  -\n    of: Korea\npage: 3\nshare: 1.50\n\
                        open: true\nabout:\n  lines: one\ntwo";
        for (json, expected) in [
            (json, expected),
            ("\"  as it is\"", "  as it is"),
            ("{}", ""),
            ("[\"a\", [\"b\"]]", "- a\n-\n  - b"),
            ("{\"big\": 1e308, \"long\": 12345678901234567890123}", "big: 1e308\nlong: 12345678901234567890123"),
        ] {
            assert_eq!(laid_out(json), Some(Layout { text: expected.to_owned(), pictures: 0 }));
        }
        assert_eq!(laid_out(r#"{"a": "\ud800"}"#), None);
    }

    #[test]
    fn pictures_and_what_describes_them_are_left_out_at_any_depth() {
        let url = "data:image/png;base64,AAAA";
        for (json, expected, pictures) in [
            (format!(r#"{{"title":"a cat","image":"{url}"}}"#), "title: a cat", 1),
            (
                format!(r#"{{"title":"a cat","of":{{"type":"image","value":"{url}"}},"x":["{url}","b"]}}"#),
                "title: a cat\nx:\n  - b",
                2,
            ),
            (format!(r#"{{"id":1,"a":[{{"b":{{"type":"x","url":"{url}"}}}}]}}"#), "", 1),
            (
                format!(r#"{{"a":{{"b":{{"c":{{"d":{{"e":{{"f":{{"g":"{url}","h":1}}}}}}}}}}}}}}"#),
                "a:\n  b:\n    c:\n      d:\n        e:\n          f:\n            h: 1",
                1,
            ),
            (
                format!(r#"[[[[[[["{url}",2]]]]]]]"#),
                "-\n  -\n    -\n      -\n        -\n          -\n            - 2",
                1,
            ),
            (
                format!(r#"[[[[[[[["{url}",2]]]]]]]]"#),
                "-\n  -\n    -\n      -\n        -\n          -\n            - [\"\",2]",
                1,
            ),
            (format!(r#""{url} words""#), "words", 1),
        ] {
            assert_eq!(laid_out(&json), Some(Layout { text: expected.to_owned(), pictures }), "{json}");
        }
        let wide = format!("{{\"a\":\"{url}\",\"b\":[[[[[[{}]]]]]]}}", vec!["1"; 2_000].join(","));
        let Layout { text, pictures } = laid_out(&wide).unwrap();
        assert!(text.starts_with(r#"{"a":"","#) && pictures == 1, "stands as JSON: {text}");
    }

    #[test]
    fn no_layout_makes_a_small_body_large() {
        for depth in 0..12 {
            let list = format!("{}{}1{}", "[".repeat(depth + 1), "1,".repeat(5_000), "]".repeat(depth + 1));
            let object = format!("{}{list}{}", "{\"a\":".repeat(depth), "}".repeat(depth));
            for json in [list, object] {
                let text = laid_out(&json).unwrap().text;
                assert!(text.len() <= 2 * json.len() + 300, "{depth}: {} of {}", text.len(), json.len());
            }
        }
    }
}
