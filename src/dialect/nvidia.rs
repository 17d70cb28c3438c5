//! NVIDIA NIM ranking (`POST /v1/ranking`, hosted `/v1/retrieval/…/reranking`;
//! docs.nvidia.com/nim/nemo-retriever/text-reranking, 2.3): `passages` in, `rankings` with logits out. Clients such as
//! Dify apply a sigmoid of their own to them.

use bytes::Bytes;
use rerankd_core::error::Error;
use rerankd_core::types::facts::ScoreScale;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::RerankResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::cohere_family::Tokens;
use super::fields::Fields;
use super::passage::ListDocuments;
use super::problem::{ErrorAnswer, plain};
use super::request_fields::{Field, FieldKind, MODEL, ObjectShape, TOP_K, TOP_N};
use super::scale::Form;
use super::{Dialect, json};

/// The NVIDIA dialect.
#[derive(Debug)]
pub struct Nvidia;

const QUERY: Field = Field::required("query", FieldKind::Object(&TEXT_OBJECT));
const PASSAGES: Field = Field::required("passages", FieldKind::Objects(&TEXT_OBJECT));

static TEXT_OBJECT: ObjectShape = ObjectShape {
    name: "TextObject",
    description: "A text in an object.",
    fields: &[Field::required("text", FieldKind::Text)],
    example: r#"{"text": "Seoul is the capital."}"#,
};

/// The fields of a request.
pub(crate) static REQUEST: ObjectShape = ObjectShape {
    name: "NvidiaBody",
    description: "A request in the format of NVIDIA NIM.",
    fields: &[MODEL, QUERY, PASSAGES, TOP_K],
    example: r#"{
        "query": {"text": "capital of Korea"},
        "passages": [{"text": "Busan is a port."}, {"text": "Seoul is the capital."}]
    }"#,
};

/// Ranked passages, best first.
#[derive(Serialize, ToSchema)]
#[schema(as = NvidiaAnswer)]
pub(crate) struct Answer {
    rankings: Vec<Ranking>,
    usage: Tokens,
}

/// One passage with its score.
#[derive(Serialize, ToSchema)]
#[schema(as = NvidiaRanking)]
struct Ranking {
    #[schema(example = 1)]
    index: usize,
    /// Score without bounds; its sigmoid is between 0 and 1.
    #[schema(example = 3.89)]
    logit: Option<f64>,
}

impl Dialect for Nvidia {
    fn name(&self) -> &'static str {
        "nvidia"
    }

    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        let request = fields.request(QUERY.path)?;
        let passages = fields.passages(PASSAGES.path, ListDocuments::PartsOnly)?;
        Ok(RerankRequest { top_n: fields.top_n(TOP_K.path, TOP_N.path)?, ..passages.added_to(request) })
    }

    fn scale(&self, _request: &RerankRequest, scale: Option<ScoreScale>) -> Option<ScoreScale> {
        Form::Logit.scale(scale)
    }

    fn numbers_ranks(&self) -> bool {
        true
    }

    fn encode(&self, _request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let mut rankings = Vec::with_capacity(response.ranking.len());
        for (at, ranked) in response.ranking.iter().enumerate() {
            // Always logits, even without `raw_scores`: the clients expect no other scale.
            rankings.push(Ranking { index: ranked.position, logit: Form::Logit.score_or_rank(at, request, response) });
        }
        json(&Answer { rankings, usage: Tokens::of(response) })
    }

    fn encode_error(&self, request_id: &str, error: &Error) -> ErrorAnswer {
        plain(request_id, error)
    }
}
