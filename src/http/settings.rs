//! Settings of the HTTP server: `[server]`.

use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;

use crate::dialect::Dialect;

/// `[server]`
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Address and port.
    pub listen: SocketAddr,
    /// The other loopback address, if `localhost` was asked for and the system has it.
    pub listen_also: Option<SocketAddr>,
    /// End-to-end deadline of a request.
    pub request_timeout: Duration,
    /// Length of the longest body in bytes, both as it is sent and once it is decompressed.
    pub max_body_bytes: usize,
    /// Highest number of documents in a request.
    pub max_documents: usize,
    /// Highest number of rerank requests in flight at once.
    pub max_requests: usize,
    /// Highest number of connections at once; `None` for what the descriptors of the process allow, 4,096 at most.
    pub max_connections: Option<usize>,
    /// Highest number of bytes that the bodies of requests and answers may take at once; `None` for what the memory of
    /// the container allows.
    pub max_body_bytes_in_flight: Option<usize>,
    /// Longest time to the end of a request's headers.
    pub header_timeout: Duration,
    /// Longest time between two requests of a connection.
    pub idle_timeout: Duration,
    /// Longest time in which an answer gets no further because its client does not read it.
    pub write_timeout: Duration,
    /// Names that `Host` may have beside those of this machine. They are checked only if no key is needed. If there are
    /// none, a server that listens to other machines accepts every name.
    pub allowed_hosts: Vec<String>,
    /// Origins whose web pages may send requests. They are checked only if no key is needed.
    pub allowed_origins: Vec<String>,
    /// Keys of which a request must show one; if empty, no key is needed.
    pub api_keys: Vec<ApiKey>,
    /// True if results carry their document even if the client does not ask.
    pub always_return_documents: bool,
    /// Time during which `/readyz` fails and requests are still accepted, before the server shuts down.
    pub drain_delay: Duration,
    /// Longest time that requests in flight may take to finish after that.
    pub shutdown_timeout: Duration,
}

/// One entry of `server.api_keys`.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The key that the caller sends.
    pub key: SecretString,
    /// The dialect of its requests, unless they say otherwise themselves.
    pub dialect: Option<&'static dyn Dialect>,
}
