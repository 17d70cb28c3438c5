//! Values that people and tools type into fields, headers and bodies.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use http::StatusCode;
use serde_json::{Value, json};

use crate::input::{post_ok, upstream_and_gateway, warning};
use crate::support::{Gateway, order, provenance};

const BODY: &str = "{\"query\":\"q\",\"documents\":[\"a\"]}";

async fn detail(gateway: &Gateway, body: impl Into<reqwest::Body>) -> (StatusCode, String) {
    let answer = gateway.send(gateway.post("/rerank").body(body)).await;
    (answer.status, answer.body["detail"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn null_like_strings_count_as_unset() {
    let (upstream, gateway) = upstream_and_gateway().await;
    for word in ["", " ", "\t", "\n \u{a0}", "null", "None", "undefined", "NULL"] {
        let body = json!({ "query": "q", "documents": ["a", "b"], "top_n": word, "top_k": word, "return_documents": word,
            "max_tokens_per_doc": word, "timeout_ms": word, "explain": word, "raw_scores": word });
        let answer =
            gateway.send(gateway.post("/rerank").header("x-rerank-dialect", "native").body(body.to_string())).await;
        assert_eq!(answer.status, StatusCode::OK, "{word:?}: {}", answer.body);
        assert_eq!(order(&answer.body).len(), 2);
        assert!(answer.body["results"][0].get("document").is_none());
    }
    let blank =
        json!({ "query": "q", "documents": ["a", "b"], "model": " ", "instruction": " \n", "rank_fields": ["", " "] });
    let answer = gateway.rerank_with(blank).await;
    assert_eq!(provenance(&answer)["warnings"], json!([]));
    assert_eq!(upstream.calls().len(), 1, "all of them asked for the same pairs");
}

#[tokio::test]
async fn boolean_option_accepts_numbers_and_form_words() {
    let gateway = Gateway::start("").await;
    for (word, expected) in [
        (json!(1), true),
        (json!(0), false),
        (json!("1"), true),
        (json!("0"), false),
        (json!("on"), true),
        (json!("off"), false),
        (json!("Yes"), true),
        (json!("no"), false),
        (json!(" true "), true),
        (json!("False"), false),
    ] {
        let answer = gateway.rerank_with(json!({ "query": "q", "documents": ["a"], "return_documents": word })).await;
        assert_eq!(answer["results"][0].get("document").is_some(), expected, "{word}");
    }
    for (word, what) in [(json!(2), "a number"), (json!("maybe"), "a string"), (json!([]), "a list")] {
        let answer = gateway.try_rerank(json!({ "query": "q", "documents": ["a"], "return_documents": word })).await;
        let told = answer.body["detail"].as_str().unwrap();
        assert!(told.ends_with("true or false"), "{what}: {told}");
    }
}

#[tokio::test]
async fn numeric_or_boolean_query_is_read_as_text() {
    let (upstream, gateway) = upstream_and_gateway().await;
    for query in ["404", "3.50", "true"] {
        post_ok(&gateway, "/rerank", format!("{{\"query\":{query},\"documents\":[\"a\"]}}")).await;
    }
    post_ok(&gateway, "/dashscope/rerank", "{\"input\":{\"query\":7,\"documents\":[\"a\"]}}").await;
    let queries: Vec<String> = upstream.calls().iter().map(|call| call.query().to_owned()).collect();
    assert_eq!(queries, ["404", "3.50", "true", "7"]);
}

#[tokio::test]
async fn blank_header_counts_as_unset() {
    let (_upstream, gateway) = upstream_and_gateway().await;
    for (name, value) in [("x-request-timeout-ms", ""), ("x-request-timeout-ms", " "), ("x-rerank-dialect", "")] {
        let answer = gateway.send(gateway.post("/rerank").header(name, value).body(BODY)).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.body);
    }
}

#[tokio::test]
async fn python_or_javascript_literal_is_named_in_the_json_error() {
    let gateway = Gateway::start("").await;
    for (document, told) in [
        ("{\"m\":None}", "None at line 2 column 19 is not JSON; send null"),
        ("{\"m\":undefined}", "undefined at line 2 column 19 is not JSON; send null"),
        ("{\"m\":True}", "True at line 2 column 19 is not JSON; send true"),
        ("{\"m\":[1,False]}", "False at line 2 column 22 is not JSON; send false"),
        ("{\"m\":NULL}", "NULL at line 2 column 19 is not JSON; send null"),
        ("{\"m\":TRUE}", "TRUE at line 2 column 19 is not JSON; send true"),
        ("{\"m\":Nil}", "expected value at line 2 column 19"),
    ] {
        let body = format!("{{\"query\":\"q\",\n\"documents\":[{document}]}}");
        let (status, detail) = detail(&gateway, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(detail, format!("the body is not valid JSON: {told}"));
    }
}

/// Java and others encode characters beyond the first plane as two surrogates of three bytes each (CESU-8); a cut
/// between them leaves one.
#[tokio::test]
async fn surrogates_encoded_as_cesu_8_are_joined_or_replaced() {
    let (upstream, gateway) = upstream_and_gateway().await;
    let mut body =
        b"{\"query\":\"q\",\"documents\":[\"a \xed\xa0\xbd\",\"b \xed\xa0\xbd\xed\xb8\x80\",\"c\"]}".to_vec();
    let answer = gateway.send(gateway.post("/rerank").body(body.clone())).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(upstream.passages(), ["a \u{FFFD}", "b \u{1F600}", "c"]);
    assert_eq!(
        warning(&answer.body),
        "the body holds surrogates in bytes, which are not UTF-8; halves that were read as U+FFFD: 1"
    );
    body[2] = 0xFF;
    assert_eq!(detail(&gateway, body).await.1, "the body is not UTF-8");
}

#[tokio::test]
async fn several_byte_order_marks_before_a_body_are_skipped() {
    let (upstream, gateway) = upstream_and_gateway().await;
    for marks in ["\u{FEFF}\u{FEFF}", "\n \u{FEFF}", "\u{FEFF}\r\n\u{FEFF} "] {
        post_ok(&gateway, "/rerank", format!("{marks}{BODY}")).await;
    }
    assert_eq!(upstream.passages(), ["a"]);
}

#[tokio::test]
async fn utf_16_body_without_byte_order_mark_is_named() {
    let gateway = Gateway::start("").await;
    let little: Vec<u8> = BODY.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = BODY.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for body in [little, big] {
        assert_eq!(detail(&gateway, body).await.1, "the body is UTF-16; send it as UTF-8");
    }
}

#[tokio::test]
async fn raw_deflate_is_read_and_unlabelled_gzip_is_named() {
    let (_upstream, gateway) = upstream_and_gateway().await;
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
    raw.write_all(BODY.as_bytes()).unwrap();
    let raw = raw.finish().unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(BODY.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    for (encoding, body) in [
        ("deflate", raw.clone()),
        ("charset=utf-8", BODY.into()),
        ("application/json", BODY.into()),
        ("ISO-8859-1", BODY.into()),
        ("7bit", BODY.into()),
        ("text", BODY.into()),
    ] {
        let answer = gateway.send(gateway.post("/rerank").header("content-encoding", encoding).body(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{encoding}: {}", answer.body);
    }
    let told = "the body is compressed with gzip; say so with Content-Encoding: gzip, or send it as it is";
    assert_eq!(detail(&gateway, gzip.clone()).await.1, told);
    let cut = gateway.post("/rerank").header("content-encoding", "deflate").body(raw[..raw.len() / 2].to_vec());
    assert_eq!(gateway.send(cut).await.body["code"], Value::from("invalid_json"));
}
