//! Reading requests.

use std::time::Duration;

use faststr::FastStr;
use proptest::prelude::*;
use rerankd_core::error::Error;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::{Provenance, RankedPassage, RerankResponse, ScoreSource, Usage};

use super::fields::Fields;
use super::{
    DIALECTS, Dialect, cohere, dashscope, deepinfra, infinity, jina, mixedbread, native, pinecone, vllm, voyage,
};

fn decode(body: &str) -> Result<RerankRequest, Error> {
    read(&FastStr::new(body))
}

fn read(body: &FastStr) -> Result<RerankRequest, Error> {
    native::BARE.decode(&Fields::read(body)?)
}

/// Reads the body in every dialect. Any may refuse it; none may panic.
fn every_dialect_survives(body: String) {
    let body = FastStr::from(body);
    if let Ok(fields) = Fields::read(&body) {
        for dialect in DIALECTS {
            drop(dialect.decode(&fields));
        }
    }
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
    let texts: Vec<_> = request.passages.iter().map(|passage| passage.text).collect();
    assert_eq!(texts, ["a", "bé", "c"]);
    let object = request.passages.get(2).object.unwrap();
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
    // A shorter one would be copied into the value itself.
    let body = FastStr::from(r#"{"query":"q","documents":["plain words of more than 30 bytes"]}"#.to_owned());
    let request = read(&body).unwrap();
    let range = body.as_bytes().as_ptr_range();
    assert!(range.contains(&request.passages.get(0).text.as_bytes().as_ptr()));
}

#[test]
fn strings_are_passed_on_as_they_came_unless_escapes_make_them_long() {
    let korean = r"\uc11c\uc6b8".repeat(20);
    let body = FastStr::from(format!(r#"{{"query":"q","documents":["plain words","a \"word\"\n","{korean}",7]}}"#));
    let passages = read(&body).unwrap().passages;
    let literals = [Some(r#""plain words""#), Some(r#""a \"word\"\n""#), None, None];
    assert_eq!([0, 1, 2, 3].map(|position| passages.literal(position)), literals);
    assert_eq!(passages.get(2).text, "서울".repeat(20));
}

#[test]
fn bad_input_gets_one_clear_sentence() {
    for (body, pointer, message) in [
        (r#"{"documents":[]}"#, "/query", "query is missing"),
        (r#"{"query":null,"documents":[]}"#, "/query", "query is missing"),
        (r#"{"query":[3],"documents":[]}"#, "/query", "query is a list; it must be a string"),
        (r#"{"query":"q"}"#, "/documents", "documents is missing"),
        (r#"{"query":"q","documents":"secret"}"#, "/documents", "documents is a string; it must be a list"),
        (r#"{"query":"q","documents":{"a":1}}"#, "/documents", "documents is an object; it must be a list"),
        (
            r#"{"query":"q","documents":["a",[["deep"]]]}"#,
            "/documents/1",
            "documents[1] is a list; it must be a string or an object",
        ),
        (
            r#"{"query":{"image":"https://…"},"documents":[]}"#,
            "/query",
            "query is a picture; only text can be searched for",
        ),
        (r#"{"query":{"page":3},"documents":[]}"#, "/query", "query has no text"),
        (
            r#"{"query":"q","documents":["a"],"input":["b"]}"#,
            "/documents",
            "the body has documents and input; send one of them",
        ),
        (
            r#"{"query":"q","documents":[],"texts":[]}"#,
            "/documents",
            "the body has documents and texts; send one of them",
        ),
        (
            r#"{"query":"q","documents":[{"a":"b"}],"rank_fields":["title"]}"#,
            "/rank_fields",
            "none of the documents has any of the fields in rank_fields",
        ),
        (
            r#"{"query":"q","documents":[],"rank_fields":"title"}"#,
            "/rank_fields",
            "rank_fields is a string; it must be a list",
        ),
        (
            r#"{"query":"q","documents":[{"a":"\ud800"}]}"#,
            "/documents/0",
            "documents[0] holds a \\u escape that is half of a surrogate pair",
        ),
        (
            r#"{"query":"q","documents":[{"text":{}}]}"#,
            "/documents/0/text",
            "documents[0].text is an object; it must be a string",
        ),
        (r#"{"query":"q","documents":[{"text":"a","text":"b"}]}"#, "/documents/0/text", "documents[0] has text twice"),
        (
            r#"{"query":"q","documents":[],"top_n":-1}"#,
            "/top_n",
            "top_n is out of range; it must be a whole number from 0 to 4294967295",
        ),
        (
            r#"{"query":"q","documents":[],"top_n":"three"}"#,
            "/top_n",
            "top_n is a string; it must be a whole number from 0 to 4294967295",
        ),
        (
            r#"{"query":"q","documents":[],"top_n":1.5}"#,
            "/top_n",
            "top_n is a fraction; it must be a whole number from 0 to 4294967295",
        ),
        (r#"{"query":"q","documents":[],"explain":7}"#, "/explain", "explain is a number; it must be true or false"),
        (r#"{"query":"q","query":"r","documents":[]}"#, "/query", "the body has query twice"),
        (r#"["secret"]"#, "", "the body must be a JSON object"),
        (r#""secret""#, "", "the body must be a JSON object"),
        (r#"{"query":"\ud800","documents":[]}"#, "/query", "query holds a \\u escape that is half of a surrogate pair"),
    ] {
        assert_eq!(refused(body), (pointer.to_owned(), message.to_owned()), "{body}");
    }
}

#[test]
fn errors_name_fields_as_the_body_has_them() {
    let refused = |dialect: &dyn Dialect, body: &'static str| {
        let body = FastStr::from_static_str(body);
        dialect.decode(&Fields::read(&body).unwrap()).unwrap_err().message
    };
    let both = r#"{"input":{"query":"q","documents":["a"]},"texts":["b"]}"#;
    assert_eq!(refused(&dashscope::DashScope, both), "the body has input.documents and texts; send one of them");
    let after_blank = r#"{"query":"q","documents":[],"rank_fields":[" ","a.b.c.d.e.f"]}"#;
    assert_eq!(refused(&native::BARE, after_blank), "rank_fields[1] has more than 4 dots");
}

#[test]
fn broken_json_is_told_by_line_and_column() {
    let error = decode("{\"query\": \"q\",\n\"documents\": [}").unwrap_err();
    assert_eq!(error.kind, rerankd_core::error::ErrorKind::InvalidJson);
    assert_eq!(error.message, "the body is not valid JSON: expected value at line 2 column 15");
    let deep = format!("{{\"query\":\"q\",\"documents\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(refused(&deep).0, "/documents/0");
}

#[test]
fn a_dialects_own_name_for_the_cut_wins() {
    let body = FastStr::from_static_str(r#"{"query":"q","documents":[],"texts":null,"top_k":3.0,"top_n":2}"#);
    let fields = Fields::read(&body).unwrap();
    assert_eq!(native::BARE.decode(&fields).unwrap().top_n, Some(2));
    assert_eq!(voyage::VOYAGE.decode(&fields).unwrap().top_n, Some(3));
    assert_eq!(decode(r#"{"query":"q","documents":[],"top_k":"3","top_n":null}"#).unwrap().top_n, Some(3));
}

#[test]
fn a_blank_under_one_name_hides_no_value_under_the_other() {
    let body =
        r#"{"query":"q","documents":[],"instruction":" ","instruct":"i","max_tokens_per_doc":0,"max_doc_length":7}"#;
    let options = decode(body).unwrap().options;
    assert_eq!((options.instruction.as_deref(), options.max_tokens_per_doc), (Some("i"), Some(7)));
}

#[test]
fn zero_and_minus_one_mean_all_where_the_dialect_says_so() {
    let top_n = |dialect: &dyn Dialect, body: &'static str| {
        let body = FastStr::from_static_str(body);
        dialect.decode(&Fields::read(&body).unwrap()).unwrap().top_n
    };
    let zero = r#"{"query":"q","documents":[],"top_n":0}"#;
    assert_eq!(top_n(&native::BARE, zero), Some(0));
    assert_eq!(top_n(&vllm::VLLM, zero), None);
    assert_eq!(top_n(&vllm::VLLM, r#"{"query":"q","documents":[],"top_n":-1}"#), None);
    let huge = r#"{"query":"q","documents":[],"top_n":9223372036854775807,"max_tokens_per_doc":99999999999999999999}"#;
    assert_eq!(top_n(&native::BARE, huge), Some(u32::MAX as usize));
    assert_eq!(top_n(&mixedbread::Mixedbread, r#"{"query":"q","input":[],"top_k":-1}"#), None);
    let no_number = FastStr::from_static_str(r#"{"query":"q","input":[],"top_k":"-all"}"#);
    let error = mixedbread::Mixedbread.decode(&Fields::read(&no_number).unwrap()).unwrap_err();
    assert_eq!(error.pointer.as_deref(), Some("/top_k"));
}

#[test]
fn the_text_of_an_object_is_found() {
    for (document, more, expected) in [
        (r#"{"text":"a","title":"t"}"#, "", "a"),
        (r#"{"text":null,"title":"t","n":1.0}"#, "", "title: t\nn: 1.0"),
        (r#"{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#, "", "a\nb"),
        (r#"{"content":"a"}"#, "", "content: a"),
        (r#"{"page_content":"a","metadata":{"page":3}}"#, "", "a"),
        (r#"{"title":"t","image":"https://…"}"#, "", "title: t\nimage: https://…"),
        (r#"{"title":"t","text":"a\tb"}"#, r#","rank_fields":["title","text"]"#, "t\na\tb"),
        (r#"{"title":"t","text":"a"}"#, r#","rank_fields":["text","none","title"]"#, "a\nt"),
        (r#"{"title":"t","text":"a"}"#, r#","rank_fields":["title"]"#, "t"),
        (r#"{"title":"t","text":"a"}"#, r#","rank_fields":[]"#, "a"),
        (r#"{"meta":{"title":"t","n":2}}"#, r#","rank_fields":["meta.title","meta.n"]"#, "t\n2"),
        (r#"{"meta.title":"exact","meta":{"title":"t"}}"#, r#","rank_fields":["meta.title"]"#, "exact"),
        (r#"{"title":"t","tags":["x","y"]}"#, r#","rank_fields":["tags"]"#, "- x\n- y"),
        ("{}", "", ""),
    ] {
        let request = decode(&format!(r#"{{"query":"q","documents":[{document}]{more}}}"#)).unwrap();
        assert_eq!(request.passages.get(0).text, expected, "{document} {more}");
    }
    let query = decode(r#"{"query":{"text":"in an object"},"documents":[]}"#).unwrap().query;
    assert_eq!(query, "in an object");
}

#[test]
fn a_document_without_the_fields_is_blank_among_others() {
    let body = r#"{"query":"q","documents":[{"title":"t"},{"other":1},"plain"],"rank_fields":["title"]}"#;
    let texts: Vec<_> = decode(body).unwrap().passages.iter().map(|passage| passage.text.to_string()).collect();
    assert_eq!(texts, ["t", "", "plain"]);
    let blank = decode(r#"{"query":"q","documents":[{"title":""}],"rank_fields":["title"]}"#).unwrap();
    assert_eq!(blank.passages.get(0).text, "", "a field that is there and blank is no mistake");
}

/// Rule 13 of what clients require: where documents are objects, they have a text.
#[test]
fn an_echoed_object_has_the_text_that_was_scored() {
    let echoed = |dialect: &dyn Dialect, document: &str| {
        let body = format!(r#"{{"query":"q","documents":[{document}],"return_documents":true}}"#);
        let body = FastStr::from(body);
        let request = dialect.decode(&Fields::read(&body).unwrap()).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&dialect.encode("id", &request, &response())).unwrap();
        answer["results"].as_array().or(answer["data"].as_array()).unwrap()[0]["document"].to_string()
    };
    let parts = r#"{"content":[{"type":"text","text":"a"}]}"#;
    assert_eq!(echoed(&jina::JINA, parts), r#"{"content":[{"text":"a","type":"text"}],"text":"a"}"#);
    assert_eq!(echoed(&cohere::V1, r#"{"title":"t"}"#), r#"{"text":"title: t","title":"t"}"#);
    assert_eq!(echoed(&cohere::V1, r#"{"text":null,"t\u0069tle":"t"}"#), r#"{"text":"title: t","title":"t"}"#);
    assert_eq!(echoed(&cohere::V1, r#"{"text":"a","title":"t"}"#), r#"{"text":"a","title":"t"}"#);
    assert_eq!(echoed(&pinecone::Pinecone, r#"{"title":"t"}"#), r#"{"title":"t"}"#);
    assert_eq!(echoed(&infinity::INFINITY, r#"{"title":"t"}"#), r#""title: t""#);
}

/// A response with one result.
fn response() -> RerankResponse {
    RerankResponse {
        model: "m".into(),
        ranking: vec![RankedPassage { position: 0, score: Some(0.5), source: ScoreSource::Scored }],
        explanations: Vec::new(),
        usage: Usage::default(),
        provenance: Provenance { reranked: true, ..Provenance::default() },
    }
}

/// Names that lead deep would have an object read again and again; the same name twice would send its text twice.
#[test]
fn rank_fields_cannot_make_a_small_body_large() {
    let deep = format!("{}1{}", "{\"a\":".repeat(128), "}".repeat(128));
    let name = vec!["a"; 20_000].join(".");
    let body = format!(r#"{{"query":"q","documents":[{deep}],"rank_fields":["x","{name}"]}}"#);
    assert_eq!(refused(&body), ("/rank_fields/1".to_owned(), "rank_fields[1] has more than 4 dots".to_owned()));
    let body = format!(r#"{{"query":"q","documents":[{deep}],"rank_fields":["a.a.a.a.a"]}}"#);
    assert!(decode(&body).unwrap().passages.get(0).text.starts_with("a:\n  a:"));
    let names = serde_json::to_string(&vec!["x"; 33]).unwrap();
    let body = format!(r#"{{"query":"q","documents":[],"rank_fields":{names}}}"#);
    assert_eq!(refused(&body).1, "rank_fields has 33 names; it may have 32");
    let body = r#"{"query":"q","documents":[{"a":"one","b":"two"}],"rank_fields":["a","b","a","a"]}"#;
    assert_eq!(decode(body).unwrap().passages.get(0).text, "one\ntwo");
}

#[test]
fn what_stands_in_inner_objects_is_not_judged() {
    let deep = format!("{}{}", "{\"input\":".repeat(100) + "1", "}".repeat(100));
    for parameters in [r#"{"model":1,"model":2}"#, &deep, "[]", "7"] {
        let body = FastStr::from(format!(r#"{{"query":"q","documents":["a"],"parameters":{parameters}}}"#));
        assert_eq!(read(&body).unwrap().passages.len(), 1, "{parameters}");
    }
}

#[test]
fn queries_must_be_one_query() {
    let refused = |body: &'static str| {
        let body = FastStr::from_static_str(body);
        deepinfra::DeepInfra.decode(&Fields::read(&body).unwrap()).unwrap_err().message
    };
    assert_eq!(refused(r#"{"queries":[],"documents":["a"]}"#), "queries holds no query");
    let nothing = FastStr::from_static_str(r#"{"queries":[],"documents":[]}"#);
    assert!(deepinfra::DeepInfra.decode(&Fields::read(&nothing).unwrap()).is_ok());
    assert_eq!(refused(r#"{"queries":["a","a"],"documents":["x","y","z"]}"#), "the body has 2 queries for 3 documents");
    assert_eq!(
        refused(r#"{"queries":["a","b"],"documents":["x","y"]}"#),
        "queries[1] differs from queries[0]; send one request for each query"
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(body in "\\PC{0,80}") {
        every_dialect_survives(body);
    }

    #[test]
    fn no_mutilated_request_panics(cut in 0usize..260, insert in "[\\[\\]{}\",:0-9a\\\\]{0,3}") {
        let whole = r#"{"model":"m","query":"q\n","documents":["a",{"id":"x","title":{"b":[1]}}],"input":{"query":"q","documents":[{}]},
            "parameters":{"top_n":1},"queries":["q"],"rank_fields":["title.b"],"top_n":2,"return_documents":true}"#;
        let cut = cut.min(whole.len());
        every_dialect_survives(format!("{}{insert}{}", &whole[..cut], &whole[cut..]));
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
