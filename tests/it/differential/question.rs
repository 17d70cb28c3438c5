//! A request before any dialect has encoded it.

use fastrand::Rng;
use serde_json::{Value, json};

use super::world::Setting;

/// Texts that come again in the questions of a day, so that much is known after a while.
pub(super) struct Vocabulary {
    queries: Vec<String>,
    texts: Vec<String>,
    instructions: Vec<String>,
}

/// One query with its documents and everything that a client may want.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) query: String,
    pub(super) documents: Vec<Document>,
    pub(super) top_n: Option<usize>,
    /// `None` leaves it to the dialect.
    pub(super) returns_documents: Option<bool>,
    pub(super) instruction: Option<String>,
    pub(super) max_tokens: Option<u32>,
    pub(super) rank_fields: Vec<&'static str>,
    pub(super) raw_scores: bool,
    pub(super) explain: bool,
    pub(super) model: Option<String>,
    pub(super) cache_control: Option<&'static str>,
}

/// A document as it stands in the list.
#[derive(Clone, Debug)]
pub(super) enum Document {
    Text(String),
    Object { id: Option<Value>, content: Content },
}

/// Content of a document that is an object.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Text(String),
    Page(String),
    /// Parts of a multimodal document.
    Parts(Vec<String>),
    /// Fields of any names, in their order.
    Fields(Vec<(&'static str, String)>),
}

/// Words that texts are made of: scripts, marks, escapes and lengths that a parser could trip over.
const WORDS: [&str; 24] = [
    "apple",
    "pear",
    "Seoul",
    "서울",
    "東京",
    "naïve",
    "nai\u{308}ve",
    "🙂",
    "👩‍👩‍👧",
    "\u{202e}abc",
    "a\u{0}b",
    "\"quoted\"",
    "back\\slash",
    "line\nbreak",
    "tab\tbed",
    "\u{2028}",
    "</script>",
    "\u{feff}mark",
    "{\"index\":0}",
    "null",
    "\u{7f}",
    "\u{10ffff}",
    "ß",
    "İ",
];
const BLANKS: [&str; 5] = ["", " ", "\n\t", "\u{3000}", "\u{a0} \u{2003}"];
/// Longer than one chunk of the hash that pairs are known by.
const LONG: usize = 1_500;

fn one<'a, T>(rng: &mut Rng, items: &'a [T]) -> &'a T {
    &items[rng.usize(..items.len())]
}

/// True once in `times`.
fn once_in(rng: &mut Rng, times: u32) -> bool {
    rng.u32(..times) == 0
}

fn text(rng: &mut Rng) -> String {
    let words: Vec<_> = (0..=rng.usize(..3)).map(|_| *one(rng, &WORDS)).collect();
    let text = words.join(" ");
    if once_in(rng, 12) { text.repeat(LONG.div_ceil(text.len())) } else { text }
}

impl Vocabulary {
    pub(super) fn drawn(rng: &mut Rng) -> Self {
        let mut texts: Vec<_> = (0..60).map(|_| text(rng)).collect();
        texts.extend(BLANKS.map(str::to_owned));
        Self {
            queries: (0..3)
                .map(|_| text(rng))
                .filter(|query| !query.trim().is_empty())
                .chain(["q".to_owned()])
                .collect(),
            instructions: (0..2).map(|_| text(rng)).collect(),
            texts,
        }
    }
}

impl Question {
    pub(super) fn drawn(rng: &mut Rng, vocabulary: &Vocabulary, setting: &Setting) -> Self {
        let most = *one(rng, &[0, 1, 3, 3, 8, 8, 20, 40]);
        let length = rng.usize(..=most);
        // Of one kind, or mixed.
        let objects = *one(rng, &[0, 0, 50, 100]);
        let has_rank_fields = once_in(rng, 5);
        let mut documents: Vec<Document> = Vec::with_capacity(length);
        for _ in 0..length {
            let is_object = rng.u32(..100) < objects;
            let document = match documents.len() {
                count @ 1.. if once_in(rng, 6) => documents[rng.usize(..count)].clone(),
                _ if is_object => Document::object(rng, vocabulary, has_rank_fields),
                _ => Document::Text(one(rng, &vocabulary.texts).clone()),
            };
            documents.push(document);
        }
        let has_object = documents.iter().any(|document| matches!(document, Document::Object { .. }));
        let rank_fields = if has_rank_fields && has_object {
            one(rng, &[&["title"][..], &["body", "title"], &["missing", "body"], &["title", "title"]]).to_vec()
        } else {
            Vec::new()
        };
        Self {
            query: one(rng, &vocabulary.queries).clone(),
            top_n: once_in(rng, 2).then(|| rng.usize(..=length + 2)),
            returns_documents: *one(rng, &[None, None, Some(true), Some(false)]),
            instruction: once_in(rng, 4).then(|| one(rng, &vocabulary.instructions).clone()),
            max_tokens: once_in(rng, 6).then(|| rng.u32(1..3)),
            rank_fields,
            raw_scores: once_in(rng, 5),
            explain: once_in(rng, 5),
            model: one(rng, &[None, Some("default".to_owned()), Some(format!("up/{}", setting.model))]).clone(),
            cache_control: *one(rng, &[None, None, None, None, None, None, Some("no-cache"), Some("no-store")]),
            documents,
        }
    }
}

impl Document {
    fn object(rng: &mut Rng, vocabulary: &Vocabulary, has_fields: bool) -> Self {
        let id = match rng.u32(..6) {
            0 => Some(json!(rng.u64(..))),
            1 => Some(json!(one(rng, &vocabulary.texts))),
            2 => Some(json!(-7)),
            3 => Some(json!(1.5)),
            _ => None,
        };
        let kind = if has_fields { 3 } else { rng.u32(..4) };
        let mut text = || one(rng, &vocabulary.texts).clone();
        let content = match kind {
            0 => Content::Text(text()),
            1 => Content::Page(text()),
            2 => Content::Parts(vec![text(), text()]),
            _ => Content::Fields(vec![("title", text()), ("body", text())]),
        };
        Self::Object { id, content }
    }
}
