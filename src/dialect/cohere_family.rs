//! The family of shapes that grew from Cohere's: `documents` in, `index` and `relevance_score` out.
//!
//! Their requests differ in a name or two, and their clients ignore fields they do not know. So one answer serves them
//! all: `results` for clients of Cohere, Jina and vLLM, `data` for those of Voyage where the request may come from one,
//! `meta` and `usage` for those that insist on one of them. A member of the family is a row of facts that its clients
//! insist on.

use bytes::Bytes;
use rerankd_core::error::Error;
use rerankd_core::types::passages::PassageObject;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::RerankResponse;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use super::echo::{Document, DocumentForm};
use super::explanation::ResultExplanationBody;
use super::fields::Fields;
use super::passage::ListDocuments;
use super::problem::{ErrorAnswer, problem_details};
use super::provenance::{ProvenanceBody, ScoreSourceName};
use super::request_fields::{DOCUMENTS, QUERY, RETURN_DOCUMENTS, TOP_K, TOP_N};
use super::scale::Form;
use super::{Dialect, json, raw_json};

/// One member of the family.
#[derive(Debug)]
pub struct CohereFamily {
    /// Name in metrics, headers and paths.
    pub(super) name: &'static str,
    /// Value of `object` in an answer.
    pub(super) object: &'static str,
    /// True if an answer repeats the results in `data`.
    pub(super) has_data: bool,
    /// Form of a document in `results`. In `data` it is always a text.
    pub(super) document: DocumentForm,
    /// Field with the number of results to return.
    pub(super) top_n_field: TopNField,
    /// True if documents are sent back unless the client says no.
    pub(super) returns_documents: bool,
    /// Value of `meta.api_version`, if there is one.
    pub(super) api_version: Option<&'static str>,
}

/// The field that wins if a client sends both `top_n` and `top_k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopNField {
    TopN,
    TopK,
    /// `top_n`, where 0 and negative numbers mean all.
    TopNOrZero,
}

/// The documents, best first.
#[derive(Serialize, ToSchema)]
#[schema(as = RerankAnswer)]
pub(crate) struct Answer<'a> {
    /// Id of the request, the same as in the header `X-Request-Id`.
    #[schema(example = "0198f4a2-6c1e-7d3a-9a55-2f6f1f0c7f11")]
    id: &'a str,
    /// `rerank` at `/rerank`, `list` at paths with a version.
    #[schema(example = "rerank")]
    object: &'static str,
    /// Name of the model that was used.
    #[schema(example = "default")]
    model: &'a str,
    /// Results, best first, ties in input order. An answer that is not reranked has every document in input order.
    #[schema(value_type = Vec<AnswerResult<'a>>)]
    results: &'a RawValue,
    /// The same results for clients of Voyage, with documents as texts; only at `/v1/rerank` and in Voyage's dialect.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Vec<DataResult<'a>>)]
    data: Option<&'a RawValue>,
    usage: Tokens,
    meta: Meta<'a>,
}

/// One document with its score.
#[derive(Serialize, ToSchema)]
#[schema(as = RerankResult)]
struct AnswerResult<'a> {
    /// Position of the document in the request, from 0.
    #[schema(example = 1)]
    index: usize,
    /// Id of the document, if the request had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = serde_json::Value, example = "a1")]
    id: Option<&'a RawValue>,
    /// Score; higher is more relevant, see `meta.rerankd.score_scale`. Null in an answer that is not reranked, for
    /// blank documents on a scale without a floor, and in every answer of a selector.
    #[schema(example = 0.98)]
    relevance_score: Option<f64>,
    /// The document, if `return_documents` was set: the object as it was sent, or `{"text": …}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Object, example = json!({"text": "Seoul is the capital of Korea."}))]
    document: Option<Document<'a>>,
    /// Source of the score; only with `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = ScoreSourceName)]
    source: Option<ScoreSourceName>,
    /// The text that was scored and the move in rank; only with `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = ResultExplanationBody<'a>)]
    explain: Option<ResultExplanationBody<'a>>,
}

/// One document with its score, in Voyage's format.
#[derive(Serialize, ToSchema)]
struct DataResult<'a> {
    #[schema(example = 1)]
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = serde_json::Value, example = "a1")]
    id: Option<&'a RawValue>,
    #[schema(example = 0.98)]
    relevance_score: Option<f64>,
    /// The text, if `return_documents` was set.
    #[schema(example = "Seoul is the capital of Korea.", required = false, value_type = String)]
    document: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = ScoreSourceName)]
    source: Option<ScoreSourceName>,
}

/// Tokens that providers have read for the request.
#[derive(Serialize, ToSchema)]
#[schema(as = AnswerUsage)]
#[expect(clippy::struct_field_names, reason = "the wire's own names")]
pub(super) struct Tokens {
    /// The same as `total_tokens`: a reranker generates nothing.
    #[schema(example = 123)]
    prompt_tokens: u64,
    /// Always 0: a reranker generates nothing.
    #[schema(example = 0)]
    completion_tokens: u64,
    /// Tokens as reported by providers; 0 for those that report none.
    #[schema(example = 123)]
    total_tokens: u64,
}

/// Billing, and the provenance of the scores.
#[derive(Serialize, ToSchema)]
#[schema(as = AnswerMeta)]
struct Meta<'a> {
    /// Version of Cohere's API; only in Cohere's dialect.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = ApiVersion)]
    api_version: Option<ApiVersion>,
    billed_units: BilledUnits,
    tokens: MetaTokens,
    rerankd: ProvenanceBody<'a>,
}

/// A version of Cohere's API.
#[derive(Serialize, ToSchema)]
struct ApiVersion {
    #[schema(example = "2")]
    version: &'static str,
}

/// Units that providers have billed for the request.
#[derive(Serialize, ToSchema)]
#[schema(as = AnswerBilledUnits)]
struct BilledUnits {
    /// Search units; 0 if the provider bills by tokens or reports nothing.
    #[schema(example = 1)]
    search_units: u64,
    /// Tokens, if the provider reports them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = u64, example = 123)]
    input_tokens: Option<u64>,
}

/// Tokens under Cohere's names.
#[derive(Serialize, ToSchema)]
#[schema(as = AnswerTokens)]
struct MetaTokens {
    /// The same as `usage.total_tokens`.
    #[schema(example = 123)]
    input_tokens: u64,
    /// Always 0: a reranker generates nothing.
    #[schema(example = 0)]
    output_tokens: u64,
}

impl Dialect for CohereFamily {
    fn name(&self) -> &'static str {
        self.name
    }

    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error> {
        let request = fields.request(QUERY.path)?;
        let top_n = match self.top_n_field {
            TopNField::TopN => fields.top_n(TOP_N.path, TOP_K.path)?,
            TopNField::TopK => fields.top_n(TOP_K.path, TOP_N.path)?,
            // Before `top_n` is read, which refuses a negative number.
            TopNField::TopNOrZero if fields.is_negative(TOP_N.path) => None,
            TopNField::TopNOrZero => match fields.top_n(TOP_N.path, TOP_K.path)? {
                Some(0) => None,
                count => count,
            },
        };
        let passages = fields.passages(DOCUMENTS.path, ListDocuments::PartsOnly)?;
        Ok(RerankRequest {
            top_n,
            return_documents: fields.flag(RETURN_DOCUMENTS.path)?.unwrap_or(self.returns_documents),
            ..passages.added_to(request)
        })
    }

    fn encode(&self, request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let results = Self::results(request, response, self.document);
        let results_json = list_json(&results);
        // `data` differs from `results` in the documents alone.
        let data_json = match (self.has_data, request.return_documents) {
            (true, true) => Some(list_json(&Self::data(request, &results))),
            (true, false) => Some(results_json.clone()),
            (false, _) => None,
        };
        let usage = response.usage;
        let provenance = &response.provenance;
        let scale = self.scale(request, provenance.score_scale);
        let tokens = usage.tokens.unwrap_or(0);
        json(&Answer {
            id: request_id,
            object: self.object,
            model: &response.model,
            results: &results_json,
            data: data_json.as_deref(),
            usage: Tokens::of(response),
            meta: Meta {
                api_version: self.api_version.map(|version| ApiVersion { version }),
                billed_units: BilledUnits { search_units: usage.search_units.unwrap_or(0), input_tokens: usage.tokens },
                tokens: MetaTokens { input_tokens: tokens, output_tokens: 0 },
                rerankd: ProvenanceBody::new(provenance, scale),
            },
        })
    }

    fn encode_error(&self, request_id: &str, error: &Error) -> ErrorAnswer {
        problem_details(request_id, error)
    }
}

impl CohereFamily {
    /// The results, best first.
    fn results<'a>(
        request: &'a RerankRequest,
        response: &'a RerankResponse,
        document: DocumentForm,
    ) -> Vec<AnswerResult<'a>> {
        let form = Form::asked_for(request);
        let mut results = Vec::with_capacity(response.ranking.len());
        for (at, ranked) in response.ranking.iter().enumerate() {
            let passage = request.passages.get(ranked.position);
            let id = match passage.object {
                Some(PassageObject { id: Some(id), .. }) => raw_json(id),
                _ => None,
            };
            results.push(AnswerResult {
                index: ranked.position,
                id,
                relevance_score: form.score(ranked, response),
                document: request.return_documents.then(|| document.of(passage)),
                source: request.explain.then_some(ScoreSourceName(ranked.source)),
                explain: request.explain.then(|| ResultExplanationBody::of(response, at)),
            });
        }
        results
    }

    /// The same results with the texts that were scored.
    fn data<'a>(request: &'a RerankRequest, results: &[AnswerResult<'a>]) -> Vec<DataResult<'a>> {
        let mut data = Vec::with_capacity(results.len());
        for result in results {
            data.push(DataResult {
                index: result.index,
                id: result.id,
                relevance_score: result.relevance_score,
                document: request.passages.get(result.index).text,
                source: result.source,
            });
        }
        data
    }
}

/// The JSON of a list of results.
fn list_json(results: &impl Serialize) -> Box<RawValue> {
    // Numbers, strings and JSON that came from a parser can always be written.
    to_raw_value(results).unwrap_or_default()
}

impl Tokens {
    /// The tokens that the provider reports; 0 if it reports none.
    pub(super) fn of(response: &RerankResponse) -> Self {
        let tokens = response.usage.tokens.unwrap_or(0);
        Self { prompt_tokens: tokens, completion_tokens: 0, total_tokens: tokens }
    }
}
