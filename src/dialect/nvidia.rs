//! NVIDIA NIM ranking (`POST /v1/ranking`, hosted `/v1/retrieval/…/reranking`;
//! docs.nvidia.com/nim/nemo-retriever/text-reranking, 2.3): `passages` in, `rankings` with logits out. Clients such as
//! Dify apply a sigmoid of their own to them.

use bytes::Bytes;
use serde::Serialize;

use super::cohere_family::Tokens;
use super::fields::Fields;
use super::problem::{ErrorAnswer, plain};
use super::scale::Form;
use super::{Dialect, json};
use crate::error::Error;
use crate::types::request::RerankRequest;
use crate::types::response::RerankResponse;

/// The NVIDIA dialect.
#[derive(Debug)]
pub struct Nvidia;

#[derive(Serialize)]
struct Answer {
    rankings: Vec<Ranking>,
    usage: Tokens,
}

#[derive(Serialize)]
struct Ranking {
    index: usize,
    logit: Option<f64>,
}

impl Dialect for Nvidia {
    fn name(&self) -> &'static str {
        "nvidia"
    }

    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        let request = fields.request("query")?;
        let passages = fields.passages("passages", false)?;
        Ok(RerankRequest { top_n: fields.top_n("top_k", "top_n")?, ..passages.added_to(request) })
    }

    fn encode(&self, _request_id: &str, _request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let mut rankings = Vec::with_capacity(response.ranking.len());
        for ranked in &response.ranking {
            // Always logits, even without `raw_scores`: the clients expect no other scale.
            rankings.push(Ranking { index: ranked.position, logit: Form::Logit.score(ranked, response) });
        }
        json(&Answer { rankings, usage: Tokens::of(response) })
    }

    fn encode_error(&self, request_id: &str, error: &Error) -> ErrorAnswer {
        plain(request_id, error)
    }
}
