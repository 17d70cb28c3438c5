//! Law 1: requests whose concatenated fields are equal are still different pairs, for one caller and for two.

use serde_json::{Value, json};

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, expected, provenance, scores};

/// Prepends an instruction to the query, so that the borders between all three reach the upstream.
const PROVIDER: &str = "voyage";
const MODEL: &str = "rerank-2.5";

/// Texts that a field separator could be mistaken for.
const SEPARATORS: [&str; 8] =
    ["", "|", "\n", "\u{1}", "\u{1f}", "\u{2}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}", "2:", "\",\""];

/// All ways to cut `text` into a query and a passage, and into an instruction, a query and a passage.
fn all_splits(text: &str) -> Vec<Value> {
    let borders: Vec<_> = text.char_indices().map(|(at, _)| at).skip(1).collect();
    let mut bodies = Vec::new();
    for (place, first) in borders.iter().enumerate() {
        bodies.push(json!({"query": text[..*first], "documents": [text[*first..]]}));
        for second in &borders[place + 1..] {
            let [instruction, query, passage] = [&text[..*first], &text[*first..*second], &text[*second..]];
            bodies.push(json!({"instruction": instruction, "query": query, "documents": [passage]}));
        }
    }
    bodies
}

#[tokio::test]
async fn law_1_same_text_split_at_another_field_border_is_a_new_pair() {
    let fake = FakeUpstream::start(PROVIDER).await;
    let gateway = Gateway::in_front_of(PROVIDER, MODEL, &fake.url()).await;
    let mut asked = Vec::new();
    for separator in SEPARATORS {
        for body in all_splits(&["ab", "cd", "ef"].join(separator)) {
            // Blank texts are refused or have no score of their own.
            let is_blank = |name: &str| body[name].as_str().is_some_and(|text| text.trim().is_empty());
            if is_blank("query") || body["documents"][0].as_str().unwrap().trim().is_empty() || asked.contains(&body) {
                continue;
            }
            let answer = gateway.rerank_with(body.clone()).await;
            assert_eq!(provenance(&answer)["pairs"]["hit"], 0, "{body} was never asked before");
            asked.push(body);
        }
    }
    assert!(asked.len() > 384, "{}", asked.len());
    for body in &asked {
        let answer = gateway.rerank_with(body.clone()).await;
        assert_eq!(provenance(&answer)["pairs"]["hit"], 1, "{body} is known now");
        if body["instruction"].is_null() {
            let [query, passage] = [&body["query"], &body["documents"][0]].map(|text| text.as_str().unwrap());
            assert_eq!(scores(&answer), expected(query, &[passage]), "{body}");
        }
    }
    assert_eq!(fake.calls().len(), asked.len(), "each once");
}

#[tokio::test]
async fn law_1_same_text_split_between_key_and_query_is_a_new_pair() {
    let directory = tempfile::tempdir().unwrap();
    let mut keys = Vec::new();
    for key in ["a", "ab", "abc", "abcd", "caller", "callera"] {
        let file = directory.path().join(keys.len().to_string());
        std::fs::write(&file, key).unwrap();
        keys.push((key, format!("'file:{}'", file.display())));
    }
    let references: Vec<_> = keys.iter().map(|(_, reference)| reference.as_str()).collect();
    let fake = FakeUpstream::start(PROVIDER).await;
    let config = format!(
        "[server]\napi_keys = [{}]\n{}{}",
        references.join(", "),
        upstream("up", PROVIDER, &fake.url()),
        targets("default", &[("up", MODEL)])
    );
    let gateway = Gateway::start(&config).await;
    let mut asked = 0;
    for (key, _) in &keys {
        for query in ["bcde", "cde", "de", "e", "abcde", "acde"] {
            let body = json!({"query": query, "documents": ["f"]}).to_string();
            let answer = gateway.send(gateway.post("/rerank").bearer_auth(key).body(body)).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert_eq!(provenance(&answer.body)["pairs"]["hit"], 0, "{query} of another caller");
            assert_eq!(scores(&answer.body), expected(query, &["f"]));
            asked += 1;
        }
    }
    assert_eq!(fake.calls().len(), asked);
}
