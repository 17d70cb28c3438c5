//! Cohere's `POST /v2/rerank`.
//!
//! Source: <https://docs.cohere.com/reference/rerank>. Documents are plain strings (objects are not accepted), an absent `top_n`
//! means all, replies never carry documents, and the numbers of `billed_units` may be floats.

use serde::{Deserialize, Serialize};

use super::wire::{Scored, scores};
use super::{Decoded, Provider, ScoreBatch, WireReply, count, json_body};

#[derive(Debug)]
pub(super) struct Cohere;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    query: &'a str,
    documents: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens_per_doc: Option<u32>,
}

#[derive(Deserialize)]
struct Reply {
    results: Vec<Scored>,
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    billed_units: Option<BilledUnits>,
}

#[derive(Deserialize)]
struct BilledUnits {
    #[serde(default)]
    search_units: Option<f64>,
    #[serde(default)]
    input_tokens: Option<f64>,
}

impl Provider for Cohere {
    fn name(&self) -> &'static str {
        "cohere"
    }

    fn path(&self) -> &'static str {
        "/v2/rerank"
    }

    fn encode(&self, batch: &ScoreBatch<'_>) -> Vec<u8> {
        let body = Body {
            model: batch.model,
            query: batch.query,
            documents: &batch.passages,
            max_tokens_per_doc: batch.options.max_tokens_per_doc,
        };
        json_body(&body, &batch.passages)
    }

    fn decode(&self, reply: &WireReply) -> Result<Decoded, serde_json::Error> {
        let Reply { results, meta } = serde_json::from_slice(&reply.body)?;
        let billed = meta.and_then(|meta| meta.billed_units);
        Ok(Decoded {
            scores: scores(&results),
            tokens: billed.as_ref().and_then(|billed| count(billed.input_tokens)),
            search_units: billed.as_ref().and_then(|billed| count(billed.search_units)),
        })
    }

    fn limits_passage_tokens(&self) -> bool {
        true
    }
}
