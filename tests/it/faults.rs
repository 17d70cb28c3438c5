//! The proxy that other tests and the reliability command rely on does what its faults say; rerankd makes no score of
//! any of them.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::faults::{Counts, Fault, FaultProxy, RetryAfter, ScoreFault, Script};
use crate::support::gateway::{NO_BREAKER, client, targets, upstream};
use crate::support::{FakeUpstream, Gateway, expected, order, scores};

const PASSAGES: [&str; 4] = ["a", "b", "c", "d"];
const MOMENT: Duration = Duration::from_millis(20);
const FOREVER: Duration = Duration::from_hours(1);

async fn before_cohere(script: Script) -> (FakeUpstream, FaultProxy) {
    let fake = FakeUpstream::start("cohere").await;
    let proxy = FaultProxy::start(fake.address(), 7, script).await.unwrap();
    (fake, proxy)
}

fn body() -> String {
    json!({ "query": "q", "documents": PASSAGES }).to_string()
}

fn post(proxy: &FaultProxy) -> reqwest::RequestBuilder {
    client().post(proxy.url()).body(body())
}

/// The answer to one request on a connection of its own.
async fn ask(proxy: &FaultProxy) -> reqwest::Response {
    post(proxy).send().await.unwrap()
}

async fn ask_json(proxy: &FaultProxy) -> Value {
    serde_json::from_str(&ask(proxy).await.text().await.unwrap()).unwrap()
}

fn is_right(answer: &Value) -> bool {
    scores(answer) == expected("q", &PASSAGES)
}

/// One connection with its raw bytes, which an HTTP client would hide.
struct Raw(TcpStream);

impl Raw {
    async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    async fn send(&mut self) {
        let body = body();
        let request = format!("POST /v2/rerank HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        self.0.write_all(request.as_bytes()).await.unwrap();
    }

    /// Everything until the connection ends, and how it ends.
    async fn rest(&mut self) -> (String, io::Result<usize>) {
        let mut bytes = Vec::new();
        let end = self.0.read_to_end(&mut bytes).await;
        (String::from_utf8_lossy(&bytes).into_owned(), end)
    }

    /// One answer of status 200 from its first byte to its last.
    async fn answer(&mut self) -> Value {
        let mut bytes = Vec::new();
        loop {
            assert!(self.0.read_buf(&mut bytes).await.unwrap() > 0, "no whole answer in {bytes:?}");
            let text = std::str::from_utf8(&bytes).unwrap();
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && head.contains(&format!("content-length: {}", body.len()))
            {
                assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
                return serde_json::from_str(body).unwrap();
            }
        }
    }
}

async fn raw(script: Script) -> (FakeUpstream, FaultProxy, Raw) {
    let (fake, proxy) = before_cohere(script).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send().await;
    (fake, proxy, raw)
}

#[tokio::test]
async fn proxy_without_fault_forwards_bytes_and_reuses_connections() {
    let (fake, proxy, mut raw) = raw(Script::new()).await;
    assert!(is_right(&raw.answer().await));
    raw.send().await;
    assert!(is_right(&raw.answer().await));
    assert_eq!(proxy.counts(), Counts { connections: 1, requests: 2, forwarded: 2, disconnects: 0 });
    assert_eq!(fake.connections(), 1);
    assert_eq!((fake.calls()[1].path.as_str(), fake.calls()[1].text.clone()), ("/v2/rerank", body()));
    assert_eq!(ask(&proxy).await.headers()["x-compute-tokens"], "17");
}

#[tokio::test]
async fn proxy_forwards_upstream_failures_to_the_client() {
    let (fake, proxy) = before_cohere(Script::new()).await;
    fake.then([crate::support::Reply::status(503), crate::support::Reply::Close]);
    assert_eq!(ask(&proxy).await.status(), 503);
    assert!(post(&proxy).send().await.is_err());
    assert!(is_right(&ask_json(&proxy).await));
}

#[tokio::test]
async fn slow_faults_delay_the_answer_and_leave_it_intact() {
    let (_fake, proxy) = before_cohere(Script::new()).await;
    for fault in [
        Fault::Latency { base: MOMENT, jitter: MOMENT },
        Fault::Tail { share: 1.0, latency: MOMENT },
        Fault::SlowHeaders(MOMENT),
        Fault::Drip { bytes: 100, every: MOMENT / 4 },
    ] {
        proxy.set(Script::always(fault.clone()));
        let started = Instant::now();
        assert!(is_right(&ask_json(&proxy).await), "{fault:?}");
        assert!(started.elapsed() >= MOMENT / 4, "{fault:?}");
        if !matches!(fault, Fault::Drip { .. }) {
            assert!(started.elapsed() >= MOMENT, "{fault:?}");
        }
    }
    assert_eq!(proxy.counts().disconnects, 0);
}

#[tokio::test]
async fn connection_faults_reset_half_close_or_truncate_as_scripted() {
    let whole = raw(Script::new()).await.2.answer().await.to_string().len();

    let (_fake, proxy, mut client) = raw(Script::always(Fault::Reset)).await;
    let (text, end) = client.rest().await;
    assert_eq!((text.as_str(), end.unwrap_err().kind()), ("", io::ErrorKind::ConnectionReset));
    assert_eq!(proxy.counts().forwarded, 0);

    let (_fake, proxy, mut client) = raw(Script::always(Fault::ResetMidBody)).await;
    let (text, end) = client.rest().await;
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert!(text.split_once("\r\n\r\n").is_none_or(|(_, body)| body.len() < whole), "{text}");
    assert_eq!(proxy.counts().forwarded, 1);

    let (_fake, proxy, mut client) = raw(Script::always(Fault::HalfClose)).await;
    let (text, end) = client.rest().await;
    assert_eq!((text.as_str(), end.unwrap()), ("", 0));
    client.send().await; // nobody minds: the other direction is open
    drop(client);
    assert_eq!(proxy.counts(), Counts { connections: 1, requests: 1, forwarded: 0, disconnects: 0 });

    let (_fake, _proxy, mut client) = raw(Script::always(Fault::Truncate { share: 0.25 })).await;
    let (text, end) = client.rest().await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(end.is_ok() && head.contains(&format!("content-length: {whole}")), "{head}");
    assert_eq!(body.len(), whole / 4);

    let (_fake, proxy, mut client) = raw(Script::always(Fault::CloseOnReuse)).await;
    assert!(is_right(&client.answer().await));
    client.send().await;
    assert_eq!(client.rest().await.1.unwrap(), 0);
    assert_eq!(proxy.counts(), Counts { connections: 1, requests: 2, forwarded: 1, disconnects: 0 });
}

#[tokio::test]
async fn silent_faults_last_until_the_client_disconnects() {
    for (fault, said) in [
        (Fault::BlackHole, ""),
        (Fault::Latency { base: FOREVER, jitter: Duration::ZERO }, ""),
        (Fault::ContinueThenNothing, "HTTP/1.1 100 Continue\r\n\r\n"),
        (Fault::Drip { bytes: 1, every: FOREVER }, "HTTP/1.1 200 OK\r\n"),
    ] {
        let (_fake, proxy, mut client) = raw(Script::always(fault.clone())).await;
        proxy.wait_for_requests(1).await;
        let mut heard = vec![0; said.len()];
        client.0.read_exact(&mut heard).await.unwrap();
        assert_eq!(String::from_utf8(heard).unwrap(), said, "{fault:?}");
        assert_eq!(proxy.counts().disconnects, 0, "{fault:?}");
        drop(client);
        proxy.wait_for_disconnects(1).await;
    }
}

#[tokio::test]
async fn departed_client_cancels_its_forwarded_call() {
    let (fake, proxy) = before_cohere(Script::new()).await;
    fake.hold();
    let mut client = Raw::connect(proxy.address()).await;
    client.send().await;
    fake.wait_for_arrivals(1).await;
    drop(client);
    fake.wait_for_departures(1).await;
    proxy.wait_for_disconnects(1).await;
    fake.release();
}

#[tokio::test]
async fn substituted_answers_carry_the_scripted_content() {
    let (fake, proxy) = before_cohere(Script::always(Fault::Html)).await;
    let answer = ask(&proxy).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, "text/html"));
    assert!(answer.text().await.unwrap().starts_with("<!doctype html>"));

    proxy.set(Script::always(Fault::ErrorInside));
    assert_eq!(ask_json(&proxy).await, json!({ "error": { "message": "overloaded" } }));

    let headers = vec![("x-odd", "yes".to_owned())];
    proxy.set(Script::always(Fault::Status { status: 529, headers, body: "busy".to_owned() }));
    let answer = ask(&proxy).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["x-odd"].to_str().unwrap()), (529, "yes"));
    assert_eq!(answer.text().await.unwrap(), "busy");

    proxy.set(Script::always(Fault::GzipBomb));
    let mut answer = ask(&proxy).await;
    let mut unpacked = 0;
    while unpacked < 1 << 20 {
        unpacked += answer.chunk().await.unwrap().unwrap().len();
    }
    drop(answer);

    proxy.set(Script::always(Fault::Garbage));
    let (first, second) = (garbage(&proxy).await, garbage(&proxy).await);
    assert!(!first.is_empty() && first != second);
    proxy.set(Script::always(Fault::Garbage));
    assert_eq!(garbage(&proxy).await, first, "a script that begins again has the same luck");
    assert!(post(&proxy).send().await.is_err());
    assert!(fake.calls().is_empty(), "none of them is the upstream's");
}

async fn garbage(proxy: &FaultProxy) -> String {
    let mut client = Raw::connect(proxy.address()).await;
    client.send().await;
    client.rest().await.0
}

#[tokio::test]
async fn retry_after_fault_produces_every_form_of_hint() {
    let (_fake, proxy) = before_cohere(Script::new()).await;
    let mut hints = Vec::new();
    for hint in [
        RetryAfter::Seconds(3),
        RetryAfter::Day,
        RetryAfter::Zero,
        RetryAfter::Nonsense,
        RetryAfter::InBody(9),
        RetryAfter::Date(Duration::from_mins(2)),
    ] {
        proxy.set(Script::always(Fault::RetryAfter(hint)));
        let answer = ask(&proxy).await;
        assert_eq!(answer.status(), 429);
        let header = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let body = answer.text().await.unwrap();
        assert_eq!(body.contains("in 9 seconds"), hint == RetryAfter::InBody(9));
        hints.push(header);
    }
    let date = httpdate::parse_http_date(hints.pop().unwrap().as_deref().unwrap()).unwrap();
    let from_now = date.duration_since(std::time::SystemTime::now()).unwrap();
    assert!(from_now > Duration::from_mins(1) && from_now <= Duration::from_mins(2));
    assert_eq!(
        hints,
        [Some("3"), Some("86400"), Some("0"), Some("when the stars align"), None].map(|hint| hint.map(str::to_owned))
    );
}

#[tokio::test]
async fn score_faults_damage_scores_as_scripted() {
    let (_fake, proxy) = before_cohere(Script::new()).await;
    let spoiled = async |fault| {
        proxy.set(Script::always(Fault::Scores(fault)));
        ask(&proxy).await.text().await.unwrap()
    };
    assert!(spoiled(ScoreFault::NotANumber).await.contains(":NaN"));
    assert!(spoiled(ScoreFault::Infinite).await.contains(":1e999"));
    assert!(spoiled(ScoreFault::NegativeIndex).await.contains("\"index\":-1"));
    let indices = |text: String| {
        let mut indices = order(&serde_json::from_str(&text).unwrap());
        indices.sort_unstable();
        indices.dedup();
        indices.len()
    };
    assert_eq!(indices(spoiled(ScoreFault::DuplicateIndex).await), 3);
    assert_eq!(indices(spoiled(ScoreFault::TooFew).await), 3);
    let mut unsorted: Value = serde_json::from_str(&spoiled(ScoreFault::Unsorted).await).unwrap();
    assert!(!is_right(&unsorted));
    let score = |result: &Value| result["relevance_score"].as_f64().unwrap();
    unsorted["results"].as_array_mut().unwrap().sort_by(|left, right| score(right).total_cmp(&score(left)));
    assert!(is_right(&unsorted), "only the order was wrong");
    let shifted: Value = serde_json::from_str(&spoiled(ScoreFault::Shifted(0.5)).await).unwrap();
    let moved: Vec<_> = expected("q", &PASSAGES).iter().map(|(index, score)| (*index, score + 0.5)).collect();
    assert_eq!(scores(&shifted), moved);
}

#[tokio::test]
async fn refuse_fault_lasts_as_long_as_scripted() {
    let script = Script::new().requests(1, Fault::Clean).during(2 * MOMENT, Fault::Refuse).then(Fault::Clean);
    let (_fake, proxy, mut client) = raw(script).await;
    assert!(is_right(&client.answer().await), "what is under way ends as it began");
    assert_eq!(client.rest().await.1.unwrap(), 0, "a connection at rest is closed");
    let refused = Instant::now();
    while let Err(error) = TcpStream::connect(proxy.address()).await {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(refused.elapsed() < Duration::from_secs(20), "nobody came back");
        tokio::task::yield_now().await;
    }
    assert!(is_right(&ask_json(&proxy).await));

    proxy.set(Script::always(Fault::Refuse));
    assert!(post(&proxy).send().await.unwrap_err().is_connect());
    proxy.set(Script::new());
    assert!(is_right(&ask_json(&proxy).await), "at the same port");
}

#[tokio::test]
async fn phases_change_by_count_and_equal_seeds_fail_equal_requests() {
    let script = || {
        let failing = Fault::Failing { share: 0.5, status: 503 };
        Script::new()
            .requests(2, Fault::status(418))
            .requests(1, Fault::Clean)
            .then(Fault::Mix(vec![(3, failing), (1, Fault::status(418))]))
    };
    let statuses = async |seed| {
        let fake = FakeUpstream::start("cohere").await;
        let proxy = FaultProxy::start(fake.address(), seed, script()).await.unwrap();
        let client = client();
        let mut statuses = Vec::new();
        for _ in 0..40 {
            let answer = client.post(proxy.url()).body(body()).send().await.unwrap();
            statuses.push(answer.status().as_u16());
        }
        assert_eq!(proxy.counts().forwarded, fake.calls().len());
        statuses
    };
    let first = statuses(1).await;
    assert_eq!(first[..3], [418, 418, 200]);
    assert_eq!(statuses(1).await, first);
    assert_ne!(statuses(2).await, first);
    for status in [200, 418, 503] {
        assert!(first[3..].iter().filter(|found| **found == status).count() > 3, "{status} in {first:?}");
    }
}

/// Expected answer to a fault with a single attempt.
enum Taken {
    Right,
    /// With one of these codes.
    Refused(&'static [&'static str]),
}

#[tokio::test]
async fn law_6_faulty_reply_yields_an_error_and_caches_no_score() {
    use crate::support::faults::RetryAfter as Hint;
    use Fault::*;
    use Taken::{Refused, Right};
    const INVALID: &[&str] = &["upstream_invalid_reply"];
    const BROKEN: &[&str] = &["upstream_unavailable"];
    // The HTTP client calls whatever ends a body too early an error of decoding.
    const BROKEN_OR_INVALID: &[&str] = &["upstream_unavailable", "upstream_invalid_reply"];
    const LIMITED: &[&str] = &["upstream_rate_limited"];
    const LATE: &[&str] = &["upstream_timeout"];
    let patient = [
        (Clean, Right),
        (Latency { base: MOMENT, jitter: MOMENT }, Right),
        (Tail { share: 1.0, latency: MOMENT }, Right),
        (SlowHeaders(MOMENT), Right),
        (Drip { bytes: 64, every: MOMENT / 10 }, Right),
        (Scores(ScoreFault::Unsorted), Right),
        (Refuse, Refused(BROKEN)),
        (Reset, Refused(BROKEN)),
        (ResetMidBody, Refused(BROKEN_OR_INVALID)),
        (HalfClose, Refused(BROKEN)),
        (Truncate { share: 0.9 }, Refused(BROKEN_OR_INVALID)),
        (Garbage, Refused(BROKEN)),
        (Html, Refused(INVALID)),
        (ErrorInside, Refused(INVALID)),
        (GzipBomb, Refused(INVALID)),
        (Failing { share: 1.0, status: 500 }, Refused(BROKEN)),
        (Mix(vec![(1, Fault::status(503)), (1, Reset)]), Refused(BROKEN)),
        (Fault::status(401), Refused(&["upstream_unauthorized"])),
        (RetryAfter(Hint::Seconds(1)), Refused(LIMITED)),
        (RetryAfter(Hint::Date(MOMENT)), Refused(LIMITED)),
        (RetryAfter(Hint::InBody(1)), Refused(LIMITED)),
        (RetryAfter(Hint::Day), Refused(LIMITED)),
        (RetryAfter(Hint::Zero), Refused(LIMITED)),
        (RetryAfter(Hint::Nonsense), Refused(LIMITED)),
        (Scores(ScoreFault::NotANumber), Refused(INVALID)),
        (Scores(ScoreFault::Infinite), Refused(INVALID)),
        (Scores(ScoreFault::NegativeIndex), Refused(INVALID)),
        (Scores(ScoreFault::DuplicateIndex), Refused(INVALID)),
        (Scores(ScoreFault::TooFew), Refused(INVALID)),
    ];
    let impatient = [
        (BlackHole, Refused(LATE)),
        (ContinueThenNothing, Refused(LATE)),
        (Latency { base: FOREVER, jitter: FOREVER }, Refused(LATE)),
        (SlowHeaders(FOREVER), Refused(LATE)),
        (Drip { bytes: 1, every: FOREVER }, Refused(LATE)),
    ];
    let (fake, proxy) = before_cohere(Script::new()).await;
    let gateway = async |attempt_timeout| {
        let config = format!(
            "{NO_BREAKER}{}max_attempts = 1\nattempt_timeout = '{attempt_timeout}'\n{}",
            upstream("up", "cohere", &proxy.url()),
            targets("default", &[("up", "rerank-v3.5")])
        );
        Gateway::start(&config).await
    };
    let patient_gateway = gateway("20s").await;
    for (gateway, faults) in [(&patient_gateway, &patient[..]), (&gateway("40ms").await, &impatient[..])] {
        for (fault, taken) in faults {
            proxy.set(Script::always(fault.clone()));
            let query = format!("{fault:?}"); // one that nothing is cached for
            let answer = gateway.try_rerank(json!({ "query": query, "documents": PASSAGES })).await;
            match taken {
                Right => assert_eq!(scores(&answer.body), expected(&query, &PASSAGES), "{fault:?}"),
                Refused(codes) => {
                    let code = answer.body["code"].as_str().unwrap_or_else(|| panic!("{fault:?}: {}", answer.body));
                    assert!(codes.contains(&code) && !answer.status.is_success(), "{fault:?}: {code}");
                    proxy.set(Script::new());
                    let calls = fake.calls().len();
                    let answer = patient_gateway.try_rerank(json!({ "query": query, "documents": PASSAGES })).await;
                    assert_eq!(fake.calls().len(), calls + 1, "nothing of {fault:?} was cached");
                    assert_eq!(scores(&answer.body), expected(&query, &PASSAGES), "after {fault:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn connections_that_are_closed_on_reuse_give_right_scores_or_an_error() {
    let (_fake, proxy) = before_cohere(Script::always(Fault::CloseOnReuse)).await;
    let config = format!(
        "{}max_attempts = 1\n{}",
        upstream("up", "cohere", &proxy.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    for query in ["one", "two", "three", "four"] {
        let answer = gateway.try_rerank(json!({ "query": query, "documents": PASSAGES })).await;
        if answer.status.is_success() {
            assert_eq!(scores(&answer.body), expected(query, &PASSAGES));
        } else {
            assert_eq!(answer.body["code"], "upstream_unavailable");
        }
    }
}
