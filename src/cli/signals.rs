//! The signals that end the server, on Unix.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// SIGXFSZ on Linux and macOS: a file has reached the limit of the process (`ulimit -f`).
const FILE_SIZE_EXCEEDED: i32 = 25;

/// Installs the handlers of signals and returns the wait for the next one that asks the server to end. Needs a tokio
/// runtime.
///
/// # Errors
/// The system's, for a handler that it refuses.
pub(super) fn end_signals() -> io::Result<impl AsyncFnMut()> {
    // A handler, even one that is dropped, keeps the signal from ending the process: a log file that may not grow is
    // then an error like a full disk.
    drop(signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED))?);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    // Terminals that close and tools that rotate logs send it; without a handler it ends the process.
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("SIGHUP changes nothing; to read the configuration again, start rerankd again");
        }
    });
    Ok(async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
