//! Law 12: logs, metrics and what is printed never fail a request, and never keep the process from ending.

use std::fs::File;
use std::io::Write;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Reply};

/// Bound far above any expected duration, which only a stall reaches.
const PATIENCE: Duration = Duration::from_secs(20);
/// Taken over into every log line, so that few requests fill a pipe.
const LONG_REQUEST_ID: &str = "request-request-request-request-request-request-request-request-request-request-request-\
                               request-request-request-request";

/// Destination of the server's log.
#[derive(Clone, Copy, Debug)]
enum Log {
    FullDisk,
    /// A file that may hold one block (`ulimit -f`): the system sends a signal, too.
    LimitedFile,
    ClosedPipe,
    UnreadPipe,
}

/// The server, in a process of its own. Ends when dropped.
struct Process {
    child: Child,
    url: String,
    client: reqwest::Client,
}

impl Process {
    async fn start(log: Log, filter: &str, config: &str) -> Self {
        let stderr = match log {
            Log::FullDisk => full_disk(),
            Log::LimitedFile => tempfile::tempfile().unwrap().into(),
            Log::ClosedPipe | Log::UnreadPipe => Stdio::piped(),
        };
        let limit = if matches!(log, Log::LimitedFile) { "ulimit -f 1; " } else { "" };
        let mut process = Self::start_limited(stderr, filter, config, limit).await;
        if matches!(log, Log::ClosedPipe) {
            drop(process.child.stderr.take());
        }
        process
    }

    async fn start_with(stderr: Stdio, filter: &str, config: &str) -> Self {
        Self::start_limited(stderr, filter, config, "").await
    }

    async fn start_limited(stderr: Stdio, filter: &str, config: &str, limit: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), config).unwrap();
        let script = format!("{limit}exec \"$0\" serve --listen 127.0.0.1:0 --config \"$1\"");
        let mut child = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_rerankd"), file.path().to_str().unwrap()])
            .env_clear()
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .env("RERANKD__TELEMETRY__LOG_FILTER", filter)
            .env("KEY", "test-key")
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut banner = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = banner.next_line().await.unwrap().unwrap();
        while !banner.next_line().await.unwrap().unwrap().contains("metrics http") {}
        let url = first.rsplit(' ').next().unwrap().to_owned();
        Self { child, url, client: client() }
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> u16 {
        let request = self.client.post(format!("{}{path}", self.url)).header("x-request-id", LONG_REQUEST_ID);
        request.body(body).send().await.unwrap().status().as_u16()
    }

    async fn lost_lines(&self) -> u64 {
        let exposition = self.client.get(format!("{}/metrics", self.url)).send().await.unwrap().text().await.unwrap();
        let line = exposition.lines().find_map(|line| line.strip_prefix("rerank_log_lines_dropped_total "));
        line.unwrap_or_else(|| panic!("not told: {exposition}")).parse().unwrap()
    }

    async fn signal(&self) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").arg(id).status().await.unwrap().success());
    }

    async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("ends in time").unwrap()
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rerankd"));
    command.args(arguments).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

/// Takes nothing: every write fails.
fn full_disk() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

#[tokio::test]
async fn law_12_a_log_that_cannot_be_written_stops_no_request_and_no_shutdown() {
    for log in [Log::FullDisk, Log::LimitedFile, Log::ClosedPipe, Log::UnreadPipe] {
        let mut server = Process::start(log, "info", "").await;
        for _ in 0..500 {
            assert_eq!(server.post("/rerank", "{").await, 400, "{log:?}");
        }
        let body = json!({"query": "apple", "documents": ["pear", "apple"]}).to_string();
        assert_eq!(server.post("/rerank", body).await, 200, "{log:?}");
        let must_be_lost = match log {
            Log::FullDisk | Log::ClosedPipe => 500,
            Log::LimitedFile => 400,
            Log::UnreadPipe => 0,
        };
        let started = Instant::now();
        while server.lost_lines().await < must_be_lost {
            assert!(started.elapsed() < PATIENCE, "{log:?}: what cannot be written is counted");
        }
        server.signal().await;
        assert!(server.ended().await.success(), "{log:?}: a signal is a clean end");
    }
}

#[tokio::test]
async fn law_12_full_log_buffer_drops_and_counts_lines() {
    let mut server = Process::start(Log::UnreadPipe, "trace", "").await;
    let started = Instant::now();
    while server.lost_lines().await == 0 {
        assert_eq!(server.post("/rerank", "{").await, 400);
        assert!(started.elapsed() < PATIENCE, "the buffer is bounded");
    }
    // Once there is a reader, lines are whole again and the log tells how many are missing.
    let mut log = BufReader::new(server.child.stderr.take().unwrap()).lines();
    let told = async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("log lines were dropped") {
                return line;
            }
        }
        panic!("the log ended");
    };
    let line = timeout(PATIENCE, told).await.expect("told in time");
    assert!(line.contains("WARN") && line.contains("lines="), "{line}");
    drop(log);
    server.signal().await;
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn law_12_the_last_lines_are_written_before_the_process_ends() {
    let mut server = Process::start_with(Stdio::piped(), "info", "").await;
    assert_eq!(server.post("/rerank", "{").await, 400);
    server.signal().await;
    let mut log = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut log).await.unwrap();
    assert!(log.contains("invalid_json") && log.lines().last().unwrap().ends_with("shut down"), "{log}");
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn law_12_second_signal_exits_at_once_with_an_unread_log() {
    let fake = FakeUpstream::scripted("cohere", [Reply::Hang]).await;
    let config = format!("{}{}", upstream("up", "cohere", &fake.url()), targets("default", &[("up", "rerank-v3.5")]));
    let mut server = Process::start(Log::UnreadPipe, "info", &config).await;
    for _ in 0..500 {
        assert_eq!(server.post("/rerank", "{").await, 400);
    }
    let request = server.client.post(format!("{}/rerank", server.url));
    let hanging = tokio::spawn(request.body(json!({"query": "q", "documents": ["a"]}).to_string()).send());
    fake.wait_for_arrivals(1).await;
    server.signal().await;
    // The first signal has been taken once readiness is gone or the port closed.
    let started = Instant::now();
    while let Ok(answer) = server.client.get(format!("{}/readyz", server.url)).send().await {
        if answer.status() != 200 {
            break;
        }
        assert!(started.elapsed() < PATIENCE);
    }
    server.signal().await;
    assert_eq!(server.ended().await.code(), Some(1));
    assert!(hanging.await.unwrap().is_err(), "cut off");
}

#[tokio::test]
async fn law_12_a_banner_that_cannot_be_written_stops_no_server() {
    let (closed_reader, closed) = std::io::pipe().unwrap();
    drop(closed_reader);
    let (unread_reader, mut unread) = std::io::pipe().unwrap();
    // As much as a pipe takes.
    unread.write_all(&vec![b' '; 65_536]).unwrap();
    for (name, stdout) in [("full disk", full_disk()), ("closed", closed.into()), ("unread", unread.into())] {
        // Nobody can be told the port, so it is chosen here.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let mut child = command(&["--listen", &address]).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        let started = Instant::now();
        let client = client();
        let ready = async || client.get(format!("http://{address}/readyz")).send().await.is_ok();
        while !ready().await {
            assert!(started.elapsed() < PATIENCE, "{name}: answers all the same");
            assert!(child.try_wait().unwrap().is_none(), "{name}: has ended");
            tokio::task::yield_now().await;
        }
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut log = String::new();
        // The port is open before the banner is written, so the signal must not come in between.
        while name == "full disk" && !log.contains("cannot be written") {
            let read = timeout(PATIENCE, stderr.read_line(&mut log)).await.expect("the defect is told").unwrap();
            assert!(read > 0, "{name}: {log}");
        }
        let id = child.id().unwrap().to_string();
        assert!(Command::new("kill").arg(id).status().await.unwrap().success());
        timeout(PATIENCE, stderr.read_to_string(&mut log)).await.expect("ends in time").unwrap();
        assert!(child.wait().await.unwrap().success(), "{name}");
        let is_told = log.contains("standard output cannot be written") && log.contains(&address);
        assert_eq!(is_told, name == "full disk", "{name}: {log}");
    }
    drop(unread_reader);
}

#[tokio::test]
async fn unwritable_output_exits_1_and_closed_pipe_exits_0() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/passages.txt");
    for arguments in
        [&["check"][..], &["models"], &["openapi"], &["--help"], &["--version"], &["rerank", "heat pumps", examples]]
    {
        let child = command(arguments).stdout(full_disk()).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(
            said.starts_with("rerankd: standard output cannot be written: ") && said.lines().count() == 1,
            "{arguments:?}: {said}"
        );
        let (reader, closed) = std::io::pipe().unwrap();
        drop(reader);
        let child = command(arguments).stdout(closed).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
    // What cannot be told does not change how the command ends.
    for (arguments, code) in [(&["rerank", "q", "no-such-file"][..], 1), (&["frobnicate"], 2)] {
        let mut unread = command(arguments);
        let status = unread.stdout(Stdio::null()).stderr(full_disk()).status().await.unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[cfg(feature = "eval")]
#[tokio::test]
async fn eval_with_unwritable_progress_finishes() {
    let folder = tempfile::tempdir().unwrap();
    let line = json!({"id": "1", "query": "apple", "passages": ["apple", "pear"], "relevant": [0]}).to_string();
    std::fs::write(folder.path().join("collection.jsonl"), line).unwrap();
    let mut eval = command(&["eval", "--data", "collection.jsonl", "--models", "local", "--out", "out"]);
    let status = eval.current_dir(folder.path()).stdout(Stdio::null()).stderr(full_disk()).status().await.unwrap();
    assert!(status.success() && folder.path().join("out/results.json").exists());
}

/// One line per refused request would let anybody fill the disk.
#[tokio::test]
async fn log_limits_lines_of_strangers_and_keeps_one_per_failure_of_callers() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = "[server]\napi_keys = ['env:KEY']\n";
    let mut server = Process::start_with(file.reopen().unwrap().into(), "info", config).await;
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(server.post("/rerank", "{").await, 401);
        assert_eq!(server.post("/nowhere", "{").await, 401);
        assert_eq!(server.post("/metrics", "{").await, 405);
        assert_eq!(server.client.get(format!("{}/docs/nope", server.url)).send().await.unwrap().status(), 404);
    }
    let seconds = started.elapsed().as_secs() + 1;
    for _ in 0..20 {
        let request = server.client.post(format!("{}/rerank", server.url)).bearer_auth("test-key").body("{");
        assert_eq!(request.send().await.unwrap().status(), 400);
    }
    server.signal().await;
    assert!(server.ended().await.success());
    let log = std::fs::read_to_string(file.path()).unwrap();
    let lines = |code: &str| log.lines().filter(|line| line.contains(&format!("code=\"{code}\""))).count() as u64;
    for code in ["unauthorized", "method_not_allowed", "not_found"] {
        assert!((1..=seconds + 1).contains(&lines(code)), "{code}: {} lines in {seconds} s", lines(code));
    }
    assert_eq!(lines("invalid_json"), 20);
}
