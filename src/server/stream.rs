//! The bytes of one connection, with an eye on what they say about the client.
//!
//! hyper takes the end of a client's input for the end of the client, or, if told so, for nothing at all. It can be either: clients that half-close
//! their side after sending wait for the answer, clients that hang up do not. TCP tells them apart only when something is sent: whoever is
//! gone resets the connection. So whoever ends its side while its request is being worked on is sent `100 Continue`, which clients of
//! HTTP/1.1 must be ready for at any time before their answer (RFC 9110, section 15.2).

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

const INTERIM_ANSWER: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A connection's stream.
pub(super) struct Stream {
    input: Input,
    output: Option<OwnedWriteHalf>,
    activity: Arc<Activity>,
    /// Gets the client's side where the connection has to linger.
    remains: Option<oneshot::Sender<OwnedReadHalf>>,
}

/// The client's side.
enum Input {
    /// Bytes may come.
    Open(OwnedReadHalf),
    /// No byte will come.
    Ended(OwnedReadHalf),
    /// The client was sent something, and this is done when it turns out to be gone.
    Probed(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// The client is gone.
    Gone,
}

impl Stream {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>, remains: oneshot::Sender<OwnedReadHalf>) -> Self {
        let (input, output) = stream.into_split();
        Self { input: Input::Open(input), output: Some(output), activity, remains: Some(remains) }
    }

    /// Notes whether the client holds up what is written.
    fn noted(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.activity.note_blocked(),
            Poll::Ready(Ok(1..)) => self.activity.note_written(),
            Poll::Ready(_) => {}
        }
        written
    }

    fn output(&mut self) -> io::Result<Pin<&mut OwnedWriteHalf>> {
        self.output.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// The client has ended its side: hyper learns of it when it should.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.activity.input_end(context.waker()) {
            InputEnd::Told => return Poll::Ready(Ok(())),
            InputEnd::Held => return Poll::Pending,
            InputEnd::HalfClosed => {}
        }
        self.probe();
        if let Input::Probed(gone) = &mut self.input {
            ready!(gone.as_mut().poll(context));
            self.input = Input::Gone;
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    /// Sends something that a client which is gone does not take, unless that was done before.
    fn probe(&mut self) {
        match std::mem::replace(&mut self.input, Input::Gone) {
            Input::Ended(input) => {
                if let Some(output) = &self.output
                    && !self.activity.has_written()
                {
                    // Nothing waits to be sent, so all of it fits. If not, the client is gone.
                    drop(output.try_write(INTERIM_ANSWER));
                }
                self.input = Input::Probed(Box::pin(async move {
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
        let Input::Open(input) = &mut this.input else { return this.poll_end(context) };
        let before = buffer.filled().len();
        ready!(Pin::new(input).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            this.activity.note_read();
            return Poll::Ready(Ok(()));
        }
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        match std::mem::replace(&mut this.input, Input::Gone) {
            Input::Open(input) => this.input = Input::Ended(input),
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
            // The system would keep what the client does not take for minutes.
            drop(output.as_ref().set_zero_linger());
            return;
        }
        // Ends the side that was written to, but keeps the socket.
        drop(output);
        if self.activity.lingers()
            && let Input::Open(input) = std::mem::replace(&mut self.input, Input::Gone)
            && let Some(remains) = self.remains.take()
        {
            drop(remains.send(input));
        }
    }
}
