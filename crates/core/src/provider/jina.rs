//! Jina's `POST /v1/rerank`, which most self-hosted servers speak too (vLLM, Infinity, llama.cpp, Xinference).
//!
//! Source: <https://api.jina.ai/redoc>. Documents are echoed unless `return_documents` is false, so false is always
//! sent. Usage is `total_tokens` alone. Scores of v3 and later may be negative.

use serde::Serialize;

use super::wire::{ScoreName, read_object};
use super::{Decoded, Provider, ScoreBatch, WireReply, json_body};

/// Longest `max_doc_length` that is accepted, in tokens.
const MAX_DOC_LENGTH: u32 = 8192;

#[derive(Debug)]
pub(super) struct Jina;

/// The fields beside the passages.
#[derive(Serialize)]
struct Fields<'a> {
    model: &'a str,
    query: &'a str,
    return_documents: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_doc_length: Option<u32>,
}

impl Provider for Jina {
    fn name(&self) -> &'static str {
        "jina"
    }

    fn path(&self) -> &'static str {
        "/v1/rerank"
    }

    fn encode(&self, batch: &ScoreBatch<'_>) -> Vec<u8> {
        // A value beyond the accepted range would fail the whole call.
        let max_doc_length = batch.options.max_tokens_per_doc.map(|tokens| tokens.clamp(1, MAX_DOC_LENGTH));
        let fields = Fields { model: batch.model, query: batch.query, return_documents: false, max_doc_length };
        json_body(&fields, "documents", &batch.passages)
    }

    fn decode(&self, reply: &WireReply) -> Result<Decoded, serde_json::Error> {
        read_object(reply, "results", ScoreName::RelevanceScore)
    }

    fn limits_passage_tokens(&self) -> bool {
        true
    }
}
