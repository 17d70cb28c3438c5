//! Text input: lone surrogates, byte order marks, pictures, typed values, and bodies that cost much processor time.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::gateway::{NO_BREAKER, targets, upstream};
use crate::support::{FakeUpstream, Gateway, order, provenance};

/// A data URL that repeats the first bytes of a PNG.
pub(crate) fn picture() -> String {
    format!("data:image/png;base64,iVBORw0KGgo{}=", "AAAANSUhEUgAA".repeat(40))
}

pub(crate) async fn upstream_and_gateway() -> (FakeUpstream, Gateway) {
    let upstream = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &upstream.url()).await;
    (upstream, gateway)
}

/// Posts a body as it is written and returns that of a good answer.
pub(crate) async fn post_ok(gateway: &Gateway, path: &str, body: impl Into<String>) -> Value {
    let answer = gateway.send(gateway.post(path).body(body.into())).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.body
}

/// The only warning of an answer.
pub(crate) fn warning(answer: &Value) -> &str {
    match provenance(answer)["warnings"].as_array().unwrap().as_slice() {
        [warning] => warning.as_str().unwrap(),
        others => panic!("{others:?}"),
    }
}

#[tokio::test]
async fn lone_surrogate_is_replaced_by_u_fffd_in_every_field() {
    let (upstream, gateway) = upstream_and_gateway().await;
    let sent = r#"{"query":"cat \udc00","documents":["a cat \ud83d",{"text":"a \ud83ddog","id":"\ud83d","m\ud83d":{"n\ude00":["\uD83D"]}},
        {"t\ud83dtle":"x","deep":["\ud83d\ud83d\ude00"]},{"content":[{"type":"text","text":"part \ud83d"}]},"\\ud83d \ud83d\ude00"],
        "return_documents":true,"\ud83d":1}"#;
    let answer = post_ok(&gateway, "/v1/rerank", sent).await;
    assert_eq!(upstream.calls()[0].body["query"], "cat \u{FFFD}");
    let expected = [
        "a cat \u{FFFD}",
        "a \u{FFFD}dog",
        "t\u{FFFD}tle: x\ndeep:\n  - \u{FFFD}\u{1F600}",
        "part \u{FFFD}",
        "\\ud83d \u{1F600}",
    ];
    assert_eq!(upstream.passages(), expected);
    assert_eq!(order(&answer).len(), 5);
    let told = warning(&answer);
    assert!(
        told.starts_with(
            "a name holds a \\u escape that is half of a surrogate pair; halves that were read as U+FFFD: 11"
        ),
        "{told}"
    );
    // What is sent back is JSON for strict readers, too, which the test's own reader is.
    let echoed = answer["results"].as_array().unwrap().iter().find(|result| result["index"] == 1).unwrap();
    assert_eq!(echoed["id"], "\u{FFFD}");
    assert_eq!(echoed["document"]["m\u{FFFD}"], json!({ "n\u{FFFD}": ["\u{FFFD}"] }));
}

#[tokio::test]
async fn lone_surrogate_in_echoed_fields_is_replaced() {
    let (_upstream, gateway) = upstream_and_gateway().await;
    for path in ["/rerank", "/v2/rerank", "/voyage/rerank", "/pinecone/rerank"] {
        let body =
            r#"{"query":"cat","documents":[{"id":"a\ud83d","text":"a cat","m":"\udead"}],"return_documents":true}"#;
        let answer = post_ok(&gateway, path, body).await;
        assert!(!answer.to_string().contains("\\ud"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn lone_surrogate_is_replaced_in_every_dialect() {
    let (upstream, gateway) = upstream_and_gateway().await;
    for (path, body) in [
        ("/rerank", r#"{"query":"q","documents":["a"],"instruction":"only \ud83d"}"#),
        ("/tei/rerank", r#"{"query":"q","texts":["b \ud83d"]}"#),
        ("/mixedbread/rerank", r#"{"query":"q","input":["c \ud83d",["\udead"]]}"#),
        ("/dashscope/rerank", r#"{"input":{"query":"q \ud83d","documents":["d"]},"parameters":{"instruct":"\ud83d"}}"#),
        ("/deepinfra/rerank", r#"{"queries":["q \ud83d"],"documents":["e"]}"#),
        ("/nvidia/rerank", r#"{"query":{"text":"q \ud83d"},"passages":[{"text":"f \ud83d"}]}"#),
    ] {
        post_ok(&gateway, path, body).await;
    }
    assert_eq!(upstream.passages(), ["a", "b \u{FFFD}", "c \u{FFFD}", "- \u{FFFD}", "d", "e", "f \u{FFFD}"]);
}

#[tokio::test]
async fn a_byte_order_mark_before_a_body_is_skipped() {
    let (upstream, gateway) = upstream_and_gateway().await;
    post_ok(&gateway, "/rerank", "\u{FEFF}{\"query\":\"cat\",\"documents\":[\"a cat\"]}").await;
    assert_eq!(upstream.passages(), ["a cat"]);
}

#[tokio::test]
async fn utf_16_body_returns_400_naming_the_encoding() {
    let gateway = Gateway::start("").await;
    let mut body = vec![0xFF, 0xFE];
    body.extend("{\"query\":\"cat\",\"documents\":[]}".encode_utf16().flat_map(u16::to_le_bytes));
    let answer = gateway.send(gateway.post("/rerank").body(body)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.body["detail"], "the body is UTF-16; send it as UTF-8");
}

#[tokio::test]
async fn pictures_are_never_sent_as_text() {
    let (upstream, gateway) = upstream_and_gateway().await;
    let url = picture();
    let base64 = url.split_once(',').unwrap().1;
    let body = json!({ "query": "cat", "documents": [
        "plain",
        { "title": "a cat", "image": url },
        { "type": "image", "value": url },
        { "image_base64": base64, "caption": "b64" },
        { "type": "image_url", "image_url": { "url": url } },
        { "content": [{ "type": "text", "text": "one" }, { "type": "image_url", "image_url": { "url": "https://h/x.png" } }] },
        { "content": [{ "type": "image_url", "image_url": { "url": url } }] },
        url,
        { "text": "beside", "image": url },
        { "b64_json": base64, "note": "named" },
        { "title": "inner", "media": { "source": { "media_type": "image/png", "data": base64 } } },
        { "text": url },
        { "image": "https://h/only.png" },
        format!("{url} and words"),
        { "title": "c", "parts": [{ "inline_data": { "mime_type": "image/png", "data": base64 } }, { "text": "gemini" }] },
        { "content": url },
        { "text": "above", "image_url": { "url": url } },
        { "images": [url, url], "id": 7 },
        format!("\n{url}"),
    ]});
    let answer = gateway.rerank_with(body).await;
    let text = upstream.calls().iter().map(|call| call.text.clone()).collect::<String>();
    assert!(!text.contains("AAAANSUhEUg") && !text.contains("base64,"), "{text}");
    for kept in ["title: a cat", "caption: b64", "one", "beside", "note: named", "title: inner", "and words", "gemini"]
    {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    assert_eq!(order(&answer).len(), 19);
    let pictures = provenance(&answer)["warnings"].as_array().unwrap()[0].as_str().unwrap();
    assert_eq!(
        pictures,
        "pictures are not scored; documents read without theirs: 9 (documents[1], documents[3], documents[5], documents[8], \
         documents[9], documents[10], documents[13], documents[14], documents[16]); documents without a text, which count as blank: 9 \
         (documents[2], documents[4], documents[6], documents[7], documents[11], documents[12], documents[15], documents[17], documents[18])"
    );
}

#[tokio::test]
async fn pictures_are_left_out_of_rank_fields_lists_and_content_parts() {
    let (upstream, gateway) = upstream_and_gateway().await;
    let url = picture();
    let body = json!({ "query": "cat", "documents": [{ "title": "t", "image": url, "meta": { "thumbnail": url, "n": 1 } }],
        "rank_fields": ["title", "image", "meta"] });
    gateway.rerank_with(body).await;
    let list = json!({ "query": "cat", "input": [["words", url], [{ "type": "text", "text": "of a part" }, { "type": "image", "image": url }]] });
    post_ok(&gateway, "/mixedbread/rerank", list.to_string()).await;
    let parts = json!({ "query": "cat", "documents": [[{ "type": "text", "text": "parts alone" }, { "type": "image_url", "image_url": { "url": url } }]],
        "return_documents": true });
    let answer = gateway.rerank_with(parts).await;
    assert_eq!(answer["results"][0]["document"], json!({ "text": "parts alone" }));
    assert_eq!(upstream.passages(), ["t\nn: 1", "- words", "of a part", "parts alone"]);
}

#[tokio::test]
async fn text_resembling_a_picture_is_scored_as_text() {
    let (upstream, gateway) = upstream_and_gateway().await;
    let dna = "ACGT".repeat(200);
    let body = format!(
        r#"{{"query":"cat","documents":["data: image of a cat","data:text/plain,hello",{{"title":"t","image":"https://h/cat.png"}},
            {{"image":"a-cat","n":1}},{{"sequence":"{dna}"}},"/9j",{{"type":"image","text":"words of it"}},{{"image_caption":"a cat"}}]}}"#
    );
    let answer = post_ok(&gateway, "/rerank", body).await;
    let expected = [
        "data: image of a cat",
        "data:text/plain,hello",
        "title: t\nimage: https://h/cat.png",
        "image: a-cat\nn: 1",
        &format!("sequence: {dna}"),
        "/9j",
        "words of it",
        "image_caption: a cat",
    ];
    assert_eq!(upstream.passages(), expected);
    assert_eq!(provenance(&answer)["warnings"], json!([]));
}

#[tokio::test]
async fn a_query_that_is_a_picture_is_refused() {
    let (_upstream, gateway) = upstream_and_gateway().await;
    let url = picture();
    for query in [
        json!(url),
        json!({ "image": url }),
        json!({ "image": "https://h/x.png" }),
        json!({ "text": url }),
        json!({ "content": [{ "type": "image_url", "image_url": { "url": url } }] }),
    ] {
        let answer = gateway.try_rerank(json!({ "query": query, "documents": ["a"] })).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
        assert_eq!(answer.body["detail"], "query is a picture; only text can be searched for");
        assert_eq!(answer.body["pointer"], "/query");
    }
}

#[tokio::test]
async fn blank_string_options_count_as_unset() {
    let (upstream, gateway) = upstream_and_gateway().await;
    let blank = json!({ "query": "q", "documents": ["a", "b"], "model": "", "top_n": "", "top_k": "", "return_documents": "", "instruction": "",
        "max_tokens_per_doc": "", "timeout_ms": "", "explain": "", "raw_scores": " ", "rank_fields": "", "texts": "", "input": "",
        "passages": "", "queries": "", "parameters": "" });
    let answer =
        gateway.send(gateway.post("/rerank").header("x-rerank-dialect", "native").body(blank.to_string())).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(order(&answer.body).len(), 2);
    let dashscope = json!({ "input": { "query": "q", "documents": ["a", "b"] },
        "parameters": { "top_n": "", "return_documents": "", "instruct": "" } });
    post_ok(&gateway, "/dashscope/rerank", dashscope.to_string()).await;
    for (path, body) in [
        ("/mixedbread/rerank", json!({ "query": "q", "input": ["a"], "top_k": "", "return_input": "" })),
        ("/tei/rerank", json!({ "query": "q", "texts": ["a"], "return_text": "", "raw_scores": "" })),
        ("/vllm/rerank", json!({ "query": "q", "documents": ["a"], "top_n": "-1" })),
    ] {
        post_ok(&gateway, path, body.to_string()).await;
    }
    assert_eq!(upstream.calls().len(), 1, "all of them asked for the same pairs");
    let text = json!({ "query": "q", "documents": "" });
    assert_eq!(gateway.try_rerank(text).await.body["detail"], "documents is a string; it must be a list");
}

#[tokio::test]
async fn top_n_accepts_whole_numbers_written_as_float_or_string() {
    let gateway = Gateway::start("").await;
    for (top_n, count) in [(json!(3.0), 3), (json!("3"), 3), (json!("3.0"), 3), (json!(2e0), 2), (json!(1e300), 4)] {
        let answer =
            gateway.rerank_with(json!({ "query": "q", "documents": ["a", "b", "c", "d"], "top_n": top_n })).await;
        assert_eq!(order(&answer).len(), count, "{top_n}");
    }
    for (top_n, what) in [
        ("2.5", "a fraction"),
        ("\"2.5\"", "a fraction"),
        ("-1", "out of range"),
        ("\"NaN\"", "a string"),
        ("true", "a boolean"),
    ] {
        let body = format!("{{\"query\":\"q\",\"documents\":[\"a\"],\"top_n\":{top_n}}}");
        let answer = gateway.send(gateway.post("/rerank").body(body)).await;
        let detail = format!("top_n is {what}; it must be a whole number from 0 to 4294967295");
        assert_eq!(answer.body["detail"], detail);
    }
}

#[tokio::test]
async fn null_number_and_boolean_documents_keep_their_index() {
    let (upstream, gateway) = upstream_and_gateway().await;
    let body =
        json!({ "query": "q", "documents": [null, 7, "a", true, 1.50, { "text": 12 }], "return_documents": true });
    let answer = gateway.rerank_with(body).await;
    let mut sent = upstream.passages();
    sent.retain(|passage| !passage.is_empty());
    assert_eq!(sent, ["7", "a", "true", "1.5", "12"]);
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 6);
    let null = results.iter().find(|result| result["index"] == 0).unwrap();
    assert_eq!(null["document"], json!({ "text": "" }));
    let number = results.iter().find(|result| result["index"] == 1).unwrap();
    assert_eq!(number["document"], json!({ "text": "7" }));
}

#[tokio::test]
async fn json_error_names_line_and_column_in_the_whole_body() {
    let gateway = Gateway::start("").await;
    for (body, detail) in [
        (
            "{\"query\":\"q\",\n\"documents\":[\"a\",{\"text\":\"b\",\n \"m\": NaN}]}",
            "NaN at line 3 column 7 is not JSON; send null",
        ),
        ("{\"query\":\"q\",\"documents\":[-Infinity]}", "-Infinity at line 1 column 27 is not JSON; send null"),
        ("{\"query\":\"q\",\"x\":{\"y\":[1,nan ]},\"documents\":[]}", "NaN at line 1 column 26 is not JSON; send null"),
        ("{\"query\":\"q\",\"top_n\":Infinity}", "Infinity at line 1 column 22 is not JSON; send null"),
        ("{\"query\":\"q\",\n\n\"documents\":[\"a\",{\"text\" \"b\"}]}", "expected `:` at line 3 column 26"),
        (
            "\u{FEFF}{\"query\":\"q\",\n\"documents\":[{\"a\":\"\u{1}\"}]}",
            "control character (\\u0000-\\u001F) found while parsing a string at line 2 column 19",
        ),
    ] {
        let answer = gateway.send(gateway.post("/rerank").body(body)).await;
        assert_eq!(answer.body["code"], "invalid_json", "{body}: {}", answer.body);
        assert_eq!(answer.body["detail"], format!("the body is not valid JSON: {detail}"), "{body}");
    }
}

#[tokio::test]
async fn deeply_nested_json_is_refused_where_read_and_ignored_elsewhere() {
    let (_upstream, gateway) = upstream_and_gateway().await;
    let list = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let object = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    for deep in [&list, &object] {
        for document in [deep.clone(), format!("{{\"text\":\"a\",\"metadata\":{deep}}}"), format!("{{\"a\":{deep}}}")] {
            for rest in ["", ",\"rank_fields\":[\"a\"]", ",\"rank_fields\":[\"a.a.a.a.a\",\"a.a\"]"] {
                let body = format!("{{\"query\":\"q\",\"documents\":[\"x\",{document}]{rest}}}");
                let answer = gateway.send(gateway.post("/rerank").body(body)).await;
                assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
                let detail = answer.body["detail"].as_str().unwrap();
                assert!(detail.starts_with("documents[1] is "), "{detail}");
            }
        }
        let ignored = format!("{{\"query\":\"q\",\"documents\":[\"x\"],\"user\":{deep}}}");
        post_ok(&gateway, "/rerank", ignored).await;
        for field in ["query", "rank_fields", "top_n", "instruction"] {
            let body = format!("{{\"query\":\"q\",\"{field}\":{deep},\"documents\":[\"x\"]}}")
                .replace("\"query\":\"q\",\"query\"", "\"query\"");
            let answer = gateway.send(gateway.post("/rerank").body(body)).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{field}: {}", answer.body);
        }
    }
}

/// A wide object: many small fields, and one deep path at its end.
fn wide(fields: usize) -> String {
    let mut json = String::from("{");
    for field in 0..fields {
        json.push_str(&format!("\"f{field}\":{{\"g\":{{\"h\":{{\"i\":{{\"k\":1}}}}}}}},"));
    }
    json.push_str("\"a\":{\"b\":{\"c\":{\"d\":{\"e\":\"end\"}}}}}");
    json
}

/// Attack 8: objects were read on a reactor thread beyond every deadline, once for each path and step.
#[tokio::test]
async fn many_rank_fields_over_wide_objects_end_at_the_deadline() {
    let (upstream, gateway) = upstream_and_gateway().await;
    let paths: Vec<String> =
        (0..31).map(|path| format!("f{path}.g.h.i.missing")).chain(["a.b.c.d.e".to_owned()]).collect();
    let paths = serde_json::to_string(&paths).unwrap();
    let body = |documents: usize, last: &str, timeout: &str| {
        let documents = vec![wide(20_000); documents].join(",") + last;
        format!("{{\"query\":\"q\"{timeout},\"documents\":[{documents}],\"rank_fields\":{paths}}}")
    };
    // The last document is wrong, which nobody finds out.
    let sent = gateway.send(gateway.post("/rerank").body(body(30, ",[]", ",\"timeout_ms\":1")));
    let answer = tokio::time::timeout(Duration::from_secs(20), sent).await.unwrap();
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{}", answer.body);
    assert_eq!(answer.body["code"], "deadline_exceeded");
    assert_eq!(upstream.calls().len(), 0);
    post_ok(&gateway, "/rerank", body(1, "", "")).await;
    assert_eq!(upstream.passages(), ["end"]);
}

#[tokio::test]
async fn passage_with_leading_blanks_is_truncated_from_its_first_text() {
    let provider = FakeUpstream::start("cohere").await;
    let config = format!(
        "{}long_passages = 'truncate'\nmax_passage_tokens = 16\n{}{NO_BREAKER}",
        upstream("up", "cohere", &provider.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    let late = format!("{}late words {}", " \n".repeat(3_000), "and more of them ".repeat(50));
    let answer = gateway.rerank_with(json!({ "query": "q", "documents": [late, "short", " ".repeat(5_000)] })).await;
    let sent = provider.passages();
    assert!(sent[0].starts_with("late words and more") && sent[0].len() <= 48, "{sent:?}");
    assert_eq!(answer["results"].as_array().unwrap().len(), 3);
    let warnings = provenance(&answer)["warnings"].to_string();
    assert!(!warnings.contains("2 got"), "only one is blank: {warnings}");
}
