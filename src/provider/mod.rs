//! Upstream wire shapes.
//!
//! A provider is two pure functions: [`Provider::encode`] writes the body of one scoring call, [`Provider::decode`] reads the
//! scores out of a successful reply. No I/O, no clock, no configuration. Address, credential, time-outs, retries and the meaning
//! of statuses belong to `upstream/`; whether a reply is complete is decided by [`crate::rerank::merge`]; limits, prices and
//! models are data, in `config/providers.toml`.

mod cohere;
mod counts;
mod explain;
pub mod facts;
mod head;
mod jina;
mod loose;
mod mixedbread;
mod tei;
mod voyage;
mod wire;

use bytes::Bytes;
use http::HeaderMap;
use serde::Serialize;

pub use self::explain::{EXPLAINED_BYTES, Explanation, explain};
pub use self::facts::{Billing, InstructionSupport, ModelFacts, ProviderFacts, ScoreScale, Scoring};
use crate::rerank::request::ScoringOptions;

/// Every provider by its name in the configuration. Adding one: its file, a line here, a table in `config/providers.toml`,
/// fixtures in `tests/golden/`, a row in `docs/providers.md`.
pub const PROVIDERS: [&dyn Provider; 5] =
    [&cohere::Cohere, &jina::Jina, &voyage::Voyage, &mixedbread::Mixedbread, &tei::Tei];

/// The provider of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.into_iter().find(|provider| provider.name() == name)
}

/// One upstream wire shape.
pub trait Provider: Send + Sync + std::fmt::Debug {
    /// Name in the configuration and in metrics.
    fn name(&self) -> &'static str;

    /// The documented path of the call, from the root of the documented base URL.
    fn path(&self) -> &'static str;

    /// The body of one scoring call. Asks for every passage's score: never for a cut list, never for documents back.
    fn encode(&self, batch: &ScoreBatch<'_>) -> Vec<u8>;

    /// The scores of a reply with a success status, by position in the batch as the upstream says it.
    ///
    /// # Errors
    /// Says what is wrong with the body; a missing score is an error, never a default.
    fn decode(&self, reply: &WireReply) -> Result<Decoded, serde_json::Error>;

    /// Whether [`ScoringOptions::max_tokens_per_doc`] is understood.
    fn limits_passage_tokens(&self) -> bool {
        false
    }
}

/// What one call scores.
#[derive(Clone, Debug)]
pub struct ScoreBatch<'a> {
    /// The upstream's name for the model.
    pub model: &'a str,
    /// The search text, with an instruction prepended where the model wants it so.
    pub query: &'a str,
    /// The texts to be scored.
    pub passages: Vec<&'a str>,
    /// What else takes part in a score.
    pub options: &'a ScoringOptions,
}

/// A reply with a success status.
#[derive(Clone, Debug, Default)]
pub struct WireReply {
    /// Response headers.
    pub headers: HeaderMap,
    /// The whole body, decompressed.
    pub body: Bytes,
}

/// What an upstream said. Not yet checked for completeness.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// Position in the batch and score, in the upstream's order.
    pub scores: Vec<(i64, f64)>,
    /// Tokens read, if reported.
    pub tokens: Option<u64>,
    /// Search units billed, if reported.
    pub search_units: Option<u64>,
}

/// Writes a body that is known to be serialisable: strings, numbers and lists of them.
pub(crate) fn json_body(body: &impl Serialize, passages: &[&str]) -> Vec<u8> {
    let estimate = 256 + passages.iter().map(|passage| passage.len() + passage.len() / 16 + 3).sum::<usize>();
    let mut bytes = Vec::with_capacity(estimate);
    // Writing strings and numbers to memory cannot fail.
    let written = sonic_rs::to_writer(&mut bytes, body);
    debug_assert!(written.is_ok());
    bytes
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
