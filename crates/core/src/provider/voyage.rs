//! Voyage AI's `POST /v1/rerank`, on Voyage's own host or on MongoDB's; the key's prefix decides between them.
//!
//! Source: <https://docs.voyageai.com/reference/reranker-api>. The limit is called `top_k`; absent, it means all.
//! Results are in `data`. An instruction is written into the query. `truncation` stays at its documented default,
//! true.

use serde::Serialize;

use super::wire::{ScoreName, read_object};
use super::{Decoded, Provider, ScoreBatch, WireReply, json_body};

#[derive(Debug)]
pub(super) struct Voyage;

/// The fields beside the passages.
#[derive(Serialize)]
struct Fields<'a> {
    model: &'a str,
    query: &'a str,
}

impl Provider for Voyage {
    fn name(&self) -> &'static str {
        "voyage"
    }

    fn path(&self) -> &'static str {
        "/v1/rerank"
    }

    fn encode(&self, batch: &ScoreBatch<'_>) -> Vec<u8> {
        let fields = Fields { model: batch.model, query: batch.query };
        json_body(&fields, "documents", &batch.passages)
    }

    fn decode(&self, reply: &WireReply) -> Result<Decoded, serde_json::Error> {
        read_object(reply, "data", ScoreName::RelevanceScore)
    }
}
