//! Failing upstreams: which replies count as answers, which queries are asked again, and when nothing can be compared.

use std::fs;

use serde_json::json;

use super::{Desk, PASSAGES, all_pairs, contestant, err, pairs_sent, run, succeed};
use crate::support::gateway::{NO_BREAKER, targets};
use crate::support::{FakeUpstream, Reply};

const MODEL: &str = "up/rerank-v3.5";

/// A wrong key leaves nothing to compare, which the exit code must tell.
#[tokio::test]
async fn eval_without_any_answer_exits_1_with_the_first_failure() {
    let fake = FakeUpstream::start("cohere").await;
    fake.answer_always(Some(Reply::status(401)));
    let desk = Desk::new(9, &[("up", "cohere", &fake)], "");
    let output = run(&mut desk.eval(MODEL, "out", &[])).await;
    assert_eq!(output.status.code(), Some(1));
    let said = err(&output);
    let (bill, said) = said.split_once('\n').unwrap();
    assert!(bill.starts_with("rerankd: up/rerank-v3.5: about $0.018: 9 queries"), "{bill}");
    assert!(said.starts_with("rerankd: no model answered any query; up/rerank-v3.5: "), "{said}");
    assert!(said.contains("check upstreams.up.api_key") && said.lines().count() == 1, "{said}");
    assert!(output.stdout.is_empty() && !desk.path("out/results.json").exists(), "no verdict is told");
    assert_eq!(fake.calls().len(), 5, "five in a row are enough");

    fake.answer_always(None);
    succeed(&mut desk.eval(MODEL, "out", &[])).await;
    assert_eq!(contestant(&desk.results("out"), MODEL)["failures"], json!({}));
    assert_eq!(pairs_sent(&fake).len(), (5 + 9) * PASSAGES);
}

/// A degraded answer, which the server would return to a client, counts as a failure here and is asked for again.
#[tokio::test]
async fn degraded_answer_counts_as_failure_and_is_asked_again() {
    let fake = FakeUpstream::scripted("cohere", [Reply::rejected()]).await;
    let model =
        format!("{}on_failure = 'original_order'\non_deadline = 'partial'\n", targets("m", &[("up", "rerank-v3.5")]));
    let desk = Desk::new(3, &[("up", "cohere", &fake)], &model);
    let said = succeed(&mut desk.eval("m", "out", &[])).await;
    assert!(said.contains("! m: 1 query without an answer (1 upstream_rejected)"), "{said}");
    let results = desk.results("out");
    assert_eq!(contestant(&results, "m")["failures"], json!({"upstream_rejected": 1}));
    assert_eq!(contestant(&results, "m")["degraded"], 0);
    succeed(&mut desk.eval("m", "out", &[])).await;
    assert_eq!(fake.calls().len(), 4, "the failed query alone");
    assert_eq!(contestant(&desk.results("out"), "m")["failures"], json!({}));
}

/// A contestant that has answered once is not given up, however many queries fail.
#[tokio::test]
async fn model_with_one_answer_is_asked_every_query() {
    let fake = FakeUpstream::scripted("cohere", [Reply::Score]).await;
    fake.answer_always(Some(Reply::rejected()));
    let desk = Desk::new(9, &[("up", "cohere", &fake)], NO_BREAKER);
    succeed(&mut desk.eval(MODEL, "out", &[])).await;
    assert_eq!(contestant(&desk.results("out"), MODEL)["failures"], json!({"upstream_rejected": 8}));
    assert_eq!(pairs_sent(&fake), all_pairs(9));
}

/// The same fallback again costs nothing, and leaves the times of the first answer alone.
#[tokio::test]
async fn repeated_fallback_answer_is_not_charged_again() {
    let (fails, works) = (FakeUpstream::start("cohere").await, FakeUpstream::start("voyage").await);
    fails.answer_always(Some(Reply::rejected()));
    let model = format!("{NO_BREAKER}{}", targets("m", &[("first", "rerank-v3.5"), ("second", "rerank-2.5")]));
    let desk = Desk::new(2, &[("first", "cohere", &fails), ("second", "voyage", &works)], &model);
    let mut files = Vec::new();
    for _ in 0..2 {
        succeed(&mut desk.eval("m", "out", &[])).await;
        files.push(fs::read_to_string(desk.path("out/answers/m.jsonl")).unwrap());
    }
    assert_eq!(files[0], files[1]);
    assert_eq!((fails.calls().len(), works.calls().len()), (4, 2));
}

#[tokio::test]
async fn fallback_answer_is_reported_with_its_target() {
    let (fails, works) = (FakeUpstream::start("cohere").await, FakeUpstream::start("voyage").await);
    fails.then([Reply::rejected()]);
    let model = targets("m", &[("first", "rerank-v3.5"), ("second", "rerank-2.5")]);
    let desk = Desk::new(2, &[("first", "cohere", &fails), ("second", "voyage", &works)], &model);
    let said = succeed(&mut desk.eval("m", "out", &[])).await;
    assert!(said.contains("! m: its figures mix the answers of first/rerank-v3.5 and second/rerank-2.5."), "{said}");
    let answer_log = fs::read_to_string(desk.path("out/answers/m.jsonl")).unwrap();
    assert_eq!(answer_log.lines().count(), 2, "{answer_log}");
    assert!(
        said.contains("! m: 1 answer is a fallback's, because a target before it failed; the next run asks again."),
        "{said}"
    );
    // What failed may be well by now, and what stood in for it was paid for.
    let again = succeed(&mut desk.eval("m", "out", &[])).await;
    assert!(!again.contains("fallback") && again.contains("Here m is first/rerank-v3.5."), "{again}");
    assert_eq!((fails.calls().len(), works.calls().len()), (3, 1));
}
