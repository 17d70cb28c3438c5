//! The wire shape of a provider: how a batch becomes a request, and a reply scores.

use std::fmt;

use http::{HeaderMap, HeaderName};

use super::mismatch::mismatch;
use super::reader;
use super::readout::body_says_failure;
use super::reply_template::{ReplyShape, ReplyTemplate};
use super::request_template::{RequestShape, RequestTemplate, ShapeFault};
use super::{Decoded, ScoreBatch, WireReply};
use crate::text::bytes_without_mark;

/// The wire shape of one provider, as data. Pure: no I/O, no clock, no configuration.
#[derive(Clone, Debug)]
pub struct Wire {
    name: String,
    /// True if the operator declared it.
    is_operators: bool,
    call: CallShape,
    request: RequestTemplate,
    reply: ReplyTemplate,
}

/// The call, without its body.
#[derive(Clone, Debug)]
pub struct CallShape {
    /// Documented path, relative to the documented base URL. `{model}` and other names in braces stand for values.
    pub path: String,
    /// Parameters of the query that every call carries.
    pub query_parameters: Vec<(String, String)>,
    /// Headers that every call carries, beside those of JSON.
    pub headers: HeaderMap,
    /// Place of the key.
    pub key: KeyPlacement,
}

/// The header that shows a key, and what stands before the key there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlacement {
    /// Name of the header.
    pub header: HeaderName,
    /// The scheme before the key.
    pub scheme: KeyScheme,
}

/// The form in which a header shows a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyScheme {
    /// The key alone.
    Bare,
    /// A word, a space and the key.
    Word(String),
    /// `Basic`, and the key, which is `USER:PASSWORD`, in base64.
    Basic,
}

impl KeyPlacement {
    /// `Authorization: Bearer KEY`.
    #[must_use]
    pub fn bearer() -> Self {
        Self { header: http::header::AUTHORIZATION, scheme: KeyScheme::Word("Bearer".to_owned()) }
    }
}

/// A fault of a wire shape: the section (`request` or `reply`), the key, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireFault {
    /// `request` or `reply`.
    pub section: &'static str,
    /// The key that is wrong.
    pub key: &'static str,
    /// The fault, in a sentence.
    pub message: String,
}

/// The reason why a reply with a success status gives no scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The body has another shape.
    Shape {
        /// The pointer that did not match, and how; `None` if that could not be found out.
        mismatch: Option<String>,
        /// Line of the body at which its reader gave up, from 1.
        line: usize,
        /// Column of that line.
        column: usize,
    },
    /// The body says that the call failed.
    Failure,
}

impl Wire {
    /// The wire shape of these parts.
    ///
    /// # Errors
    /// Every fault of the shapes.
    pub fn new(
        name: &str,
        call: CallShape,
        request: &RequestShape,
        reply: &ReplyShape,
    ) -> Result<Self, Vec<WireFault>> {
        let (request, reply) = templates(request, reply)?;
        Ok(Self { name: name.to_owned(), is_operators: false, call, request, reply })
    }

    /// The faults of these parts; empty if there are none.
    #[must_use]
    pub fn faults(request: &RequestShape, reply: &ReplyShape) -> Vec<WireFault> {
        templates(request, reply).err().unwrap_or_default()
    }

    /// Unique name in the configuration and in metrics.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same wire shape, declared by the operator.
    #[must_use]
    pub fn of_operator(self) -> Self {
        Self { is_operators: true, ..self }
    }

    /// The table of the configuration with its facts, such as `providers.jina` or `wires.mine`.
    #[must_use]
    pub fn setting(&self) -> String {
        let section = if self.is_operators { "wires" } else { "providers" };
        format!("{section}.{}", self.name)
    }

    /// The call, without its body.
    #[must_use]
    pub fn call(&self) -> &CallShape {
        &self.call
    }

    /// The body of one scoring call. It asks for the score of every passage, never for a shortened list, and for no
    /// documents in the reply where that can be said.
    #[must_use]
    pub fn encode(&self, batch: &ScoreBatch<'_>) -> Vec<u8> {
        self.request.write(batch)
    }

    /// Returns true if replies tell the version of the model.
    #[must_use]
    pub fn tells_version(&self) -> bool {
        self.reply.shape.model_version.is_some()
    }

    /// The scores of a reply with a success status, each with the position in the batch that the upstream gives.
    ///
    /// # Errors
    /// The defect of the body, or its own word that the call failed. A missing score is an error, never a default.
    pub fn decode(&self, reply: &WireReply) -> Result<Decoded, DecodeError> {
        let error = match reader::read(&self.reply, reply) {
            Ok(readout) if readout.says_failure => return Err(DecodeError::Failure),
            Ok(readout) => return Ok(readout.decoded),
            Err(error) => error,
        };
        let body = bytes_without_mark(&reply.body);
        let repaired = reader::without_python_numbers(body);
        if body_says_failure(&self.reply, repaired.as_deref().unwrap_or(body)) {
            return Err(DecodeError::Failure);
        }
        // The parser's own message may quote the reply; pointer and position do not.
        let mismatch = mismatch(&self.reply, &reply.body);
        Err(DecodeError::Shape { mismatch, line: error.line(), column: error.column() })
    }

    /// Returns true if the provider supports
    /// [`ScoringOptions::max_tokens_per_doc`](crate::types::request::ScoringOptions::max_tokens_per_doc).
    #[must_use]
    pub fn limits_passage_tokens(&self) -> bool {
        self.request.limits_passage_tokens()
    }

    /// Returns true if the request has a field for an instruction.
    #[must_use]
    pub fn takes_instruction(&self) -> bool {
        self.request.takes_instruction()
    }

    /// The places of a reply's parts.
    #[must_use]
    pub fn reply_shape(&self) -> &ReplyShape {
        &self.reply.shape
    }

    /// Returns true if replies name passages and give no scores.
    #[must_use]
    pub fn gives_no_scores(&self) -> bool {
        self.reply.shape.score.is_none()
    }
}

/// The templates of both shapes.
///
/// # Errors
/// Every fault of the shapes.
fn templates(request: &RequestShape, reply: &ReplyShape) -> Result<(RequestTemplate, ReplyTemplate), Vec<WireFault>> {
    let request_template = RequestTemplate::new(request);
    let reply_template = ReplyTemplate::new(reply);
    let mut faults = Vec::new();
    let mut add = |section: &'static str, found: &[ShapeFault]| {
        for (key, message) in found {
            faults.push(WireFault { section, key, message: message.clone() });
        }
    };
    add("request", request_template.as_ref().err().map_or(&[], Vec::as_slice));
    add("reply", reply_template.as_ref().err().map_or(&[], Vec::as_slice));
    if reply.id.is_some() && request.ids.is_none() {
        add("reply", &[("id", "means nothing without ids in [request], which it gives back".to_owned())]);
    }
    match (request_template, reply_template) {
        (Ok(request), Ok(reply)) if faults.is_empty() => Ok((request, reply)),
        _ => Err(faults),
    }
}

impl fmt::Display for WireFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}: {}", self.section, self.key, self.message)
    }
}

#[cfg(test)]
impl Wire {
    /// A wire shape like Cohere's, for tests of the layers above.
    pub(crate) fn like_cohere() -> Self {
        let pointer = |text| Some(super::Pointer::parse(text).unwrap());
        let call = CallShape {
            path: "/v2/rerank".to_owned(),
            query_parameters: Vec::new(),
            headers: HeaderMap::new(),
            key: KeyPlacement::bearer(),
        };
        let request = RequestShape {
            model: pointer("/model"),
            query: pointer("/query"),
            passages: pointer("/documents[]"),
            max_tokens_per_doc: pointer("/max_tokens_per_doc"),
            ..RequestShape::default()
        };
        let reply = ReplyShape {
            results: pointer("/results[]").into_iter().collect(),
            index: pointer("/index"),
            score: pointer("/relevance_score"),
            ..ReplyShape::default()
        };
        Self::new("cohere", call, &request, &reply).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Pointer, SuccessMember};
    use super::*;

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    /// A wire whose replies name passages by ids, and say by `code` if the call succeeded.
    fn wire_with_ids() -> Wire {
        let request = RequestShape {
            query: Some(pointer("/query")),
            passages: Some(pointer("/items[]/text")),
            ids: Some(pointer("/items[]/id")),
            id_prefix: "p".to_owned(),
            ..RequestShape::default()
        };
        let reply = ReplyShape {
            results: vec![pointer("/a[]"), pointer("/b/c[]")],
            id: Some(pointer("/id")),
            id_prefix: "p".to_owned(),
            score: Some(pointer("/s")),
            tokens: Some(pointer("/parts[]/n")),
            success: Some(SuccessMember { at: pointer("/code"), values: vec!["0".to_owned()] }),
            ..ReplyShape::default()
        };
        Wire::new("mine", Wire::like_cohere().call, &request, &reply).unwrap()
    }

    fn decode(body: &str) -> Result<Decoded, DecodeError> {
        let reply = WireReply { body: body.to_owned().into(), passages: 2, ..WireReply::default() };
        wire_with_ids().decode(&reply)
    }

    #[test]
    fn results_are_found_by_id_in_the_alternative_that_is_there() {
        for body in [
            r#"{"a":[{"id":"p1","s":0.5},{"id":"p0","s":1}],"code":0}"#,
            r#"{"a":null,"b":{"c":[{"id":"p1","s":0.5},{"id":"p0","s":1}]},"code":"0"}"#,
            r#"{"b":{"c":[{"id":"p1","s":0.5},{"id":"p0","s":1,"s":1}]}}"#,
        ] {
            assert_eq!(decode(body).unwrap().scores, [(1, 0.5), (0, 1.0)], "{body}");
        }
    }

    #[test]
    fn law_6_doubled_members_and_foreign_ids_are_refused() {
        for (body, mismatch) in [
            (r#"{"a":[{"id":"p0","s":0.9,"s":0.1}]}"#, "/a[0]/s is missing"),
            (r#"{"a":[{"id":"p+1","s":1}]}"#, "/a[0]/id is no id that was sent"),
            (r#"{"a":[{"id":"p01","s":1}]}"#, "/a[0]/id is no id that was sent"),
            (r#"{"a":[{"id":"0","s":1}]}"#, "/a[0]/id is no id that was sent"),
            (r#"{"a":[{"id":0,"s":1}]}"#, "/a[0]/id is no id that was sent"),
            (r#"{"a":[{"id":"p0","s":"1"}]}"#, "/a[0]/s is no number"),
        ] {
            let Err(DecodeError::Shape { mismatch: found, .. }) = decode(body) else { panic!("{body}") };
            assert_eq!(found.as_deref(), Some(mismatch), "{body}");
        }
    }

    #[test]
    fn law_6_a_reply_that_says_failure_anywhere_is_one() {
        for body in [
            r#"{"a":[],"code":1}"#,
            r#"{"a":[],"code":0,"code":1}"#,
            r#"{"code":"E"}"#,
            "\u{feff}{\"code\":\"E\"}",
            r#"{"code":"E","cost":NaN}"#,
            r#"{"a":[],"code":{}}"#,
        ] {
            assert_eq!(decode(body), Err(DecodeError::Failure), "{body}");
        }
        assert!(decode(r#"{"a":[],"code":null}"#).is_ok());
    }

    #[test]
    fn tokens_that_are_not_all_counts_are_unknown() {
        let tokens = |parts: &str| decode(&format!(r#"{{"a":[],"parts":[{parts}]}}"#)).unwrap().tokens;
        assert_eq!(tokens(r#"{"n":3},{"n":4}"#), Some(7));
        assert_eq!(tokens(r#"{"n":3},{"n":-4}"#), None);
        assert_eq!(tokens(r#"{"n":900000000},{"n":900000000}"#), None);
        assert_eq!(tokens(""), None);
    }
}
