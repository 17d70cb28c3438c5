//! Mixedbread's `POST /v1/reranking`.
//!
//! Source: <https://www.mixedbread.com/api-reference/endpoints/reranking/rerank-with-a-query>. Passages are called
//! `input` and scores `score`. An absent `top_k` means all (the `-1` of the published schema is not sent).

use serde::Serialize;

use super::wire::{ScoreName, read_object};
use super::{Decoded, Provider, ScoreBatch, WireReply, json_body};

#[derive(Debug)]
pub(super) struct Mixedbread;

/// The fields beside the passages.
#[derive(Serialize)]
struct Fields<'a> {
    model: &'a str,
    query: &'a str,
    return_input: bool,
}

impl Provider for Mixedbread {
    fn name(&self) -> &'static str {
        "mixedbread"
    }

    fn path(&self) -> &'static str {
        "/v1/reranking"
    }

    fn encode(&self, batch: &ScoreBatch<'_>) -> Vec<u8> {
        let fields = Fields { model: batch.model, query: batch.query, return_input: false };
        json_body(&fields, "input", &batch.passages)
    }

    fn decode(&self, reply: &WireReply) -> Result<Decoded, serde_json::Error> {
        read_object(reply, "data", ScoreName::Score)
    }
}
