//! Hugging Face Text Embeddings Inference: `POST /rerank`.
//!
//! Source: <https://huggingface.github.io/text-embeddings-inference/>. One server holds one model, so no model is sent; the
//! reply is a bare list; tokens are told in a header. `truncate` is sent because its default is the server's setting, and one
//! long passage must not fail the batch; `raw_scores` is false, so scores are probabilities.

use serde::Serialize;

use super::counts::tokens;
use super::loose::Loose;
use super::wire::{ScoreName, read_list};
use super::{Decoded, Provider, ScoreBatch, WireReply, json_body};

/// Tokens that the call read.
const TOKENS_HEADER: &str = "x-compute-tokens";

#[derive(Debug)]
pub(super) struct Tei;

#[derive(Serialize)]
struct Body<'a> {
    query: &'a str,
    texts: &'a [&'a str],
    truncate: bool,
    raw_scores: bool,
    return_text: bool,
}

impl Provider for Tei {
    fn name(&self) -> &'static str {
        "tei"
    }

    fn path(&self) -> &'static str {
        "/rerank"
    }

    fn encode(&self, batch: &ScoreBatch<'_>) -> Vec<u8> {
        let body =
            Body { query: batch.query, texts: &batch.passages, truncate: true, raw_scores: false, return_text: false };
        json_body(&body, &batch.passages)
    }

    fn decode(&self, reply: &WireReply) -> Result<Decoded, serde_json::Error> {
        let scores = read_list(reply, ScoreName::Score)?;
        let told = reply.headers.get(TOKENS_HEADER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Ok(Decoded { scores, tokens: told.and_then(|told| tokens(Loose::Number(told))), search_units: None })
    }
}
