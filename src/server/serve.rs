//! One connection from its first byte to its last.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::activity::{Activity, Standing};
use super::connections::Connection;
use super::exchange::Exchanges;
use super::limits::{self, CLOSE_TIMEOUT, DRAIN_IDLE_TIMEOUT, DRAIN_TIMEOUT, Limits};
use super::stream::Stream;

/// Longest time after the end of a connection in which what its client still sends is dropped.
const LINGER_TIMEOUT: Duration = DRAIN_TIMEOUT;
/// Bytes of it that are read at once.
const LINGER_PIECE_BYTES: usize = 16 << 10;

/// HTTP/1 and HTTP/2 as they are spoken here, every bound named.
pub(super) fn protocols() -> auto::Builder<TokioExecutor> {
    let mut protocols = auto::Builder::new(TokioExecutor::new());
    protocols
        .http1()
        .timer(TokioTimer::new())
        // `Activity` watches over headers, because hyper's time-out ends idle connections too, and begins only after the first bytes.
        .header_read_timeout(None)
        .max_buf_size(limits::HTTP1_BUFFER_BYTES)
        .max_headers(limits::HTTP1_MAX_HEADERS);
    protocols
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::HTTP2_MAX_STREAMS)
        .max_header_list_size(limits::HTTP2_MAX_HEADER_BYTES)
        .max_pending_accept_reset_streams(limits::HTTP2_MAX_PENDING_RESETS)
        .max_local_error_reset_streams(limits::HTTP2_MAX_LOCAL_RESETS)
        .initial_stream_window_size(limits::HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(limits::HTTP2_WINDOW_BYTES)
        .keep_alive_interval(limits::HTTP2_PING_INTERVAL)
        .keep_alive_timeout(limits::HTTP2_PING_TIMEOUT);
    protocols
}

/// Answers what comes over `stream` until it ends, is overdue, has to make room, or the server ends and nothing is under way. The connection counts
/// until its socket is closed.
pub(super) async fn serve(
    stream: TcpStream,
    protocols: Arc<auto::Builder<TokioExecutor>>,
    exchanges: Exchanges,
    connection: Connection,
    mut shutdown: watch::Receiver<bool>,
) {
    let (sender, mut remains) = oneshot::channel();
    let stream = Stream::new(stream, connection.activity.clone(), sender);
    converse(stream, &protocols, exchanges, &connection.activity, &mut shutdown).await;
    if let Ok(input) = remains.try_recv() {
        connection.begin_linger();
        tokio::select! {
            () = linger(input) => {}
            () = connection.activity.eviction.notified() => {}
            () = end_of_server(shutdown) => {}
        }
    }
}

/// Speaks HTTP until the connection ends or has to.
async fn converse(
    stream: Stream,
    protocols: &auto::Builder<TokioExecutor>,
    exchanges: Exchanges,
    activity: &Activity,
    shutdown: &mut watch::Receiver<bool>,
) {
    let mut limits: Limits = exchanges.limits;
    let mut http = pin!(protocols.serve_connection(TokioIo::new(stream), exchanges));
    let mut is_closing = false;
    loop {
        let next = match activity.standing(&limits, Instant::now()) {
            Standing::Good(next) => Some(next),
            Standing::PartlyStuck(next) if is_closing => Some(next),
            Standing::PartlyStuck(_) => None,
            // A client of HTTP/2 is told, and what it sent at the same moment is answered.
            Standing::Idle if activity.speaks_http2() && !is_closing => None,
            Standing::Idle => return,
            Standing::Stuck => {
                activity.abort();
                return;
            }
        };
        let Some(next) = next else {
            is_closing = true;
            limits.close_soon();
            activity.begin_close();
            http.as_mut().graceful_shutdown();
            continue;
        };
        tokio::select! {
            // What has arrived is looked at before the clock is.
            biased;
            ended = &mut http => {
                // An error is a client that left, to whom nothing can be told, or one that spoke no HTTP, and was told so.
                if ended.is_err() {
                    activity.linger();
                }
                return;
            }
            () = activity.eviction.notified() => {
                // A request may have come in the meantime.
                if activity.rank().is_some() {
                    activity.abort();
                    return;
                }
            }
            () = sleep_until(next) => {}
            told = shutdown.wait_for(|ends| *ends), if !is_closing => {
                drop(told);
                is_closing = true;
                limits.close_soon();
                http.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Reads and drops what a client still sends. A socket that is closed over unread bytes takes back what was written to it.
async fn linger(mut input: OwnedReadHalf) {
    let end = Instant::now() + LINGER_TIMEOUT;
    let mut dropped = vec![0; LINGER_PIECE_BYTES];
    loop {
        let pause = end.min(Instant::now() + DRAIN_IDLE_TIMEOUT);
        match timeout_at(pause, input.read(&mut dropped)).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(_)) | Err(_) => return,
        }
    }
}

/// Waits until the server ends, and a little longer for the last bytes to arrive.
async fn end_of_server(mut shutdown: watch::Receiver<bool>) {
    drop(shutdown.wait_for(|ends| *ends).await);
    sleep(CLOSE_TIMEOUT).await;
}
