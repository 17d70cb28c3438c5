//! Opens and shuts the listener at the proxy's address.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// The listening socket, or the place that is kept for it.
pub(super) struct Door {
    address: SocketAddr,
    socket: Socket,
}

enum Socket {
    Listening(TcpListener),
    /// Bound and silent: the system refuses connections, and gives the port to no one else.
    Bound(TcpSocket),
    /// The system did not do as it was asked: connections are refused, and the next turn of the door tries again.
    Gone,
}

impl Door {
    /// An open door on a free port.
    pub(super) fn open() -> io::Result<Self> {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)))?.listen(BACKLOG)?;
        Ok(Self { address: listener.local_addr()?, socket: Socket::Listening(listener) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shuts the door or opens it. Tells whether that changed anything.
    pub(super) fn turn(&mut self, shut: bool) -> bool {
        if shut != matches!(self.socket, Socket::Listening(_)) {
            return false;
        }
        let socket = match std::mem::replace(&mut self.socket, Socket::Gone) {
            Socket::Bound(socket) => Ok(socket),
            closed => {
                drop(closed); // only then its port can be bound again
                bind(self.address)
            }
        };
        self.socket = match socket {
            Ok(socket) if shut => Socket::Bound(socket),
            Ok(socket) => socket.listen(BACKLOG).map_or(Socket::Gone, Socket::Listening),
            Err(_) => Socket::Gone,
        };
        true
    }

    /// The next connection. Nobody is woken if the door is opened later: who waits must ask again then.
    pub(super) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        match &self.socket {
            Socket::Listening(listener) => listener.poll_accept(context).map_ok(|(stream, _)| stream),
            Socket::Bound(_) | Socket::Gone => Poll::Pending,
        }
    }
}

/// The port must be free for binding while its old connections linger.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
