//! Bounds of connections and requests: number, time, memory. Each test fails if its guard is removed.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::support::gateway::{targets, upstream};
use crate::support::raw::{LONG, RawClient, rerank_head, rerank_request};
use crate::support::{FakeUpstream, Gateway};

const MEBIBYTE: usize = 1 << 20;
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HTTP2_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Waits until `reached` holds.
async fn wait_until(reached: impl Fn() -> bool, what: &str) {
    let wait = async {
        while !reached() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, wait).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn connection_without_request_closes_after_header_timeout() {
    let gateway = Gateway::start("[server]\nheader_timeout = '200ms'\nidle_timeout = '1h'").await;
    let half_a_frame = [HTTP2_PREFACE, &HTTP2_SETTINGS[..4]].concat();
    let no_request = [HTTP2_PREFACE, HTTP2_SETTINGS].concat();
    for (what, bytes) in [
        ("nothing", &b""[..]),
        ("half a preface of HTTP/2", &HTTP2_PREFACE[..10]),
        ("a preface of HTTP/2", HTTP2_PREFACE),
        ("half a frame of HTTP/2", &half_a_frame),
        ("no request over HTTP/2", &no_request),
        ("half a first line", b"POST /rer"),
        ("half the headers", b"POST /rerank HTTP/1.1\r\nhost: localhost\r\n"),
        ("half a handshake of TLS", &[0x16, 3, 1, 2, 0, 1]),
    ] {
        let mut client = RawClient::connect(gateway.address).await;
        client.write(bytes).await;
        timeout(LONG, client.ends()).await.unwrap_or_else(|_| panic!("{what}"));
    }
}

#[tokio::test]
async fn incomplete_headers_of_second_request_close_at_header_timeout() {
    let gateway = Gateway::start("[server]\nheader_timeout = '500ms'\nidle_timeout = '1h'").await;
    let mut client = RawClient::connect(gateway.address).await;
    client.write(rerank_request("one")).await;
    assert_eq!(client.answer().await.status, 200);
    sleep(Duration::from_secs(1)).await;
    client.write(rerank_request("two")).await;
    assert_eq!(client.answer().await.status, 200, "between requests another limit holds");
    client.write("POST /rerank HTTP/1.1\r\n").await;
    client.ends().await;
}

#[tokio::test]
async fn dripping_headers_close_at_header_timeout() {
    let gateway = Gateway::start("[server]\nheader_timeout = '200ms'\nidle_timeout = '1h'").await;
    let client = RawClient::connect(gateway.address).await;
    let (mut reading, mut writing) = client.stream.into_split();
    let dripping = tokio::spawn(async move {
        while writing.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut dropped = Vec::new();
    drop(timeout(LONG, reading.read_to_end(&mut dropped)).await.expect("it ends"));
    dripping.await.unwrap();
}

#[tokio::test]
async fn idle_connection_closes_after_idle_timeout() {
    let gateway = Gateway::start("[server]\nheader_timeout = '1h'\nidle_timeout = '200ms'").await;
    let mut client = RawClient::connect(gateway.address).await;
    client.write(rerank_request("one")).await;
    assert_eq!(client.answer().await.status, 200);
    client.ends().await;
}

/// Pings do not count as requests.
#[tokio::test]
async fn idle_http2_connection_closes_despite_pings() {
    let gateway = Gateway::start("[server]\nheader_timeout = '1h'\nidle_timeout = '200ms'").await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut requests, mut connection) = h2::client::handshake(stream).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    let running = tokio::spawn(connection);
    let (answer, _) = requests.send_request(get(gateway.address), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    let pinging = async {
        while pings.ping(h2::Ping::opaque()).await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, pinging).await.expect("it ends");
    drop(running.await);
}

/// Headers are covered by no other bound, so each connection has a small one for them.
#[tokio::test]
async fn headers_beyond_byte_limit_return_431() {
    let gateway = Gateway::start("").await;
    for (bytes, status) in [(24 << 10, 200), (40 << 10, 431)] {
        let mut client = RawClient::connect(gateway.address).await;
        let padding = "a".repeat(bytes);
        let request = rerank_request("q").replacen("\r\n", &format!("\r\nx-padding: {padding}\r\n"), 1);
        client.write(request).await;
        assert_eq!(client.answer().await.status, status, "{bytes}");
    }
}

#[tokio::test]
async fn full_server_closes_longest_idle_connection_for_a_new_one() {
    let gateway = Gateway::start("[server]\nmax_connections = 3").await;
    let mut used = RawClient::connect(gateway.address).await;
    used.write(rerank_request("one")).await;
    assert_eq!(used.answer().await.status, 200);
    let mut silent = Vec::new();
    for _ in 0..4 {
        let mut client = RawClient::connect(gateway.address).await;
        client.write("P").await;
        silent.push(client);
    }
    used.ends().await;
    silent[0].ends().await;
    assert_eq!(gateway.get_text("/readyz").await, "ready");
    silent[1].ends().await;
}

#[tokio::test]
async fn full_server_closes_connection_with_pending_body_for_a_new_one() {
    let gateway = Gateway::start("[server]\nmax_connections = 2\nrequest_timeout = '10m'").await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut client = RawClient::connect(gateway.address).await;
        client.write(format!("{}{{", rerank_head(1_000))).await;
        slow.push(client);
    }
    wait_until(|| gateway.app.memory.used() == 2, "both have begun").await;
    timeout(LONG, gateway.rerank("q", &["a"])).await.expect("it waits for those who do not send");
    slow[0].ends().await;
}

#[tokio::test]
async fn full_server_keeps_connection_with_request_in_progress() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = in_front_of(&fake, "max_connections = 1").await;
    fake.hold();
    let mut client = RawClient::connect(gateway.address).await;
    client.write(rerank_request("one")).await;
    fake.wait_for_arrivals(1).await;
    let mut other = RawClient::connect(gateway.address).await;
    other.write(rerank_request("two")).await;
    assert!(timeout(Duration::from_millis(300), other.answer()).await.is_err());
    fake.release();
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(other.answer().await.status, 200);
}

/// A client that speaks no HTTP gets an error, and the rest of its bytes is read for a while. Such connections count,
/// and are closed before all others.
#[tokio::test]
async fn refused_connections_count_towards_max_connections() {
    let gateway = Gateway::start("[server]\nmax_connections = 3").await;
    let mut honest = RawClient::connect(gateway.address).await;
    honest.write(rerank_request("one")).await;
    assert_eq!(honest.answer().await.status, 200);
    let mut refused = Vec::new();
    for _ in 0..10 {
        let mut client = RawClient::connect(gateway.address).await;
        client.write("\0garbage\r\n\r\n").await;
        client.ends().await;
        refused.push(client);
    }
    for client in &mut refused[..8] {
        let closed = async {
            while client.stream.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG / 3, closed).await.expect("a connection beyond the limit is kept");
    }
    honest.write(rerank_request("two")).await;
    assert_eq!(honest.answer().await.status, 200, "it had not to make room");
}

#[tokio::test]
async fn refused_connection_does_not_delay_shutdown() {
    let gateway = Gateway::start("[server]\nshutdown_timeout = '10m'").await;
    let mut client = RawClient::connect(gateway.address).await;
    client.write("\0garbage\r\n\r\n").await;
    client.ends().await;
    let dripping = tokio::spawn(async move {
        while client.stream.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    gateway.shut_down().await;
    timeout(LONG / 3, dripping).await.expect("it ends with the server").unwrap();
}

/// A request takes one of `max_requests` permits once its body has arrived, not before.
#[tokio::test]
async fn http2_requests_without_body_take_no_request_permit() {
    let gateway = Gateway::start("").await;
    let mut kept = Vec::new();
    for _ in 0..6 {
        let stream = TcpStream::connect(gateway.address).await.unwrap();
        let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..200 {
            requests = ready(requests).await;
            kept.push(requests.send_request(post(gateway.address), false).unwrap());
        }
    }
    let all_are_here = async {
        while gateway.metric("rerank_requests_in_flight").await < 1_200.0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, all_are_here).await.expect("some were sent away");
    timeout(LONG / 3, gateway.rerank("q", &["a"])).await.expect("it is answered at once");
    drop(kept);
}

#[tokio::test]
async fn unread_answer_closes_connection_at_write_timeout() {
    let gateway = Gateway::start("[server]\nwrite_timeout = '300ms'\nidle_timeout = '1h'").await;
    let body = echo(12 * MEBIBYTE);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let stream = socket.connect(gateway.address).await.unwrap();
    let mut client = RawClient::new(stream);
    client.write(rerank_head(body.len())).await;
    client.write(&body).await;
    wait_until(|| gateway.app.memory.used() > body.len(), "the answer is in memory").await;
    wait_until(|| gateway.app.memory.used() == 0, "it stays there").await;
    client.ends().await;
}

#[tokio::test]
async fn unread_http2_answer_closes_connection_at_write_timeout() {
    let gateway = Gateway::start("[server]\nwrite_timeout = '300ms'\nidle_timeout = '1h'").await;
    let body = echo(2 * MEBIBYTE);
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    let running = tokio::spawn(connection);
    let (answer, mut sending) = ready(requests).await.send_request(post(gateway.address), false).unwrap();
    send(&mut sending, body.into()).await;
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    wait_until(|| gateway.app.memory.used() > 0, "the answer is in memory").await;
    wait_until(|| gateway.app.memory.used() == 0, "it stays there").await;
    drop(timeout(LONG, running).await.expect("the connection ends"));
}

/// The limit applies to clients that read nothing; a slow reader gets its answer in full.
#[tokio::test]
async fn slowly_read_answer_arrives_in_full() {
    let gateway = Gateway::start("[server]\nwrite_timeout = '5s'").await;
    let body = echo(12 * MEBIBYTE);
    let mut client = RawClient::connect(gateway.address).await;
    client.write(rerank_head(body.len())).await;
    client.write(&body).await;
    sleep(Duration::from_millis(500)).await;
    let answer = client.answer().await;
    assert_eq!(answer.body["results"][0]["document"]["metadata"]["x"].as_str().unwrap().len(), 12 * MEBIBYTE);
}

#[tokio::test]
async fn bodies_beyond_max_body_bytes_in_flight_return_429() {
    let fake = FakeUpstream::start("cohere").await;
    let limits = "max_body_bytes = 1048576\nmax_body_bytes_in_flight = 1572864";
    let gateway = in_front_of(&fake, limits).await;
    fake.hold();
    let ask = |query: &str| {
        let document = "x".repeat(MEBIBYTE - 100);
        gateway.post("/rerank").body(json!({"query": query, "documents": [document]}).to_string())
    };
    let request = ask("one");
    let first = tokio::spawn(async move { request.send().await.unwrap().status() });
    fake.wait_for_arrivals(1).await;
    for query in ["two", "three"] {
        let refused = gateway.send(ask(query)).await;
        assert_eq!((refused.status.as_u16(), &refused.body["code"]), (429, &json!("overloaded")));
        assert_eq!(refused.headers["retry-after"], "1");
        assert!(refused.body["detail"].as_str().unwrap().contains("server.max_body_bytes_in_flight"));
    }
    let chunked = vec![Ok::<_, std::io::Error>(Bytes::from(vec![b' '; MEBIBYTE - 100]))];
    let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(chunked));
    assert_eq!(gateway.send(gateway.post("/rerank").body(chunked)).await.status, 429, "of unknown length");
    fake.release();
    assert_eq!(first.await.unwrap(), 200);
    wait_until(|| gateway.app.memory.used() == 0, "everything is given back").await;
    assert_eq!(gateway.send(ask("four")).await.status, 200);
}

/// An announced length takes no memory, so it refuses no other request.
#[tokio::test]
async fn announced_body_counts_only_its_received_bytes() {
    let gateway = Gateway::start("[server]\nmax_body_bytes = 1048576\nmax_body_bytes_in_flight = 2097152").await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut client = RawClient::connect(gateway.address).await;
        client.write(format!("{}{{", rerank_head(MEBIBYTE))).await;
        slow.push(client);
    }
    wait_until(|| gateway.app.memory.used() == 3, "they have begun").await;
    gateway.rerank("q", &[&"x".repeat(MEBIBYTE - 1_000)]).await;
    drop(slow);
    wait_until(|| gateway.app.memory.used() == 0, "everything is given back").await;
}

#[tokio::test]
async fn silent_connection_does_not_delay_shutdown() {
    let gateway = Gateway::start("").await;
    let mut silent = Vec::new();
    for bytes in [&b""[..], b"POST /", HTTP2_PREFACE, &HTTP2_PREFACE[..5]] {
        let mut client = RawClient::connect(gateway.address).await;
        client.write(bytes).await;
        silent.push(client);
    }
    let mut idle = RawClient::connect(gateway.address).await;
    idle.write(rerank_request("q")).await;
    assert_eq!(idle.answer().await.status, 200);
    gateway.shut_down().await;
    idle.ends().await;
}

/// The end of an answer stays in socket buffers after the request. Their size is up to the system, so many sizes are
/// tried.
#[tokio::test]
async fn unread_answers_arrive_in_full_during_shutdown() {
    let limits = "idle_timeout = '1h'\nwrite_timeout = '1h'\nshutdown_timeout = '1h'";
    let mut gateway = Gateway::start(&format!("[server]\n{limits}")).await;
    let mut waiting = Vec::new();
    for step in 6..28 {
        let bytes = step * (192 << 10);
        let body = echo(bytes);
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(1 << 16).unwrap();
        let mut client = RawClient::new(socket.connect(gateway.address).await.unwrap());
        client.write(rerank_head(body.len())).await;
        client.write(&body).await;
        client.stream.peek(&mut [0]).await.unwrap();
        waiting.push((bytes, client));
    }
    gateway.begin_shutdown();
    sleep(Duration::from_secs(3)).await;
    for (bytes, mut client) in waiting {
        let answer = client.answer().await;
        assert_eq!(answer.body["results"][0]["document"]["metadata"]["x"].as_str().unwrap().len(), bytes);
    }
}

/// A request may cross the server's GOAWAY frame. It was accepted, so it is answered.
#[tokio::test]
async fn an_http2_request_that_crosses_the_end_of_an_idle_connection_is_answered() {
    const GO_AWAY: u8 = 7;
    const HEADERS: u8 = 1;
    let fake = FakeUpstream::start("cohere").await;
    let gateway = in_front_of(&fake, "idle_timeout = '200ms'").await;
    fake.hold();
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let first = frame(HEADERS, 5, 1, b"\x82\x86\x04\x07/readyz\x41\x09localhost");
    stream.write_all(&[HTTP2_PREFACE, HTTP2_SETTINGS, &first].concat()).await.unwrap();
    while next_frame(&mut stream).await.0 != GO_AWAY {}
    let body = json!({ "query": "q", "documents": ["a"] }).to_string();
    let crossing = frame(HEADERS, 4, 3, b"\x83\x86\x04\x07/rerank\x41\x09localhost");
    stream.write_all(&[crossing, frame(0, 1, 3, body.as_bytes())].concat()).await.unwrap();
    fake.wait_for_arrivals(1).await;
    sleep(Duration::from_millis(2_500)).await;
    fake.release();
    while next_frame(&mut stream).await != (HEADERS, 3) {}
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Kind and stream of the next frame of HTTP/2.
async fn next_frame(stream: &mut TcpStream) -> (u8, u32) {
    let mut head = [0; 9];
    let read = async {
        stream.read_exact(&mut head).await.expect("the connection ended");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; usize::try_from(length).unwrap()]).await.unwrap();
    };
    timeout(LONG, read).await.expect("no frame");
    (head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]))
}

async fn in_front_of(fake: &FakeUpstream, limits: &str) -> Gateway {
    let target = targets("default", &[("up", "rerank-v3.5")]);
    Gateway::start(&format!("[server]\n{limits}\n{}{target}", upstream("up", "cohere", &fake.url()))).await
}

/// A request whose answer is as large as itself.
fn echo(bytes: usize) -> String {
    let document = json!({ "text": "a", "metadata": { "x": "x".repeat(bytes) } });
    json!({ "query": "q", "documents": [document], "return_documents": true }).to_string()
}

fn get(address: SocketAddr) -> http::Request<()> {
    http::Request::get(format!("http://{address}/healthz")).body(()).unwrap()
}

fn post(address: SocketAddr) -> http::Request<()> {
    http::Request::post(format!("http://{address}/rerank")).body(()).unwrap()
}

async fn ready(requests: SendRequest<Bytes>) -> SendRequest<Bytes> {
    timeout(LONG, requests.ready()).await.expect("no more streams").unwrap()
}

/// Sends a body as fast as the server lets it.
async fn send(stream: &mut h2::SendStream<Bytes>, mut body: Bytes) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let capacity = timeout(LONG, std::future::poll_fn(|context| stream.poll_capacity(context))).await;
        let length = capacity.expect("the server takes no more").unwrap().unwrap().min(body.len());
        let piece = body.split_to(length);
        stream.send_data(piece, body.is_empty()).unwrap();
    }
}
