//! The binary itself, as a process of its own: the one of this build, or that of `RERANKD_BIN`.

use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::client::Client;

/// Longest that starting and ending may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// A running rerankd. Killed when dropped.
pub(crate) struct Sidecar {
    process: Child,
    pub(crate) client: Arc<Client>,
    _folder: TempDir,
}

/// What the process takes of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    /// Resident memory in bytes.
    pub(crate) memory: u64,
    /// The most resident memory so far, in bytes.
    pub(crate) peak: u64,
    /// Open file descriptors.
    pub(crate) descriptors: usize,
}

impl Sidecar {
    /// Starts with this configuration, on a free port.
    pub(crate) async fn start(config: &str) -> Self {
        Self::launch(Command::new(binary()), config).await
    }

    /// Starts like [`Self::start`], with so many worker threads instead of one for each processor.
    pub(crate) async fn start_with_threads(config: &str, threads: u8) -> Self {
        let mut command = Command::new("/usr/bin/env");
        command.arg(format!("TOKIO_WORKER_THREADS={threads}")).arg(binary());
        Self::launch(command, config).await
    }

    /// Starts by this command, which is or runs a rerankd, with this configuration.
    pub(crate) async fn launch(mut command: Command, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rerankd.toml");
        std::fs::write(&file, config).unwrap();
        let mut process = command
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&file)
            .env_clear() // no keys and proxies of whoever measures
            .env("KEY", "key")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut banner = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = timeout(PATIENCE, banner.next_line()).await.unwrap().unwrap();
        let first = first.expect("rerankd says where it listens");
        let address: SocketAddr = first.rsplit_once("http://").unwrap().1.parse().unwrap();
        // Read to its end, so that the pipe is never broken.
        tokio::spawn(async move { while let Ok(Some(_)) = banner.next_line().await {} });
        Self { process, client: Arc::new(Client::new(address)), _folder: folder }
    }

    /// `SIGTERM`.
    pub(crate) async fn terminate(&self) {
        let process = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &process]).status().await.unwrap().success());
    }

    /// Waits for the end.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        timeout(PATIENCE, self.process.wait()).await.expect("rerankd ends in time").unwrap()
    }

    /// Ends it in good order.
    pub(crate) async fn end(self) {
        self.terminate().await;
        assert!(self.ended().await.success());
    }

    /// HTTP attempts at an upstream so far, by rerankd's own count.
    pub(crate) async fn attempts(&self, upstream: &str) -> f64 {
        self.metric("rerank_upstream_attempts_total{", &format!("upstream=\"{upstream}\"")).await
    }

    /// Sum of the metrics whose lines begin with `name` and hold `label`.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> f64 {
        let (_, exposition) = self.client.get("/metrics").await.unwrap();
        let mut sum = 0.0;
        for line in std::str::from_utf8(&exposition).unwrap().lines() {
            if line.starts_with(name) && line.contains(label) {
                sum += line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
            }
        }
        sum
    }

    /// As Linux tells it.
    pub(crate) fn footprint(&self) -> Footprint {
        let folder = PathBuf::from(format!("/proc/{}", self.process.id().unwrap()));
        let status = std::fs::read_to_string(folder.join("status")).unwrap();
        Footprint {
            memory: bytes_in(&status, "VmRSS:"),
            peak: bytes_in(&status, "VmHWM:"),
            descriptors: std::fs::read_dir(folder.join("fd")).unwrap().count(),
        }
    }
}

/// The path of the binary.
fn binary() -> OsString {
    env::var_os("RERANKD_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_rerankd").into())
}

/// The number of bytes that a line of `/proc/PID/status` gives.
fn bytes_in(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// `[upstreams.NAME]`, without retries' and breakers' settings: those are the defaults.
pub(crate) fn upstream(name: &str, provider: &str, address: SocketAddr) -> String {
    format!("[upstreams.{name}]\nprovider = '{provider}'\nbase_url = 'http://{address}'\napi_key = 'env:KEY'\n")
}

/// `[models.default]` with its targets in turn.
pub(crate) fn model(upstreams: &[&str]) -> String {
    let target = |upstream: &&str| format!("{{ upstream = '{upstream}' }}");
    format!("[models.default]\ntargets = [{}]\n", upstreams.iter().map(target).collect::<Vec<_>>().join(", "))
}
