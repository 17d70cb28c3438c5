//! A client's request, in whatever dialect it came.
//!
//! Texts are slices of the received body wherever the JSON held no escapes. So a request of half a megabyte is decoded
//! without copying its passages, and its parts can move to other tasks without lifetimes.

use std::time::Duration;

use faststr::FastStr;

use super::passages::{PassageObject, Passages};

/// One query with its candidate passages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RerankRequest {
    /// The public model name; `None` means `default`.
    pub model: Option<FastStr>,
    /// The search text.
    pub query: FastStr,
    /// The texts to be scored, in the client's order.
    pub passages: Passages,
    /// Most results that the client wants; `None` means all.
    pub top_n: Option<usize>,
    /// Instruction and truncation, which change scores.
    pub options: ScoringOptions,
    /// True if results carry their document.
    pub return_documents: bool,
    /// True if the client wants scores before any sigmoid.
    pub raw_scores: bool,
    /// True if results carry the source of their score and an explanation, and the answer the trail of targets tried.
    pub explain: bool,
    /// The client's own limit, if below the server's.
    pub timeout: Option<Duration>,
    /// Parts of the request that could not be read as they were sent, in a sentence each.
    pub warnings: Vec<String>,
}

impl RerankRequest {
    /// Bytes of the documents and ids that results carry, a measure of how much work the answer is.
    #[must_use]
    pub fn echoed_bytes(&self) -> usize {
        let mut bytes = 0;
        for passage in self.passages.iter() {
            bytes += match passage.object {
                Some(object) if self.return_documents => object.source.len(),
                // Ids are echoed even where documents are not.
                Some(PassageObject { id: Some(id), .. }) => id.len(),
                None if self.return_documents => passage.text.len(),
                Some(_) | None => 0,
            };
        }
        bytes
    }

    /// Bytes of text, a measure of how much work the request is.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.query.len() + self.passages.text_bytes()
    }
}

/// Options that change scores, beside query, passage and model. Part of every cache key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ScoringOptions {
    /// The meaning of "relevant" for this request, for models that follow instructions.
    pub instruction: Option<FastStr>,
    /// Passages longer than this many tokens are cut by the provider.
    pub max_tokens_per_doc: Option<u32>,
}
