//! DeepInfra (`POST /v1/inference/{model}`): one query per document in, bare scores in input order out.

use bytes::Bytes;
use faststr::FastStr;
use rerankd_core::error::Error;
use rerankd_core::text::counted;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::RerankResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::Fields;
use super::passage::ListDocuments;
use super::problem::{ErrorAnswer, plain};
use super::request_fields::{Field, FieldKind, INSTRUCTION, ObjectShape};
use super::scale::Form;
use super::{Dialect, in_input_order, json};

/// The DeepInfra dialect.
#[derive(Debug)]
pub struct DeepInfra;

const QUERIES: Field = Field::required("queries", FieldKind::Texts);
const DOCUMENTS: Field = Field::required("documents", FieldKind::Texts);

/// The fields of a request. The path names the model.
pub(crate) static REQUEST: ObjectShape = ObjectShape {
    name: "DeepInfraBody",
    description: "A request in the format of DeepInfra: the same query once for each document, or only once.",
    fields: &[QUERIES, DOCUMENTS, INSTRUCTION],
    example: r#"{
        "queries": ["capital of Korea", "capital of Korea"],
        "documents": ["Busan is a port.", "Seoul is the capital."]
    }"#,
};

/// The scores, in the order of the documents.
#[derive(Serialize, ToSchema)]
#[schema(as = DeepInfraAnswer)]
pub(crate) struct Answer<'a> {
    #[schema(example = json!([0.02, 0.98]))]
    scores: Vec<Option<f64>>,
    #[schema(example = 123)]
    input_tokens: u64,
    #[schema(example = "0198f4a2-6c1e-7d3a-9a55-2f6f1f0c7f11")]
    request_id: &'a str,
}

impl Dialect for DeepInfra {
    fn name(&self) -> &'static str {
        "deepinfra"
    }

    /// Reads a request whose queries must all be the same, because rerankd scores one query at a time.
    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        let queries = fields.texts(QUERIES.path)?.unwrap_or_default();
        let list = fields.passages(DOCUMENTS.path, ListDocuments::PartsOnly)?;
        let Some(query) = queries.first() else {
            // Some clients send a request without documents, which then has no queries either.
            if list.passages.is_empty() {
                return fields.request_about(FastStr::empty(), "/queries");
            }
            return Err(Error::invalid_field("/queries", "queries holds no query"));
        };
        if queries.len() > 1 && queries.len() != list.passages.len() {
            let message = format!(
                "the body has {} for {}",
                counted(queries.len(), "query", "queries"),
                counted(list.passages.len(), "document", "documents")
            );
            return Err(Error::invalid_field("/queries", message));
        }
        if let Some(other) = queries.iter().position(|other| other != query) {
            let message = format!("queries[{other}] differs from queries[0]; send one request for each query");
            return Err(Error::invalid_field(format!("/queries/{other}"), message));
        }
        Ok(list.added_to(fields.request_about(query.clone(), "/queries/0")?))
    }

    fn numbers_ranks(&self) -> bool {
        true
    }

    fn encode(&self, request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let form = Form::asked_for(request);
        let mut scores = Vec::with_capacity(response.ranking.len());
        for at in in_input_order(response) {
            scores.push(form.score_or_rank(at, request, response));
        }
        json(&Answer { scores, input_tokens: response.usage.tokens.unwrap_or(0), request_id })
    }

    fn encode_error(&self, request_id: &str, error: &Error) -> ErrorAnswer {
        plain(request_id, error)
    }
}
