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
    /// Longest body.
    pub max_body_bytes: usize,
    /// Most documents of a request.
    pub max_documents: usize,
    /// Most requests under way at once.
    pub max_requests: usize,
    /// Most connections at once; `None` for what the descriptors of the process allow, 4,096 at most.
    pub max_connections: Option<usize>,
    /// Most bytes of requests and answers in memory at once; `None` for what the memory of the container allows.
    pub max_body_bytes_in_flight: Option<usize>,
    /// Longest time to the end of a request's headers.
    pub header_timeout: Duration,
    /// Longest time between two requests of a connection.
    pub idle_timeout: Duration,
    /// Longest time in which an answer gets no further because its client does not read it.
    pub write_timeout: Duration,
    /// Names, beside those of this machine, that requests may have in `Host` where no key is needed; none means any
    /// where others are listened to.
    pub allowed_hosts: Vec<String>,
    /// Origins whose web pages may ask where no key is needed.
    pub allowed_origins: Vec<String>,
    /// Keys of which a request must show one; if empty, no key is needed.
    pub api_keys: Vec<ApiKey>,
    /// True if results carry their document even if the client does not ask.
    pub always_return_documents: bool,
    /// Time for which the server announces its end before it stops accepting.
    pub drain_delay: Duration,
    /// Longest time that requests under way may take to finish.
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
