//! The explanation of a failure in an upstream's reply: its message, its machine-readable codes and the fields that it
//! blames.
//!
//! Providers disagree on the form, and some have several (Jina three, Mixedbread two). Every documented form is
//! understood from every provider:
//!
//! ```text
//! {"message": "…"}                                    Cohere, Mixedbread
//! {"detail": "…"}                                     Voyage, Jina (authentication)
//! {"detail": {"message": "…", "code": "…"}}           Jina (application)
//! {"detail": "…", "errors": [{"field", "message"}]}   Jina (validation)
//! {"detail": [{"type", "loc": […], "msg": "…"}]}      Mixedbread and all of FastAPI
//! {"error": "…", "error_type": "…"}                   TEI
//! {"error": {"message": "…", "type": "…"}}            vLLM, llama.cpp, Infinity
//! {"error": {"reason": "…", "type": "…"}}             Elasticsearch, OpenSearch
//! {"error_code": 1, "error_msg": "…"}                 Qianfan
//! {"Response": {"Error": {"Code", "Message"}}}        Tencent
//! {"OriginalMessage": "…", "Message": "…"}            AWS
//! {"detail": {"error": "…"}}                          DeepInfra
//! {"status": 401, "title": "…"}                       NVIDIA
//! "…"                                                 LocalAI, SiliconFlow
//! …                                                   plain text, from gateways
//! ```
//! The input that a validation error quotes (`input`, `ctx`) is never read, and is cut off where a message holds it
//! (`'input': …` in vLLM's, `input_value=…` in pydantic's). Nor is a body beyond its first 16 KiB: a
//! reply may be megabytes of something else. HTML is not taken for a message.

use std::borrow::Cow;

use super::head::Head;
use crate::text::bytes_without_mark;

/// Bytes of a body that are read, from its start.
pub const EXPLAINED_BYTES: usize = 16 << 10;
/// Bytes of the message that are kept, far more than are ever shown.
const MAX_MESSAGE_BYTES: usize = 4 << 10;
/// Bytes of a code or of a path that are kept.
const MAX_WORD_BYTES: usize = 128;
/// Number of codes, and of paths, that are kept.
const MAX_WORDS: usize = 32;
/// Most objects and lists around a message.
const MAX_DEPTH: usize = 6;

/// Members that hold the message, or an object with it, in order of precedence.
const MESSAGE_MEMBERS: [&str; 21] = [
    "message",
    "msg",
    "detail",
    "error",
    "errors",
    "error_message",
    "error_msg",
    "errorMessage",
    "error_description",
    "reason",
    "OriginalMessage",
    "Message",
    "Error",
    "Response",
    "detailed_message",
    "errmsg",
    "err_msg",
    "err",
    "faultstring",
    "description",
    "title",
];
/// Members that hold an object with the message, or something unrelated.
const WRAPPING_MEMBERS: [&str; 4] = ["fault", "status", "data", "cause"];
/// Members that hold a machine-readable code. `status` may also wrap a message ([`WRAPPING_MEMBERS`]).
const CODE_MEMBERS: [&str; 10] =
    ["type", "code", "error_type", "error_code", "errorCode", "errorType", "Code", "ErrorCode", "__type", "status"];
/// Starts of the input in validation errors that are written as Python's objects. vLLM writes a description of longer
/// inputs instead, in angle brackets.
const PYTHON_INPUTS: [&str; 4] = ["'input': ", "\"input\": ", "input_value=", "'ctx': "];

/// An upstream's account of a failure. All of it is in the upstream's words and may quote the request: it passes
/// through [`crate::upstream::redact`] before anyone sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The message, with each run of blanks as one space; empty if there is none. At most 4 KiB, plus paths of fields.
    pub message: String,
    /// Machine-readable codes (`type`, `code` and the like, numbers too) in lower case, in order of appearance, each
    /// once; at most 32.
    pub codes: Vec<String>,
    /// Paths of the blamed fields (`loc`, `field`, `param`), their steps joined by dots, each once; at most 32.
    pub locations: Vec<String>,
}

/// The explanation in the first [`EXPLAINED_BYTES`] of `body`, or `None` if there is none.
#[must_use]
pub fn explain(body: &[u8]) -> Option<Explanation> {
    let mut explanation = explain_once(body)?;
    // SageMaker and some gateways hand on the whole body of what they called as a text.
    if explanation.message.starts_with('{')
        && let Some(inner) = explain_once(explanation.message.as_bytes()).filter(|inner| !inner.message.is_empty())
    {
        explanation.message = inner.message;
        for code in inner.codes {
            remember(&mut explanation.codes, code);
        }
        for path in inner.locations {
            remember(&mut explanation.locations, path);
        }
    }
    Some(explanation)
}

/// The explanation in a body, as far as it is not a text within that.
fn explain_once(body: &[u8]) -> Option<Explanation> {
    let text = bytes_without_mark(body);
    let start = &text[..text.len().min(EXPLAINED_BYTES)];
    let mut reader = Reader { head: Head::new(start), explanation: Explanation::default() };
    let message = match reader.head.peek()? {
        b'{' | b'[' | b'"' if is_json(start) => reader.sentence(0),
        _ => plain_text(start),
    };
    let mut explanation = reader.explanation;
    if let Some(message) = message {
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        explanation.message = without_python_inputs(message);
    }
    (explanation != Explanation::default()).then_some(explanation)
}

/// Returns true if a body that starts like JSON also goes on like it. Dictionaries of Python do not, nor do log lines
/// that start with a bracket.
fn is_json(body: &[u8]) -> bool {
    let value = body.trim_ascii_start();
    let next = value.get(1..).unwrap_or_default().trim_ascii_start().first();
    match (value.first(), next) {
        (Some(b'{'), Some(next)) => matches!(next, b'"' | b'}'),
        (Some(b'['), Some(next)) => matches!(next, b'{' | b'[' | b'"' | b']' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'),
        _ => true,
    }
}

/// The message up to the first input that it quotes as a Python object. What follows cannot be told from the input.
fn without_python_inputs(mut message: String) -> String {
    let mut end = message.len();
    for start in PYTHON_INPUTS {
        for (at, _) in message.match_indices(start) {
            if !is_description(&message[at + start.len()..]) {
                end = end.min(at);
            }
        }
    }
    if end < message.len() {
        message.truncate(end);
        message.push('…');
    }
    message
}

/// Returns true if vLLM wrote the kind and the length of an input instead of it: `'<dict of 2 items>'`.
fn is_description(value: &str) -> bool {
    let Some((kind, _)) = value.split_once(" of ") else { return false };
    matches!(kind, "'<dict" | "'<list" | "'<str" | "'<tuple" | "'<bytes")
}

/// The message of a body that is not JSON, if it is a sentence.
fn plain_text(body: &[u8]) -> Option<String> {
    let decoded = match str::from_utf8(body) {
        Ok(valid) => Cow::Borrowed(valid),
        // The cut at `EXPLAINED_BYTES` may have split the last character.
        Err(error) if error.error_len().is_none() => Cow::Borrowed(str::from_utf8(&body[..error.valid_up_to()]).ok()?),
        Err(_) => {
            // Text in Latin-1 and the like is legible, apart from its few characters beyond ASCII. Binary data is not.
            let foreign = body.iter().filter(|byte| !byte.is_ascii()).count();
            if 10 * foreign > body.len() {
                return None;
            }
            String::from_utf8_lossy(body)
        }
    };
    let text = decoded.trim();
    let is_markup = text.starts_with('<');
    let is_json_word = matches!(text, "null" | "true" | "false");
    let is_binary = text.contains(|letter: char| letter.is_control() && !letter.is_whitespace());
    if is_markup || is_json_word || is_binary || !text.contains(char::is_alphabetic) {
        return None;
    }
    Some(text[..text.floor_char_boundary(MAX_MESSAGE_BYTES)].to_owned())
}

/// A reader of an explanation in JSON. A method that consumes a value consumes all of it, whatever it finds there, as
/// far as the text is JSON: the next member or item must follow.
struct Reader<'a> {
    head: Head<'a>,
    /// Codes and locations found so far. The message is set at the end.
    explanation: Explanation,
}

/// The message of one object.
#[derive(Default)]
struct Statement {
    message: Option<String>,
    /// Path of the field that a validation error blames, to be put before the message.
    field: Option<String>,
}

impl Reader<'_> {
    /// Consumes the next value and returns the message in it, if any. `depth` is the number of objects and lists around
    /// it.
    fn sentence(&mut self, depth: usize) -> Option<String> {
        let message = match self.head.peek()? {
            b'"' => Some(self.head.string(MAX_MESSAGE_BYTES)),
            b'{' if depth < MAX_DEPTH => self.object(depth).message,
            b'[' if depth < MAX_DEPTH => self.list(depth),
            _ => {
                self.head.skip();
                return None;
            }
        };
        message.filter(|text| !text.trim().is_empty())
    }

    /// Consumes an object. Its message is that of the member ranked first in [`MESSAGE_MEMBERS`].
    fn object(&mut self, depth: usize) -> Statement {
        let mut statement = Statement::default();
        // Rank of the member that the message comes from; that of a wrapping member comes after all.
        let mut best = usize::MAX;
        self.head.enter();
        while let Some(name) = self.head.member() {
            if let Some(rank) = MESSAGE_MEMBERS.iter().position(|member| *member == name) {
                let is_map = name == "errors" && self.head.peek() == Some(b'{');
                let message = if is_map { self.fields(depth + 1) } else { self.sentence(depth + 1) };
                if message.is_some() && rank < best {
                    statement.message = message;
                    best = rank;
                }
            } else if WRAPPING_MEMBERS.contains(&&*name) && self.head.peek() == Some(b'{') && depth + 1 < MAX_DEPTH {
                // Read in any case, for its codes; its message counts only if there is no other yet.
                let wrapped = self.object(depth + 1).message;
                statement.message = statement.message.or(wrapped);
            } else if CODE_MEMBERS.contains(&&*name) {
                self.read_code();
            } else if matches!(&*name, "loc" | "field" | "param") {
                let path = self.path();
                remember(&mut self.explanation.locations, path.clone());
                // `param` does not go before the message, which names the parameter itself.
                if name == "loc" || (name == "field" && statement.field.is_none()) {
                    statement.field = Some(path);
                }
            } else {
                self.head.skip();
            }
        }
        statement
    }

    /// Consumes an object of messages by field (`{"documents": ["too many"]}`), or one error, and joins the messages.
    fn fields(&mut self, depth: usize) -> Option<String> {
        let mut sentences = String::new();
        self.head.enter();
        while let Some(name) = self.head.member() {
            if CODE_MEMBERS.contains(&&*name) {
                self.read_code();
                continue;
            }
            let Some(message) = self.sentence(depth + 1) else { continue };
            // The first message is kept in any case: its parts were cut when they were read.
            if sentences.len() + message.len() > MAX_MESSAGE_BYTES && !sentences.is_empty() {
                continue;
            }
            if !sentences.is_empty() {
                sentences.push_str("; ");
            }
            if MESSAGE_MEMBERS.contains(&&*name) {
                sentences.push_str(&message);
            } else {
                sentences.push_str(&name);
                sentences.push_str(": ");
                sentences.push_str(&message);
                remember(&mut self.explanation.locations, name);
            }
        }
        (!sentences.is_empty()).then_some(sentences)
    }

    /// Consumes a list of errors and joins their messages, each after the path of its field.
    fn list(&mut self, depth: usize) -> Option<String> {
        let mut sentences = String::new();
        self.head.enter();
        while self.head.has_item() {
            let statement = match self.head.peek() {
                Some(b'{') if depth + 1 < MAX_DEPTH => self.object(depth + 1),
                Some(b'"') => Statement { message: Some(self.head.string(MAX_MESSAGE_BYTES)), field: None },
                // Not JSON: nothing that can be consumed comes next.
                Some(b':') | None => break,
                _ => {
                    self.head.skip();
                    continue;
                }
            };
            let Some(message) = statement.message else { continue };
            let is_too_much = sentences.len() + message.len() > MAX_MESSAGE_BYTES && !sentences.is_empty();
            if message.trim().is_empty() || is_too_much {
                continue;
            }
            if !sentences.is_empty() {
                sentences.push_str("; ");
            }
            if let Some(field) = statement.field
                && !field.is_empty()
            {
                sentences.push_str(&field);
                sentences.push_str(": ");
            }
            sentences.push_str(&message);
        }
        (!sentences.is_empty()).then_some(sentences)
    }

    /// Consumes a code and remembers it in lower case.
    fn read_code(&mut self) {
        let code = self.head.scalar(MAX_WORD_BYTES).unwrap_or_default();
        remember(&mut self.explanation.codes, code.to_lowercase());
    }

    /// Consumes the path of a field, which is a string or a list of strings and numbers, and joins its steps by dots.
    fn path(&mut self) -> String {
        if self.head.peek() != Some(b'[') {
            return self.head.scalar(MAX_WORD_BYTES).unwrap_or_default();
        }
        let mut path = String::new();
        self.head.enter();
        while self.head.has_item() && self.head.peek() != Some(b':') {
            let Some(step) = self.head.scalar(MAX_WORD_BYTES) else { continue };
            if path.len() + step.len() >= MAX_WORD_BYTES {
                continue;
            }
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&step);
        }
        path
    }
}

/// Adds `word` unless it is empty or there already, or `words` holds [`MAX_WORDS`].
fn remember(words: &mut Vec<String>, word: String) {
    if !word.is_empty() && words.len() < MAX_WORDS && !words.contains(&word) {
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn said(body: &str) -> Explanation {
        explain(body.as_bytes()).unwrap_or_default()
    }

    #[test]
    fn every_documented_form_is_understood() {
        let forms = [
            (r#"{"message":"invalid api token","id":"x"}"#, "invalid api token"),
            (r#"{"detail":"Please add your payment method"}"#, "Please add your payment method"),
            (r#"{"detail":{"message":"too long","request_id":"f","code":"INPUT_TOKEN_LIMIT_EXCEEDED"}}"#, "too long"),
            (
                r#"{"detail":"Validation errors in 1 field.","request_id":"f","errors":[{"field":"a","message":"b","input":"secret"}]}"#,
                "Validation errors in 1 field.",
            ),
            (
                r#"{"detail":[{"loc":["body","input",0],"msg":"Field required","input":"secret"}]}"#,
                "body.input.0: Field required",
            ),
            (r#"{"type":"bad_request_error","url":"u","message":"no","details":null}"#, "no"),
            (
                r#"{"error":"batch size 64 > maximum allowed batch size 32","error_type":"Validation"}"#,
                "batch size 64 > maximum allowed batch size 32",
            ),
            (r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#, "Loading model"),
            (r#"{"error":{"root_cause":[{"reason":"a"}],"type":"t","reason":"b"},"status":400}"#, "b"),
            (r#"{"Response":{"Error":{"Code":"Limit","Message":"slow down"},"RequestId":"r"}}"#, "slow down"),
            (r#"{"detail":{"error":"model is not available"}}"#, "model is not available"),
            (r#"{"error_code":18,"error_msg":"open api qps limit"}"#, "open api qps limit"),
            (r#"{"code":1,"msg":"no such model","data":null}"#, "no such model"),
            (r#"{"error_message":"a"}"#, "a"),
            (r#"{"errors":["a","b"]}"#, "a; b"),
            (r#"[{"error":{"message":"a"}}]"#, "a"),
            (r#"{"title":"Unauthorized","status":401}"#, "Unauthorized"),
            (r#"{"errmsg":"a"}"#, "a"),
            (r#"{"err":"a","status":"error","data":null}"#, "a"),
            (r#"{"fault":{"faultstring":"a","detail":{"errorcode":"b"}}}"#, "a"),
            (r#"{"status":{"code":3,"message":"a"}}"#, "a"),
            (r#"{"code":1,"data":{"message":"a"}}"#, "a"),
            (r#"{"title":"t","errors":{"documents":["a","b"],"query":"c"}}"#, "documents: a; b; query: c"),
            (r#"{"errors":{"message":"a","code":"x"}}"#, "a"),
            ("{'message': 'a'}", "{'message': 'a'}"),
            ("[address=0.0.0.0:1, pid=3] a", "[address=0.0.0.0:1, pid=3] a"),
            ("\"no key was\\nsent\"", "no key was sent"),
            ("upstream connect error\r\nor reset", "upstream connect error or reset"),
            ("\u{feff}{\"message\":\"a\"}", "a"),
        ];
        for (body, message) in forms {
            assert_eq!(said(body).message, message, "{body}");
        }
    }

    /// One form of each provider that has its own.
    #[test]
    fn forms_of_further_providers_are_understood() {
        for (body, message, codes) in [
            (
                r#"{"error":{"root_cause":[{"type":"x","reason":"a"}],"type":"x","reason":"no endpoint"},"status":404}"#,
                "no endpoint",
                &["x", "404"][..],
            ),
            (
                r#"{"Response":{"Error":{"Code":"RequestLimitExceeded","Message":"rate"},"RequestId":"r1"}}"#,
                "rate",
                &["requestlimitexceeded"],
            ),
            (r#"{"Message":"internal dependency"}"#, "internal dependency", &[]),
            (r#"{"ErrorCode":"CLIENT_ERROR","Message":"outer","OriginalMessage":"boom"}"#, "boom", &["client_error"]),
            (
                r#"{"Message":"a","OriginalMessage":"{\"error\":\"batch size 64\",\"error_type\":\"Validation\"}"}"#,
                "batch size 64",
                &["validation"],
            ),
            (r#"{"detail":{"error":"User is not authenticated"}}"#, "User is not authenticated", &[]),
            (r#"{"error_code":336003,"error_msg":"the max length is 4096"}"#, "the max length is 4096", &["336003"]),
            (r#""top_n - should be greater than or equal to 1""#, "top_n - should be greater than or equal to 1", &[]),
            (r#""Invalid token""#, "Invalid token", &[]),
            (r#"{"status":429,"title":"Too Many Requests"}"#, "Too Many Requests", &["429"]),
            (
                r#"{"result":null,"success":false,"errors":[{"code":3036,"message":"used up"}],"messages":[]}"#,
                "used up",
                &["3036"],
            ),
            (
                r#"{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED"}}"#,
                "Quota exceeded",
                &["429", "resource_exhausted"],
            ),
            (r#"{"status":{"code":"40103","message":"expired"},"result":null}"#, "expired", &["40103"]),
        ] {
            let said = said(body);
            assert_eq!((&*said.message, &said.codes[..]), (message, &*to_owned(codes)), "{body}");
        }
    }

    #[test]
    fn validation_errors_never_show_their_input() {
        for (body, message) in [
            (
                r#"{"detail":[{"loc":["body","query"],"msg":"too long","input":"SECRET","ctx":{"a":"SECRET"}}]}"#,
                "body.query: too long",
            ),
            (
                r#"{"error":{"message":"1 validation error:\n  {'loc': 'body.query', 'msg': 'Field required', 'input': '<dict of 2 items>'}"}}"#,
                "1 validation error: {'loc': 'body.query', 'msg': 'Field required', 'input': '<dict of 2 items>'}",
            ),
            (
                r#"{"error":{"message":"1 validation error:\n  {'msg': 'no', 'input': {'query': 'SECRET'}, 'ctx': {}}"}}"#,
                "1 validation error: {'msg': 'no', …",
            ),
            (
                r#"{"detail":"2 validation errors: {'input': '<list of 2 items>'} {'msg': 'no', 'ctx': {'error': 'SECRET'}}"}"#,
                "2 validation errors: {'input': '<list of 2 items>'} {'msg': 'no', …",
            ),
            (
                r#"{"message":"1 validation error for R\nquery\n  too long [type=x, input_value='SECRET', input_type=str]"}"#,
                "1 validation error for R query too long [type=x, …",
            ),
        ] {
            assert_eq!(said(body).message, message, "{body}");
        }
    }

    #[test]
    fn codes_and_locations_are_read_wherever_they_stand() {
        for (body, codes, locations) in [
            (
                r#"{"error":{"code":400,"message":"m","type":"Exceed_Context_Size_Error","param":"documents"}}"#,
                &["400", "exceed_context_size_error"][..],
                &["documents"][..],
            ),
            (
                r#"{"detail":[{"type":"string_too_long","loc":["body","documents",1],"msg":"m"},
                    {"msg":"n","type":"too_long","loc":["body","documents"]}],"code":"Validation"}"#,
                &["string_too_long", "too_long", "validation"],
                &["body.documents.1", "body.documents"],
            ),
            (r#"{"detail":{"code":"INPUT_TOKEN_LIMIT_EXCEEDED"}}"#, &["input_token_limit_exceeded"], &[]),
            (r#"{"error":"m","error_type":"Validation"}"#, &["validation"], &[]),
            (r#"{"errors":[{"field":"query","message":"m"}],"error_code":-7.5}"#, &["-7.5"], &["query"]),
            (r#"{"type":null,"code":{"type":"inner"},"error_type":["a"],"error":{"code":true}}"#, &[], &[]),
        ] {
            let said = said(body);
            assert_eq!((&said.codes[..], &said.locations[..]), (&*to_owned(codes), &*to_owned(locations)), "{body}");
        }
    }

    fn to_owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn anything_else_is_silence() {
        for body in [
            "",
            "<html>502</html>",
            "<!DOCTYPE html>no",
            "[]",
            "{}",
            "null",
            "12.5",
            r#"{"message":3}"#,
            r#"{"message":" "}"#,
            "\u{0}",
            "a\u{0}b",
            r#"{"detail":[{"input":"secret","ctx":{"error":"secret"}}]}"#,
            r#"{"results":[{"message":"secret"}]}"#,
        ] {
            assert_eq!(explain(body.as_bytes()), None, "{body}");
        }
        assert_eq!(explain(b"\xff\xfe bytes"), None);
        assert_eq!(explain(b"the caf\xe9 is closed").unwrap().message, "the caf\u{fffd} is closed");
    }

    #[test]
    fn bodies_that_break_off_are_read_up_to_there() {
        let body = br#"{"error":{"type":"a","message":"the sentence","param":"p"},"url":"u"}"#;
        for end in 0..body.len() {
            let said = explain(&body[..end]).unwrap_or_default();
            assert!("the sentence".starts_with(&said.message), "{}", String::from_utf8_lossy(&body[..end]));
        }
        let long = format!(r#"{{"code":7,"message":"{}"}}"#, "word ".repeat(100_000));
        let said = said(&long);
        assert!(said.message.starts_with("word word") && said.message.len() <= MAX_MESSAGE_BYTES);
        assert_eq!(said.codes, ["7"]);
        assert_eq!(explain("é".repeat(10_000).as_bytes()).unwrap().message.len(), MAX_MESSAGE_BYTES);
    }

    /// Attack 5. On the old code a reply of this kind took a second and 0.5 GB.
    #[test]
    fn a_long_body_of_another_shape_costs_no_more_than_its_beginning() {
        for body in [
            format!("{{\"results\":[{}0]}}", "0,".repeat(8 << 20)),
            format!("{{\"detail\":[{}0]}}", "{\"msg\":\"a\",\"type\":\"b\"},".repeat(1 << 20)),
            "[".repeat(16 << 20),
            format!("{{\"detail\":{}", "[{\"error\":".repeat(1 << 20)),
        ] {
            let started = Instant::now();
            let said = explain(body.as_bytes()).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_millis(100), "{}", &body[..20]);
            assert!(said.message.len() <= MAX_MESSAGE_BYTES && said.codes.len() <= MAX_WORDS);
        }
    }
}
