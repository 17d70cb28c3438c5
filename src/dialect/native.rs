//! rerankd's own shape, a superset of Cohere's: `POST /rerank`, `/v1/rerank`, `/v2/rerank`.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Dialect;
use super::problem::Problem;
use super::raw::{Raw, RawList, count, flag, is_null, kind, name_of, object, text, wrong};
use crate::error::Error;
use crate::rerank::request::{Passage, PassageObject, RerankRequest, ScoringOptions};
use crate::rerank::response::{Provenance, RankedPassage, RerankResponse, ScoreSource};

/// The native dialect.
#[derive(Debug)]
pub struct Native;

/// The fields of a request. Others are ignored; `null` is as good as absent.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    model: Option<Raw<'a>>,
    #[serde(borrow)]
    query: Option<Raw<'a>>,
    #[serde(borrow)]
    documents: Option<RawList<'a>>,
    #[serde(borrow)]
    top_n: Option<Raw<'a>>,
    #[serde(borrow)]
    top_k: Option<Raw<'a>>,
    #[serde(borrow)]
    return_documents: Option<Raw<'a>>,
    #[serde(borrow)]
    instruction: Option<Raw<'a>>,
    #[serde(borrow)]
    max_tokens_per_doc: Option<Raw<'a>>,
    #[serde(borrow)]
    timeout_ms: Option<Raw<'a>>,
    #[serde(borrow)]
    explain: Option<Raw<'a>>,
}

/// The fields of a document that is an object.
#[derive(Deserialize)]
struct DocumentFields<'a> {
    #[serde(borrow)]
    id: Option<Raw<'a>>,
    #[serde(borrow)]
    text: Option<Raw<'a>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a str,
    object: &'static str,
    model: &'a str,
    results: Vec<AnswerResult<'a>>,
    usage: AnswerUsage,
    meta: Meta<'a>,
}

#[derive(Serialize)]
struct AnswerResult<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    relevance_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Document<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<ScoreSource>,
}

/// A document sent back: the object as it came, or the text of a plain string.
#[derive(Serialize)]
#[serde(untagged)]
enum Document<'a> {
    Object(&'a RawValue),
    Text { text: &'a str },
}

#[derive(Serialize)]
struct AnswerUsage {
    total_tokens: u64,
}

#[derive(Serialize)]
struct Meta<'a> {
    billed_units: BilledUnits,
    rerankd: &'a Provenance,
}

#[derive(Serialize)]
struct BilledUnits {
    search_units: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_tokens: Option<u64>,
}

impl Dialect for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn decode(&self, body: &ByteString) -> Result<RerankRequest, Error> {
        let fields: Fields<'_> = object(body, "")?;
        let query = fields.query.ok_or_else(|| Error::invalid_field("/query", "query is missing"))?;
        let optional_text = |raw: Option<Raw<'_>>, pointer| raw.map(|raw| text(body, raw, pointer)).transpose();
        let optional_count = |raw: Option<Raw<'_>>, pointer, most| raw.map(|raw| count(raw, pointer, most)).transpose();
        let optional_flag = |raw: Option<Raw<'_>>, pointer| raw.map_or(Ok(false), |raw| flag(raw, pointer));
        let most_tokens = u64::from(u32::MAX);
        let timeout = optional_count(fields.timeout_ms, "/timeout_ms", most_tokens)?;
        let max_tokens_per_doc = optional_count(fields.max_tokens_per_doc, "/max_tokens_per_doc", most_tokens)?;
        Ok(RerankRequest {
            model: optional_text(fields.model, "/model")?.filter(|model| !model.is_empty()),
            query: text(body, query, "/query")?,
            passages: passages(body, fields.documents)?,
            top_n: top_n(fields.top_n, fields.top_k)?,
            options: ScoringOptions {
                instruction: optional_text(fields.instruction, "/instruction")?.filter(|text| !text.is_empty()),
                max_tokens_per_doc: max_tokens_per_doc.and_then(|tokens| u32::try_from(tokens).ok()),
            },
            return_documents: optional_flag(fields.return_documents, "/return_documents")?,
            explain: optional_flag(fields.explain, "/explain")?,
            timeout: timeout.map(Duration::from_millis),
        })
    }

    fn encode(&self, request_id: &str, request: &RerankRequest, response: &RerankResponse) -> Bytes {
        let usage = response.usage;
        let answer = Answer {
            id: request_id,
            object: "rerank",
            model: &response.model,
            results: response.ranking.iter().map(|ranked| result(request, ranked)).collect(),
            usage: AnswerUsage { total_tokens: usage.tokens.unwrap_or(0) },
            meta: Meta {
                billed_units: BilledUnits { search_units: usage.search_units.unwrap_or(0), input_tokens: usage.tokens },
                rerankd: &response.provenance,
            },
        };
        json(&answer)
    }

    fn encode_error(&self, request_id: &str, error: &Error) -> (HeaderValue, Bytes) {
        (HeaderValue::from_static(Problem::CONTENT_TYPE), json(&Problem::new(error, request_id)))
    }
}

fn passages(body: &ByteString, documents: Option<RawList<'_>>) -> Result<Vec<Passage>, Error> {
    match documents {
        Some(RawList::List(items)) => items.iter().enumerate().map(|(index, raw)| passage(body, raw, index)).collect(),
        Some(RawList::Not(kind)) => {
            Err(Error::invalid_field("/documents", format!("documents is {kind}; it must be a list")))
        }
        None => Err(Error::invalid_field("/documents", "documents is missing")),
    }
}

/// A document by itself: a JSON object with a text. `None` if it is anything else.
pub(crate) fn document(json: &ByteString) -> Option<Passage> {
    let raw: Raw<'_> = serde_json::from_str(json).ok()?;
    passage(json, raw, 0).ok().filter(|passage| passage.object.is_some())
}

fn passage(body: &ByteString, raw: Raw<'_>, index: usize) -> Result<Passage, Error> {
    let literal = raw.get();
    if literal.starts_with('"') && !literal.as_bytes().contains(&b'\\') {
        // The usual case, kept free of formatting.
        return Ok(Passage { text: body.slice_ref(&literal[1..literal.len() - 1]), object: None });
    }
    let pointer = format!("/documents/{index}");
    match kind(raw) {
        "a string" => Ok(Passage { text: text(body, raw, &pointer)?, object: None }),
        "an object" => {
            let fields: DocumentFields<'_> = object(literal, &pointer)?;
            let text_pointer = format!("{pointer}/text");
            let Some(raw_text) = fields.text else {
                return Err(Error::invalid_field(text_pointer, format!("{} has no text", name_of(&pointer))));
            };
            let id = fields.id.filter(|id| !is_null(id)).map(|id| body.slice_ref(id.get()));
            let object = PassageObject { id, source: body.slice_ref(literal) };
            Ok(Passage { text: text(body, raw_text, &text_pointer)?, object: Some(Box::new(object)) })
        }
        _ => Err(wrong(&pointer, raw, "a string or an object with a text")),
    }
}

/// Two names for one thing: either, or both if they agree.
fn top_n(top_n: Option<Raw<'_>>, top_k: Option<Raw<'_>>) -> Result<Option<usize>, Error> {
    let read = |raw: Option<Raw<'_>>, pointer| raw.map(|raw| count(raw, pointer, u64::from(u32::MAX))).transpose();
    match (read(top_n, "/top_n")?, read(top_k, "/top_k")?) {
        (Some(top_n), Some(top_k)) if top_n != top_k => {
            Err(Error::invalid_field("/top_n", format!("top_n is {top_n} and top_k is {top_k}; give one of them")))
        }
        (top_n, top_k) => Ok(top_n.or(top_k).and_then(|count| usize::try_from(count).ok())),
    }
}

fn result<'a>(request: &'a RerankRequest, ranked: &RankedPassage) -> AnswerResult<'a> {
    let passage = &request.passages[ranked.position];
    let object = passage.object.as_deref();
    let document = || {
        let source = object.and_then(|object| raw_value(&object.source));
        source.map_or(Document::Text { text: &passage.text }, Document::Object)
    };
    AnswerResult {
        index: ranked.position,
        id: object.and_then(|object| raw_value(object.id.as_ref()?)),
        relevance_score: ranked.score,
        document: request.return_documents.then(document),
        source: request.explain.then_some(ranked.source),
    }
}

/// A slice of the request that is known to be JSON.
fn raw_value(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

fn json(value: &impl Serialize) -> Bytes {
    // Strings, numbers and raw JSON that came from a parser: writing them cannot fail.
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(body: &str) -> Result<RerankRequest, Error> {
        Native.decode(&ByteString::from(body.to_owned()))
    }

    fn refused(body: &str) -> (String, String) {
        let error = decode(body).unwrap_err();
        (error.pointer.unwrap_or_default(), error.message)
    }

    #[test]
    fn every_field_is_read() {
        let request = decode(
            r#"{"model": "m", "query": "q\n", "documents": ["a", "b\u00e9", {"id": 7, "text": "c", "metadata": {"x": [1]}}],
                "top_n": 2, "return_documents": "true", "instruction": "i", "max_tokens_per_doc": 9, "timeout_ms": 300,
                "explain": true, "unknown": [[[]]]}"#,
        )
        .unwrap();
        assert_eq!(request.model.as_deref(), Some("m"));
        assert_eq!(request.query, "q\n");
        let texts: Vec<_> = request.passages.iter().map(|passage| passage.text.as_ref()).collect::<Vec<&str>>();
        assert_eq!(texts, ["a", "bé", "c"]);
        let object = request.passages[2].object.as_deref().unwrap();
        assert_eq!(object.id.as_deref(), Some("7"));
        assert_eq!(object.source, r#"{"id": 7, "text": "c", "metadata": {"x": [1]}}"#);
        assert_eq!((request.top_n, request.return_documents, request.explain), (Some(2), true, true));
        assert_eq!(request.options.instruction.as_deref(), Some("i"));
        assert_eq!(request.options.max_tokens_per_doc, Some(9));
        assert_eq!(request.timeout, Some(Duration::from_millis(300)));
    }

    #[test]
    fn nulls_and_absent_fields_are_the_same() {
        let minimal = decode(r#"{"query":"q","documents":[]}"#).unwrap();
        let nulls = r#"{"query":"q","documents":[],"model":null,"top_n":null,"top_k":null,"return_documents":null,
            "instruction":null,"max_tokens_per_doc":null,"timeout_ms":null,"explain":null}"#;
        assert_eq!(decode(nulls).unwrap(), minimal);
        assert_eq!(minimal, RerankRequest { query: "q".into(), ..RerankRequest::default() });
    }

    #[test]
    fn texts_without_escapes_are_slices_of_the_body() {
        let body = ByteString::from(r#"{"query":"q","documents":["plain"]}"#.to_owned());
        let request = Native.decode(&body).unwrap();
        let range = body.as_bytes().as_ptr_range();
        assert!(range.contains(&request.passages[0].text.as_bytes().as_ptr()));
    }

    #[test]
    fn bad_input_gets_one_clear_sentence() {
        for (body, pointer, message) in [
            (r#"{"documents":[]}"#, "/query", "query is missing"),
            (r#"{"query":null,"documents":[]}"#, "/query", "query is missing"),
            (r#"{"query":3,"documents":[]}"#, "/query", "query is a number; it must be a string"),
            (r#"{"query":"q"}"#, "/documents", "documents is missing"),
            (r#"{"query":"q","documents":"secret"}"#, "/documents", "documents is a string; it must be a list"),
            (r#"{"query":"q","documents":{"a":1}}"#, "/documents", "documents is an object; it must be a list"),
            (
                r#"{"query":"q","documents":["a",3]}"#,
                "/documents/1",
                "documents[1] is a number; it must be a string or an object with a text",
            ),
            (
                r#"{"query":"q","documents":["a",[["deep"]]]}"#,
                "/documents/1",
                "documents[1] is a list; it must be a string or an object with a text",
            ),
            (
                r#"{"query":"q","documents":[null]}"#,
                "/documents/0",
                "documents[0] is null; it must be a string or an object with a text",
            ),
            (r#"{"query":"q","documents":[{"title":"t"}]}"#, "/documents/0/text", "documents[0] has no text"),
            (
                r#"{"query":"q","documents":[{"text":{}}]}"#,
                "/documents/0/text",
                "documents[0].text is an object; it must be a string",
            ),
            (
                r#"{"query":"q","documents":[{"text":"a","text":"b"}]}"#,
                "/documents/0/text",
                "documents[0] has text twice",
            ),
            (
                r#"{"query":"q","documents":[],"top_n":-1}"#,
                "/top_n",
                "top_n is out of range; it must be a whole number from 0 to 4294967295",
            ),
            (
                r#"{"query":"q","documents":[],"top_n":"3"}"#,
                "/top_n",
                "top_n is a string; it must be a whole number from 0 to 4294967295",
            ),
            (
                r#"{"query":"q","documents":[],"top_n":1.5}"#,
                "/top_n",
                "top_n is out of range; it must be a whole number from 0 to 4294967295",
            ),
            (
                r#"{"query":"q","documents":[],"top_n":1,"top_k":2}"#,
                "/top_n",
                "top_n is 1 and top_k is 2; give one of them",
            ),
            (
                r#"{"query":"q","documents":[],"explain":1}"#,
                "/explain",
                "explain is a number; it must be true or false",
            ),
            (r#"{"query":"q","query":"r","documents":[]}"#, "/query", "the body has query twice"),
            (r#"["secret"]"#, "", "the body must be a JSON object"),
            (r#""secret""#, "", "the body must be a JSON object"),
            (
                r#"{"query":"\ud800","documents":[]}"#,
                "/query",
                "query holds a \\u escape that is half of a surrogate pair",
            ),
        ] {
            assert_eq!(refused(body), (pointer.to_owned(), message.to_owned()), "{body}");
        }
    }

    #[test]
    fn broken_json_is_told_by_line_and_column() {
        let error = decode("{\"query\": \"q\",\n\"documents\": [}").unwrap_err();
        assert_eq!(error.kind, crate::error::ErrorKind::InvalidJson);
        assert_eq!(error.message, "the body is not valid JSON: expected value at line 2 column 15");
        let deep = format!("{{\"query\":\"q\",\"documents\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(refused(&deep).0, "/documents/0");
    }

    #[test]
    fn equal_names_for_the_cut_agree() {
        assert_eq!(decode(r#"{"query":"q","documents":[],"top_k":3,"top_n":3.0}"#).unwrap().top_n, Some(3));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in "\\PC{0,80}") {
            let _ = decode(&body);
        }

        #[test]
        fn no_mutilated_request_panics(cut in 0usize..140, insert in "[\\[\\]{}\",:0-9a\\\\]{0,3}") {
            let whole = r#"{"model":"m","query":"q\n","documents":["a",{"id":"x","text":"b"}],"top_n":2,"return_documents":true,"timeout_ms":5}"#;
            let cut = cut.min(whole.len());
            let _ = decode(&format!("{}{insert}{}", &whole[..cut], &whole[cut..]));
        }

        #[test]
        fn any_text_survives(query in "\\PC{1,40}", passages in proptest::collection::vec(any::<String>(), 0..5)) {
            let body = serde_json::json!({ "query": query, "documents": passages }).to_string();
            let request = decode(&body).unwrap();
            prop_assert_eq!(&*request.query, query.as_str());
            let texts: Vec<_> = request.passages.iter().map(|passage| passage.text.to_string()).collect();
            prop_assert_eq!(texts, passages);
        }
    }
}
