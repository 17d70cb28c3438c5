//! What a client asks for, whatever dialect it spoke.
//!
//! Texts are [`ByteString`]s: reference-counted slices of the received body wherever the JSON held no escapes, so a request of
//! half a megabyte is decoded without copying its passages, and the parts can move to other tasks without lifetimes.

use std::time::Duration;

use bytestring::ByteString;

/// One query with its candidate passages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RerankRequest {
    /// The public model name; `None` means `default`.
    pub model: Option<ByteString>,
    /// The search text.
    pub query: ByteString,
    /// The texts to be scored, in the client's order; a passage is known by its position here.
    pub passages: Vec<Passage>,
    /// How many results the client wants; `None` means all.
    pub top_n: Option<usize>,
    /// What else takes part in a score.
    pub options: ScoringOptions,
    /// Whether results carry their document.
    pub return_documents: bool,
    /// Whether the client wants scores before any sigmoid.
    pub raw_scores: bool,
    /// Whether results carry where their score came from, and the answer the trail of targets tried.
    pub explain: bool,
    /// The client's own limit, if below the server's.
    pub timeout: Option<Duration>,
    /// What could not be read as it was sent, in a sentence each.
    pub warnings: Vec<String>,
}

impl RerankRequest {
    /// Bytes of the documents and ids that results carry, a measure of how much work the answer is.
    #[must_use]
    pub fn echoed_bytes(&self) -> usize {
        let echoed = |passage: &Passage| match passage.object.as_deref() {
            Some(object) if self.return_documents => object.source.len(),
            Some(object) => object.id.as_ref().map_or(0, |id| id.len()),
            None if self.return_documents => passage.text.len(),
            None => 0,
        };
        self.passages.iter().map(echoed).sum()
    }

    /// Bytes of text, a measure of how much work the request is.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.query.len() + self.passages.iter().map(|passage| passage.text.len()).sum::<usize>()
    }
}

/// One text to be scored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passage {
    /// The text as it is sent upstream.
    pub text: ByteString,
    /// What came with the text if the document was an object; boxed because most are plain strings.
    pub object: Option<Box<PassageObject>>,
}

/// A document that came as a JSON object. Never sent upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct PassageObject {
    /// The object's `id` as raw JSON (a string or a number), echoed with its result.
    pub id: Option<ByteString>,
    /// The whole object as raw JSON, echoed when documents are asked for.
    pub source: ByteString,
    /// Whether the object has the text that is scored under that name.
    pub has_text: bool,
}

impl From<&str> for Passage {
    fn from(text: &str) -> Self {
        Self { text: ByteString::from(text), object: None }
    }
}

/// What else than query, passage and model takes part in a score. Part of every cache key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ScoringOptions {
    /// What "relevant" means for this request, for models that follow instructions.
    pub instruction: Option<ByteString>,
    /// Passages longer than this many tokens are cut by the provider.
    pub max_tokens_per_doc: Option<u32>,
}
