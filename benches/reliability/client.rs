//! An HTTP client that does no more than it must: a pool of kept connections to one address.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than rerankd takes for anything.
const PATIENCE: Duration = Duration::from_secs(45);

pub(crate) struct Client {
    address: SocketAddr,
    idle: Mutex<Vec<Connection>>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driving: JoinHandle<()>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Posts to the path that rerankd and Cohere have in common. If this is dropped its connection is closed.
    ///
    /// # Errors
    /// There was no whole answer.
    pub(crate) async fn rerank(&self, body: Bytes) -> io::Result<(StatusCode, Bytes)> {
        self.exchange(Request::post("/v2/rerank").header(header::CONTENT_TYPE, "application/json"), body).await
    }

    /// # Errors
    /// There was no whole answer.
    pub(crate) async fn get(&self, path: &str) -> io::Result<(StatusCode, Bytes)> {
        self.exchange(Request::get(path), Bytes::new()).await
    }

    async fn exchange(&self, request: http::request::Builder, body: Bytes) -> io::Result<(StatusCode, Bytes)> {
        let request = request.header(header::HOST, "localhost").body(Full::new(body)).map_err(io::Error::other)?;
        let mut connection = self.connection().await?;
        let exchange = async {
            let response = connection.sender.send_request(request).await?;
            let status = response.status();
            Ok((status, response.into_body().collect().await?.to_bytes()))
        };
        let answer = timeout(PATIENCE, exchange).await?.map_err(|error: hyper::Error| io::Error::other(error))?;
        self.idle.lock().unwrap().push(connection);
        Ok(answer)
    }

    /// One that was kept and is still open, or a new one. What the server has closed, or said it will close, is not used.
    async fn connection(&self) -> io::Result<Connection> {
        loop {
            let Some(mut kept) = self.idle.lock().unwrap().pop() else { return Connection::open(self.address).await };
            if kept.sender.ready().await.is_ok() {
                return Ok(kept);
            }
        }
    }
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        Ok(Self { sender, driving: tokio::spawn(async { drop(driver.await) }) })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driving.abort();
    }
}
