//! DeepInfra (`POST /v1/inference/{model}`): one query per document in, bare scores in input order out.

use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;

use super::fields::Fields;
use super::problem::{ErrorAnswer, plain};
use super::scale::Form;
use super::{Dialect, in_input_order, json};
use crate::error::Error;
use crate::types::request::RerankRequest;
use crate::types::response::RerankResponse;

/// The DeepInfra dialect.
#[derive(Debug)]
pub struct DeepInfra;

#[derive(Serialize)]
struct Answer<'a> {
    scores: Vec<Option<f64>>,
    input_tokens: u64,
    request_id: &'a str,
}

impl Dialect for DeepInfra {
    fn name(&self) -> &'static str {
        "deepinfra"
    }

    /// Reads a request whose queries must all be the same, because rerankd scores one query at a time.
    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        let queries = fields.texts("queries")?.unwrap_or_default();
        let list = fields.passages("documents", false)?;
        let Some(query) = queries.first() else {
            // Some clients send a request without documents, which then has no queries either.
            if list.passages.is_empty() {
                return fields.request_about(ByteString::new(), "/queries");
            }
            return Err(Error::invalid_field("/queries", "queries holds no query"));
        };
        if queries.len() > 1 && queries.len() != list.passages.len() {
            let message = format!("there are {} queries for {} documents", queries.len(), list.passages.len());
            return Err(Error::invalid_field("/queries", message));
        }
        if let Some(other) = queries.iter().position(|other| other != query) {
            let message = format!("queries[{other}] differs from queries[0]; send one request for each query");
            return Err(Error::invalid_field(format!("/queries/{other}"), message));
        }
        Ok(list.added_to(fields.request_about(query.clone(), "/queries/0")?))
    }

    fn encode(&self, request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let form = Form::raw(request.raw_scores);
        let mut scores = Vec::with_capacity(response.ranking.len());
        for ranked in in_input_order(response) {
            scores.push(form.score(&ranked, response));
        }
        json(&Answer { scores, input_tokens: response.usage.tokens.unwrap_or(0), request_id })
    }

    fn encode_error(&self, request_id: &str, error: &Error) -> ErrorAnswer {
        plain(request_id, error)
    }
}
