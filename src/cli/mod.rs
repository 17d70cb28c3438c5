//! The command line.

mod banner;
mod check;
#[cfg_attr(not(feature = "eval"), path = "eval_absent.rs")]
mod eval;
mod examples;
mod foreign_flags;
mod health;
#[cfg_attr(not(feature = "cross-encoder"), path = "model_absent.rs")]
mod model;
mod models;
mod passages;
mod rerank;
mod serve;
mod show_call;
#[cfg_attr(windows, path = "signals_windows.rs")]
mod signals;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use clap::{Args, Parser, Subcommand, ValueHint};

use crate::config::{Environment, Loaded, Sources, load};
use crate::logging::FLUSH_TIMEOUT;

/// Columns of a table where no terminal tells its width.
const DEFAULT_COLUMNS: u16 = 80;
/// The exit code for arguments that make no command.
const WRONG_USAGE: u8 = 2;

/// The reranking sidecar for RAG applications.
#[derive(Debug, Parser)]
#[command(
    name = "rerankd",
    version,
    about,
    args_conflicts_with_subcommands = true,
    max_term_width = 100,
    after_help = examples::TOP
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer rerank requests over HTTP (the default command).
    #[command(after_help = examples::SERVE)]
    Serve(serve::ServeArgs),
    /// Rank the passages of a file, or of standard input, without a server.
    #[command(after_help = examples::RERANK)]
    Rerank(rerank::RerankArgs),
    /// Check the configuration and the weights of the embedded scorer, and print what is in effect; names every fault
    /// at once.
    #[command(after_help = examples::CHECK)]
    Check(check::CheckArgs),
    /// Compare models over a judged collection: quality, time and cost.
    #[command(after_help = examples::EVAL)]
    Eval(eval::EvalArgs),
    /// List the models that can be asked for.
    #[command(after_help = examples::MODELS)]
    Models(models::ModelsArgs),
    /// Show the weights of the embedded cross-encoder that are installed; `fetch` downloads them.
    Model(model::ModelArgs),
    /// Print the OpenAPI document.
    #[command(after_help = examples::OPENAPI)]
    Openapi,
    /// Ask a running server whether it is ready; for container health checks.
    #[command(after_help = examples::HEALTH)]
    Health(health::HealthArgs),
}

/// The argument that names the configuration, of every command that reads one.
#[derive(Debug, Args)]
struct ConfigArgs {
    /// Configuration file (TOML). Without one, upstreams are made from key variables of providers.
    // Read as a text, because a path may not be empty: an empty RERANKD_CONFIG is as good as none.
    #[arg(
        long,
        value_name = "FILE",
        env = "RERANKD_CONFIG",
        value_hint = ValueHint::FilePath,
        help_heading = "Configuration"
    )]
    config: Option<OsString>,
}

impl ConfigArgs {
    fn load(&self, listen: Option<&str>) -> Result<Loaded, CommandFailure> {
        let file = match &self.config {
            Some(file) if !file.is_empty() => Some(PathBuf::from(file)),
            _ => None,
        };
        let sources = Sources { file, environment: Environment::from_process(), listen: listen.map(str::to_owned) };
        load(&sources).map_err(CommandFailure::new)
    }

    /// The same for a command without a log: warnings go to standard error.
    fn load_and_warn(&self) -> Result<Loaded, CommandFailure> {
        let loaded = self.load(None)?;
        for warning in &loaded.warnings {
            // A reader that has gone is no reason to fail.
            let _ = writeln!(io::stderr(), "rerankd: warning: {warning}");
        }
        Ok(loaded)
    }
}

/// The reason for which a command failed, in a sentence for the person who typed it. Empty if it was told already.
#[derive(Debug)]
struct CommandFailure(String);

impl CommandFailure {
    /// A failure whose reason stands in the log.
    const fn told() -> Self {
        Self(String::new())
    }

    fn new(reason: impl Display) -> Self {
        Self(reason.to_string())
    }
}

impl From<io::Error> for CommandFailure {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// Runs the command line of this process. Exit codes: 0 success, 1 failure, 2 wrong usage.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return print_clap_error(&foreign_flags::with_tip(error)),
    };
    on_panic(|place| drop(writeln!(io::stderr(), "rerankd: a defect in rerankd at {place}; please report it")));
    let result = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve::run(&args),
        Command::Rerank(args) => rerank::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Models(args) => models::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Openapi => print(crate::http::openapi::json()),
        Command::Health(args) => health::run(&args),
    };
    finish(result)
}

/// The exit code of a command, after its failure was printed.
fn finish(result: Result<(), CommandFailure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(CommandFailure(reason)) => {
            if !reason.is_empty() {
                print_failure(reason);
            }
            ExitCode::FAILURE
        }
    }
}

/// Prints the text of clap that takes the place of a command: help and version on standard output, wrong usage on
/// standard error.
fn print_clap_error(error: &clap::Error) -> ExitCode {
    let printed = error.print().and_then(|()| io::stdout().flush());
    if error.use_stderr() {
        return ExitCode::from(WRONG_USAGE);
    }
    finish(unless_unread(printed))
}

/// Prints the reason of a failure on standard error, for [`FLUSH_TIMEOUT`] at most.
fn print_failure(reason: String) {
    let (done, written) = mpsc::channel();
    // On a thread of its own: a pipe that nobody reads would keep the process from ending.
    let writer = thread::Builder::new().spawn(move || {
        drop(writeln!(io::stderr(), "rerankd: {reason}"));
        let _ = done.send(());
    });
    if writer.is_ok() {
        let _ = written.recv_timeout(FLUSH_TIMEOUT);
    }
}

/// Calls `report` with the place of every panic, instead of the usual message: that shows the payload, which could hold
/// part of a request or a file.
fn on_panic(report: impl Fn(String) + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |panic| {
        if eval::reports_panics_of(thread::current().name()) {
            return;
        }
        let place = match panic.location() {
            Some(location) => location.to_string(),
            None => String::new(),
        };
        report(place);
    }));
}

/// Writes to standard output. A reader that has gone (`rerankd models | head`) is no failure.
fn print(text: &str) -> Result<(), CommandFailure> {
    let mut out = io::stdout().lock();
    unless_unread(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// The result of a write to standard output, in which a reader that has gone counts as success.
fn unless_unread(printed: io::Result<()>) -> Result<(), CommandFailure> {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandFailure::new(format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// The columns of a table: those of the terminal, or [`DEFAULT_COLUMNS`] without one.
fn table_columns() -> u16 {
    match terminal_size::terminal_size() {
        Some((width, _)) => width.0,
        None => DEFAULT_COLUMNS,
    }
}

/// A new runtime for the asynchronous part of a command.
fn runtime() -> Result<tokio::runtime::Runtime, CommandFailure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
