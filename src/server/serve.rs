//! One connection from its first byte to its last.

use std::pin::pin;
use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::activity::Standing;
use super::connections::Connection;
use super::exchange::Exchanges;
use super::limits::{self, CLOSE_TIMEOUT, Limits};
use super::stream::Stream;

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

/// Answers what comes over `stream` until it ends, is overdue, has to make room, or the server ends and nothing is under way.
pub(super) async fn serve(
    stream: TcpStream,
    protocols: Arc<auto::Builder<TokioExecutor>>,
    exchanges: Exchanges,
    connection: Connection,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut limits: Limits = exchanges.limits;
    let activity = connection.activity.clone();
    let stream = TokioIo::new(Stream::new(stream, activity.clone()));
    let mut http = pin!(protocols.serve_connection(stream, exchanges));
    let mut is_closing = false;
    loop {
        let next = match activity.standing(&limits, Instant::now()) {
            Standing::Good(next) => next,
            Standing::PartlyStuck(next) => {
                if !is_closing {
                    is_closing = true;
                    http.as_mut().graceful_shutdown();
                }
                next
            }
            Standing::Idle => {
                // A client of HTTP/2 is told, lest it sends a request at the same moment.
                if activity.speaks_http2() {
                    http.as_mut().graceful_shutdown();
                    drop(timeout(CLOSE_TIMEOUT, http).await);
                }
                return;
            }
            Standing::Stuck => {
                activity.abort();
                return;
            }
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
                http.as_mut().graceful_shutdown();
                // What has begun and is no request yet will be none.
                limits.header_timeout = CLOSE_TIMEOUT.min(limits.header_timeout);
                limits.idle_timeout = CLOSE_TIMEOUT.min(limits.idle_timeout);
            }
        }
    }
}
