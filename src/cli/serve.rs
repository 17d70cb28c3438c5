//! `rerankd serve`

use std::net::SocketAddr;
use std::thread;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigArgs, Failure, banner, print, runtime, tell_defects};
use crate::server::Server;
use crate::telemetry::logging;

/// SIGXFSZ on Linux and macOS: a file has reached the limit of the process (`ulimit -f`).
const FILE_SIZE_EXCEEDED: i32 = 25;

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address and port to listen on, before server.listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

pub(super) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let loaded = args.config.load(args.listen.as_deref())?;
    let settings = loaded.settings;
    let _log = logging::start(settings.telemetry.log_format, &settings.telemetry.log_filter).map_err(Failure::new)?;
    tell_defects(|place| tracing::error!(place, "a defect in rerankd; please report it"));
    runtime()?.block_on(async {
        // Once listened to, it ends nothing, and a log file that may not grow is an error like a full disk.
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
        let server = Server::bind(&settings).await.map_err(Failure::new)?;
        let address = server.address()?;
        let greeting = banner::text(address, &server.app().reranker.routes, !settings.server.api_keys.is_empty());
        greet(address, greeting);
        let any_signal = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        drain(server, any_signal).await
    })
}

/// Prints what the server says when it is ready. Nobody has to read it: a pipe that takes nothing keeps no request waiting.
fn greet(address: SocketAddr, greeting: String) {
    let printing = thread::Builder::new().name("banner".to_owned()).spawn(move || {
        if let Err(Failure(reason)) = print(&greeting) {
            tracing::warn!(%address, "{reason}; the server answers all the same");
        }
    });
    if let Err(error) = printing {
        tracing::warn!(%address, %error, "the system gives no thread to print with; the server answers all the same");
    }
}

/// The first signal drains; the second ends at once, which is a failure.
async fn drain(server: Server, mut any_signal: impl AsyncFnMut()) -> Result<(), Failure> {
    let (first, told) = tokio::sync::oneshot::channel::<()>();
    let serving = server.run(async {
        // The sender is only dropped after it was used.
        drop(told.await);
    });
    let signals = async {
        any_signal().await;
        tracing::info!("shutting down; a second signal ends at once");
        let _ = first.send(());
        any_signal().await;
    };
    tokio::select! {
        () = serving => {
            tracing::info!("shut down");
            Ok(())
        }
        () = signals => Err(Failure::new("ended by a second signal before all requests were finished")),
    }
}
