//! Days on which the provider is slow, or well now and then, and hours in which everybody comes at once.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::{join, join_all};
use futures_util::stream::FuturesUnordered;

use super::invariants::{Question, ask, check, degraded, results, wait_until_idle};
use super::{Behind, Day, sources};
use crate::support::faults::{Fault, Script};
use crate::support::gateway::Answer;
use crate::support::{FakeUpstream, Gateway, Reply};

const BEAT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn day_13_flapping_upstream_recovers_within_retry_budget() {
    let days = Behind::ALL.map(async |behind| {
        let script = Script::new().during(BEAT, Fault::status(503)).during(BEAT, Fault::Clean).cycle();
        let day = Day::begin(behind, "", script).await;
        while day.began.elapsed() < 6 * BEAT {
            day.ask_some().await;
        }
        day.end().await;
    });
    join_all(days).await;
}

#[tokio::test]
async fn day_14_slow_upstream_answers_without_duplicate_calls() {
    let days = Behind::ALL.map(async |behind| {
        let slow = Fault::Latency { base: BEAT / 2, jitter: BEAT / 2 };
        let day = Day::begin(behind, "", Script::always(slow)).await;
        let answers = day.ask_many(24, |question| question).await;
        assert_eq!(sources(&answers), ["up"; 24], "slow is not broken");
        assert!(day.proxy.counts().requests <= 24, "nothing was sent twice");
        day.end().await;
    });
    join_all(days).await;
}

#[tokio::test]
async fn day_15_slow_tail_of_5_percent_degrades_no_answer() {
    let days = Behind::ALL.map(async |behind| {
        let day = Day::begin(behind, "", Script::always(Fault::Tail { share: 0.05, latency: 4 * BEAT })).await;
        let answers = day.ask_many(48, |question| question).await;
        assert!(answers.iter().all(|answer| answer.status.is_success() && degraded(answer).is_empty()));
        day.end().await;
    });
    join_all(days).await;
}

#[tokio::test]
async fn day_16_failure_rate_of_40_percent_stays_within_retry_budget() {
    let days = Behind::ALL.map(async |behind| {
        let day = Day::begin(behind, "", Script::always(Fault::Failing { share: 0.4, status: 503 })).await;
        day.ask_many(60, |question| question).await;
        day.end().await;
    });
    join_all(days).await;
}

/// One request probes the upstream; all others use the failure policy meanwhile, however many they are.
#[tokio::test]
async fn day_25_open_circuit_under_load_sends_one_probe() {
    const HERD: usize = 150; // fits into the places and the queue of an upstream
    let days = [Behind::Nothing, Behind::Second].map(async |behind| {
        let day = Day::begin(behind, "", Script::always(Fault::status(503))).await;
        let mut number = 0;
        let mut next = || {
            number += 2; // a query of its own
            Question::numbered(number)
        };
        let mut herd: FuturesUnordered<_> = (0..HERD).map(|_| ask_owned(&day.gateway, next())).collect();
        while herd.next().await.is_some() {}
        let failed = day.proxy.counts().requests;
        // Those that were under way when the circuit opened, and not those that waited behind them.
        assert!(failed < 100, "{failed} calls to an upstream that is down");

        day.up.hold();
        day.proxy.set(Script::new());
        let started = Instant::now();
        while day.up.calls().is_empty() {
            assert!(started.elapsed() < Duration::from_secs(20), "nobody tried");
            herd.push(ask_owned(&day.gateway, next()));
            // The probe does not come back yet, so everybody else is waited for, and the probe until it is the only
            // one.
            while herd.len() > 1 && day.up.calls().is_empty() {
                herd.next().await;
            }
        }
        herd.extend((0..HERD).map(|_| ask_owned(&day.gateway, next())));
        while herd.len() > 1 {
            let answer = herd.next().await.unwrap();
            let expected = if behind == Behind::Nothing { "upstream_circuit_open" } else { "second" };
            assert_eq!(sources(&[answer]), [expected]);
        }
        assert_eq!(day.up.calls().len(), 1, "one probe");
        day.up.release();
        assert_eq!(sources(&[herd.next().await.unwrap()]), ["up"]);

        herd.extend((0..HERD).map(|_| ask_owned(&day.gateway, next())));
        while let Some(answer) = herd.next().await {
            assert_eq!(sources(&[answer]), ["up"], "the circuit is closed");
        }
        assert_eq!(day.up.calls().len(), 1 + HERD, "once each");
        drop(herd);
        wait_until_idle(&day.gateway).await;
    });
    join_all(days).await;
}

async fn ask_owned(gateway: &Gateway, question: Question) -> Answer {
    ask(gateway, &question).await
}

/// A thousand identical requests that are all under way before the first of them is answered.
async fn stampede(fake: &FakeUpstream, gateway: &Gateway, question: &Question) -> Vec<Answer> {
    const CONNECTIONS: usize = 10;
    const EACH: usize = 100;
    fake.hold();
    let body = question.body().to_string();
    let requests = (0..CONNECTIONS).flat_map(|_| {
        // Many requests share a connection: a process has not always a thousand of them.
        let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
        (0..EACH).map(move |_| client.clone())
    });
    let requests = requests.map(|client| gateway.send(client.post(gateway.url("/rerank")).body(body.clone())));
    let release = async {
        let started = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "a thousand")]
        while gateway.metric("rerank_requests_in_flight").await < (CONNECTIONS * EACH) as f64 {
            assert!(started.elapsed() < Duration::from_secs(30), "they did not all come");
        }
        fake.release();
    };
    join(join_all(requests), release).await.0
}

#[tokio::test]
async fn thousand_identical_requests_send_each_pair_once() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    let question = Question { timeout: Duration::from_secs(30), ..Question::numbered(0) };
    let answers = stampede(&fake, &gateway, &question).await;
    for answer in &answers {
        check(&question, answer, &question.truth());
        assert_eq!(results(&answer.body), results(&answers[0].body));
    }
    assert_eq!(fake.passages(), question.passages[..6], "each pair exactly once");
    wait_until_idle(&gateway).await;
}

#[tokio::test]
async fn thousand_identical_requests_share_one_failed_call() {
    let fake = FakeUpstream::scripted("cohere", vec![Reply::status(503); 3]).await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    let question = Question { timeout: Duration::from_secs(30), ..Question::numbered(0) };
    for answer in stampede(&fake, &gateway, &question).await {
        check(&question, &answer, &question.truth());
        assert_eq!(answer.body["code"], "upstream_unavailable");
    }
    assert_eq!(fake.calls().len(), 3, "max_attempts, for all of them");
    wait_until_idle(&gateway).await;
}
