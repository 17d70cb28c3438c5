//! A JSON value as text for a model to read: the block layout of YAML with keys in their order, nothing quoted or
//! escaped, and empty values left out.
//!
//! Cohere advises YAML for structured data (docs.cohere.com, "Rerank: structured data"). Quotation marks are for
//! parsers, and the reader here is a model, so strings stand as they are:
//!
//! ```text
//! title: Seoul
//! tags:
//!   - capital
//!   - Korea
//! page: 3
//! ```
//!
//! The layout is part of the cache key of a pair. A change to it invalidates every cached score of an object.

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::pictures;
use super::raw::JsonKind;

/// Deepest level that is laid out; what is nested deeper stays JSON on one line. Each level reads its text once more
/// (`RawValue`), so this bounds the passes over a body, and the recursion.
const MAX_DEPTH: usize = 6;
/// Longest layout, as a multiple of the JSON's length, plus [`MAX_GROWTH_BYTES`]. A longer one is replaced by the JSON
/// itself, so that indentation cannot make a small body large.
const MAX_GROWTH: usize = 2;
/// Bytes that a layout may be longer than [`MAX_GROWTH`] allows.
const MAX_GROWTH_BYTES: usize = 256;

/// A name of a field that says picture, for [`pictures::is_file_in`]: anything below such a field counts as named so.
const SAYS_PICTURE: &str = "image";

/// JSON as text, without its pictures.
#[derive(Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) text: String,
    /// Number of pictures left out.
    pub(super) pictures: usize,
}

/// Lays out valid JSON. A string by itself is its own text. Pictures are left out, and objects that only describe them.
/// `None` if a string holds half of a surrogate pair, which is not text.
pub(super) fn to_yaml_text(json: &str) -> Option<Layout> {
    let max_bytes = MAX_GROWTH * json.len() + MAX_GROWTH_BYTES;
    let mut writer = YamlWriter { text: String::new(), max_bytes, pictures: 0, media_around: 0 };
    match writer.write(json, 0) {
        Ok(()) => Some(Layout { text: writer.text, pictures: writer.pictures }),
        Err(_) if writer.is_full() => {
            let (text, pictures) = pictures::left_out(json);
            Some(Layout { text: text.into_owned(), pictures })
        }
        Err(_) => None,
    }
}

struct YamlWriter {
    /// The layout so far.
    text: String,
    /// Length of `text` from which on it is given up, and the JSON stands instead.
    max_bytes: usize,
    /// Number of pictures left out so far.
    pictures: usize,
    /// Number of fields around the current value whose names say that they hold a picture.
    media_around: usize,
}

impl YamlWriter {
    /// Writes one value, after its key or dash. `depth` is the number of keys and dashes above it; 0 for the document.
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
        match JsonKind::of(json) {
            JsonKind::Object if pictures::is_buffer(json) => {
                self.pictures += 1;
                Ok(())
            }
            JsonKind::Object | JsonKind::List => {
                serde_json::Deserializer::from_str(json).deserialize_any(Block { writer: self, depth })
            }
            JsonKind::String => {
                let text: String = serde_json::from_str(json)?;
                let words = pictures::words_beside(&text);
                self.pictures += usize::from(words.is_some());
                self.scalar(words.as_deref().unwrap_or(&text), depth);
                Ok(())
            }
            JsonKind::Null => Ok(()),
            // Numbers keep their form, because another one could be far longer.
            JsonKind::Number | JsonKind::Boolean => {
                self.scalar(json, depth);
                Ok(())
            }
        }
    }

    /// Writes a text as it is, with a blank between it and its key or dash.
    fn scalar(&mut self, value: &str, depth: usize) {
        if depth > 0 && !value.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(value);
    }

    /// Writes a line that begins with `lead`, or nothing if its value is empty. Returns true if it wrote the line.
    fn line<E: Error>(&mut self, lead: &[&str], value: &RawValue, depth: usize) -> Result<bool, E> {
        let start = self.text.len();
        if start > 0 {
            self.text.push('\n');
        }
        self.text.extend(std::iter::repeat_n("  ", depth));
        self.text.extend(lead.iter().copied());
        let value_start = self.text.len();
        self.write(value.get(), depth + 1).map_err(E::custom)?;
        let has_value = self.text.len() > value_start;
        if !has_value {
            self.text.truncate(start);
        }
        // The message is never shown: the caller asks `is_full` for the cause.
        if self.is_full() { Err(E::custom("too long")) } else { Ok(has_value) }
    }

    fn is_full(&self) -> bool {
        self.text.len() > self.max_bytes
    }
}

/// A visitor that writes the lines of an object or of a list.
struct Block<'w> {
    writer: &'w mut YamlWriter,
    depth: usize,
}

impl<'de> Visitor<'de> for Block<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let start = self.writer.text.len();
        let pictures = self.writer.pictures;
        let mut has_words = false;
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            let says_media = pictures::says_media(&key);
            self.writer.media_around += usize::from(says_media);
            let name = if self.writer.media_around > 0 { SAYS_PICTURE } else { &*key };
            let is_file = pictures::is_file_in(name, value.get()) || pictures::is_file_in(&key, value.get());
            let has_line = !is_file && self.writer.line(&[&key, ":"], value, self.depth)?;
            self.writer.media_around -= usize::from(says_media);
            self.writer.pictures += usize::from(is_file);
            has_words |= has_line && !pictures::is_description(&key);
        }
        // Without its picture, the object holds nothing but the description of one.
        if self.writer.pictures > pictures && !has_words {
            self.writer.text.truncate(start);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            if self.writer.media_around > 0 && pictures::is_file_in(SAYS_PICTURE, item.get()) {
                self.writer.pictures += 1;
                continue;
            }
            self.writer.line(&["-"], item, self.depth)?;
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
            assert_eq!(to_yaml_text(json), Some(Layout { text: expected.to_owned(), pictures: 0 }));
        }
        assert_eq!(to_yaml_text(r#"{"a": "\ud800"}"#), None);
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
            assert_eq!(to_yaml_text(&json), Some(Layout { text: expected.to_owned(), pictures }), "{json}");
        }
        let wide = format!("{{\"a\":\"{url}\",\"b\":[[[[[[{}]]]]]]}}", vec!["1"; 2_000].join(","));
        let Layout { text, pictures } = to_yaml_text(&wide).unwrap();
        assert!(text.starts_with(r#"{"a":"","#) && pictures == 1, "stands as JSON: {text}");
    }

    #[test]
    fn no_layout_makes_a_small_body_large() {
        for depth in 0..12 {
            let list = format!("{}{}1{}", "[".repeat(depth + 1), "1,".repeat(5_000), "]".repeat(depth + 1));
            let object = format!("{}{list}{}", "{\"a\":".repeat(depth), "}".repeat(depth));
            for json in [list, object] {
                let text = to_yaml_text(&json).unwrap().text;
                assert!(text.len() <= 2 * json.len() + 300, "{depth}: {} of {}", text.len(), json.len());
            }
        }
    }
}
