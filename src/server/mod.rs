//! The server: from settings to a listening socket, and from a signal to a clean shutdown.

mod activity;
mod connection_task;
mod connections;
mod exchange;
mod limits;
mod stream;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use self::connections::Connections;
use self::exchange::ExchangeService;
use self::limits::ConnectionLimits;
use crate::assemble::assemble;
use crate::config::settings::Settings;
use crate::http::request_log::ClientAddress;
use crate::http::{App, Callers, MemoryBudget, OriginPolicy, router};
use crate::logging::refusal_log::RefusalLog;

/// Pause after `accept` failed for a reason that lasts, for instance a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Error of `accept`: the process is out of descriptors. The number is the same on every Unix.
const EMFILE: i32 = 24;
/// Error of `accept`: the system is out of descriptors. The number is the same on every Unix.
const ENFILE: i32 = 23;
/// Error of `accept`: the system is out of buffers. The number differs between Linux and BSD.
const ENOBUFS: i32 = if cfg!(any(target_os = "linux", target_os = "android")) { 105 } else { 55 };

/// A server that listens but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    /// The same port at the other loopback address.
    second_listener: Option<TcpListener>,
    app: Arc<App>,
}

impl Server {
    /// Builds the application and takes the port.
    ///
    /// # Errors
    /// A sentence: the port is taken, or an upstream's client cannot be set up.
    pub async fn bind(settings: &Settings) -> Result<Self, String> {
        let reranker = assemble(settings)?;
        let address = settings.server.listen;
        let listener = TcpListener::bind(address).await.map_err(|error| {
            format!("cannot listen on {address}: {error}; choose another address with --listen or server.listen")
        })?;
        // Port 0 stands for a free one, and both listeners must have the same.
        let port = match listener.local_addr() {
            Ok(bound) => bound.port(),
            Err(_) => address.port(),
        };
        let second_listener = match settings.server.listen_also {
            Some(also) => bind_second((also.ip(), port).into()).await,
            None => None,
        };
        let callers = Callers::new(&settings.server.api_keys, settings.cache.shared_between_callers);
        let server = settings.server.clone();
        let max_memory_bytes = limits::max_body_bytes_in_flight(server.max_body_bytes_in_flight, server.max_body_bytes);
        let app = App {
            reranker: Arc::new(reranker),
            callers,
            in_flight_limit: Semaphore::new(server.max_requests),
            memory: Arc::new(MemoryBudget::new(max_memory_bytes)),
            origins: OriginPolicy::new(&server),
            access_log: settings.telemetry.access_log.is_on(),
            refusals: RefusalLog::new(),
            ready: AtomicBool::new(true),
            server,
        };
        Ok(Self { listener, second_listener, app: Arc::new(app) })
    }

    /// The address that the server listens at, with the real port if port 0 was configured.
    ///
    /// # Errors
    /// The error of `getsockname`.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The state that handlers share.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Serves until `shutdown` completes, then drains. First `/readyz` fails for `drain_delay` while requests are still
    /// accepted. Then no new connection is accepted, and requests in flight have `shutdown_timeout` to finish.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let router = router(self.app.clone());
        let protocols = Arc::new(connection_task::protocols());
        let limits = ConnectionLimits::new(&self.app.server);
        let connections = Arc::new(Connections::new(limits::max_connections(self.app.server.max_connections)));
        let (end_connections, shutting_down) = watch::channel(false);
        let mut drained = pin!(async {
            shutdown.await;
            self.app.announce_shutdown();
            sleep(self.app.server.drain_delay).await;
        });
        loop {
            // Accepted first and admitted then, so that no connection is evicted for one that does not come.
            let accepted = async {
                let stream = tokio::select! {
                    stream = accept(&self.listener, &connections, &self.app.refusals) => stream,
                    stream = accept_if(self.second_listener.as_ref(), &connections, &self.app.refusals) => stream,
                };
                (stream, connections.admit().await)
            };
            let (stream, connection) = tokio::select! {
                accepted = accepted => accepted,
                () = &mut drained => break,
            };
            let service = ExchangeService {
                router: router.clone(),
                app: self.app.clone(),
                connections: connections.clone(),
                activity: connection.activity.clone(),
                limits,
                client: stream.peer_addr().ok().map(ClientAddress),
            };
            tokio::spawn(connection_task::serve(stream, protocols.clone(), service, connection, shutting_down.clone()));
        }
        // New connections are refused by the system from here on, and go to another instance.
        drop((self.listener, self.second_listener));
        end_connections.send_replace(true);
        if timeout(self.app.server.shutdown_timeout, connections.wait_for_end()).await.is_err() {
            tracing::warn!("requests were still under way after server.shutdown_timeout; they are cut off");
        }
    }
}

/// Listens at the other loopback address too: many clients try only the first address of `localhost`. `None` where
/// that fails, as on a system without IPv6.
async fn bind_second(address: SocketAddr) -> Option<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(%address, %error, "localhost is not served at this address");
            None
        }
    }
}

/// Accepts a connection; waits forever without a listener.
async fn accept_if(listener: Option<&TcpListener>, connections: &Connections, refusals: &RefusalLog) -> TcpStream {
    match listener {
        Some(listener) => accept(listener, connections, refusals).await,
        None => std::future::pending().await,
    }
}

/// The cause of a failed `accept`, by what helps against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AcceptFailure {
    /// The connection failed before it was accepted. The next one may succeed at once.
    Connection,
    /// Descriptors or memory have run out. Ending an open connection helps.
    Exhausted,
    /// Anything else; may last.
    Other,
}

impl From<&io::Error> for AcceptFailure {
    fn from(error: &io::Error) -> Self {
        if matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS)) {
            return Self::Exhausted;
        }
        match error.kind() {
            io::ErrorKind::OutOfMemory => Self::Exhausted,
            io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::Interrupted => Self::Connection,
            _ => Self::Other,
        }
    }
}

/// Accepts the next connection, however many attempts fail before.
async fn accept(listener: &TcpListener, connections: &Connections, refusals: &RefusalLog) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small and written at once; waiting to fill a packet only delays them.
                drop(stream.set_nodelay(true));
                return stream;
            }
            Err(error) => {
                if let Some(left_out) = refusals.due("accept", Instant::now()) {
                    tracing::warn!(%error, left_out, "a connection could not be accepted");
                }
                match AcceptFailure::from(&error) {
                    AcceptFailure::Connection => {}
                    AcceptFailure::Exhausted => {
                        // The limit of connections is an estimate; here it was above what the system gives.
                        connections.evict_one();
                        sleep(ACCEPT_PAUSE).await;
                    }
                    AcceptFailure::Other => sleep(ACCEPT_PAUSE).await,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_run_out_costs_others_their_connection() {
        for (error, expected) in [
            (io::Error::from_raw_os_error(EMFILE), AcceptFailure::Exhausted),
            (io::Error::from_raw_os_error(ENFILE), AcceptFailure::Exhausted),
            (io::Error::from_raw_os_error(ENOBUFS), AcceptFailure::Exhausted),
            (io::ErrorKind::OutOfMemory.into(), AcceptFailure::Exhausted),
            (io::ErrorKind::ConnectionAborted.into(), AcceptFailure::Connection),
            (io::ErrorKind::Interrupted.into(), AcceptFailure::Connection),
            (io::ErrorKind::PermissionDenied.into(), AcceptFailure::Connection),
            (io::ErrorKind::InvalidInput.into(), AcceptFailure::Other),
        ] {
            assert_eq!(AcceptFailure::from(&error), expected, "{error}");
        }
    }
}
