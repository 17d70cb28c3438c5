//! Upstream wire shapes.
//!
//! ```text
//!  ScoreBatch ─▶ request_template ─▶ body          one pass, from borrowed texts
//!  reply ─▶ quick_reader ─▶ readout ─▶ Decoded     replies as they are documented
//!       └─▶ reader ──────────┘                     replies in any spelling
//! ```
//!
//! A [`Wire`] is data: pointers to the places of a call's parts, in `config/providers/NAME.toml` or in `[wires.NAME]`.
//! No I/O, no clock, no configuration here. Address, credential, timeouts, retries and the meaning of statuses belong
//! to `upstream/`. [`crate::provider::check`] decides if a reply is complete.

pub mod check;
mod counts;
pub mod error_rules;
mod explain;
mod head;
mod lookup;
mod loose;
mod mismatch;
pub(crate) mod phrases;
mod pointer;
mod quick_reader;
mod reader;
mod readout;
mod reply_template;
mod request_template;
mod result_list;
mod template_builder;
mod wire;

use bytes::Bytes;
use http::HeaderMap;
use serde::Serialize;

pub use self::explain::{EXPLAINED_BYTES, Explanation, explain};
pub use self::pointer::Pointer;
pub use self::reply_template::{ReplyShape, SuccessMember};
pub use self::request_template::{Constant, RequestShape};
pub use self::wire::{CallShape, DecodeError, KeyPlacement, KeyScheme, Wire, WireFault};
pub use crate::types::facts::{Billing, InstructionSupport, ModelFacts, ProviderFacts, ScoreScale, Scoring};
use crate::types::request::ScoringOptions;

/// The content of one scoring call.
#[derive(Clone, Debug)]
pub struct ScoreBatch<'a> {
    /// Name of the model at the upstream.
    pub model: &'a str,
    /// The search text, after the instruction if the model takes one so.
    pub query: &'a str,
    /// The instruction, if the model takes one in a field.
    pub instruction: Option<&'a str>,
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
    /// Price of the call in US dollars, if the upstream says it.
    pub cost_usd: Option<f64>,
    /// Version of the model, if the upstream says it.
    pub model_version: Option<String>,
}

/// Appends a value's JSON.
fn append_json(json: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Writing strings and numbers to memory cannot fail.
    let written = serde_json::to_writer(json, value);
    debug_assert!(written.is_ok());
}
