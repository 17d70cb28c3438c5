//! Bad input gets a clear JSON error and nothing is lost; odd but harmless input is answered.

use serde_json::{Value, json};

use crate::support::{Gateway, order};

async fn send(gateway: &Gateway, body: impl Into<reqwest::Body>) -> (u16, String, String) {
    let answer = gateway.send(gateway.post("/rerank").body(body)).await;
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{}", answer.body);
    assert_eq!(answer.body["detail"], answer.body["message"]);
    assert_eq!(answer.body["status"], answer.status.as_u16());
    assert_eq!(answer.body["request_id"], answer.headers["x-request-id"].to_str().unwrap());
    let text = |key: &str| answer.body[key].as_str().unwrap().to_owned();
    (answer.status.as_u16(), text("code"), text("detail"))
}

#[tokio::test]
async fn invalid_input_returns_a_problem_with_status_code_and_detail() {
    let gateway =
        Gateway::start("[server]\nmax_documents = 3\nmax_body_bytes = 2000\n[models.default]\naliases = []").await;
    let deep = format!("{{\"query\":\"q\",\"documents\":[{}", "[".repeat(900));
    for (body, status, code, detail) in [
        ("", 400, "invalid_json", "the body is not valid JSON: EOF while parsing a value at line 1 column 0"),
        (
            "{\"query\": \"q\",\n \"documents\": oops}",
            400,
            "invalid_json",
            "the body is not valid JSON: expected value at line 2 column 15",
        ),
        (&*deep, 400, "invalid_json", "the body is not valid JSON: EOF while parsing a list"),
        ("[]", 400, "invalid_request", "the body must be a JSON object"),
        ("{}", 400, "invalid_request", "query is missing"),
        (
            r#"{"query":" ","documents":["a"]}"#,
            400,
            "invalid_request",
            "query is blank; it must hold the text to search for",
        ),
        (r#"{"query":"q"}"#, 400, "invalid_request", "documents is missing"),
        (r#"{"query":"q","documents":"a"}"#, 400, "invalid_request", "documents is a string; it must be a list"),
        (
            r#"{"query":"q","documents":["a",[7]]}"#,
            400,
            "invalid_request",
            "documents[1] is a list; it must be a string or an object",
        ),
        (
            r#"{"query":"q","documents":["a"],"top_n":-2}"#,
            400,
            "invalid_request",
            "top_n is out of range; it must be a whole number from 0 to 4294967295",
        ),
        (
            r#"{"query":"q","documents":["a"],"top_n":"x"}"#,
            400,
            "invalid_request",
            "top_n is a string; it must be a whole number from 0 to 4294967295",
        ),
        (r#"{"query":"q","query":"r","documents":["a"]}"#, 400, "invalid_request", "the body has query twice"),
        (
            r#"{"query":"q","documents":["a"],"model":"defalt"}"#,
            404,
            "unknown_model",
            "there is no model defalt; did you mean default?; known models: default, local, local/lexical",
        ),
        (
            r#"{"query":"q","documents":["a","b","c","d"]}"#,
            400,
            "too_many_documents",
            "the request has 4 documents, the limit is 3 (server.max_documents); send fewer or raise the limit",
        ),
    ] {
        let (found_status, found_code, found_detail) = send(&gateway, body.to_owned()).await;
        assert_eq!((found_status, &*found_code), (status, code), "{body}: {found_detail}");
        assert!(found_detail.starts_with(detail), "{body}: {found_detail}");
    }
    let (status, code, detail) = send(&gateway, &b"{\"query\":\"\xff\"}"[..]).await;
    assert_eq!((status, &*code, &*detail), (400, "invalid_json", "the body is not UTF-8"));
    let (status, code, detail) = send(&gateway, "x".repeat(2_001)).await;
    assert_eq!((status, &*code), (413, "body_too_large"));
    assert!(detail.contains("2000 bytes"), "{detail}");
}

#[tokio::test]
async fn chunked_body_beyond_max_body_bytes_returns_413() {
    let gateway = Gateway::start("[server]\nmax_body_bytes = 2000").await;
    let chunks = futures_util::stream::iter((0..5).map(|_| Ok::<_, std::io::Error>("y".repeat(500))));
    let (status, code, _) = send(&gateway, reqwest::Body::wrap_stream(chunks)).await;
    assert_eq!((status, &*code), (413, "body_too_large"));
}

#[tokio::test]
async fn empty_list_large_top_n_and_unknown_fields_are_answered() {
    let gateway = Gateway::start("").await;
    let empty = gateway.rerank("q", &[]).await;
    assert_eq!(empty["results"], json!([]));
    assert_eq!(empty["meta"]["rerankd"]["reranked"], true);

    for (body, indices) in [
        (json!({"query": "apple pie", "documents": ["pie", "apple pie"], "top_n": 99}), vec![1, 0]),
        (json!({"query": "apple", "documents": ["pear", "apple"], "top_n": 1}), vec![1]),
        (json!({"query": "apple", "documents": ["pear", "apple"], "top_n": 0}), vec![]),
        (json!({"query": "apple", "documents": ["", " ", "apple"]}), vec![2, 0, 1]),
        (
            json!({"query": "apple", "documents": ["apple", "apple"], "model": null, "top_n": null, "return_documents": null}),
            vec![0, 1],
        ),
        (
            json!({"query": "apple", "documents": ["apple"], "rank_fields": ["x"], "user": {"deep": [[[]]]}, "model": ""}),
            vec![0],
        ),
    ] {
        let answer = gateway.rerank_with(body.clone()).await;
        assert_eq!(order(&answer), indices, "{body}");
    }
}

#[tokio::test]
async fn content_type_of_any_kind_is_accepted() {
    let gateway = Gateway::start("").await;
    let body = json!({"query": "q", "documents": ["a"]}).to_string();
    for content_type in [None, Some("application/json"), Some("text/plain"), Some("application/x-www-form-urlencoded")]
    {
        let mut request = gateway.post("/rerank").body(body.clone());
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        assert_eq!(gateway.send(request).await.status, 200, "{content_type:?}");
    }
    let answer = gateway.send(gateway.post("/rerank").header("content-encoding", "br").body(body)).await;
    assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (415, Some("unsupported_encoding")));
}

#[tokio::test]
async fn return_documents_echoes_documents_unchanged() {
    let gateway = Gateway::start("").await;
    let object = json!({"id": "a1", "text": "apple", "metadata": {"page": 3, "n": 1.50}});
    let body = json!({"query": "apple", "documents": ["pear\n", object], "return_documents": "true", "explain": true});
    let answer = gateway.rerank_with(body).await;
    assert_eq!(answer["results"][0]["document"], object);
    assert_eq!(answer["results"][0]["id"], "a1");
    assert_eq!(answer["results"][0]["source"], "scored");
    assert_eq!(answer["results"][1]["document"], json!({"text": "pear\n"}));
    assert_eq!(answer["results"][1].get("id"), None);
    let plain = gateway.rerank("apple", &["apple"]).await;
    assert_eq!(plain["results"][0].get("document"), None, "absent, never null");
    assert_eq!(plain["meta"]["rerankd"].get("trail"), None::<&Value>);
}
