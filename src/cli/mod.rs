//! The command line.

mod banner;
mod check;
mod eval;
mod health;
mod models;
mod passages;
mod rerank;
mod serve;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use clap::{Args, Parser, Subcommand, ValueHint};

use crate::config::{Environment, Loaded, Sources, load};
use crate::eval::collection::READER;
use crate::telemetry::logging::FLUSH_TIMEOUT;

/// The exit code for arguments that make no command.
const WRONG_USAGE: u8 = 2;

/// The reranking sidecar for RAG applications.
#[derive(Debug, Parser)]
#[command(name = "rerankd", version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer rerank requests over HTTP (the default command).
    Serve(serve::ServeArgs),
    /// Rank the passages of a file, or of standard input, without a server.
    Rerank(rerank::RerankArgs),
    /// Check the configuration and the weights of the embedded scorer, and print what is in effect; names every fault at once.
    Check(ConfigArgs),
    /// Compare models over a judged collection: quality, time and cost.
    Eval(eval::EvalArgs),
    /// List the models that can be asked for.
    Models(models::ModelsArgs),
    /// Print the OpenAPI document.
    Openapi,
    /// Ask a running server whether it is ready; for container health checks.
    Health(health::HealthArgs),
}

/// Where the configuration is.
#[derive(Debug, Args)]
struct ConfigArgs {
    /// Configuration file (TOML). Without one, upstreams are made from key variables of providers.
    // Read as a text, because a path may not be empty: an empty RERANKD_CONFIG is as good as none.
    #[arg(long, value_name = "FILE", env = "RERANKD_CONFIG", value_hint = ValueHint::FilePath)]
    config: Option<OsString>,
}

impl ConfigArgs {
    fn load(&self, listen: Option<&str>) -> Result<Loaded, Failure> {
        // What is not UTF-8 is kept, marked by U+FFFD: whoever reads it says so, and it is not as if it were not set.
        let text = |value: OsString| value.to_string_lossy().into_owned();
        let environment: Environment = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        let file = self.config.clone().filter(|file| !file.is_empty()).map(PathBuf::from);
        let sources = Sources { file, environment, listen: listen.map(str::to_owned) };
        load(&sources).map_err(Failure::new)
    }
}

/// Why a command failed, in a sentence for the person who typed it.
#[derive(Debug)]
struct Failure(String);

impl Failure {
    fn new(reason: impl Display) -> Self {
        Self(reason.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// Runs the command line of this process. Exit codes: 0 success, 1 failure, 2 wrong usage.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return answer_without_command(&told),
    };
    tell_defects(|place| drop(writeln!(io::stderr(), "rerankd: a defect in rerankd at {place}; please report it")));
    let result = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve::run(&args),
        Command::Rerank(args) => rerank::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Models(args) => models::run(&args),
        Command::Openapi => print(crate::http::openapi::json()),
        Command::Health(args) => health::run(&args),
    };
    finish(result)
}

fn finish(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(reason)) => {
            complain(reason);
            ExitCode::FAILURE
        }
    }
}

/// What clap has to say instead of a command: help and version on standard output, wrong usage on standard error.
fn answer_without_command(told: &clap::Error) -> ExitCode {
    let printed = told.print().and_then(|()| io::stdout().flush());
    if told.use_stderr() {
        return ExitCode::from(WRONG_USAGE);
    }
    finish(printed_or_unread(printed))
}

/// Tells on standard error why the command failed. Who reads nothing there does not keep the process from ending.
fn complain(reason: String) {
    let (done, written) = mpsc::channel();
    let writer = thread::Builder::new().spawn(move || {
        drop(writeln!(io::stderr(), "rerankd: {reason}"));
        let _ = done.send(());
    });
    if writer.is_ok() {
        let _ = written.recv_timeout(FLUSH_TIMEOUT);
    }
}

/// Has `tell` hear of the place of every panic, and of nothing else: the usual message shows the payload, which could hold part of a request or a
/// file.
fn tell_defects(tell: impl Fn(String) + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |panic| {
        if thread::current().name() != Some(READER) {
            tell(panic.location().map(ToString::to_string).unwrap_or_default());
        }
    }));
}

/// Writes to standard output. A reader that has gone (`rerankd models | head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    printed_or_unread(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

fn printed_or_unread(printed: io::Result<()>) -> Result<(), Failure> {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// The runtime that commands run on.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
