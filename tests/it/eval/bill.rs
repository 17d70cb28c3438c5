//! The bill: told before anything is asked, agreed to, and kept.

use serde_json::json;

use super::{Desk, PASSAGES, all_pairs, err, pairs_sent, run, succeed};
use crate::support::{FakeUpstream, Reply};

const MODEL: &str = "up/rerank-v3.5";
const QUERIES: usize = 101;

/// An upstream that takes one passage a call, so that each is a search unit: 505 of them are $1.01.
async fn dear_desk() -> (Desk, FakeUpstream) {
    let fake = FakeUpstream::start("cohere").await;
    let table = format!(
        "[upstreams.up]\nprovider = 'cohere'\napi_key = 'env:KEY'\nmax_passages = 1\nbase_url = '{}'\n",
        fake.url()
    );
    (Desk::new(QUERIES, &[], &table), fake)
}

#[tokio::test]
async fn a_dry_run_tells_the_bill_and_asks_nobody() {
    let (desk, fake) = dear_desk().await;
    let said =
        succeed(&mut desk.eval("up/rerank-v3.5,up/rerank-unheard-of,local/lexical", "out", &["--dry-run"])).await;
    for line in [
        "up/rerank-v3.5: about $1.01: 101 queries × 5 passages, 505 search units at $0.0020",
        "up/rerank-unheard-of: not known what it costs: 101 queries × 5 passages; the registry has no price, and \
         --max-usd cannot count it",
        "local/lexical: free: 101 queries × 5 passages",
        "about $1.01 in all, and 1 model of unknown price, at list prices of 2026-11-23",
        "nothing was asked",
    ] {
        assert!(said.lines().any(|it| it == line), "{line}\n{said}");
    }
    assert_eq!(fake.calls().len(), 0);
    assert!(!desk.path("out").exists(), "nothing was begun");
}

#[tokio::test]
async fn more_than_a_dollar_needs_a_consent_that_no_terminal_gives() {
    let (desk, fake) = dear_desk().await;
    for (more, sentences) in [
        (&[][..], &["about $1.01 is above $1.00", "no terminal to ask on", "--yes", "--max-usd N"][..]),
        (&["--max-usd", "0.50"], &["about $1.01 is more than --max-usd 0.5; raise it"]),
        // The consent to spend has its limit, if one is given.
        (&["--max-usd", "1", "--yes"], &["about $1.01 is more than --max-usd 1; raise it"]),
    ] {
        let output = run(&mut desk.eval(MODEL, "out", more)).await;
        assert_eq!(output.status.code(), Some(1));
        let said = err(&output);
        for sentence in sentences.iter().chain(&["nothing was asked: "]) {
            assert!(said.contains(sentence), "{sentence}\n{said}");
        }
    }
    assert_eq!(fake.calls().len(), 0);
    assert!(!desk.path("out").exists());
    assert_eq!(run(&mut desk.eval(MODEL, "out", &["--max-usd", "much"])).await.status.code(), Some(2));
    let output = run(&mut desk.eval(MODEL, "out", &["--yes"])).await;
    assert!(output.status.success(), "{}", err(&output));
    assert!(err(&output).starts_with("rerankd: up/rerank-v3.5: about $1.01: 101 queries"), "{}", err(&output));
    // What is kept is not on the next bill.
    let said = succeed(&mut desk.eval(MODEL, "out", &["--dry-run"])).await;
    assert!(said.starts_with("up/rerank-v3.5: $0: every answer is kept from before"), "{said}");
}

/// The provider charges more than was expected: 50 search units for the first query.
#[tokio::test]
async fn a_run_that_passes_its_limit_stops_and_goes_on_later() {
    let fake = FakeUpstream::start("cohere").await;
    let desk = Desk::new(3, &[("up", "cohere", &fake)], "");
    let results: Vec<_> = (0..PASSAGES).map(|index| json!({"index": index, "relevance_score": 0.5})).collect();
    let dear = json!({"id": "u", "results": results, "meta": {"billed_units": {"search_units": 50}}});
    fake.then([Reply::body(dear.to_string())]);
    let output = run(&mut desk.eval(MODEL, "out", &["--max-usd", "0.05"])).await;
    assert_eq!(output.status.code(), Some(1));
    let said = err(&output);
    assert!(said.contains("stopped: $0.10 of --max-usd 0.05 is spent; 1 of 3 answers are kept in "), "{said}");
    assert_eq!(pairs_sent(&fake).len(), PASSAGES);
    succeed(&mut desk.eval(MODEL, "out", &["--max-usd", "0.05"])).await;
    assert_eq!(pairs_sent(&fake), all_pairs(3), "every pair once");
}

/// A second name of a model shares the scores that the first pays for.
#[tokio::test]
async fn one_model_by_two_names_is_billed_once() {
    let fake = FakeUpstream::start("cohere").await;
    let alias = "[models.default]\ntargets = [{ upstream = 'up', model = 'rerank-v3.5' }]";
    let desk = Desk::new(3, &[("up", "cohere", &fake)], alias);
    let said = succeed(&mut desk.eval("default,up/rerank-v3.5", "out", &["--dry-run"])).await;
    assert!(said.contains("default: about $0.0060: 3 queries × 5 passages, 3 search units"), "{said}");
    assert!(said.contains("up/rerank-v3.5: $0: ") && said.contains("about $0.0060 in all, at list prices"), "{said}");
}
