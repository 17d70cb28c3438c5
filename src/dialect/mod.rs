//! Inbound wire shapes.
//!
//! A dialect is the mirror of a `provider/`: three pure functions between JSON and the pipeline's own types. Any
//! dialect works with any provider, because both know only [`RerankRequest`] and [`RerankResponse`]. To add a dialect,
//! write its file and add it to [`DIALECTS`].

mod base64_run;
pub mod choose;
pub mod cohere;
pub mod cohere_family;
pub mod dashscope;
pub mod deepinfra;
mod document;
mod echo;
mod entries;
mod entries_by_serde;
mod explanation;
mod field_errors;
pub mod fields;
pub mod infinity;
pub mod jina;
mod layout;
pub mod mixedbread;
pub mod native;
pub mod nvidia;
pub(crate) mod passage;
pub(crate) mod picture_warning;
mod pictures;
pub mod pinecone;
pub mod problem;
pub(crate) mod provenance;
mod query;
mod rank_fields;
mod raw;
pub mod read;
pub(crate) mod request_fields;
mod scale;
mod scan;
pub mod tei;
mod unescape;
pub(crate) mod unread_fields;
pub mod vllm;
pub mod voyage;
pub mod weaviate;
pub mod xinference;

#[cfg(test)]
mod decoding_fuzz;
#[cfg(test)]
mod tests;

use std::fmt::Debug;

use bytes::Bytes;
use rerankd_core::error::Error;
use rerankd_core::types::facts::ScoreScale;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::RerankResponse;
use serde::Serialize;
use serde_json::value::RawValue;

use self::fields::Fields;
use self::problem::ErrorAnswer;
use self::scale::Form;

/// One inbound wire shape.
pub trait Dialect: Debug + Send + Sync {
    /// Name in paths, in the header `X-Rerank-Dialect`, in the configuration and in metrics.
    fn name(&self) -> &'static str;

    /// Reads the request of a body. Texts without escapes are slices of the body.
    ///
    /// # Errors
    /// `invalid_json` or `invalid_request`; the message never quotes the body.
    fn decode(&self, fields: &Fields<'_>) -> Result<RerankRequest, Error>;

    /// The scale on which an answer to `request` gives its scores, where the scores themselves are on `scale`.
    fn scale(&self, request: &RerankRequest, scale: Option<ScoreScale>) -> Option<ScoreScale> {
        Form::asked_for(request).scale(scale)
    }

    /// Returns true if the results of a selector, which have no scores, get numbers made of their ranks: clients of the
    /// dialect fail on null, or know the order by the numbers alone (`docs/decisions/0020-selectors.md`).
    fn numbers_ranks(&self) -> bool {
        false
    }

    /// The body of a successful answer, as JSON.
    fn encode(&self, request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes;

    /// The answer for an error, in a form that the dialect's clients understand.
    fn encode_error(&self, request_id: &str, error: &Error) -> ErrorAnswer;
}

/// All dialects that a request can name. The first is rerankd's own.
pub static DIALECTS: [&dyn Dialect; 15] = [
    &native::BARE,
    &cohere::V2,
    &cohere::V1,
    &jina::JINA,
    &vllm::VLLM,
    &infinity::INFINITY,
    &xinference::XINFERENCE,
    &voyage::VOYAGE,
    &mixedbread::Mixedbread,
    &tei::Tei,
    &nvidia::Nvidia,
    &dashscope::DashScope,
    &weaviate::Weaviate,
    &deepinfra::DeepInfra,
    &pinecone::Pinecone,
];

/// The dialect of this name, which must be in lower case.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.into_iter().find(|dialect| dialect.name() == name)
}

/// Indices of the results in the ranking, in the order of the request's passages. After `top_n` there may be fewer.
fn in_input_order(response: &RerankResponse) -> Vec<usize> {
    let mut indices: Vec<_> = (0..response.ranking.len()).collect();
    indices.sort_unstable_by_key(|at| response.ranking[*at].position);
    indices
}

/// A slice of the request as JSON that is written as it stands. Never `None`, because the slice has been parsed before.
fn raw_json(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

/// The JSON of an answer.
fn json(value: &impl Serialize) -> Bytes {
    // Numbers, strings and JSON that came from a parser can always be written.
    serde_json::to_vec(value).unwrap_or_default().into()
}
