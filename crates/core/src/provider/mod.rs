//! Upstream wire shapes.
//!
//! A provider is two pure functions: [`Provider::encode`] writes the body of one scoring call, [`Provider::decode`]
//! reads the scores out of a successful reply. No I/O, no clock, no configuration. Address, credential, timeouts,
//! retries and the meaning of statuses belong to `upstream/`. [`crate::provider::check`] decides if a reply is
//! complete. Limits, prices and models are data, in `config/providers.toml`.

pub mod check;
mod cohere;
mod counts;
mod explain;
mod head;
mod jina;
mod loose;
mod mixedbread;
mod plain;
mod tei;
mod voyage;
mod wire;

use bytes::Bytes;
use http::HeaderMap;
use serde::Serialize;

pub use self::explain::{EXPLAINED_BYTES, Explanation, explain};
pub use crate::types::facts::{Billing, InstructionSupport, ModelFacts, ProviderFacts, ScoreScale, Scoring};
use crate::types::request::ScoringOptions;

/// The providers. A new one needs its file, a line here, a table in `config/providers.toml`, fixtures in
/// `tests/golden/` and a row in `docs/providers.md`.
pub const PROVIDERS: [&dyn Provider; 5] =
    [&cohere::Cohere, &jina::Jina, &voyage::Voyage, &mixedbread::Mixedbread, &tei::Tei];

/// The provider with this [`Provider::name`].
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.into_iter().find(|provider| provider.name() == name)
}

/// The wire shape of one provider.
pub trait Provider: Send + Sync + std::fmt::Debug {
    /// Unique name in the configuration and in metrics.
    fn name(&self) -> &'static str;

    /// Documented path of the call, relative to the documented base URL.
    fn path(&self) -> &'static str;

    /// The body of one scoring call. It asks for the score of every passage, never for a shortened list, and never for
    /// documents in the reply.
    fn encode(&self, batch: &ScoreBatch<'_>) -> Vec<u8>;

    /// The scores of a reply with a success status, each with the position in the batch that the upstream gives.
    ///
    /// # Errors
    /// The defect of the body. A missing score is an error, never a default.
    fn decode(&self, reply: &WireReply) -> Result<Decoded, serde_json::Error>;

    /// Returns true if the provider supports [`ScoringOptions::max_tokens_per_doc`].
    fn limits_passage_tokens(&self) -> bool {
        false
    }
}

/// The content of one scoring call.
#[derive(Clone, Debug)]
pub struct ScoreBatch<'a> {
    /// Name of the model at the upstream.
    pub model: &'a str,
    /// The search text, after the instruction if the model takes one so.
    pub query: &'a str,
    /// The texts to be scored; positions in the reply are indices into this list.
    pub passages: Vec<PassageText<'a>>,
    /// Other options that influence a score.
    pub options: &'a ScoringOptions,
}

/// A text to be scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassageText<'a> {
    /// The text itself.
    pub text: &'a str,
    /// A JSON string of the same text with its quotation marks, if the client sent one. It is passed on as it came:
    /// same text, same score.
    pub literal: Option<&'a str>,
}

impl<'a> From<&'a str> for PassageText<'a> {
    fn from(text: &'a str) -> Self {
        Self { text, literal: None }
    }
}

/// A reply with a success status.
#[derive(Clone, Debug, Default)]
pub struct WireReply {
    /// Response headers.
    pub headers: HeaderMap,
    /// The whole body, decompressed.
    pub body: Bytes,
    /// Number of passages in the call.
    pub passages: usize,
}

/// The content of a reply, not yet checked for completeness.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// Position in the batch and score, in the upstream's order. Positions are as the upstream gave them: they may be
    /// out of range, missing or doubled.
    pub scores: Vec<(i64, f64)>,
    /// Tokens read, if reported.
    pub tokens: Option<u64>,
    /// Search units billed, if reported.
    pub search_units: Option<u64>,
}

/// The JSON of a request body: the fields of `others`, which must be an object with at least one field, and then the
/// list of `passages` under the name `list`.
pub(crate) fn json_body(others: &impl Serialize, list: &str, passages: &[PassageText<'_>]) -> Vec<u8> {
    let mut fields = Vec::new();
    append_json(&mut fields, others);
    fields.pop(); // the brace at the end
    // Room for the name of the list and what stands around it.
    let mut length = fields.len() + list.len() + 8;
    for passage in passages {
        length += match passage.literal {
            Some(literal) => literal.len() + 1,
            // Quotation marks and a comma, and room for escapes.
            None => passage.text.len() + passage.text.len() / 16 + 3,
        };
    }
    let mut body = Vec::with_capacity(length);
    body.extend_from_slice(&fields);
    body.extend_from_slice(b",\"");
    body.extend_from_slice(list.as_bytes());
    body.extend_from_slice(b"\":[");
    for (number, passage) in passages.iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        match passage.literal {
            Some(literal) => body.extend_from_slice(literal.as_bytes()),
            None => append_json(&mut body, passage.text),
        }
    }
    body.extend_from_slice(b"]}");
    body
}

fn append_json(json: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Writing strings and numbers to memory cannot fail.
    let written = serde_json::to_writer(json, value);
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for provider in PROVIDERS {
            assert_eq!(by_name(provider.name()).map(Provider::name), Some(provider.name()));
        }
    }
}
