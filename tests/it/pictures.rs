//! Pictures inside texts, pictures as bytes, and texts that resemble one.

use http::StatusCode;
use serde_json::json;

use crate::input::{picture, post_ok, upstream_and_gateway, warning};
use crate::support::{order, provenance};

#[tokio::test]
async fn pictures_inside_texts_are_left_out() {
    let (upstream, gateway) = upstream_and_gateway().await;
    let url = picture();
    let body = json!({ "query": "cat", "documents": [
        format!("![a cat]({url}) is a cat"),
        "plain",
        format!("<p>two <img src=\"{url}\"> and <img src='{url}'></p>\n"),
        format!("{{\"title\": \"three\", \"image\": \"{url}\"}}"),
        { "text": format!("four ![x]({url})") },
        { "title": format!("five {url}") },
        { "content": [{ "type": "text", "text": format!("six ({url})") }] },
        format!("{url} seven ![]({url})"),
        { "a": [[[[[[[[format!("eight ({url})")]]]]]]]] },
        format!("{} nine", url.replacen("base64,", "base64, ", 1)),
    ]});
    let answer = gateway.rerank_with(body).await;
    let expected = [
        "![a cat]() is a cat",
        "plain",
        "<p>two <img src=\"\"> and <img src=''></p>\n",
        "{\"title\": \"three\", \"image\": \"\"}",
        "four ![x]()",
        "title: five ",
        "six ()",
        "seven ![]()",
    ];
    let sent = upstream.passages();
    assert_eq!(sent[..8], expected);
    assert!(sent[8].contains("eight ()"), "{}", sent[8]);
    assert_eq!(sent[9], "nine");
    assert_eq!(order(&answer).len(), 10);
    assert!(warning(&answer).starts_with("pictures are not scored; documents read without theirs: 9 (documents[0], "));
    let ranked = json!({ "query": "cat", "documents": [{ "b": format!("ten ({url})") }], "rank_fields": ["b"] });
    gateway.rerank_with(ranked).await;
    let tei = json!({ "query": "cat", "texts": [format!("eleven ({url})")] });
    post_ok(&gateway, "/tei/rerank", tei.to_string()).await;
    assert_eq!(upstream.passages()[10..], ["ten ()", "eleven ()"]);
}

#[tokio::test]
async fn text_mentioning_data_urls_is_scored_unchanged() {
    let (upstream, gateway) = upstream_and_gateway().await;
    let texts = [
        "write data:image/png;base64,iVBORw0KGgo... into the page",
        "the header ;base64, ends it",
        "metadata:image;base64 and more",
        "data: what comes before ;base64,AAAA",
    ];
    let answer = gateway.rerank("cat", &texts).await;
    assert_eq!(upstream.passages(), texts);
    assert_eq!(provenance(&answer)["warnings"], json!([]));
}

#[tokio::test]
async fn pictures_as_lists_of_bytes_are_left_out() {
    let (upstream, gateway) = upstream_and_gateway().await;
    let bytes: Vec<u8> = (0..=255).collect();
    let body = json!({ "query": "cat", "documents": [
        { "title": "a buffer", "image": { "type": "Buffer", "data": bytes } },
        { "title": "a list", "photo": bytes },
        { "title": "inside", "parts": [{ "thumbnail": bytes }, { "type": "Buffer", "data": bytes }] },
        { "type": "Buffer", "data": bytes },
        { "title": "with blanks", "file": "spaced" },
        { "title": "numbers", "histogram": [1, 2, 3], "image_size": [640, 480] },
    ]});
    let spaced = format!("{{ \"type\": \"Buffer\",\n \"data\": {} }}", json!(bytes));
    let body = body.to_string().replace("\"spaced\"", &spaced);
    let answer = post_ok(&gateway, "/rerank", body).await;
    let expected = [
        "title: a buffer",
        "title: a list",
        "title: inside",
        "title: with blanks",
        "histogram:\n  - 1\n  - 2\n  - 3\nimage_size:\n  - 640\n  - 480\ntitle: numbers",
    ];
    let mut sent = upstream.passages();
    sent.retain(|passage| !passage.is_empty());
    assert_eq!(sent, expected);
    let told = provenance(&answer)["warnings"][0].as_str().unwrap();
    assert!(told.contains("read without theirs: 4 (") && told.contains("count as blank: 1 (documents[3])"), "{told}");
}

#[tokio::test]
async fn short_base64_in_media_fields_is_left_out() {
    let (upstream, gateway) = upstream_and_gateway().await;
    let base64 = "QUJDabc123".repeat(10);
    let body = json!({ "query": "cat", "documents": [
        { "title": "a sound", "audio": { "data": base64, "format": "wav" } },
        { "title": "a part", "parts": [{ "inlineData": { "mimeType": "image/png", "data": base64 } }] },
        { "title": "a blob", "blob": base64 },
        { "title": "deeper", "image": { "source": { "content": [base64] } } },
        format!("a blank data: image/png;base64,{base64} behind"),
        { "title": "a hash", "signature": base64 },
    ]});
    gateway.rerank_with(body).await;
    let expected = [
        "title: a sound",
        "title: a part",
        "title: a blob",
        "title: deeper",
        "a blank data:  behind",
        &format!("signature: {base64}\ntitle: a hash"),
    ];
    assert_eq!(upstream.passages(), expected);
}

#[tokio::test]
async fn picture_paths_and_hashes_are_scored_as_text() {
    let (upstream, gateway) = upstream_and_gateway().await;
    let path = "/mnt/Datasets/collections/archive-2024/photographs/original-scans/box_17/folder0001/0001";
    let slug = "photos-2024-08-15-berlin-brandenburger-tor-night-long-exposure-with-people";
    let hash = "a3f5".repeat(16);
    let body =
        json!({ "query": "cat", "documents": [{ "image_path": path }, { "image_id": slug }, { "image_hash": hash }] });
    let answer = gateway.rerank_with(body).await;
    let expected = [format!("image_path: {path}"), format!("image_id: {slug}"), format!("image_hash: {hash}")];
    assert_eq!(upstream.passages(), expected);
    assert_eq!(provenance(&answer)["warnings"], json!([]));
}

#[tokio::test]
async fn picture_beside_query_text_is_dropped_with_a_warning() {
    let (upstream, gateway) = upstream_and_gateway().await;
    let url = picture();
    let told = "query holds a picture, which is not searched for";
    for query in [
        json!({ "content": [{ "type": "text", "text": "cat 1" }, { "type": "image_url", "image_url": { "url": url } }] }),
        json!({ "text": "cat 2", "image": url }),
        json!(format!("cat 3 ![x]({url})")),
        json!(format!("{url} cat 4")),
        json!({ "text": format!("cat 5 {url}") }),
    ] {
        let answer = gateway.rerank_with(json!({ "query": query, "documents": ["a"] })).await;
        assert_eq!(warning(&answer), told);
    }
    let queries: Vec<String> = upstream.calls().iter().map(|call| call.query().to_owned()).collect();
    assert_eq!(queries, ["cat 1", "cat 2", "cat 3 ![x]()", "cat 4", "cat 5 "]);
    let both = json!({ "query": format!("cat {url}"), "documents": [format!("x {url}")] });
    let answer = gateway.rerank_with(both).await;
    assert_eq!(provenance(&answer)["warnings"].as_array().unwrap().len(), 2);
    for (path, body) in [
        ("/tei/rerank", json!({ "query": format!("cat {url}"), "texts": ["a"] })),
        ("/deepinfra/rerank", json!({ "queries": [format!("cat {url}")], "documents": ["a"] })),
        ("/dashscope/rerank", json!({ "input": { "query": format!("cat {url}"), "documents": ["a"] } })),
    ] {
        post_ok(&gateway, path, body.to_string()).await;
    }
    assert!(upstream.calls().iter().all(|call| !call.text.contains("base64")));
    let nothing = gateway.try_rerank(json!({ "query": format!("  {url}\n"), "documents": ["a"] })).await;
    assert_eq!(nothing.status, StatusCode::BAD_REQUEST, "{}", nothing.body);
    assert_eq!(nothing.body["detail"], "query is a picture; only text can be searched for");
}
