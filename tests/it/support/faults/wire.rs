//! Both sides of the proxy: requests read from a client's bytes, and forwarded by a well-behaved HTTP client.

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::answer::Answer;

/// The next request of a connection; none if the client closed it instead. What has come of the one after that stays in
/// `buffer`.
pub(super) async fn read_request(
    client: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<Option<Request<Bytes>>> {
    let end = loop {
        if let Some(end) = memmem::find(buffer, b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = parse(&buffer.split_to(end)).ok_or(io::ErrorKind::InvalidData)?;
    let length = head.headers().get(header::CONTENT_LENGTH).map_or(Ok("0"), HeaderValue::to_str);
    let length: usize = length.ok().and_then(|length| length.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    while buffer.len() < length {
        if client.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let body = buffer.split_to(length).freeze();
    Ok(Some(head.map(|()| body)))
}

fn parse(head: &[u8]) -> Option<Request<()>> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n").take_while(|line| !line.is_empty());
    let mut words = lines.next()?.split(' ');
    let mut request = Request::builder().method(words.next()?).uri(words.next()?);
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        request = request.header(name, HeaderValue::from_str(value.trim()).ok()?);
    }
    request.body(()).ok()
}

/// True if the client will close the connection after this answer.
pub(super) fn is_last(request: &Request<Bytes>) -> bool {
    request.headers().get(header::CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// Sends what one client sends on, over a connection that lives as long as the client's.
pub(super) struct Forwarder {
    upstream: SocketAddr,
    connection: Option<Connection>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driving: JoinHandle<()>,
}

impl Forwarder {
    pub(super) fn new(upstream: SocketAddr) -> Self {
        Self { upstream, connection: None }
    }

    /// The upstream's whole answer. If this is dropped while it waits, so is the connection: the upstream is left as
    /// the proxy was.
    pub(super) async fn send(&mut self, mut request: Request<Bytes>) -> io::Result<Answer> {
        request.headers_mut().remove(header::CONNECTION);
        request.headers_mut().remove(header::ACCEPT_ENCODING); // scores are changed in plain text
        let mut connection = match self.connection.take() {
            Some(kept) => kept,
            None => Connection::open(self.upstream).await?,
        };
        if connection.sender.ready().await.is_err() {
            connection = Connection::open(self.upstream).await?;
        }
        let response = connection.sender.send_request(request.map(Full::new)).await.map_err(io::Error::other)?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        self.connection = Some(connection);
        Ok(Answer::of_upstream(parts.status, &parts.headers, body))
    }
}

impl Connection {
    async fn open(upstream: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(upstream).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let driving = tokio::spawn(async { drop(driver.await) });
        Ok(Self { sender, driving })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driving.abort();
    }
}
