//! Law 13: one caller's requests change another's answers, calls and cost only through capacity.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::gateway::{Answer, NO_BREAKER, targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply, expected, provenance, scores};

/// Seconds that a slow provider takes: more than an impatient caller has, far less than a patient one.
const SLOW: Duration = Duration::from_millis(400);

/// A gateway before one slow provider.
async fn start_slow_provider() -> (FakeUpstream, Gateway) {
    let fake = FakeUpstream::start("cohere").await;
    fake.answer_late(SLOW);
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    (fake, gateway)
}

/// A caller whose own deadline is shorter than what the provider takes gets no answer.
async fn ask_with_short_deadline(gateway: &Gateway, query: String, milliseconds: u64) {
    let body = json!({"query": query, "documents": ["a"], "timeout_ms": milliseconds});
    let answer = gateway.try_rerank(body).await;
    assert!(
        ["deadline_exceeded", "upstream_circuit_open"].contains(&answer.body["code"].as_str().unwrap()),
        "{answer:?}"
    );
}

/// Attack 3: the deadlines of one caller opened the circuit for all.
#[tokio::test]
async fn law_13_short_deadlines_of_one_caller_leave_circuit_closed_for_others() {
    let (fake, gateway) = start_slow_provider().await;
    for index in 0..3 {
        // More than a second, after which silence used to be a failure where nothing is known; the provider takes
        // longer still.
        fake.answer_late(4 * SLOW);
        let asking = (0..4).map(|each| ask_with_short_deadline(&gateway, format!("impatient {index} {each}"), 1_010));
        join_all(asking.collect::<Vec<_>>()).await;
        fake.answer_late(SLOW);
        let answer = gateway.rerank(&format!("patient {index}"), &["a", "b"]).await;
        assert_eq!(scores(&answer), expected(&format!("patient {index}"), &["a", "b"]));
        assert_eq!(provenance(&answer)["attempts"], 1);
        assert_eq!(gateway.metric("rerank_upstream_circuit_open{upstream=\"up\"}").await, 0.0);
        assert_eq!(gateway.metric("rerank_upstream_concurrency_limit{upstream=\"up\"}").await, 64.0);
    }
}

/// Result of one request: everything that another caller must not change.
#[derive(Debug, PartialEq)]
struct Got {
    status: u16,
    scores: Vec<(u64, f64)>,
    pairs: Value,
    attempts: Value,
    degraded: Value,
    cost: Value,
    billed: Value,
}

/// Outcome of the ordinary caller: its answers, and the calls that were made for it.
#[derive(Debug, PartialEq)]
struct Day {
    answers: Vec<Got>,
    calls: Vec<Recorded>,
}

type Recorded = (String, Vec<String>);

/// The keys of the two callers.
const ORDINARY: &str = "test-key";
const HOSTILE: &str = "other-key";
/// Requests of the ordinary caller in one day.
const REQUESTS: usize = 15;
/// Passages that the ordinary caller asks for, more than once each.
const PASSAGES: usize = 40;

/// Actions of the hostile caller beside each request of the ordinary one.
#[derive(Clone, Copy, Debug)]
enum Attack {
    /// Less time than the provider takes.
    ShortDeadlines,
    /// Connections closed while the provider is being asked.
    HangUps,
    /// Texts at which the provider fails.
    Crashes,
    /// Texts that the provider refuses.
    Refusals,
    /// Texts that a firewall of the provider forbids.
    Forbidden,
    /// Texts for which the provider asks to be left alone for an hour.
    LeftAlone,
    /// Texts that the provider answers with nonsense.
    Nonsense,
    /// `no-store`, `no-cache` and `only-if-cached` for the passages of the ordinary caller.
    CacheControl,
    /// A thousand passages.
    HugeLists,
    /// Requests that rerankd refuses: invalid JSON, no documents, unknown model, unknown key.
    BadRequests,
    /// A long query whose lists the provider refuses for their size.
    LongQueries,
    /// Lists for which the provider states a limit that others do not have.
    StatedLimits,
}

use Attack::{
    BadRequests, CacheControl, Crashes, Forbidden, HangUps, HugeLists, LeftAlone, LongQueries, Nonsense, Refusals,
    ShortDeadlines, StatedLimits,
};

/// Provider rule that depends on the query and the number of passages, so that only the hostile caller's requests fail.
fn provider(query: &str, passages: &[String]) -> Option<Reply> {
    let kind = query.split(' ').next()?;
    match kind {
        "silent" => Some(Reply::Hang),
        "crash" => Some(Reply::status(500)),
        "refuse" => Some(Reply::status(400)),
        "forbid" => Some(Reply::status(403)),
        "alone" => Some(Reply::status_after(503, "retry-after", "3600")),
        "nonsense" => Some(Reply::body("<html>captive portal</html>")),
        "long" if passages.len() > 4 => Some(Reply::status(413)),
        "few" if passages.len() > 3 => {
            let body = json!({"message": "documents must contain at most 3 items"});
            Some(Reply::Status(400, Vec::new(), body.to_string()))
        }
        "tiny" if passages.len() > 2 => Some(Reply::Status(413, Vec::new(), String::new())),
        _ => None,
    }
}

/// One request of the hostile caller, told apart from all others by `number`.
fn hostile_request(gateway: &Gateway, attack: Attack, number: usize, random: &mut fastrand::Rng) -> RequestBuilder {
    let post = gateway.post("/rerank").bearer_auth(HOSTILE);
    let body = |query: &str, count: usize| {
        let documents: Vec<_> = (0..count).map(|index| format!("passage {index}")).collect();
        json!({"query": format!("{query} {number}"), "documents": documents})
    };
    let with = |mut body: Value, name: &str, value: Value| {
        body[name] = value;
        body
    };
    match attack {
        ShortDeadlines => post.body(with(body("silent", 3), "timeout_ms", random.u64(20..120).into()).to_string()),
        HangUps => post.body(body("silent", 3).to_string()),
        Crashes => post.body(body("crash", 2).to_string()),
        Refusals => post.body(body("refuse", 2).to_string()),
        Forbidden => post.body(body("forbid", 2).to_string()),
        LeftAlone => post.body(body("alone", 2).to_string()),
        Nonsense => post.body(body("nonsense", 2).to_string()),
        CacheControl => {
            let directive = ["no-store", "no-cache", "only-if-cached"][random.usize(0..3)];
            post.header("cache-control", directive).body(body("control", PASSAGES).to_string())
        }
        HugeLists => post.body(body("huge", 1_000).to_string()),
        BadRequests => match random.usize(0..4) {
            0 => post.body("{\"query\": "),
            1 => post.body(json!({"query": "q", "documents": []}).to_string()),
            2 => post.body(with(body("q", 2), "model", "nobody/knows".into()).to_string()),
            _ => gateway.post("/rerank").bearer_auth("no such key").body(body("q", 2).to_string()),
        },
        StatedLimits => post.body(body("few", 60).to_string()),
        LongQueries => post.body(body(&format!("long {}", "word ".repeat(3_000)), 60).to_string()),
    }
}

/// One request of the ordinary caller.
async fn ask_as_ordinary_caller(gateway: &Gateway, random: &mut fastrand::Rng) -> Got {
    let count = random.usize(5..30);
    let documents: Vec<_> = (0..count).map(|_| format!("passage {}", random.usize(0..PASSAGES))).collect();
    let body = json!({"query": format!("ordinary {}", random.usize(0..3)), "documents": documents});
    let answer = gateway.send(gateway.post("/rerank").bearer_auth(ORDINARY).body(body.to_string())).await;
    let meta = provenance(&answer.body);
    Got {
        status: answer.status.as_u16(),
        scores: if answer.status.is_success() { scores(&answer.body) } else { Vec::new() },
        pairs: meta["pairs"].clone(),
        attempts: meta["attempts"].clone(),
        degraded: meta["degraded"].clone(),
        cost: meta["cost"].clone(),
        billed: answer.body["meta"]["billed_units"].clone(),
    }
}

/// A day of the ordinary caller, with a hostile one beside it that does all of `attacks`.
async fn day(seed: u64, attacks: &[Attack]) -> Day {
    let fake = FakeUpstream::start("cohere").await;
    fake.answer_by(provider);
    let config = format!(
        "[server]\napi_keys = ['env:KEY', 'env:OTHER']\n{}{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    let mut ordinary = fastrand::Rng::with_seed(seed);
    let mut hostile = fastrand::Rng::with_seed(!seed);
    let mut number = 0;
    let mut under_way = JoinSet::new();
    let mut answers = Vec::new();
    for _ in 0..REQUESTS {
        for _ in 0..if attacks.is_empty() { 0 } else { 3 } {
            let attack = attacks[hostile.usize(0..attacks.len())];
            // Few enough at a time for nobody to want for a permit: that would be capacity.
            let mut burst = JoinSet::new();
            for _ in 0..hostile.usize(1..8) {
                number += 1;
                burst.spawn(hostile_request(&gateway, attack, number, &mut hostile).send());
            }
            // What is silent for ever is left after a while.
            let is_silent = matches!(attack, ShortDeadlines | HangUps);
            let patience = if is_silent { Duration::from_millis(150) } else { Duration::from_secs(20) };
            let ended = async move { drop(timeout(patience, burst.join_all()).await) };
            if hostile.bool() {
                ended.await;
            } else {
                under_way.spawn(ended);
            }
        }
        answers.push(ask_as_ordinary_caller(&gateway, &mut ordinary).await);
    }
    drop(under_way);
    let calls = fake.calls().into_iter().filter_map(|call| {
        let query = call.body["query"].as_str()?.to_owned();
        query.starts_with("ordinary").then(|| (query, call.passages()))
    });
    Day { answers, calls: calls.collect() }
}

async fn check(seeds: Range<u64>, attacks: &[Attack]) {
    for seed in seeds {
        let alone = day(seed, &[]).await;
        assert!(alone.answers.iter().all(|got| got.status == 200 && !got.scores.is_empty()), "{alone:?}");
        let beside = day(seed, attacks).await;
        for (index, (alone, beside)) in alone.answers.iter().zip(&beside.answers).enumerate() {
            assert_eq!(alone, beside, "answer {index}, seed {seed}, {attacks:?}");
        }
        assert_eq!(alone.calls, beside.calls, "seed {seed}, {attacks:?}");
    }
}

/// Runs each attack by itself, so that the failing one is named.
#[tokio::test]
async fn law_13_each_attack_alone_leaves_other_callers_answers_and_cost_unchanged() {
    for attack in [
        ShortDeadlines,
        HangUps,
        Crashes,
        Refusals,
        Forbidden,
        LeftAlone,
        Nonsense,
        CacheControl,
        HugeLists,
        BadRequests,
    ] {
        check(0..1, &[attack]).await;
    }
}

/// Runs all attacks in one day.
#[tokio::test]
async fn law_13_all_attacks_together_leave_other_callers_answers_unchanged() {
    let attacks = [
        ShortDeadlines,
        HangUps,
        Crashes,
        Refusals,
        Forbidden,
        LeftAlone,
        Nonsense,
        CacheControl,
        HugeLists,
        BadRequests,
    ];
    check(1..4, &attacks).await;
}

/// Attack 2: a limit learned from one caller's size refusals splits no other caller's lists.
#[tokio::test]
async fn law_13_refusals_for_size_cut_no_other_callers_lists() {
    check(0..3, &[LongQueries]).await;
}

#[tokio::test]
async fn law_13_limits_stated_to_one_caller_cut_no_other_callers_lists() {
    check(0..3, &[StatedLimits]).await;
}

/// Size refusals of one caller's short calls split the long calls of others, and the search for the refused passages
/// spent their budget.
#[tokio::test]
async fn law_13_refused_short_calls_split_no_other_callers_lists() {
    let fake = FakeUpstream::start("cohere").await;
    fake.answer_by(provider);
    let gateway = with_two_keys(&fake, "").await;
    let texts = |count: usize, length: usize| -> Vec<_> {
        (0..count).map(|index| format!("passage {index} {}", "word ".repeat(length))).collect()
    };
    for round in 0..15 {
        ask_as(&gateway, HOSTILE, &format!("tiny {round}"), &texts(6, 20)).await;
        let before = fake.calls().len();
        let answer = ask_as(&gateway, ORDINARY, &format!("ordinary {round}"), &texts(100, 30)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(provenance(&answer.body)["pairs"]["scored"], 100);
        assert_eq!(fake.calls().len() - before, 1, "round {round}");
    }
    // One of the ordinary caller's passages is to blame for a refusal: there is enough left to find it.
    fake.refuse_if(|call| call.passages().iter().any(|passage| passage.len() > 3_000), Reply::status(413));
    let mut documents = texts(100, 30);
    documents.push("long ".repeat(1_000));
    let answer = ask_as(&gateway, ORDINARY, "ordinary", &documents).await;
    assert_eq!(provenance(&answer.body)["pairs"]["scored"], 100, "{}", provenance(&answer.body));
}

/// Failures at one caller's texts sent all others to the other of two equal upstreams.
#[tokio::test]
async fn law_13_failures_of_one_caller_move_no_other_caller_to_another_upstream() {
    for attack in ["crash", "forbid", "nonsense"] {
        let left = FakeUpstream::start("cohere").await;
        let right = FakeUpstream::start("cohere").await;
        left.answer_by(provider);
        let config = format!(
            "[server]\napi_keys = ['env:KEY', 'env:OTHER']\n{}{}{}",
            upstream("left", "cohere", &left.url()),
            upstream("right", "cohere", &right.url()),
            "[models.default]\ntargets = [\n\
             { upstream = 'left', model = 'rerank-v3.5', scores = 'same', weight = 1000 },\n\
             { upstream = 'right', model = 'rerank-v3.5', scores = 'same', weight = 0 }]\n"
        );
        let gateway = Gateway::start(&config).await;
        let documents = ["a".to_owned()];
        for index in 0..8 {
            ask_as(&gateway, HOSTILE, &format!("{attack} {index}"), &documents).await;
        }
        assert_eq!(gateway.metric("rerank_upstream_circuit_open{upstream=\"left\"}").await, 1.0, "the attack hits");
        for index in 0..3 {
            let answer = ask_as(&gateway, ORDINARY, &format!("ordinary {index}"), &documents).await;
            assert_eq!(provenance(&answer.body)["upstream"], "left", "{attack} {index}");
        }
    }
}

/// All callers share one retry budget, but one caller's retries do not exhaust it for others.
#[tokio::test]
async fn law_13_a_failing_caller_leaves_others_their_retries() {
    let fake = FakeUpstream::start("cohere").await;
    let failures = Mutex::new(HashSet::new());
    fake.answer_by(move |query, _| {
        // The first attempt at each request of the ordinary caller fails, and every one of the hostile one's.
        let is_first = failures.lock().unwrap().insert(query.to_owned());
        (is_first || query.starts_with("crash")).then(|| Reply::status(503))
    });
    let config = format!(
        "[server]\napi_keys = ['env:KEY', 'env:OTHER']\n{NO_BREAKER}{}{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    for round in 0..5 {
        let ask = |key: &str, query: String| {
            let body = json!({"query": query, "documents": ["a"]});
            gateway.send(gateway.post("/rerank").bearer_auth(key).body(body.to_string()))
        };
        let answer = ask(ORDINARY, format!("ordinary {round}")).await;
        assert_eq!(answer.status, 200, "round {round}: {}", answer.body);
        assert_eq!(provenance(&answer.body)["attempts"], 2);
        let crashes = (0..20).map(|index| ask(HOSTILE, format!("crash {round} {index}")));
        for answer in join_all(crashes).await {
            assert_eq!(answer.body["code"], "upstream_unavailable");
        }
    }
    assert!(
        gateway.metric("rerank_upstream_retries_denied_total{upstream=\"up\"}").await > 0.0,
        "the bound was reached"
    );
}

/// A gateway with two callers before an upstream with two keys.
async fn with_two_keys(fake: &FakeUpstream, more: &str) -> Gateway {
    let config = format!(
        "[server]\napi_keys = ['env:KEY', 'env:OTHER']\n[upstreams.up]\nprovider = 'cohere'\nbase_url = '{}'\n\
         api_keys = ['env:KEY', 'env:OTHER']\n{more}{}",
        fake.url(),
        targets("default", &[("up", "rerank-v3.5")])
    );
    Gateway::start(&config).await
}

/// One request of one of the two callers.
async fn ask_as(gateway: &Gateway, key: &str, query: &str, documents: &[String]) -> Answer {
    let body = json!({"query": query, "documents": documents});
    gateway.send(gateway.post("/rerank").bearer_auth(key).body(body.to_string())).await
}

/// A firewall's 403 for one caller's texts took both keys from everybody.
#[tokio::test]
async fn law_13_status_403_of_one_caller_removes_no_key_for_others() {
    let fake = FakeUpstream::start("cohere").await;
    fake.answer_by(provider);
    let gateway = with_two_keys(&fake, "").await;
    let documents = ["a".to_owned()];
    let forbidden = ask_as(&gateway, HOSTILE, "forbid 1", &documents).await;
    assert_eq!(forbidden.body["code"], "upstream_unauthorized");
    assert_eq!(fake.calls().len(), 2);
    for (round, used_up) in ["Bearer other-key", "Bearer test-key"].into_iter().enumerate() {
        fake.refuse_if(move |call| call.headers["authorization"] == used_up, Reply::status(402));
        let answer = ask_as(&gateway, ORDINARY, &format!("ordinary {round}"), &documents).await;
        assert_eq!(answer.status, 200, "{used_up} {}", answer.body);
        assert_eq!(provenance(&answer.body)["attempts"], 1 + round, "the first key is used as before");
    }
}

/// A status 500 for one caller's texts took permits from everybody.
#[tokio::test]
async fn law_13_status_500_of_one_caller_keeps_the_concurrency_limit() {
    let fake = FakeUpstream::start("cohere").await;
    fake.answer_by(provider);
    let gateway = with_two_keys(&fake, NO_BREAKER).await;
    for index in 0..4 {
        ask_as(&gateway, HOSTILE, &format!("crash {index}"), &["a".to_owned()]).await;
        let limit = gateway.metric("rerank_upstream_concurrency_limit{upstream=\"up\"}").await;
        assert_eq!(limit, 64.0, "after {index}");
    }
}

/// An outage is detected once for all callers, not by each caller separately.
#[tokio::test]
async fn circuit_opened_by_one_outage_holds_for_all_callers() {
    let fake = FakeUpstream::start("cohere").await;
    fake.answer_always(Some(Reply::status(503)));
    let names: Vec<_> = (0..20).map(|index| format!("CALLER_{index}")).collect();
    let keys: Vec<_> = (0..20).map(|index| format!("key-of-caller-{index}")).collect();
    let variables: Vec<_> = names.iter().zip(&keys).map(|(name, key)| (name.as_str(), key.as_str())).collect();
    let listed: Vec<_> = names.iter().map(|name| format!("'env:{name}'")).collect();
    let config = format!(
        "[server]\napi_keys = [{}]\n[upstream_defaults]\nmax_attempts = 1\n\
         [upstream_defaults.breaker]\nejection = '1h'\nmax_ejection = '1h'\n{}{}",
        listed.join(", "),
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start_in(&variables, &config).await;
    for round in 0..3 {
        for (index, key) in keys.iter().enumerate() {
            let answer = ask_as(&gateway, key, &format!("query {round}"), &["a".to_owned()]).await;
            let code = if (round, index) < (0, 5) { "upstream_unavailable" } else { "upstream_circuit_open" };
            assert_eq!(answer.body["code"], code, "round {round}, caller {index}");
        }
    }
    assert_eq!(fake.calls().len(), 5);
}
