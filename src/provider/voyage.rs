//! Voyage AI's `POST /v1/rerank`, on Voyage's own host and on MongoDB's (the key's prefix tells which).
//!
//! Source: <https://docs.voyageai.com/reference/reranker-api>. The limit is called `top_k` (absent means all), results are in
//! `data`, and an instruction is written into the query. `truncation` stays at its documented default, true.

use serde::{Deserialize, Serialize};

use super::wire::{Scored, TokenUsage, scores, total_tokens};
use super::{Decoded, Provider, ScoreBatch, WireReply, json_body};

#[derive(Debug)]
pub(super) struct Voyage;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    query: &'a str,
    documents: &'a [&'a str],
}

#[derive(Deserialize)]
struct Reply {
    data: Vec<Scored>,
    #[serde(default)]
    usage: Option<TokenUsage>,
}

impl Provider for Voyage {
    fn name(&self) -> &'static str {
        "voyage"
    }

    fn path(&self) -> &'static str {
        "/v1/rerank"
    }

    fn encode(&self, batch: &ScoreBatch<'_>) -> Vec<u8> {
        let body = Body { model: batch.model, query: batch.query, documents: &batch.passages };
        json_body(&body, &batch.passages)
    }

    fn decode(&self, reply: &WireReply) -> Result<Decoded, serde_json::Error> {
        let Reply { data, usage } = serde_json::from_slice(&reply.body)?;
        Ok(Decoded { scores: scores(&data), tokens: total_tokens(usage.as_ref()), search_units: None })
    }
}
