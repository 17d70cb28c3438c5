//! The byte stream of one connection, which finds out whether a client that closes its side has disconnected.
//!
//! hyper takes the end of a client's input for a disconnect or, if configured so, ignores it. It can mean either: a
//! client that half-closes its side after sending still waits for the answer, a client that hangs up does not. TCP
//! tells them apart only when something is sent, because the system of a client that is gone answers with a reset. So
//! a client that closes its side while its request is being worked on is sent `100 Continue`, which every HTTP/1.1
//! client must accept at any time before its answer (RFC 9110, section 15.2).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;

use super::activity::{Activity, InputEnd};

/// The probe for a client that has closed its side.
const INTERIM_ANSWER: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A TCP stream that reports its reads and writes to [`Activity`].
pub(super) struct Stream {
    input: ClientSide,
    /// The server's side; `None` only in `drop`.
    output: Option<OwnedWriteHalf>,
    activity: Arc<Activity>,
    /// Receives the client's side on drop, if the connection has to linger.
    linger_sender: Option<oneshot::Sender<OwnedReadHalf>>,
}

/// The client's side of the connection.
enum ClientSide {
    /// Bytes may come.
    Open(OwnedReadHalf),
    /// The client has closed its side, or its whole connection.
    Ended(OwnedReadHalf),
    /// The client was probed. The future completes when it turns out to have disconnected.
    Probed(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// The client has disconnected.
    Gone,
}

impl Stream {
    /// The stream of an accepted connection. `linger_sender` receives the client's side if the connection must linger.
    pub(super) fn new(
        stream: TcpStream,
        activity: Arc<Activity>,
        linger_sender: oneshot::Sender<OwnedReadHalf>,
    ) -> Self {
        let (input, output) = stream.into_split();
        Self { input: ClientSide::Open(input), output: Some(output), activity, linger_sender: Some(linger_sender) }
    }

    /// Reports the result of a write, which shows whether the client takes bytes.
    fn noted(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.activity.note_blocked(),
            Poll::Ready(Ok(1..)) => self.activity.note_written(),
            Poll::Ready(_) => {}
        }
        written
    }

    /// The server's side; the error is never seen, because nothing writes after `drop`.
    fn output(&mut self) -> io::Result<Pin<&mut OwnedWriteHalf>> {
        match &mut self.output {
            Some(output) => Ok(Pin::new(output)),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Reports the end of the client's side to hyper: as an end, as a broken connection, or later.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.activity.input_end(context.waker()) {
            InputEnd::Told => return Poll::Ready(Ok(())),
            InputEnd::Held => return Poll::Pending,
            InputEnd::HalfClosed => {}
        }
        self.probe();
        if let ClientSide::Probed(disconnected) = &mut self.input {
            ready!(disconnected.as_mut().poll(context));
            self.input = ClientSide::Gone;
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    /// Sends the probe, at most once.
    fn probe(&mut self) {
        match std::mem::replace(&mut self.input, ClientSide::Gone) {
            ClientSide::Ended(input) => {
                // If the answer has begun, its own bytes are the probe, and an interim answer would break it.
                if let Some(output) = &self.output
                    && !self.activity.has_written()
                {
                    // The send buffer is empty, so the write cannot be partial. If it fails, the client is gone.
                    drop(output.try_write(INTERIM_ANSWER));
                }
                self.input = ClientSide::Probed(Box::pin(async move {
                    drop(input.ready(Interest::ERROR).await);
                }));
            }
            other => self.input = other,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let ClientSide::Open(input) = &mut this.input else { return this.poll_end(context) };
        let before = buffer.filled().len();
        ready!(Pin::new(input).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            this.activity.note_read();
            return Poll::Ready(Ok(()));
        }
        // No bytes mean the end only if there was room for some.
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        match std::mem::replace(&mut this.input, ClientSide::Gone) {
            ClientSide::Open(input) => this.input = ClientSide::Ended(input),
            other => this.input = other,
        }
        this.poll_end(context)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.activity.note_write();
        let written = self.output()?.poll_write(context, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.activity.note_write();
        let written = self.output()?.poll_write_vectored(context, pieces);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output()?.poll_shutdown(context)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Some(output) = self.output.take() else { return };
        if self.activity.is_aborted() {
            // Otherwise the system would keep the bytes that the client does not take for minutes.
            drop(output.as_ref().set_zero_linger());
            return;
        }
        // Shuts down the server's side, but leaves the socket open.
        drop(output);
        if self.activity.lingers()
            && let ClientSide::Open(input) = std::mem::replace(&mut self.input, ClientSide::Gone)
            && let Some(linger_sender) = self.linger_sender.take()
        {
            drop(linger_sender.send(input));
        }
    }
}
