//! Hugging Face Text Embeddings Inference: `POST /rerank`.
//!
//! Source: <https://huggingface.github.io/text-embeddings-inference/>. One server holds one model, so no model is sent.
//! The reply is a bare list; the token count is in a header. `truncate` is sent because its default is a setting of the
//! server, and one long passage must not fail the batch. `raw_scores` is false, so scores are probabilities.

use http::HeaderMap;
use serde::Serialize;

use super::counts::tokens;
use super::loose::Loose;
use super::wire::{ScoreName, read_list};
use super::{Decoded, Provider, ScoreBatch, WireReply, json_body};

/// Response header with the number of tokens that the call read.
const TOKENS_HEADER: &str = "x-compute-tokens";

#[derive(Debug)]
pub(super) struct Tei;

/// The fields beside the passages.
#[derive(Serialize)]
struct Fields<'a> {
    query: &'a str,
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
        let fields = Fields { query: batch.query, truncate: true, raw_scores: false, return_text: false };
        json_body(&fields, "texts", &batch.passages)
    }

    fn decode(&self, reply: &WireReply) -> Result<Decoded, serde_json::Error> {
        let scores = read_list(reply, ScoreName::Score)?;
        Ok(Decoded { scores, tokens: header_tokens(&reply.headers), search_units: None })
    }
}

/// The tokens of the call, as the header gives them.
fn header_tokens(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(TOKENS_HEADER)?.to_str().ok()?;
    tokens(Loose::Number(text.trim().parse().ok()?))
}
