//! The throughput frontier: the highest rate at which the 99th percentile of latency stays within a limit, for bodies
//! of 5 KB to 4 MB whose pairs are new, half known or known; and the memory that it takes. `docs/performance.md` says
//! how to read it.
//!
//! ```text
//!  load (open loop) ─▶ rerankd (a process and a core of its own) ─▶ upstream that answers at once
//! ```
//!
//! `cargo bench --bench frontier` takes a quarter of an hour at most; `-- --quick` two minutes, with two sizes and coarse
//! figures. The environment variable `RERANKD_BIN` names another binary than the one that was built with the bench.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a measuring device fails by panicking")]

mod connection;
mod cores;
mod load;
mod report;
mod search;
mod series;
mod workload;

#[expect(dead_code, reason = "the reliability figures use more of it")]
#[path = "../reliability/client.rs"]
mod client;
#[path = "../compare/handler.rs"]
mod handler;
#[path = "../common/passages.rs"]
mod passages;
#[expect(dead_code, reason = "the reliability figures use more of it")]
#[path = "../reliability/sidecar.rs"]
mod sidecar;

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::task::block_in_place;
use tokio::time::sleep;

use cores::Cores;
use load::{Load, Pace};
use report::{Memory, Report};
use series::{Effort, series};
use sidecar::Sidecar;
use workload::{Known, Workload};

/// Passages of a body of 5 KB, 51 KB, 508 KB and 4 MB.
const SIZES: [usize; 4] = [10, 100, 1_000, 8_000];
const QUICK_SIZES: [usize; 2] = [100, 1_000];
/// Rest after the start and after the load, before memory is read.
const REST: Duration = Duration::from_secs(10);
const QUICK_REST: Duration = Duration::from_secs(2);
/// Share of the rate without rerankd from which on a rate is a lower bound.
const RIG_BOUND: f64 = 0.85;
/// Share of the capacity at which the memory of steady load is read.
const STEADY_LOAD: f64 = 0.5;

/// The throughput frontier of rerankd.
#[derive(Debug, Parser)]
struct Arguments {
    /// Two sizes and coarse figures, as a test.
    #[arg(long, alias = "test")]
    quick: bool,
    /// Before all other jobs of the machine, which then come to a stand. Needs root. Linux keeps a twentieth of a
    /// processor back from real-time jobs, so near the capacity there are pauses of up to 50 ms.
    #[arg(long)]
    real_time: bool,
    /// Cargo says this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    // Threads inherit the cores of the thread that starts them, so this comes before the runtime.
    let cores = Cores::divide(arguments.real_time);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let report = runtime.block_on(measure(&cores, arguments.quick));
    report.print(&cores);
}

async fn measure(cores: &Cores, is_quick: bool) -> Report {
    let upstream = start_upstream().await;
    let sizes: &[usize] = if is_quick { &QUICK_SIZES } else { &SIZES };
    let effort = if is_quick { Effort::QUICK } else { Effort::FULL };
    let rest = if is_quick { QUICK_REST } else { REST };
    let mut report = Report::default();
    for &passages in sizes {
        let direct = Load::new(upstream, Workload::new(passages, Known::Nothing));
        let bytes = direct.workload.body_bytes();
        let ceiling = block_in_place(|| series(&direct, effort));
        report.add_row(passages, bytes, "no rerankd", &ceiling);
        let sidecar = Sidecar::launch(cores.command(), &config(upstream)).await;
        sleep(rest).await;
        let mut memory = Memory { idle: sidecar.footprint().memory, ..Memory::default() };
        for known in Known::ALL {
            let workload = Workload::new(passages, known);
            let load = Load::new(sidecar.client.address(), workload);
            let row = block_in_place(|| series(&load, effort));
            if known == Known::Nothing {
                let pace = Pace::Rate(row.capacity * STEADY_LOAD);
                block_in_place(|| load.run(pace, effort.trial));
                memory.steady = sidecar.footprint().memory;
                sleep(rest).await;
                memory.recovered = sidecar.footprint().memory;
                memory.cache = sidecar.metric("rerank_cache_size_bytes", "").await;
            }
            // Known pairs do not reach the upstream: they may be faster than the rig without rerankd.
            let is_rig_bound = known != Known::All && row.capacity > RIG_BOUND * ceiling.capacity;
            let name = known.name();
            report.add_row(passages, bytes, if is_rig_bound { format!("{name}, r") } else { name.to_owned() }, &row);
        }
        report.add_memory(passages, memory);
        sidecar.end().await;
    }
    report
}

/// Starts the provider in this process: it gives every pair its hash as a score, at once. It ends with the process.
async fn start_upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, handler::router()).await.unwrap() });
    address
}

/// One upstream that may be asked by all clients of the load at once; all else is as by default.
fn config(upstream: SocketAddr) -> String {
    format!("{}max_concurrency = 256\n{}", sidecar::upstream("up", "cohere", upstream), sidecar::model(&["up"]))
}
