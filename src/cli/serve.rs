//! `rerankd serve`

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use rerankd_core::route::lifecycle::{LifecycleNotice, notices};
use rerankd_core::types::date::Date;

use super::signals::end_signals;
use super::{CommandFailure, ConfigArgs, banner, on_panic, print, runtime};
use crate::config::Loaded;
use crate::config::settings::Settings;
use crate::http::App;
use crate::logging::{self, LogFormat, LogGuard};
use crate::server::Server;

/// Seconds between two warnings of the end of a model.
const DAY_SECONDS: u64 = 86_400;

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address and port to listen on, before server.listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

pub(super) fn run(args: &ServeArgs) -> Result<(), CommandFailure> {
    let Loaded { settings, warnings, .. } = args.config.load(args.listen.as_deref())?;
    let format = settings.telemetry.log_format;
    // Held to the end of the function: dropping it flushes the log.
    let log = logging::start(format, &settings.telemetry.log_filter).map_err(CommandFailure::new)?;
    for warning in warnings.iter().chain(&settings.exposure_warning()) {
        tracing::warn!(setting = warning.path, "{warning}");
    }
    on_panic(|place| tracing::error!(place, "a defect in rerankd; please report it"));
    match (format, serve(&settings, &log)) {
        // Where machines read standard error, every line is an object, the last one too.
        (LogFormat::Json, Err(CommandFailure(reason))) => {
            tracing::error!("{reason}");
            Err(CommandFailure::told())
        }
        (_, result) => result,
    }
}

/// Serves with these settings until a signal.
fn serve(settings: &Settings, log: &LogGuard) -> Result<(), CommandFailure> {
    runtime()?.block_on(async {
        tokio::spawn(log.summaries());
        let any_signal = end_signals()?;
        let server = Server::bind(settings).await.map_err(CommandFailure::new)?;
        let address = server.address()?;
        let routes = &server.app().reranker.routes;
        let greeting = match settings.telemetry.log_format {
            LogFormat::Text => banner::text(address, routes, !settings.server.api_keys.is_empty()),
            LogFormat::Json => banner::json(address, routes),
        };
        let today = Date::of(SystemTime::now());
        warn_of_ends(server.app(), today);
        tokio::spawn(warn_of_ends_daily(server.app().clone(), today));
        greet(address, greeting);
        serve_until_signal(server, any_signal).await?;
        log.tell_repeats();
        tracing::info!("shut down");
        Ok(())
    })
}

/// Warns of the end of configured models on each day after `told`.
async fn warn_of_ends_daily(app: Arc<App>, mut told: Date) {
    loop {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let rest_of_day = Duration::from_secs(DAY_SECONDS - since.as_secs() % DAY_SECONDS);
        // May wake a little before midnight, since both clocks differ; then the rest of the day is slept.
        tokio::time::sleep(rest_of_day).await;
        let today = Date::of(SystemTime::now());
        if today != told {
            warn_of_ends(&app, today);
            told = today;
        }
    }
}

/// Warns of the end of configured models as of `today`.
fn warn_of_ends(app: &App, today: Date) {
    for LifecycleNotice { upstream, model, message } in notices(&app.reranker.routes, today, false) {
        tracing::warn!(event = "model_lifecycle", upstream, model, "{message}");
    }
}

/// Prints the banner from a thread of its own: a pipe that nobody reads must not keep requests waiting.
fn greet(address: SocketAddr, greeting: String) {
    let printing = thread::Builder::new().name("banner".to_owned()).spawn(move || {
        if let Err(CommandFailure(reason)) = print(&greeting) {
            tracing::warn!(%address, "{reason}; the server answers all the same");
        }
    });
    if let Err(error) = printing {
        tracing::warn!(%address, %error, "the system gives no thread to print with; the server answers all the same");
    }
}

/// Runs the server until the first signal, then drains it. A second signal ends it at once, which is a failure.
async fn serve_until_signal(server: Server, mut any_signal: impl AsyncFnMut()) -> Result<(), CommandFailure> {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = server.run(async {
        // It cannot fail: the sender is dropped only after it was used.
        drop(stopped.await);
    });
    let signals = async {
        any_signal().await;
        tracing::info!("shutting down; a second signal ends at once");
        // It fails if the server has ended already, which the other branch notices.
        let _ = stop.send(());
        any_signal().await;
    };
    tokio::select! {
        () = serving => Ok(()),
        () = signals => Err(CommandFailure::new("ended by a second signal before all requests were finished")),
    }
}
