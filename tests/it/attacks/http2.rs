//! HTTP/2 attacks: streams that are reset at once, floods of frames, and many answers at the same time.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::Reason;
use h2::client::SendRequest;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, expected, scores};

const PATIENCE: Duration = Duration::from_secs(20);
/// Time that a flood waits for a server that has stopped reading, before the test gives up.
const STALLED: Duration = Duration::from_millis(200);
/// Bytes of one flood.
const FLOOD: usize = 4 << 20;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `GET /readyz`, by HPACK's static table; the path is written out.
const HEADERS: &[u8] = b"\x82\x86\x04\x07/readyz\x41\x01h";

const DATA: u8 = 0;
const HEADER: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;
const UNKNOWN: u8 = 0x55;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

async fn client(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Sends request `number` and resets its stream at once, or once the call has reached the upstream. `None` if the
/// server has closed the connection.
async fn ask_and_reset(
    client: SendRequest<Bytes>,
    address: SocketAddr,
    number: usize,
    reached: Option<&FakeUpstream>,
) -> Option<()> {
    let request = http::Request::post(format!("http://{address}/rerank")).body(()).unwrap();
    let mut client = client.ready().await.ok()?;
    let (_, mut stream) = client.send_request(request, false).ok()?;
    let body = json!({"query": number.to_string(), "documents": ["a"]}).to_string();
    stream.send_data(body.into(), true).ok()?;
    if let Some(fake) = reached {
        fake.wait_for_arrivals(fake.calls().len() + 1).await;
    }
    stream.send_reset(Reason::CANCEL);
    Some(())
}

#[tokio::test]
async fn streams_reset_at_once_cancel_their_upstream_calls() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    fake.hold();
    let mut number = 0;
    for _ in 0..3 {
        let client = client(gateway.address).await;
        for turn in 0..1_000 {
            number += 1;
            // The first ten are under way when they are reset; after that the server may have had enough.
            let reached = (turn < 10).then_some(&fake);
            if ask_and_reset(client.clone(), gateway.address, number, reached).await.is_none() {
                break;
            }
        }
    }
    assert!(fake.calls().len() >= 30);
    let all_gone = async { while gateway.metric("rerank_requests_in_flight").await > 0.0 {} };
    timeout(PATIENCE, all_gone).await.expect("nobody waits for these requests");
    fake.wait_for_departures(fake.calls().len()).await;
    fake.release();
    assert_eq!(scores(&gateway.rerank("honest", &["a", "b"]).await), expected("honest", &["a", "b"]));
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Writes `opening` and then `more` repeatedly without reading, and stops when the server accepts nothing for
/// `patience`. Returns true if the server has closed the connection by then.
async fn flood(address: SocketAddr, patience: Duration, opening: &[u8], more: impl Fn(u32) -> Vec<u8>) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[]), opening].concat();
    stream.write_all(&begin).await.unwrap();
    let mut sent = 0;
    let mut round = 0;
    while sent < FLOOD {
        let mut frames = Vec::with_capacity(1 << 16);
        while frames.len() < 1 << 15 {
            frames.extend(more(round));
            round += 1;
        }
        match timeout(patience, stream.write_all(&frames)).await {
            Ok(Ok(())) => sent += frames.len(),
            Ok(Err(_)) => return true,
            // Whoever does not read the answers is not read either.
            Err(_) => return false,
        }
    }
    let mut answers = vec![0; 65_536];
    let end = async { while let Ok(1..) = stream.read(&mut answers).await {} };
    timeout(patience, end).await.is_ok()
}

#[tokio::test]
async fn http2_frame_flood_leaves_other_clients_served() {
    let gateway = Gateway::start("").await;
    let address = gateway.address;
    let open = frame(HEADER, END_HEADERS, 1, HEADERS);
    let unended = frame(HEADER, END_STREAM, 1, HEADERS);
    let odd = |round: u32| 2 * round + 1;
    let asked = |round| frame(HEADER, END_HEADERS | END_STREAM, odd(round), HEADERS);
    let must_close = [
        ("headers without end", flood(address, PATIENCE, &unended, |_| frame(CONTINUATION, 0, 1, &[0x40; 4096])).await),
        ("empty headers without end", flood(address, PATIENCE, &unended, |_| frame(CONTINUATION, 0, 1, &[])).await),
        ("resets of streams that are none", flood(address, PATIENCE, &[], |_| frame(RESET, 0, 1, &[0; 4])).await),
        ("data of a stream that is none", flood(address, PATIENCE, &[], |_| frame(DATA, 0, 7, &[0; 64])).await),
        (
            "a window without bound",
            flood(address, PATIENCE, &[], |_| frame(WINDOW, 0, 0, &[0x7f, 0xff, 0xff, 0xff])).await,
        ),
        (
            "questions and resets",
            flood(address, PATIENCE, &[], |round| [asked(round), reset(odd(round))].concat()).await,
        ),
    ];
    for (name, is_closed) in must_close {
        assert!(is_closed, "{name}");
    }
    for may_stay in [
        flood(address, STALLED, &[], |_| frame(PING, 0, 0, &[0; 8])).await,
        flood(address, STALLED, &[], |_| frame(SETTINGS, 0, 0, &[])).await,
        flood(address, STALLED, &[], |_| frame(UNKNOWN, 0, 0, &[0; 64])).await,
        flood(address, STALLED, &open, |_| frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])).await,
        flood(address, STALLED, &open, |_| frame(DATA, 0, 1, &[])).await,
        flood(address, STALLED, &[], asked).await,
    ] {
        let _ = may_stay;
        assert_eq!(gateway.get_text("/readyz").await, "ready");
    }
    assert_eq!(gateway.metric("rerank_requests_in_flight").await, 0.0);
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RESET, 0, stream, &[0, 0, 0, 8])
}

#[tokio::test]
async fn eight_hundred_streams_at_once_get_their_own_answers() {
    const CONNECTIONS: usize = 4;
    const EACH: usize = 200;
    let fake = FakeUpstream::start("cohere").await;
    let config = format!(
        "{}max_concurrency = 1000\n{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    fake.hold();
    let mut questions = Vec::new();
    for connection in 0..CONNECTIONS {
        let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
        for stream in 0..EACH {
            let query = format!("{connection} {stream}");
            let body = json!({"query": query, "documents": ["a", query, "b"], "return_documents": true}).to_string();
            let request = client.post(gateway.url("/rerank")).body(body);
            questions.push(async {
                let answer = gateway.send(request).await;
                (query, answer)
            });
        }
    }
    let all_at_once = async {
        fake.wait_for_arrivals(CONNECTIONS * EACH).await;
        fake.release();
    };
    let (answers, ()) = futures_util::future::join(join_all(questions), all_at_once).await;
    for (query, answer) in answers {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(scores(&answer.body), expected(&query, &["a", &query, "b"]));
        let results = answer.body["results"].as_array().unwrap();
        let own = results.iter().find(|result| result["index"] == 1).unwrap();
        assert_eq!(own["document"]["text"], *query);
    }
}
