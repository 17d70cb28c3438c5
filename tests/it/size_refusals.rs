//! Size refusals in the wording of many providers: all other passages are scored, and no caller pays for another's.

use serde_json::{Value, json};

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, expected, order, provenance, scores};

/// Refusals of an overlong passage by many providers: status and body.
const TOO_LONG: [(u16, &str); 20] = [
    (
        400,
        r#"{"error":{"code":400,"message":"input (2401 tokens) is larger than the max context size (512 tokens). skipping","type":"exceed_context_size_error"}}"#,
    ),
    (
        500,
        r#"{"error":{"code":500,"message":"input (2401 tokens) is larger than the max context size (512 tokens). skipping"}}"#,
    ),
    (400, r#"{"message":"The decoder prompt (length 9000) is longer than the maximum model length of 512."}"#),
    (
        422,
        r#"{"detail":[{"type":"string_too_long","loc":["body","documents",1],"msg":"String should have at most 122880 characters"}]}"#,
    ),
    (413, ""),
    (413, "<html>413 Request Entity Too Large</html>"),
    (413, r#"{"error":"`inputs` must have less than 512 tokens. Given: 3111","error_type":"Validation"}"#),
    (400, r#"{"detail":"document 2 exceeds our limit"}"#),
    (400, r#"{"error":"invalid input"}"#),
    (422, r#"{"code":"E1742"}"#),
    (400, ""),
    (500, r#"{"error":"input is too large to process. increase the physical batch size"}"#),
    (
        500,
        r#"{"detail":"[address=0.0.0.0:41833, pid=123] The size of tensor a (2401) must match the size of tensor b (512)"}"#,
    ),
    (500, "PayloadTooLargeError: request entity too large"),
    (502, r#"{"error":"input is too large: 2401 tokens"}"#),
    (200, r#"{"error_code":336003,"error_msg":"the document is too long, at most 4096 characters"}"#),
    (
        200,
        r#"{"error":{"message":"input (2401 tokens) is larger than the max context size","type":"exceed_context_size_error"}}"#,
    ),
    (400, r#"{"code":20015,"message":"The parameter is invalid. Please check again."}"#),
    (400, r#"{"message":"the text in position 1 is beyond what the reranking model accepts"}"#),
    (400, r#"{"detail":"document 1 ('a deadline of the billing department per day') is too long"}"#),
];

/// Refusals of a list of 30 by providers that take 25 passages.
const TOO_MANY: [(u16, &str); 10] = [
    (
        422,
        r#"{"detail":[{"type":"too_long","loc":["body","documents"],"msg":"List should have at most 25 items after validation, not 30"}]}"#,
    ),
    (400, r#"{"message":"documents must contain at most 25 items"}"#),
    (413, r#"{"error":"batch size 30 > maximum allowed batch size 25","error_type":"Validation"}"#),
    (400, r#"{"message":"too many documents"}"#),
    (400, r#"{"message":"Bad Request"}"#),
    (422, ""),
    (500, r#"{"error":"inference request batch-size must be <= 25 for 'reranker'"}"#),
    (400, r##"{"message":"#/documents: expected maximum item count: 25, found: 30"}"##),
    (200, r#"{"error_code":336104,"error_msg":"the number of documents exceeds 25"}"#),
    (400, r#"{"message":"the documents list can only hold 25 for this model"}"#),
];

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("passage {index} {}", "of an ordinary length ".repeat(5))).collect()
}

fn refs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn reply(status: u16, body: &str) -> Reply {
    Reply::Status(status, Vec::new(), body.to_owned())
}

/// An upstream of pointwise scores, and a gateway before it.
async fn upstream_and_gateway() -> (FakeUpstream, Gateway) {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    (fake, gateway)
}

async fn ask(gateway: &Gateway, query: &str, texts: &[String]) -> Value {
    gateway.rerank(query, &refs(texts)).await
}

#[tokio::test]
async fn law_5_overlong_passage_is_left_unscored_for_every_refusal_wording() {
    for (status, body) in TOO_LONG {
        let (fake, gateway) = upstream_and_gateway().await;
        fake.refuse_if(|call| call.passages().iter().any(|passage| passage.len() > 5_000), reply(status, body));
        let long = "word ".repeat(2_400);
        let answer = gateway.rerank("cat", &["a cat", &long, "a dog"]).await;
        assert_eq!(provenance(&answer)["degraded"], json!(["passages_refused"]), "{status} {body}");
        assert_eq!(answer["results"][2]["index"], 1, "{status} {body}");
        assert_eq!(answer["results"][2]["relevance_score"], Value::Null, "{status} {body}");
        let right = expected("cat", &["a cat", "a dog"]);
        let found: Vec<f64> =
            (0..2).map(|place| answer["results"][place]["relevance_score"].as_f64().unwrap()).collect();
        assert_eq!(found, right.iter().map(|(_, score)| *score).collect::<Vec<_>>(), "{status} {body}");
    }
}

#[tokio::test]
async fn law_5_overlong_list_is_split_for_every_refusal_wording() {
    for (status, body) in TOO_MANY {
        let (fake, gateway) = upstream_and_gateway().await;
        fake.refuse_if(|call| call.passages().len() > 25, reply(status, body));
        let texts = texts(30);
        let answer = ask(&gateway, "cat", &texts).await;
        assert_eq!(scores(&answer), expected("cat", &refs(&texts)), "{status} {body}");
        assert_eq!(provenance(&answer)["degraded"], json!([]), "{status} {body}");
        assert!(fake.calls().len() <= 6, "{status} {body}: {} calls", fake.calls().len());
    }
}

/// A stated limit is used at once.
#[tokio::test]
async fn a_stated_limit_costs_one_refusal() {
    for (status, body) in &TOO_MANY[..3] {
        let (fake, gateway) = upstream_and_gateway().await;
        fake.refuse_if(|call| call.passages().len() > 25, reply(*status, body));
        ask(&gateway, "cat", &texts(30)).await;
        let sizes: Vec<_> = fake.calls().iter().map(|call| call.passages().len()).collect();
        assert_eq!(sizes, [30, 25, 5], "{status} {body}");
    }
}

/// Numbers that are no limits made lists of 1,000 cost 144 calls and others' lists of 500 cost 72; digits in groups of
/// three 2,049 and 1,000.
#[tokio::test]
async fn law_13_unrelated_numbers_in_a_refusal_set_no_limit() {
    for (most, body) in [
        (500, r#"{"message":"error 7: too many documents, see section 4"}"#),
        (500, r#"{"message":"too many documents (tier 2)"}"#),
        (250, r#"{"message":"too many documents: at most 0,250 are taken (E7)"}"#),
    ] {
        let (fake, gateway) = upstream_and_gateway().await;
        fake.refuse_if(move |call| call.passages().len() > most, reply(400, body));
        let texts = texts(1_000);
        for round in 0..3 {
            let before = fake.calls().len();
            ask(&gateway, &format!("query {round}"), &texts).await;
            let calls = fake.calls().len() - before;
            assert!(calls <= 1_000 / most + 12, "{body}: {calls} calls");
        }
        let before = fake.calls().len();
        ask(&gateway, "another", &texts[..most]).await;
        assert_eq!(fake.calls().len() - before, 1, "{body}");
    }
}

/// "Batch size" may mean bytes: one caller's long queries, so refused, made another's list of 100 cost a second call.
#[tokio::test]
async fn law_13_batch_size_refusal_without_number_splits_no_other_list() {
    let (fake, gateway) = upstream_and_gateway().await;
    let is_too_large = |call: &crate::support::upstream::Recorded| call.query().len() > 10_000;
    fake.refuse_if(is_too_large, reply(413, r#"{"message":"the batch size is over what we take"}"#));
    let texts = texts(100);
    for round in 0..3 {
        let long_query = format!("{round} {}", "why ".repeat(4_096));
        drop(gateway.try_rerank(json!({"query": long_query, "documents": texts[..10]})).await);
    }
    for round in 0..3 {
        let before = fake.calls().len();
        ask(&gateway, &format!("short {round}"), &texts).await;
        assert_eq!(fake.calls().len() - before, 1);
    }
}

/// One long passage among a hundred is found by its length, not by halves.
#[tokio::test]
async fn longest_passage_is_isolated_first_after_a_refusal() {
    let (fake, gateway) = upstream_and_gateway().await;
    fake.refuse_if(|call| call.passages().iter().any(|passage| passage.len() > 5_000), reply(413, ""));
    let mut texts = texts(100);
    texts[40] = "x".repeat(9_000);
    ask(&gateway, "cat", &texts).await;
    let sizes: Vec<_> = fake.calls().iter().map(|call| call.passages().len()).collect();
    assert_eq!(sizes, [100, 99, 1]);
}

#[tokio::test]
async fn a_status_500_that_names_a_size_opens_no_circuit() {
    let (fake, gateway) = upstream_and_gateway().await;
    let (status, body) = TOO_LONG[1];
    fake.refuse_if(|call| call.passages().iter().any(|passage| passage.len() > 5_000), reply(status, body));
    let long = "word ".repeat(2_400);
    for round in 0..8 {
        let refused = gateway.try_rerank(json!({"query": format!("cat {round}"), "documents": [long]})).await;
        assert!(refused.status.is_client_error() || refused.status.is_server_error());
    }
    let answer = gateway.rerank("cat", &["a cat", "a dog"]).await;
    assert_eq!(scores(&answer), expected("cat", &["a cat", "a dog"]));
    assert_eq!(gateway.metric("rerank_upstream_circuit_open{upstream=\"up\"}").await, 0.0);
}

/// Attack 2: what one caller's long query taught made other callers' lists of 100 cost 100 calls, for hours.
#[tokio::test]
async fn law_13_refused_long_query_adds_no_calls_to_other_lists() {
    let (fake, gateway) = upstream_and_gateway().await;
    let is_too_large = |call: &crate::support::upstream::Recorded| {
        let passages = call.passages();
        passages.len() * call.query().len() + passages.iter().map(String::len).sum::<usize>() > 100_000
    };
    fake.refuse_if(is_too_large, reply(413, ""));
    let texts = texts(100);
    for round in 0..3 {
        let long_query = format!("{round} {}", "why ".repeat(4_096));
        let answer = ask(&gateway, &long_query, &texts).await;
        assert_eq!(scores(&answer).len(), 100);
    }
    for round in 0..3 {
        let before = fake.calls().len();
        ask(&gateway, &format!("short {round}"), &texts).await;
        assert_eq!(fake.calls().len() - before, 1);
    }
}

/// Single replies that only resemble a size refusal limit no later list.
#[tokio::test]
async fn law_13_single_size_refusal_limits_no_later_list() {
    let texts = texts(100);
    for (status, body) in [
        (400, r#"{"message":"the request took too long"}"#),
        (413, r#"{"message":"took too long"}"#),
        (500, r#"{"message":"took too long, giving up"}"#),
        (413, ""),
        (400, r#"{"message":"text too long"}"#),
    ] {
        let (fake, gateway) = upstream_and_gateway().await;
        fake.then([reply(status, body)]);
        drop(gateway.try_rerank(json!({"query": "first", "documents": texts})).await);
        for round in 0..3 {
            let before = fake.calls().len();
            ask(&gateway, &format!("query {round}"), &texts).await;
            assert_eq!(fake.calls().len() - before, 1, "{status} {body}");
        }
    }
}

/// Attack 12: a provider that refuses everything was asked 44 times for each request.
#[tokio::test]
async fn provider_refusing_everything_gets_a_bounded_number_of_calls() {
    for (status, body, first) in [(413, "", 12), (400, r#"{"message":"Bad Request"}"#, 3)] {
        let (fake, gateway) = upstream_and_gateway().await;
        fake.answer_always(Some(reply(status, body)));
        let texts = texts(300);
        let started = std::time::Instant::now();
        for round in 0..200 {
            let answer = gateway.try_rerank(json!({"query": format!("query {round}"), "documents": texts})).await;
            assert_eq!(answer.body["code"], "upstream_rejected", "{}", answer.body);
            assert!(round > 0 || fake.calls().len() <= first, "{status} {body}: {} calls", fake.calls().len());
        }
        // Those that look for somebody to blame are bounded by a budget: a reserve of 30, and three a second.
        let budget = 30 + 3 * usize::try_from(started.elapsed().as_secs() + 1).unwrap();
        assert!(fake.calls().len() <= 200 + budget, "{status} {body}: {} calls", fake.calls().len());
    }
}

/// Attack 12: lists of 1,000 failed at providers that take 8 or 16 passages at a time.
#[tokio::test]
async fn law_5_provider_of_small_batches_scores_a_long_list_near_the_ideal_calls() {
    for (most, body) in
        [(8, ""), (16, r#"{"error":"batch size is over the maximum allowed batch size 16"}"#), (7, "no")]
    {
        let (fake, gateway) = upstream_and_gateway().await;
        fake.refuse_if(move |call| call.passages().len() > most, reply(413, body));
        let texts = texts(1_000);
        let answer = ask(&gateway, "cat", &texts).await;
        assert_eq!(scores(&answer), expected("cat", &refs(&texts)));
        let ideal = 1_000usize.div_ceil(most);
        assert!(fake.calls().len() <= ideal + 2 + 10, "{most}: {} calls, ideal {ideal}", fake.calls().len());
        let before = fake.calls().len();
        ask(&gateway, "dog", &texts).await;
        let later = fake.calls().len() - before;
        assert!(later <= ideal + ideal / 10 + 1, "{most}: {later} calls, ideal {ideal}");
    }
}

/// A query that is too long is in every part of the call: no part is sent.
#[tokio::test]
async fn overlong_query_is_rejected_after_one_call() {
    let (fake, gateway) = upstream_and_gateway().await;
    fake.answer_always(Some(reply(400, r#"{"message":"query is too long: at most 512 tokens"}"#)));
    let answer = gateway.try_rerank(json!({"query": "q", "documents": texts(50)})).await;
    assert_eq!(answer.body["code"], "upstream_rejected");
    assert_eq!(fake.calls().len(), 1);
}

/// Passages that are refused for what they say, not for their size, are found as well.
#[tokio::test]
async fn law_5_passages_refused_for_their_content_do_not_fail_the_others() {
    let (fake, gateway) = upstream_and_gateway().await;
    let body = r#"{"message":"content policy violation"}"#;
    fake.refuse_if(|call| call.passages().iter().any(|passage| passage.contains("forbidden")), reply(400, body));
    let mut texts = texts(40);
    for index in [0, 13, 39] {
        texts[index].insert_str(0, "forbidden ");
    }
    let answer = ask(&gateway, "cat", &texts).await;
    assert_eq!(provenance(&answer)["degraded"], json!(["passages_refused"]));
    assert_eq!(order(&answer)[37..], [0, 13, 39]);
}

/// Ordinary lists after refusals that taught a limit: none of them spends the search budget.
#[tokio::test]
async fn exhausted_search_budget_leaves_unrefused_lists_scored() {
    let (fake, gateway) = upstream_and_gateway().await;
    fake.refuse_if(|call| call.passages().len() > 40, reply(413, ""));
    let long = texts(90);
    for round in 0..3 {
        ask(&gateway, &format!("long {round}"), &long).await;
    }
    fake.refuse_if(|_| true, reply(413, ""));
    for round in 0..40 {
        gateway.try_rerank(json!({"query": format!("refused {round}"), "documents": texts(60)})).await;
    }
    fake.refuse_nothing();
    let ordinary = texts(30);
    let crowd = (0..60).map(|round| {
        let gateway = &gateway;
        let ordinary = &ordinary;
        async move { ask(gateway, &format!("ordinary {round}"), ordinary).await }
    });
    for answer in futures_util::future::join_all(crowd).await {
        assert_eq!(scores(&answer).len(), 30);
        assert_eq!(provenance(&answer)["degraded"], json!([]));
    }
}

/// A list of passages that are refused one by one costs a bounded number of calls.
#[tokio::test]
async fn passages_that_are_refused_one_by_one_cost_a_bounded_number_of_calls() {
    let (fake, gateway) = upstream_and_gateway().await;
    let body = r#"{"message":"input text is too long"}"#;
    fake.refuse_if(|call| call.passages().iter().any(|passage| passage.len() > 500), reply(400, body));
    let mut texts: Vec<_> = (0..600).map(|index| format!("{index} {}", "word ".repeat(120))).collect();
    texts.extend((0..5).map(|index| format!("short {index}")));
    let answer = ask(&gateway, "cat", &texts).await;
    let results = answer["results"].as_array().unwrap();
    let scored = results.iter().filter(|result| !result["relevance_score"].is_null());
    assert!(scored.clone().all(|result| result["index"].as_u64().unwrap() >= 600));
    assert_eq!(scored.count(), 5, "those that are taken have their scores");
    assert_eq!(provenance(&answer)["pairs"]["unscored"], 600);
    // One list, its search, and a few that confirm what it found.
    assert!(fake.calls().len() <= 1 + 2 + 10 + 8, "{} calls", fake.calls().len());
}

/// Law 13: a caller whose every list is refused whole does not use up what another needs to find its one long passage.
#[tokio::test]
async fn law_13_one_caller_cannot_exhaust_the_search_budget_of_another() {
    let fake = FakeUpstream::start("cohere").await;
    fake.refuse_if(|call| call.passages().iter().any(|passage| passage.len() > 500), reply(413, ""));
    let config = format!(
        "[server]\napi_keys = ['env:KEY', 'env:OTHER']\n{}{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    let ask = |key: &'static str, query: String, documents: Vec<String>| {
        let request = gateway.post("/rerank").bearer_auth(key);
        gateway.send(request.body(json!({"query": query, "documents": documents}).to_string()))
    };
    for round in 0..60 {
        // Shorter every time, so that nothing that was learned covers it.
        let refused = (0..30).map(|index| format!("{index} {}", "word ".repeat(300 - 3 * round))).collect();
        ask("test-key", format!("hostile {round}"), refused).await;
    }
    let mut documents = texts(20);
    documents[7] = "x".repeat(9_000);
    let answer = ask("other-key", "ordinary".to_owned(), documents).await;
    assert_eq!(provenance(&answer.body)["pairs"]["unscored"], 1, "{}", answer.body);
}

/// Passages that were refused a minute ago are scored once the provider has raised its limit.
#[tokio::test]
async fn law_5_provider_with_raised_limit_scores_passages_refused_before() {
    let (fake, gateway) = upstream_and_gateway().await;
    fake.refuse_if(|call| call.passages().iter().any(|passage| passage.len() > 500), reply(413, ""));
    let long = |index: usize| format!("{index} {}", "word ".repeat(120 + index));
    for round in 0..3 {
        let mut texts = texts(5);
        texts.push(long(0));
        ask(&gateway, &format!("before {round}"), &texts).await;
    }
    fake.refuse_nothing();
    let mut texts = texts(5);
    texts.extend((0..30).map(long));
    let answer = ask(&gateway, "after", &texts).await;
    assert_eq!(provenance(&answer)["pairs"]["unscored"], 0);
    assert_eq!(scores(&answer), expected("after", &refs(&texts)));
}
