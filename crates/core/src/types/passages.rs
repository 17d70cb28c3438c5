//! The passages of a request, most of them slices of the body that the client sent.
//!
//! The body is held once. A passage that came as a JSON string without escapes is a range of it, so a list of a
//! thousand such passages costs one vector: no allocation and no reference count for each.

use std::fmt;
use std::ops::Range;

use faststr::FastStr;

/// Texts to be scored, in the client's order. A passage is known by its position here.
#[derive(Clone, Default)]
pub struct Passages {
    /// The received body; empty for passages that came in another way.
    body: FastStr,
    entries: Vec<Entry>,
}

/// One passage as it is held.
#[derive(Clone)]
struct Entry {
    /// Bytes of the body with the JSON string of the text, its quotation marks included. Empty if there is none.
    literal: Range<u32>,
    /// The passage, unless its text is `literal` between the quotation marks. Boxed because most are that.
    own: Option<Box<OwnedPassage>>,
}

/// A passage as it is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passage<'a> {
    /// The text to be scored.
    pub text: &'a str,
    /// The document, if it was not a plain string.
    pub object: Option<&'a PassageObject>,
}

/// A passage that holds its text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnedPassage {
    /// The text to be scored.
    pub text: FastStr,
    /// The document, if it was not a plain string.
    pub object: Option<PassageObject>,
}

/// A document that came as a JSON object or list. Never sent upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct PassageObject {
    /// The object's `id` as raw JSON (a string or a number), echoed with its result.
    pub id: Option<FastStr>,
    /// The whole object as raw JSON, echoed when documents are asked for.
    pub source: FastStr,
    /// True if the object holds the scored text under the name `text`.
    pub has_text: bool,
}

impl Passages {
    /// An empty list for passages of `body`, with room for `capacity` of them.
    #[must_use]
    pub fn of_body(body: FastStr, capacity: usize) -> Self {
        Self { body, entries: Vec::with_capacity(capacity) }
    }

    /// Adds a passage whose text is a JSON string without escapes. `literal` is that string with its quotation marks, a
    /// slice of the body.
    pub fn push_plain(&mut self, literal: &str) {
        let literal_range = self.range_of(literal);
        let own = if literal_range.is_empty() {
            let text = FastStr::new(literal.trim_matches('"'));
            Some(Box::new(OwnedPassage { text, object: None }))
        } else {
            None
        };
        self.entries.push(Entry { literal: literal_range, own });
    }

    /// Adds a passage that holds its text. `literal` is a slice of the body that is a JSON string of the same text, if
    /// there is one.
    pub fn push(&mut self, passage: OwnedPassage, literal: Option<&str>) {
        let literal_range = match literal {
            Some(literal) => self.range_of(literal),
            None => 0..0,
        };
        self.entries.push(Entry { literal: literal_range, own: Some(Box::new(passage)) });
    }

    /// Number of passages.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if there are no passages.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The passage at `position`, which must be below [`Self::len`].
    #[must_use]
    pub fn get(&self, position: usize) -> Passage<'_> {
        let Entry { literal, own } = &self.entries[position];
        match own {
            Some(own) => Passage { text: &own.text, object: own.object.as_ref() },
            None => Passage { text: &self.body[literal.start as usize + 1..literal.end as usize - 1], object: None },
        }
    }

    /// The JSON string of the text at `position`, with its quotation marks, as the client sent it; `None` if the text
    /// came in another way.
    #[must_use]
    pub fn literal(&self, position: usize) -> Option<&str> {
        let literal = &self.entries[position].literal;
        if literal.is_empty() { None } else { Some(&self.body[literal.start as usize..literal.end as usize]) }
    }

    /// The passages in order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Passage<'_>> + Clone {
        (0..self.entries.len()).map(|position| self.get(position))
    }

    /// The passages at `positions`, in that order.
    #[must_use]
    pub fn select(&self, positions: &[usize]) -> Self {
        let mut entries = Vec::with_capacity(positions.len());
        for position in positions {
            entries.push(self.entries[*position].clone());
        }
        Self { body: self.body.clone(), entries }
    }

    /// Bytes of all texts together.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let mut bytes = 0;
        for Entry { literal, own } in &self.entries {
            bytes += match own {
                Some(own) => own.text.len(),
                None => literal.len() - 2, // without the quotation marks
            };
        }
        bytes
    }

    /// The range of `slice` in the body. Empty if it is no slice of it, or if the body is longer than 4 GiB.
    fn range_of(&self, slice: &str) -> Range<u32> {
        let Some(start) = (slice.as_ptr() as usize).checked_sub(self.body.as_ptr() as usize) else { return 0..0 };
        let end = start + slice.len();
        if end > self.body.len() {
            return 0..0;
        }
        match (u32::try_from(start), u32::try_from(end)) {
            (Ok(start), Ok(end)) => start..end,
            _ => 0..0,
        }
    }
}

impl FromIterator<OwnedPassage> for Passages {
    fn from_iter<P: IntoIterator<Item = OwnedPassage>>(passages: P) -> Self {
        let mut list = Self::default();
        for passage in passages {
            list.push(passage, None);
        }
        list
    }
}

impl<'a> FromIterator<&'a str> for Passages {
    fn from_iter<T: IntoIterator<Item = &'a str>>(texts: T) -> Self {
        texts.into_iter().map(|text| OwnedPassage { text: FastStr::new(text), object: None }).collect()
    }
}

/// Equal texts and documents, however they are held.
impl PartialEq for Passages {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Passages {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_strings_are_ranges_of_the_body_and_others_hold_their_text() {
        let body = FastStr::from_static_str(r#"["plain","\u0065scaped",7]"#);
        let mut passages = Passages::of_body(body.clone(), 3);
        passages.push_plain(&body[1..8]);
        let escaped = OwnedPassage { text: "escaped".into(), object: None };
        passages.push(escaped, Some(&body[9..23]));
        passages.push(OwnedPassage { text: "7".into(), object: None }, None);
        assert_eq!(passages.iter().map(|passage| passage.text).collect::<Vec<_>>(), ["plain", "escaped", "7"]);
        let literals = [Some(r#""plain""#), Some(r#""\u0065scaped""#), None];
        assert_eq!([0, 1, 2].map(|position| passages.literal(position)), literals);
        assert!(body.as_bytes().as_ptr_range().contains(&passages.get(0).text.as_ptr()));
        assert_eq!(passages.text_bytes(), 13);
        assert_eq!(passages, ["plain", "escaped", "7"].into_iter().collect());
        assert_eq!(passages.select(&[2, 0]), ["7", "plain"].into_iter().collect());
    }

    #[test]
    fn a_string_from_elsewhere_is_copied() {
        let mut passages = Passages::of_body(FastStr::from_static_str("[]"), 1);
        passages.push_plain("\"elsewhere\"");
        assert_eq!((passages.get(0).text, passages.literal(0)), ("elsewhere", None));
    }
}
