//! The reliability figures: rerankd's own binary on its bad days, with every score checked. `docs/reliability.md` says how to read them.
//!
//! ```text
//!  load (open loop) ─▶ rerankd (a process of its own) ─▶ fault proxy ─▶ mock provider
//!       └── checks every score ◀──────────────────────── that is a hash of provider, query and passage
//! ```
//!
//! `cargo bench --bench reliability` runs everything but the long soak; `-- --quick` the same at a small size, as a test;
//! `-- --soak 20m` the soak alone; `-- --markdown` prints the table as Markdown; `-- --only NAME` runs one scenario.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a measuring device fails by panicking")]

#[expect(dead_code, reason = "the frontier uses more of it")]
mod client;
mod load;
mod report;
mod scenarios;
mod sidecar;
mod upstream;
mod workload;

#[expect(dead_code, unused_imports, reason = "the tests use more of it")]
#[path = "../../tests/it/support/faults/mod.rs"]
mod faults;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use report::Report;

/// The reliability figures of rerankd.
#[derive(Debug, Parser)]
struct Arguments {
    /// Everything at a small size and with slack, as a test.
    #[arg(long, alias = "test")]
    quick: bool,
    /// The soak alone, for so long ("20m").
    #[arg(long, value_parser = humantime::parse_duration)]
    soak: Option<Duration>,
    /// Print the table as Markdown.
    #[arg(long)]
    markdown: bool,
    /// Run only the scenarios whose names hold this: outage, failover, overload, drain, recovery, memory, soak.
    #[arg(long, default_value = "")]
    only: String,
    /// Cargo says this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut report = Report::new(arguments.quick);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match arguments.soak {
        Some(length) => runtime.block_on(scenarios::soak::run(length, &mut report)),
        None => runtime.block_on(scenarios::all(&arguments.only, &mut report)),
    }
    report.print(arguments.markdown);
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
