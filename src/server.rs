//! From settings to a listening server, and from a signal to a clean end.

mod activity;
mod connections;
mod exchange;
mod limits;
mod serve;
mod stream;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use self::connections::Connections;
use self::exchange::Exchanges;
use self::limits::Limits;
use crate::config::settings::Settings;
use crate::http::{App, Callers, MemoryBudget, OriginPolicy, router};
use crate::rerank::assemble::assemble;

/// Pause after the system refused to hand over a connection (out of descriptors, for instance).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A server that listens but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    /// The same port at the other loopback address.
    twin: Option<TcpListener>,
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
        let port = listener.local_addr().map_or(address.port(), |taken| taken.port());
        let twin = match settings.server.listen_also {
            Some(also) => twin((also.ip(), port).into()).await,
            None => None,
        };
        let callers = Callers::new(&settings.server.api_keys, settings.cache.shared_between_callers);
        let server = settings.server.clone();
        let max_memory_bytes = limits::max_body_bytes_in_flight(server.max_body_bytes_in_flight, server.max_body_bytes);
        let app = App {
            reranker: Arc::new(reranker),
            callers,
            room: Semaphore::new(server.max_requests),
            memory: Arc::new(MemoryBudget::new(max_memory_bytes)),
            origins: OriginPolicy::new(&server),
            ready: AtomicBool::new(true),
            server,
        };
        Ok(Self { listener, twin, app: Arc::new(app) })
    }

    /// The address that was really taken.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What handlers share.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Answers until `shutdown` is done, then drains: first `/readyz` fails for `drain_delay` while requests are still taken, then
    /// no new connection is taken, and requests under way get `shutdown_timeout` to finish.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let router = router(self.app.clone());
        let protocols = Arc::new(serve::protocols());
        let limits = Limits::new(&self.app.server);
        let connections = Arc::new(Connections::new(limits::max_connections(self.app.server.max_connections)));
        let (end_connections, ends) = watch::channel(false);
        let mut end = pin!(async {
            shutdown.await;
            self.app.announce_shutdown();
            sleep(self.app.server.drain_delay).await;
        });
        loop {
            let accepted = async {
                let stream = tokio::select! {
                    stream = accept(&self.listener, &connections) => stream,
                    stream = accept_if(self.twin.as_ref(), &connections) => stream,
                };
                (stream, connections.admit().await)
            };
            let (stream, connection) = tokio::select! {
                accepted = accepted => accepted,
                () = &mut end => break,
            };
            let exchanges = Exchanges {
                router: router.clone(),
                app: self.app.clone(),
                connections: connections.clone(),
                activity: connection.activity.clone(),
                limits,
            };
            tokio::spawn(serve::serve(stream, protocols.clone(), exchanges, connection, ends.clone()));
        }
        drop((self.listener, self.twin));
        end_connections.send_replace(true);
        if timeout(self.app.server.shutdown_timeout, connections.wait_for_end()).await.is_err() {
            tracing::warn!("requests were still under way after server.shutdown_timeout; they are cut off");
        }
    }
}

/// Many clients take the first address of `localhost` and no other. A system without IPv6 has only one.
async fn twin(address: SocketAddr) -> Option<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.inspect_err(|error| tracing::warn!(%address, %error, "localhost is not served at this address")).ok()
}

async fn accept_if(listener: Option<&TcpListener>, connections: &Connections) -> TcpStream {
    match listener {
        Some(listener) => accept(listener, connections).await,
        None => std::future::pending().await,
    }
}

async fn accept(listener: &TcpListener, connections: &Connections) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small and written at once; waiting to fill a packet only delays them.
                drop(stream.set_nodelay(true));
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Where descriptors have run out, one that nobody needs makes room.
                connections.evict_one();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
