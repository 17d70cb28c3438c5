//! Cohere's `POST /v2/rerank`.
//!
//! Source: <https://docs.cohere.com/reference/rerank>. Documents are plain strings; objects are not accepted. An absent
//! `top_n` means all. Replies never carry documents, and the numbers of `billed_units` may be floats.

use serde::Serialize;

use super::wire::{ScoreName, read_object};
use super::{Decoded, Provider, ScoreBatch, WireReply, json_body};

#[derive(Debug)]
pub(super) struct Cohere;

/// The fields beside the passages.
#[derive(Serialize)]
struct Fields<'a> {
    model: &'a str,
    query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens_per_doc: Option<u32>,
}

impl Provider for Cohere {
    fn name(&self) -> &'static str {
        "cohere"
    }

    fn path(&self) -> &'static str {
        "/v2/rerank"
    }

    fn encode(&self, batch: &ScoreBatch<'_>) -> Vec<u8> {
        let fields =
            Fields { model: batch.model, query: batch.query, max_tokens_per_doc: batch.options.max_tokens_per_doc };
        json_body(&fields, "documents", &batch.passages)
    }

    fn decode(&self, reply: &WireReply) -> Result<Decoded, serde_json::Error> {
        read_object(reply, "results", ScoreName::RelevanceScore)
    }

    fn limits_passage_tokens(&self) -> bool {
        true
    }
}
