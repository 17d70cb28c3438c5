//! Days on which answers come, but not what was asked for.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use super::invariants::{CANARY, Question, ask, ask_until_recovered, check, degraded, results, wait_until_idle};
use super::{Behind, Day, all_day, check_sources, sources};
use crate::support::faults::{Fault, FaultProxy, RetryAfter, ScoreFault, Script};
use crate::support::gateway::{Answer, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, provenance};

const NONSENSE: [&str; 2] = ["upstream_invalid_reply", "upstream_circuit_open"];
const LIMITED: [&str; 3] = ["upstream_rate_limited", "upstream_circuit_open", "deadline_exceeded"];

#[tokio::test]
async fn day_08_html_with_status_200_triggers_failure_policy() {
    all_day("", Fault::Html, &NONSENSE).await;
}

#[tokio::test]
async fn day_09_error_body_with_status_200_triggers_failure_policy() {
    all_day("", Fault::ErrorInside, &NONSENSE).await;
}

#[tokio::test]
async fn day_10_invalid_scores_trigger_failure_policy() {
    for fault in [
        ScoreFault::NotANumber,
        ScoreFault::Infinite,
        ScoreFault::NegativeIndex,
        ScoreFault::DuplicateIndex,
        ScoreFault::TooFew,
    ] {
        all_day("", Fault::Scores(fault), &NONSENSE).await;
    }
    let unsorted = Day::begin(Behind::Nothing, "", Script::always(Fault::Scores(ScoreFault::Unsorted))).await;
    assert_eq!(sources(&unsorted.ask_some().await), ["up"; 6], "the order is ours to make");
    unsorted.end().await;
}

/// Shortens the timeout, because waiting for a provider that asks to be left alone is futile.
fn with_short_timeout(question: Question) -> Question {
    Question { timeout: Duration::from_millis(400), ..question }
}

/// A day of "too many requests". A hint of a day would keep the circuit open for longer than a test lasts.
async fn day_of_rate_limits(fault: Fault, requests: usize) {
    let days = Behind::ALL.map(async |behind| {
        let script = Script::always(fault.clone());
        let day = Day::begin_with(behind, "", script, |config| match fault {
            Fault::RetryAfter(RetryAfter::Day) => config.replacen("ejection", "consecutive_failures = 0\nejection", 1),
            _ => config,
        });
        let day = day.await;
        check_sources(behind, &day.ask_many(requests, with_short_timeout).await, &LIMITED);
        day.end().await;
    });
    join_all(days).await;
}

#[tokio::test]
async fn day_11_status_429_with_any_retry_after_triggers_failure_policy() {
    for hint in [
        RetryAfter::Seconds(1),
        RetryAfter::Date(Duration::from_secs(2)),
        RetryAfter::InBody(1),
        RetryAfter::Day,
        RetryAfter::Zero,
        RetryAfter::Nonsense,
    ] {
        day_of_rate_limits(Fault::RetryAfter(hint), 6).await;
    }
}

#[tokio::test]
async fn day_11_retry_after_of_one_day_stops_calls_at_once() {
    let day = Day::begin(Behind::Nothing, "", Script::always(Fault::RetryAfter(RetryAfter::Day))).await;
    let first = day.ask(Question::numbered(0)).await;
    assert_eq!((first.status.as_u16(), &first.headers["retry-after"]), (429, &"86400".parse().unwrap()));
    assert_eq!(sources(&day.ask_some().await), ["upstream_rate_limited"; 6]);
    assert_eq!(day.proxy.counts().requests, 1);
    wait_until_idle(&day.gateway).await;
}

#[tokio::test]
async fn day_12_lasting_status_429_triggers_failure_policy() {
    day_of_rate_limits(Fault::status(429), 60).await;
}

/// Runs a day with a rejected key: the next key replaces it; without a next key it is a failure like any other.
async fn day_of_a_rejected_key(status: u16, code: &str) {
    let days = Behind::ALL.map(async |behind| {
        let two_keys =
            |config: String| config.replacen("api_key = 'env:KEY'", "api_keys = ['env:KEY', 'env:OTHER']", 1);
        let day = Day::begin_with(behind, "", Script::new(), two_keys).await;
        day.up.then([Reply::status(status)]);
        let first = day.ask(Question::numbered(0)).await;
        assert_eq!(sources(&[first]), ["up"]);
        assert_eq!(sources(&day.ask_some().await), ["up"; 6]);
        let keys: Vec<_> = day.up.calls().iter().map(|call| call.headers["authorization"].clone()).collect();
        assert_eq!(keys[0], "Bearer test-key");
        assert!(keys[1..].iter().all(|key| key == "Bearer other-key"), "{keys:?}");
        day.end().await;
    });
    join_all(days).await;
    all_day("", Fault::status(status), &[code, "upstream_circuit_open"]).await;
}

#[tokio::test]
async fn day_17_status_401_moves_to_the_next_key() {
    day_of_a_rejected_key(401, "upstream_unauthorized").await;
}

#[tokio::test]
async fn day_18_status_402_moves_to_the_next_key() {
    day_of_a_rejected_key(402, "upstream_quota_exhausted").await;
}

#[tokio::test]
async fn day_19_undocumented_size_limit_is_learned_from_refusals() {
    let days = Behind::ALL.map(async |behind| {
        let day = Day::begin(behind, "", Script::new()).await;
        day.up.refuse_more_than(2);
        assert_eq!(sources(&day.ask_some().await), ["up"; 6]);
        let taken = day.up.calls().iter().filter(|call| call.passages().len() <= 2).count();
        assert!(day.up.calls().len() - taken <= 8, "the limit is learnt");

        day.up.refuse_over(500);
        let (good, long) = (Question::numbered(10), format!("{CANARY} {}", "long ".repeat(200)));
        let mut poisoned = good.clone();
        poisoned.passages.insert(1, long);
        let answer = ask(&day.gateway, &poisoned).await;
        check_refused(&answer, &poisoned);
        day.up.refuse_nothing();
        let answer = ask_until_recovered(&day.gateway, &poisoned, "").await;
        assert_eq!(provenance(&answer.body)["pairs"]["scored"], 1, "the others are known");
        wait_until_idle(&day.gateway).await;
    });
    join_all(days).await;
}

/// Checks that the one overlong passage ranks last without a score, and that all others have theirs.
fn check_refused(answer: &Answer, question: &Question) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(degraded(answer), ["passages_refused"]);
    let results = results(&answer.body);
    assert_eq!(results.len(), question.passages.len());
    assert_eq!(results.last(), Some(&(1, None)));
    assert!(results[..results.len() - 1].iter().all(|(_, score)| score.is_some()));
    let last = answer.body["results"].as_array().unwrap().last().unwrap();
    assert_eq!(last["source"], "refused");
}

#[tokio::test]
async fn day_23_gzip_bomb_triggers_failure_policy() {
    all_day("max_response_bytes = 65536\n", Fault::GzipBomb, &NONSENSE).await;
}

/// An answer does not tell that another model gave it. The operator who learns of it changes `revision`, which discards
/// the old scores.
#[tokio::test]
async fn day_24_new_revision_discards_scores_of_the_replaced_model() {
    let up = FakeUpstream::start("cohere").await;
    let proxy = FaultProxy::start(up.address(), 7, Script::new()).await.unwrap();
    let model = |name, revision| {
        format!("[models.{name}]\ntargets = [{{ upstream = 'up', model = 'rerank-v3.5', revision = '{revision}' }}]\n")
    };
    // On a scale with ends the other scores would be refused.
    let scale = "[providers.cohere.models.'rerank-v3.5']\nscale = 'unknown'\n";
    let config =
        [&*upstream("up", "cohere", &proxy.url()), &model("default", "1"), &model("mended", "2"), scale].concat();
    let gateway = Gateway::start(&config).await;
    let before = Question { top_n: None, ..Question::numbered(0) };
    let old = ask(&gateway, &before).await;
    proxy.set(Script::always(Fault::Scores(ScoreFault::Shifted(2.0))));

    assert_eq!(results(&ask(&gateway, &before).await.body), results(&old.body), "known scores stay what they were");
    let mut mixed = before.clone();
    mixed.passages.push(format!("{CANARY} a new one"));
    let mut truth = mixed.truth();
    truth[mixed.passages.len() - 1] += 2.0;
    check(&mixed, &gateway.try_rerank(mixed.body()).await, &truth);

    let mended = Question { model: "mended", ..mixed };
    let shifted: Vec<_> = mended.truth().iter().map(|score| score + 2.0).collect();
    for hits in [Value::from(0), provenance(&old.body)["pairs"]["total"].as_u64().map(|total| total + 1).into()] {
        let answer = gateway.try_rerank(mended.body()).await;
        check(&mended, &answer, &shifted);
        assert_eq!(provenance(&answer.body)["pairs"]["hit"], hits);
    }
    wait_until_idle(&gateway).await;
}
