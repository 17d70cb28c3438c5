//! Mixedbread's `POST /v1/reranking`.
//!
//! Source: <https://www.mixedbread.com/api-reference/endpoints/reranking/rerank-with-a-query>. Passages are called `input`,
//! scores `score`, and an absent `top_k` means all (the `-1` of the published schema is not sent).

use serde::{Deserialize, Serialize};

use super::wire::{Scored, TokenUsage, scores, total_tokens};
use super::{Decoded, Provider, ScoreBatch, WireReply, json_body};

#[derive(Debug)]
pub(super) struct Mixedbread;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    query: &'a str,
    input: &'a [&'a str],
    return_input: bool,
}

#[derive(Deserialize)]
struct Reply {
    data: Vec<Scored>,
    #[serde(default)]
    usage: Option<TokenUsage>,
}

impl Provider for Mixedbread {
    fn name(&self) -> &'static str {
        "mixedbread"
    }

    fn path(&self) -> &'static str {
        "/v1/reranking"
    }

    fn encode(&self, batch: &ScoreBatch<'_>) -> Vec<u8> {
        let body = Body { model: batch.model, query: batch.query, input: &batch.passages, return_input: false };
        json_body(&body, &batch.passages)
    }

    fn decode(&self, reply: &WireReply) -> Result<Decoded, serde_json::Error> {
        let Reply { data, usage } = serde_json::from_slice(&reply.body)?;
        Ok(Decoded { scores: scores(&data), tokens: total_tokens(usage.as_ref()), search_units: None })
    }
}
