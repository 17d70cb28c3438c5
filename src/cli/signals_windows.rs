//! The console events that end the server, on Windows.

use std::io;

use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

/// Installs the handlers of console events and returns the wait for the next one: each asks the server to end. Needs a
/// tokio runtime.
///
/// # Errors
/// The system's, for a handler that it refuses.
pub(super) fn end_signals() -> io::Result<impl AsyncFnMut()> {
    let mut interrupt = ctrl_c()?;
    let mut abort = ctrl_break()?;
    let mut close = ctrl_close()?;
    let mut shutdown = ctrl_shutdown()?;
    Ok(async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = abort.recv() => {}
            _ = close.recv() => {}
            _ = shutdown.recv() => {}
        }
    })
}
