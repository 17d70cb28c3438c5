//! Requests with fields that are mistyped, and keys that are rotated on disk.

use serde_json::{Value, json};

use crate::support::gateway::targets;
use crate::support::{FakeUpstream, Gateway, Reply, provenance};

async fn post(gateway: &Gateway, path: &str, body: Value, strict: Option<&str>) -> crate::support::gateway::Answer {
    let mut request = gateway.post(path).body(body.to_string());
    if let Some(value) = strict {
        request = request.header("X-Rerankd-Strict", value);
    }
    gateway.send(request).await
}

#[tokio::test]
async fn mistyped_fields_are_named_in_warnings_and_others_are_ignored() {
    let gateway = Gateway::start("").await;
    let body = json!({"query": "a", "documents": ["a", "b"], "topn": 1, "user": "u", "returnDocuments": true,
                      "truncate": true});
    let answer = post(&gateway, "/rerank", body, None).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["results"].as_array().unwrap().len(), 2);
    assert_eq!(
        provenance(&answer.body)["warnings"],
        json!(["returnDocuments was ignored; did you mean return_documents?", "topn was ignored; did you mean top_n?"])
    );
    let escaped = r#"{"query":"a","documents":["a"],"top\u006e":1,"x":[1e999]}"#;
    let answer = gateway.send(gateway.post("/rerank").body(escaped)).await;
    assert_eq!(provenance(&answer.body)["warnings"], json!([]), "names with escapes are not looked at");
}

#[tokio::test]
async fn other_interfaces_names_for_a_field_are_named_with_the_field() {
    let gateway = Gateway::start("").await;
    for (name, meant) in [("topN", "top_n"), ("limit", "top_n"), ("k", "top_n"), ("return_docs", "return_documents")] {
        let answer = post(&gateway, "/rerank", json!({"query": "a", "documents": ["a", "b"], name: 1}), None).await;
        let warning = format!("{name} was ignored; did you mean {meant}?");
        assert_eq!(provenance(&answer.body)["warnings"], json!([warning]));
    }
    let null = json!({"query": "a", "documents": ["a"], "max_chunks_per_doc": null, "topN": null});
    let answer = post(&gateway, "/rerank", null, None).await;
    assert_eq!(provenance(&answer.body)["warnings"], json!([]), "null is absent");
    // What is suggested works where the dialect itself has another name.
    for path in ["/rerank", "/voyage/v1/rerank"] {
        let answer = post(&gateway, path, json!({"query": "a", "documents": ["a", "b"], "top_n": 1}), None).await;
        assert_eq!(answer.body["results"].as_array().unwrap().len(), 1, "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_strict_request_may_hold_no_field_that_is_not_read_in_any_dialect() {
    let gateway = Gateway::start("").await;
    for (path, body) in [
        ("/rerank", json!({"query": "q", "documents": ["a"], "top_m": 1})),
        ("/v2/rerank", json!({"query": "q", "documents": ["a"], "top_m": 1})),
        ("/voyage/v1/rerank", json!({"query": "q", "documents": ["a"], "top_m": 1})),
        ("/tei/rerank", json!({"query": "q", "texts": ["a"], "top_m": 1})),
        ("/v1/ranking", json!({"query": {"text": "q"}, "passages": [{"text": "a"}], "top_m": 1})),
        ("/mixedbread/v1/reranking", json!({"query": "q", "input": ["a"], "top_m": 1})),
        ("/dashscope/rerank", json!({"input": {"query": "q", "documents": ["a"]}, "parameters": {"top_m": 1}})),
    ] {
        let lax = post(&gateway, path, body.clone(), Some("false")).await;
        assert_eq!(lax.status, 200, "{path}: {}", lax.body);
        let strict = post(&gateway, path, body, Some("true")).await;
        assert!(strict.status == 400 || strict.status == 422, "{path}: {}", strict.body);
        assert_eq!(strict.body["pointer"], "/top_m");
        assert!(strict.body["detail"].as_str().unwrap().starts_with("top_m is not read; did you mean top_"), "{path}");
    }
    let far = post(&gateway, "/rerank", json!({"query": "q", "documents": ["a"], "zzz": 1}), Some("1")).await;
    assert_eq!(far.body["detail"], "zzz is not read; leave it out, or leave out x-rerankd-strict");
    let text = post(&gateway, "/rerank", json!({"query": "q", "documents": ["a"], "my secret": 1}), Some("true")).await;
    assert_eq!(text.status, 400);
    assert!(!text.body.to_string().contains("secret"));
    let good = post(&gateway, "/rerank", json!({"query": "q", "documents": ["a"], "top_n": 1}), Some("true")).await;
    assert_eq!(good.status, 200);
    let wrong = post(&gateway, "/rerank", json!({"query": "q", "documents": ["a"]}), Some("yes")).await;
    assert_eq!(wrong.body["detail"], "the header x-rerankd-strict must be true or false");
}

#[tokio::test]
async fn a_field_of_another_dialect_is_named_and_refused_where_strict() {
    let gateway = Gateway::start("").await;
    let dashscope = json!({"input": {"query": "q", "documents": ["a"]}, "parameters": {"explain": true}, "top_n": 1});
    for (path, body, told) in [
        ("/rerank", json!({"query": "q", "documents": ["q"], "return_text": true}), ["return_text", "native"]),
        ("/v2/rerank", json!({"query": "q", "documents": ["q"], "return_input": true}), ["return_input", "cohere"]),
        ("/tei/rerank", json!({"query": "q", "texts": ["a"], "return_documents": 1}), ["return_documents", "tei"]),
        ("/weaviate/rerank", json!({"query": "q", "documents": ["a"], "top_n": 1}), ["top_n", "weaviate"]),
        ("/dashscope/rerank", dashscope, ["parameters.explain", "dashscope"]),
    ] {
        let [field, dialect] = told;
        let strict = post(&gateway, path, body.clone(), Some("true")).await;
        assert!(strict.status == 400 || strict.status == 422, "{path}: {}", strict.body);
        let detail =
            format!("{field} is no field of the dialect {dialect}; leave it out, or leave out x-rerankd-strict");
        assert_eq!(strict.body["detail"], detail, "{path}");
        assert_eq!(strict.body["pointer"], format!("/{}", field.replace('.', "/")));
        let lax = post(&gateway, path, body, None).await;
        assert_eq!(lax.status, 200, "{path}: {}", lax.body);
        if ["native", "cohere"].contains(&dialect) {
            let warning = format!("{field} was ignored: it is no field of the dialect {dialect}");
            assert_eq!(provenance(&lax.body)["warnings"], json!([warning]));
        }
    }
    // Hints of clients, and what counts as absent.
    for (path, body) in [
        ("/rerank", json!({"query": "q", "documents": ["a"], "truncation": true})),
        ("/rerank", json!({"query": "q", "documents": ["a"], "property": "p"})),
        ("/v2/rerank", json!({"query": "q", "documents": ["a"], "return_text": null, "return_input": ""})),
        ("/v2/rerank", json!({"query": "q", "documents": ["a"], "top_n": 1, "top_k": 1, "explain": false})),
    ] {
        let answer = post(&gateway, path, body, Some("true")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_missing_field_names_the_one_that_was_sent_instead() {
    let gateway = Gateway::start("").await;
    for (path, body, told) in [
        ("/rerank", json!({"query": "q", "docs": ["a"]}), "documents is missing; the body has docs instead"),
        ("/rerank", json!({"q": "q", "documents": ["a"]}), "query is missing; the body has q instead"),
        ("/rerank", json!({"query": "q", "items": ["a"]}), "documents is missing"),
        ("/tei/rerank", json!({"query": "q", "text": ["a"]}), "texts is missing; the body has text instead"),
        (
            "/dashscope/rerank",
            json!({"input": {"query": "q", "document": ["a"]}}),
            "input.documents is missing; the body has document instead",
        ),
    ] {
        let answer = post(&gateway, path, body, None).await;
        assert_eq!(answer.body["detail"], told, "{path}");
    }
}

#[tokio::test]
async fn results_stand_twice_only_where_clients_read_data() {
    let gateway = Gateway::start("").await;
    for (path, has_data) in [
        ("/rerank", false),
        ("/v1/rerank", true),
        ("/v2/rerank", false),
        ("/voyage/v1/rerank", true),
        ("/jina/v1/rerank", false),
        ("/vllm/v1/rerank", false),
    ] {
        let answer = post(&gateway, path, json!({"query": "q", "documents": ["a"]}), None).await;
        assert_eq!((answer.status.as_u16(), answer.body.get("data").is_some()), (200, has_data), "{path}");
    }
}

#[tokio::test]
async fn a_key_that_was_rotated_on_disk_is_read_again_after_a_refusal() {
    for status in [401, 403] {
        let fake = FakeUpstream::start("cohere").await;
        fake.refuse_if(|call| call.headers["authorization"] != "Bearer new-key", Reply::status(status));
        let key = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(key.path(), "old-key\n").unwrap();
        let gateway = Gateway::start(&format!(
            "[upstreams.up]\nprovider = 'cohere'\nbase_url = '{}'\napi_key = 'file:{}'\n{}",
            fake.url(),
            key.path().display(),
            targets("default", &[("up", "rerank-v3.5")])
        ))
        .await;
        std::fs::write(key.path(), "new-key\n").unwrap();
        let answer = gateway.rerank("q", &["a"]).await;
        assert_eq!(provenance(&answer)["attempts"], 2, "{status}");
        let shown: Vec<_> = fake.calls().iter().map(|call| call.headers["authorization"].clone()).collect();
        assert_eq!(shown, ["Bearer old-key", "Bearer new-key"], "{status}");
    }
}

/// The key is revoked some time before its file is replaced. The breaker would open in between.
#[tokio::test]
async fn a_key_file_that_is_replaced_after_refusals_is_used_at_once() {
    let fake = FakeUpstream::start("cohere").await;
    fake.refuse_if(|call| call.headers["authorization"] != "Bearer new-key", Reply::status(401));
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "old-key").unwrap();
    let gateway = Gateway::start(&format!(
        "[upstreams.up]\nprovider = 'cohere'\nbase_url = '{}'\napi_keys = ['file:{}']\n\
         breaker.consecutive_failures = 2\n{}",
        fake.url(),
        key.path().display(),
        targets("default", &[("up", "rerank-v3.5")])
    ))
    .await;
    for refused in 0..6 {
        let answer = gateway.try_rerank(json!({"query": "q", "documents": ["a"]})).await;
        assert_eq!(answer.body["code"], "upstream_unauthorized", "{refused}: {}", answer.body);
        let message = answer.body["message"].as_str().unwrap();
        assert!(message.contains("(check upstreams.up.api_keys)"), "{message}");
    }
    std::fs::write(key.path(), "new-key").unwrap();
    gateway.rerank("q", &["a"]).await;
}
