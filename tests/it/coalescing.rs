//! Coalescing: a pair that two requests need at the same moment is sent once, and neither request depends on the other.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::gateway::{Answer, targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, expected, provenance, scores};

async fn start_held_upstream() -> (FakeUpstream, Gateway) {
    let fake = FakeUpstream::start("cohere").await;
    fake.hold();
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    (fake, gateway)
}

/// Sends a request without waiting for its answer.
fn ask(gateway: &Gateway, body: &Value) -> JoinHandle<Option<Answer>> {
    ask_with(gateway, body, &[])
}

/// The same with these headers.
fn ask_with(gateway: &Gateway, body: &Value, headers: &[(&str, &str)]) -> JoinHandle<Option<Answer>> {
    let mut request = gateway.post("/rerank").body(body.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    tokio::spawn(async move {
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status(), response.headers().clone());
        Some(Answer { status, headers, body: serde_json::from_slice(&response.bytes().await.unwrap()).unwrap() })
    })
}

async fn wait_for_pairs_in_flight(gateway: &Gateway, count: usize) {
    wait_until(|| gateway.app.reranker.flights.len() == count, "pairs in flight").await;
}

async fn wait_for_requests(gateway: &Gateway, count: usize) {
    let in_flight_limit = gateway.app.server.max_requests;
    wait_until(|| in_flight_limit - gateway.app.in_flight_limit.available_permits() == count, "requests under way")
        .await;
    // A request takes its place before it claims its pairs, and claims them before it waits for anything else than its
    // body.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn wait_until(condition: impl Fn() -> bool, what: &str) {
    let waited = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

async fn answer(asking: JoinHandle<Option<Answer>>) -> Answer {
    asking.await.unwrap().unwrap()
}

#[tokio::test]
async fn overlapping_request_follows_pairs_in_flight_and_sends_the_rest() {
    let (fake, gateway) = start_held_upstream().await;
    let first = ask(&gateway, &json!({"query": "q", "documents": ["a", "b", "c"]}));
    fake.wait_for_arrivals(1).await;
    let second = ask(&gateway, &json!({"query": "q", "documents": ["b", "c", "d"]}));
    fake.wait_for_arrivals(2).await;
    assert_eq!(fake.calls()[1].passages(), ["d"], "b and c are on their way");
    fake.release();
    let (first, second) = (answer(first).await.body, answer(second).await.body);
    assert_eq!(scores(&first), expected("q", &["a", "b", "c"]));
    assert_eq!(scores(&second), expected("q", &["b", "c", "d"]));
    assert_eq!(provenance(&first)["pairs"]["scored"], 3);
    let pairs = &provenance(&second)["pairs"];
    assert_eq!((&pairs["coalesced"], &pairs["scored"]), (&json!(2), &json!(1)));
    assert_eq!(second["meta"]["billed_units"]["search_units"], 1, "who leads pays");
    assert!(gateway.app.reranker.flights.is_empty());
}

#[tokio::test]
async fn a_thousand_requests_for_the_same_pairs_send_each_once() {
    let (fake, gateway) = start_held_upstream().await;
    let lists = [&["a", "b", "c"][..], &["c", "d"], &["a", "e", "d"], &["b"]];
    let asking: Vec<_> = (0..1_000)
        .map(|index| ask(&gateway, &json!({"query": "q", "documents": lists[index % lists.len()]})))
        .collect();
    wait_for_requests(&gateway, 1_000).await;
    wait_for_pairs_in_flight(&gateway, 5).await;
    fake.release();
    for (index, asking) in asking.into_iter().enumerate() {
        assert_eq!(scores(&answer(asking).await.body), expected("q", lists[index % lists.len()]));
    }
    let mut sent = fake.passages();
    sent.sort();
    assert_eq!(sent, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn follower_of_departed_leader_gets_scores_without_new_call() {
    let (fake, gateway) = start_held_upstream().await;
    let leader = ask(&gateway, &json!({"query": "q", "documents": ["a", "b"]}));
    fake.wait_for_arrivals(1).await;
    let follower = ask(&gateway, &json!({"query": "q", "documents": ["b"]}));
    wait_for_requests(&gateway, 2).await;
    leader.abort();
    wait_for_requests(&gateway, 1).await;
    fake.release();
    assert_eq!(scores(&answer(follower).await.body), expected("q", &["b"]));
    assert_eq!(fake.calls().len(), 1, "nothing was sent again");
}

#[tokio::test]
async fn failed_call_fails_all_followers_and_is_not_cached() {
    let fake = FakeUpstream::scripted("cohere", [Reply::status(400)]).await;
    fake.hold();
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    let body = json!({"query": "q", "documents": ["a"]});
    let asking = [ask(&gateway, &body), ask(&gateway, &body), ask(&gateway, &body)];
    fake.wait_for_arrivals(1).await;
    wait_for_requests(&gateway, 3).await;
    fake.release();
    for asking in asking {
        let answer = answer(asking).await;
        assert_eq!((answer.status.as_u16(), answer.body["code"].as_str().unwrap()), (400, "upstream_rejected"));
    }
    assert_eq!(fake.calls().len(), 1);
    gateway.rerank_with(body).await;
    assert_eq!(fake.calls().len(), 2, "whoever comes next asks anew");
}

#[tokio::test]
async fn law_9_leader_and_follower_keep_their_own_deadlines() {
    for patient_leads in [true, false] {
        let (fake, gateway) = start_held_upstream().await;
        let (patient, hasty) = (json!({"query": "q", "documents": ["a", "b"]}), {
            json!({"query": "q", "documents": ["a", "b"], "timeout_ms": 200})
        });
        let (first, second) = if patient_leads { (&patient, &hasty) } else { (&hasty, &patient) };
        let first = ask(&gateway, first);
        fake.wait_for_arrivals(1).await;
        let second = ask(&gateway, second);
        wait_for_requests(&gateway, 2).await;
        let (patient, hasty) = if patient_leads { (first, second) } else { (second, first) };
        assert_eq!(answer(hasty).await.body["code"], "deadline_exceeded");
        fake.release();
        assert_eq!(scores(&answer(patient).await.body), expected("q", &["a", "b"]));
        assert_eq!(fake.calls().len(), 1);
    }
}

#[tokio::test]
async fn ten_thousand_requests_dropped_in_flight_leave_nothing_behind() {
    let (fake, gateway) = start_held_upstream().await;
    for round in 0..20 {
        let asking: Vec<_> = (0..500)
            .map(|index| {
                let document = |offset: usize| format!("{}", (round + index * 7 + offset) % 100);
                ask(&gateway, &json!({"query": "q", "documents": [document(0), document(1), document(2)]}))
            })
            .collect();
        if round % 2 == 0 {
            wait_until(|| !gateway.app.reranker.flights.is_empty(), "a flight").await;
        }
        asking.iter().for_each(JoinHandle::abort);
    }
    wait_for_pairs_in_flight(&gateway, 0).await;
    wait_for_requests(&gateway, 0).await;
    assert_eq!(gateway.metric("rerank_requests_in_flight").await, 0.0);
    fake.release();
    gateway.rerank("q", &["1", "2"]).await;
}

/// Sends a request that may be kept, or one that says no-store, without waiting for its answer.
fn ask_storing(gateway: &Gateway, documents: &[&str], store: bool) -> JoinHandle<Option<Answer>> {
    let body = json!({"query": "q", "documents": documents});
    if store { ask(gateway, &body) } else { ask_with(gateway, &body, &[("cache-control", "no-store")]) }
}

/// The documents whose scores are known.
async fn cached_documents<'a>(gateway: &Gateway, documents: &[&'a str]) -> Vec<&'a str> {
    let mut known = Vec::new();
    for document in documents {
        let body = json!({"query": "q", "documents": [document]}).to_string();
        let request = gateway.post("/rerank").header("cache-control", "only-if-cached").body(body);
        if gateway.send(request).await.status.is_success() {
            known.push(*document);
        }
    }
    known
}

/// Pairs led by a `no-store` request are cached only if another request asked for them; pairs that it followed are
/// cached for their leader.
#[tokio::test]
async fn no_store_request_caches_only_pairs_of_other_requests() {
    for (leader_stores, led, followed, kept) in [
        (false, &["a", "b", "c"][..], &["b"][..], &["b"][..]),
        (false, &["a", "b", "c"], &["c", "d"], &["c", "d"]),
        (true, &["a", "b"], &["b", "c"], &["a", "b"]),
    ] {
        let (fake, gateway) = start_held_upstream().await;
        let leader = ask_storing(&gateway, led, leader_stores);
        fake.wait_for_arrivals(1).await;
        let follower = ask_storing(&gateway, followed, !leader_stores);
        wait_for_requests(&gateway, 2).await;
        fake.release();
        assert_eq!(scores(&answer(leader).await.body), expected("q", led));
        assert_eq!(scores(&answer(follower).await.body), expected("q", followed));
        assert_eq!(cached_documents(&gateway, &["a", "b", "c", "d"]).await, kept, "{led:?}, {followed:?}");
    }
}

/// A follower that has left before the scores arrive causes no caching.
#[tokio::test]
async fn no_store_leader_of_departed_follower_caches_nothing() {
    let (fake, gateway) = start_held_upstream().await;
    let leader = ask_storing(&gateway, &["a", "b"], false);
    fake.wait_for_arrivals(1).await;
    let follower = ask_storing(&gateway, &["b"], true);
    wait_for_requests(&gateway, 2).await;
    follower.abort();
    wait_for_requests(&gateway, 1).await;
    fake.release();
    assert_eq!(scores(&answer(leader).await.body), expected("q", &["a", "b"]));
    assert_eq!(cached_documents(&gateway, &["a", "b"]).await, [""; 0]);
}

/// A listwise list is cached as a whole, and only if another request followed all of it.
#[tokio::test]
async fn no_store_listwise_list_is_cached_only_for_follower_of_whole_list() {
    for (follows, hits) in [(true, 2), (false, 0)] {
        let fake = FakeUpstream::start("jina").await;
        fake.hold();
        let gateway = Gateway::in_front_of("jina", "jina-reranker-v3", &fake.url()).await;
        let leader = ask_storing(&gateway, &["a", "b"], false);
        fake.wait_for_arrivals(1).await;
        let other = ask_storing(&gateway, if follows { &["a", "b"] } else { &["b", "a"] }, true);
        wait_for_requests(&gateway, 2).await;
        fake.release();
        assert_eq!(answer(leader).await.status, 200);
        assert_eq!(answer(other).await.status, 200);
        assert_eq!(provenance(&gateway.rerank("q", &["a", "b"]).await)["pairs"]["hit"], hits);
    }
}

/// Law 1: callers share nothing unless configured to, not even what is in flight.
#[tokio::test]
async fn law_1_callers_share_pairs_in_flight_only_if_configured_to() {
    for (shared, calls) in [(false, 2), (true, 1)] {
        let fake = FakeUpstream::start("cohere").await;
        fake.hold();
        let config = format!(
            "[server]\napi_keys = ['env:KEY', 'env:OTHER']\n[cache]\nshared_between_callers = {shared}\n{}{}",
            upstream("up", "cohere", &fake.url()),
            targets("default", &[("up", "rerank-v3.5")])
        );
        let gateway = Gateway::start(&config).await;
        let body = json!({"query": "q", "documents": ["a"]}).to_string();
        let ask = |key: &str| {
            let request = gateway.post("/rerank").bearer_auth(key).body(body.clone());
            tokio::spawn(async move { request.send().await.unwrap().status() })
        };
        let asking = [ask("test-key"), ask("other-key")];
        wait_for_requests(&gateway, 2).await;
        fake.wait_for_arrivals(calls).await;
        fake.release();
        for asking in asking {
            assert_eq!(asking.await.unwrap(), 200);
        }
        assert_eq!(fake.calls().len(), calls, "shared: {shared}");
    }
}

#[tokio::test]
async fn law_3_a_listwise_list_is_followed_as_a_whole() {
    let fake = FakeUpstream::start("jina").await;
    fake.hold();
    let gateway = Gateway::in_front_of("jina", "jina-reranker-v3", &fake.url()).await;
    let first = ask(&gateway, &json!({"query": "q", "documents": ["a", "b"]}));
    fake.wait_for_arrivals(1).await;
    let same = ask(&gateway, &json!({"query": "q", "documents": ["a", "b"]}));
    let other = ask(&gateway, &json!({"query": "q", "documents": ["b", "a"]}));
    fake.wait_for_arrivals(2).await;
    wait_for_requests(&gateway, 3).await;
    fake.release();
    assert_eq!(fake.calls()[1].passages(), ["b", "a"], "another order is another list");
    assert_eq!(provenance(&answer(same).await.body)["pairs"]["coalesced"], 2);
    assert_eq!(provenance(&answer(first).await.body)["pairs"]["scored"], 2);
    assert_eq!(provenance(&answer(other).await.body)["pairs"]["scored"], 2);
    assert_eq!(fake.calls().len(), 2);
}
