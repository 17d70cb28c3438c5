//! `rerankd health`: a health check for container images that hold nothing but this binary.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use clap::Args;

use super::{CommandFailure, ConfigArgs, banner, print};

/// Longest wait for the connection, and again for the whole status line.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of the answer after which nothing more is read. Status lines have some twenty.
const MAX_BYTES: usize = 1_024;

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address of the server; server.listen of the configuration if left out.
    #[arg(long, value_name = "ADDR")]
    address: Option<SocketAddr>,
}

pub(super) fn run(args: &HealthArgs) -> Result<(), CommandFailure> {
    let listen = match args.address {
        Some(address) => address,
        None => args.config.load(None)?.settings.server.listen,
    };
    let address = banner::callable(listen);
    let status =
        status_line(address).map_err(|error| CommandFailure::new(format!("{address} does not answer: {error}")))?;
    if status.split(' ').nth(1) == Some("200") {
        print("ready\n")
    } else {
        Err(CommandFailure::new(format!("{address} is not ready: {}", status.trim_end())))
    }
}

/// The first line of the answer to `GET /readyz`.
fn status_line(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, HEALTH_TIMEOUT)?;
    let deadline = Instant::now() + HEALTH_TIMEOUT;
    stream.set_write_timeout(Some(HEALTH_TIMEOUT))?;
    stream.write_all(format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    first_line(|buffer| {
        // Each read gets the rest of the time: a server that sends byte after byte must not hold the command up.
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        stream.read(buffer)
    })
}

/// The first line of what `read` gives, without its end, or all of it if there is no line end in [`MAX_BYTES`].
fn first_line(mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<String> {
    let mut answer = Vec::new();
    let mut buffer = [0; MAX_BYTES];
    while !answer.contains(&b'\n') && answer.len() < MAX_BYTES {
        let count = match read(&mut buffer) {
            Ok(count) => count,
            // A process that was stopped and continued has no answer yet, which says nothing about the server.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if count == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8_lossy(&answer);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_read_is_repeated_and_a_failed_one_is_not() {
        let mut reads: Vec<io::Result<&[u8]>> =
            vec![Ok(b" 200 OK\r\nrest"), Err(ErrorKind::Interrupted.into()), Ok(b"HTTP/1.1")];
        let line = first_line(|buffer| {
            let bytes = reads.pop().unwrap()?;
            buffer[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        });
        assert_eq!(line.unwrap(), "HTTP/1.1 200 OK");
        let failed = first_line(|_| Err(ErrorKind::ConnectionReset.into()));
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}
