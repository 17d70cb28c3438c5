//! `rerankd health`: a health check for container images that hold nothing but this binary.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use clap::Args;

use super::{CommandFailure, ConfigArgs, banner, print};

/// Longest wait for the connection, and for the status line.
const TIMEOUT: Duration = Duration::from_secs(2);

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
fn status_line(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}
