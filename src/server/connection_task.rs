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

use super::activity::{Activity, TimeoutStatus};
use super::connections::Connection;
use super::exchange::ExchangeService;
use super::limits::{self, CLOSE_TIMEOUT, ConnectionLimits, DRAIN_IDLE_TIMEOUT, DRAIN_TIMEOUT};
use super::stream::Stream;

/// Time for which a lingering connection reads and drops the client's bytes, at most.
const LINGER_TIMEOUT: Duration = DRAIN_TIMEOUT;
/// Size in bytes of the buffer for that.
const LINGER_BUFFER_BYTES: usize = 16 << 10;

/// The settings of HTTP/1 and HTTP/2, with every limit set explicitly.
pub(super) fn protocols() -> auto::Builder<TokioExecutor> {
    let mut protocols = auto::Builder::new(TokioExecutor::new());
    protocols
        .http1()
        .timer(TokioTimer::new())
        // `Activity` times headers instead: hyper's timeout ends idle connections too, and starts at the first bytes.
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

/// Serves the requests of one connection until it ends, times out, is evicted, or the server shuts down and nothing is
/// in flight. The connection counts against `server.max_connections` until its socket is closed.
pub(super) async fn serve(
    stream: TcpStream,
    protocols: Arc<auto::Builder<TokioExecutor>>,
    service: ExchangeService,
    connection: Connection,
    mut shutdown: watch::Receiver<bool>,
) {
    let (linger_sender, mut linger_receiver) = oneshot::channel();
    let stream = Stream::new(stream, connection.activity.clone(), linger_sender);
    serve_http(stream, &protocols, service, &connection.activity, &mut shutdown).await;
    // The stream is dropped by now. It has sent its read half only if the connection has to linger.
    if let Ok(input) = linger_receiver.try_recv() {
        connection.begin_linger();
        tokio::select! {
            () = linger(input) => {}
            () = connection.activity.eviction.notified() => {}
            () = server_closed(shutdown) => {}
        }
    }
}

/// Speaks HTTP over `stream` until the connection ends, times out or is evicted.
async fn serve_http(
    stream: Stream,
    protocols: &auto::Builder<TokioExecutor>,
    service: ExchangeService,
    activity: &Activity,
    shutdown: &mut watch::Receiver<bool>,
) {
    let mut limits: ConnectionLimits = service.limits;
    let mut http = pin!(protocols.serve_connection(TokioIo::new(stream), service));
    let mut is_closing = false;
    loop {
        // `None` means that the connection is to be told to close, which happens once.
        let next_check = match activity.timeout_status(&limits, Instant::now()) {
            TimeoutStatus::WithinLimits(next_check) => Some(next_check),
            TimeoutStatus::SomeStalled(next_check) if is_closing => Some(next_check),
            TimeoutStatus::SomeStalled(_) => None,
            // HTTP/2 has a frame that announces the end, so a request that crosses it is still answered.
            TimeoutStatus::Idle if activity.speaks_http2() && !is_closing => None,
            TimeoutStatus::Idle => return,
            TimeoutStatus::AllStalled => {
                activity.abort();
                return;
            }
        };
        let Some(next_check) = next_check else {
            is_closing = true;
            limits.close_soon();
            activity.begin_close();
            http.as_mut().graceful_shutdown();
            continue;
        };
        tokio::select! {
            // Bytes that have arrived are handled before the timer: they may be what it waits for.
            biased;
            ended = &mut http => {
                // Either the client disconnected, or it sent no valid HTTP and hyper has answered with an error, which
                // it can only read if the socket is not closed over its unread bytes.
                if ended.is_err() {
                    activity.linger();
                }
                return;
            }
            () = activity.eviction.notified() => {
                // A request that has come since the connection was chosen keeps it open.
                if activity.eviction_order().is_some() {
                    activity.abort();
                    return;
                }
            }
            () = sleep_until(next_check) => {}
            is_shutting_down = shutdown.wait_for(|is_shutting_down| *is_shutting_down), if !is_closing => {
                // It holds the channel's read lock.
                drop(is_shutting_down);
                is_closing = true;
                limits.close_soon();
                http.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Reads and drops the client's bytes until it closes its side, pauses for too long, or [`LINGER_TIMEOUT`] is over.
async fn linger(mut input: OwnedReadHalf) {
    // Closing a socket over unread bytes sends a reset, at which the client's system drops the answer it has received.
    let end = Instant::now() + LINGER_TIMEOUT;
    let mut buffer = vec![0; LINGER_BUFFER_BYTES];
    loop {
        let next_byte_due = end.min(Instant::now() + DRAIN_IDLE_TIMEOUT);
        match timeout_at(next_byte_due, input.read(&mut buffer)).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(_)) | Err(_) => return,
        }
    }
}

/// Waits until the server shuts down, and then [`CLOSE_TIMEOUT`] for the last bytes to arrive.
async fn server_closed(mut shutdown: watch::Receiver<bool>) {
    drop(shutdown.wait_for(|is_shutting_down| *is_shutting_down).await);
    sleep(CLOSE_TIMEOUT).await;
}
