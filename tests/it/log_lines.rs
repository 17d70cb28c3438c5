//! The lines of the log: one JSON object each, with the same members, from the first to the last; and one line a
//! request where that is wanted.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::support::gateway::{client, targets, upstream};
use crate::support::{FakeUpstream, Reply};

/// Bound far above any expected duration, which only a stall reaches.
const PATIENCE: Duration = Duration::from_secs(20);
const LOCAL: &str = "[models.default]\ntargets = [{ upstream = 'local' }]\n";

/// The server in a process of its own, with its log in JSON.
struct Process {
    child: Child,
    /// Removed when the server has ended.
    _config: NamedTempFile,
    stdout: BufReader<ChildStdout>,
    /// The line on standard output.
    greeting: Value,
}

impl Process {
    async fn start(config: &str) -> Self {
        let (mut child, config) = command(&format!("[telemetry]\nlog_format = 'json'\n{config}"));
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).await.unwrap();
        let greeting = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        Self { child, _config: config, stdout, greeting }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.greeting["url"].as_str().unwrap())
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> u16 {
        client().post(self.url(path)).header("x-request-id", "id-1").body(body).send().await.unwrap().status().as_u16()
    }

    async fn rerank(&self, model: &str, passage: &str) -> u16 {
        self.post("/rerank", json!({"model": model, "query": "q", "documents": [passage]}).to_string()).await
    }

    /// Ends the server and returns the lines of its log.
    async fn ended(mut self) -> Vec<Value> {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").arg(id).status().await.unwrap().success());
        let lines = log_of(&mut self.child).await;
        assert!(self.child.wait().await.unwrap().success());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "", "nothing but the greeting is printed");
        lines
    }
}

/// The server with this configuration, which `KEY` and `OTHER` in the environment are keys for, and the file.
fn command(config: &str) -> (Child, NamedTempFile) {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_rerankd"))
        .args(["serve", "--listen", "127.0.0.1:0", "--config", file.path().to_str().unwrap()])
        .env_clear()
        .env("KEY", "test-key")
        .env("OTHER", "other-key")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    (child, file)
}

/// The lines of standard error to its end, each of which must be an object with the members that all lines have.
async fn log_of(child: &mut Child) -> Vec<Value> {
    let mut log = String::new();
    let mut stderr = child.stderr.take().unwrap();
    timeout(PATIENCE, stderr.read_to_string(&mut log)).await.expect("ends in time").unwrap();
    let mut lines = Vec::new();
    for text in log.lines() {
        let line: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        for member in ["timestamp", "level", "target", "message"] {
            assert!(line[member].is_string(), "{member}: {text}");
        }
        assert!(!text.contains("test-key") && !text.contains("other-key"), "{text}");
        lines.push(line);
    }
    lines
}

fn events<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

#[tokio::test]
async fn each_line_of_a_run_in_json_is_an_object() {
    let fake = FakeUpstream::start("cohere").await;
    fake.answer_always(Some(Reply::status(503)));
    let breaker = "[upstream_defaults.breaker]\nconsecutive_failures = 2\nejection = '20ms'\n";
    let up = upstream("up", "cohere", &fake.url());
    let limits = "max_attempts = 1\nmax_concurrency = 2\n";
    let config = format!("access_log = 'on'\n{breaker}{up}{limits}{LOCAL}{}", targets("far", &[("up", "m")]));
    let server = Process::start(&config).await;
    assert_eq!((&server.greeting["event"], &server.greeting["level"]), (&json!("listening"), &json!("INFO")));
    assert_eq!(server.greeting["models"][0], json!({"name": "default", "targets": ["local/lexical"], "aliases": []}));
    assert_eq!(server.rerank("default", "a").await, 200);
    assert_eq!(server.post("/v1/rerankk?query=secret", "{}").await, 404);
    assert_eq!(server.post("/rerank", "{").await, 400);
    assert_eq!(client().get(server.url("/readyz")).send().await.unwrap().status(), 200);
    for passage in ["a", "b"] {
        assert_eq!(server.rerank("far", passage).await, 502);
    }
    fake.answer_always(Some(Reply::Score));
    let started = Instant::now();
    while server.rerank("far", "c").await != 200 {
        assert!(started.elapsed() < PATIENCE, "the circuit closes");
    }
    let lines = server.ended().await;
    let access: Vec<_> = lines.iter().filter(|line| line["target"] == "rerankd::access").collect();
    let good = access[0];
    assert_eq!(
        (&good["status"], &good["path"], &good["request.id"], &good["method"]),
        (&json!(200), &json!("/rerank"), &json!("id-1"), &json!("POST"))
    );
    assert_eq!(
        (&good["degraded"], &good["pairs"], &good["cached"], &good["upstream"], &good["upstream_model"]),
        (&json!([]), &json!(1), &json!(0), &json!("local"), &json!("lexical"))
    );
    assert!(good["duration_ms"].is_number() && good["cost_usd"].is_number(), "{good}");
    assert!(good["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{good}");
    let message = good["message"].as_str().unwrap();
    let shown = message.starts_with("POST /rerank 200 ") && message.ends_with(" ms local/lexical 0 of 1 cached $0");
    assert!(shown, "{message}");
    assert_eq!((&access[1]["path"], &access[1]["code"]), (&json!("/v1/rerankk"), &json!("not_found")));
    assert_eq!((&access[2]["status"], &access[2]["code"]), (&json!(400), &json!("invalid_json")));
    assert!(access.iter().all(|line| line["path"] != "/readyz"), "probes are told at debug alone");
    let opened = events(&lines, "circuit_opened")[0];
    assert_eq!(
        (&opened["upstream"], &opened["circuit"], &opened["level"]),
        (&json!("up"), &json!("own"), &json!("WARN"))
    );
    let reason = opened["message"].as_str().unwrap();
    assert!(reason.contains("opened") && reason.ends_with("up answered with status 503"), "{reason}");
    assert!(reason.contains("whatever the model"), "the circuit is the upstream's: {reason}");
    for event in ["circuit_half_open", "circuit_closed", "limit_shrunk", "limit_recovered"] {
        assert_eq!(events(&lines, event)[0]["upstream"], "up", "{event}");
    }
    let [shrunk, recovered] =
        ["limit_shrunk", "limit_recovered"].map(|event| events(&lines, event)[0]["limit"].clone());
    assert_eq!((shrunk, recovered), (json!(1), json!(2)));
    assert_eq!(lines.last().unwrap()["message"], "shut down");
}

#[tokio::test]
async fn full_cache_is_told_once() {
    let server = Process::start(&format!("[cache]\nmax_bytes = '1MiB'\n{LOCAL}")).await;
    let documents: Vec<_> = (0..1000).map(|number| number.to_string()).collect();
    for query in 0..100 {
        let body = json!({"query": query.to_string(), "documents": documents, "top_n": 1});
        assert_eq!(server.post("/rerank", body.to_string()).await, 200);
    }
    let lines = server.ended().await;
    let full = events(&lines, "cache_full");
    assert_eq!(full.len(), 1, "{lines:?}");
    assert_eq!(full[0]["max_bytes"], 1 << 20);
}

#[tokio::test]
async fn the_reason_why_a_server_does_not_start_is_an_object_too() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[telemetry]\nlog_format = 'json'\n").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_rerankd"))
        .args(["serve", "--listen", &taken.local_addr().unwrap().to_string()])
        .args(["--config", file.path().to_str().unwrap()])
        .env_clear()
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = log_of(&mut child).await;
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0]["message"].as_str().unwrap().contains("cannot listen on"), "{lines:?}");
    assert_eq!(lines[0]["level"], "ERROR");
}

/// Nobody reads along: metrics count requests, and failures are told.
#[tokio::test]
async fn without_a_terminal_only_failures_have_lines() {
    let server = Process::start(LOCAL).await;
    assert_eq!(server.rerank("default", "a").await, 200);
    assert_eq!(server.post("/rerank", "{").await, 400);
    assert_eq!(server.post("/nowhere", "{").await, 404);
    let lines = server.ended().await;
    let codes: Vec<_> = lines.iter().filter_map(|line| line["code"].as_str()).collect();
    assert_eq!(codes, ["invalid_json", "not_found"]);
    assert!(lines.iter().all(|line| line["target"] != "rerankd::access"), "{lines:?}");
    let failed = lines.iter().find(|line| line["code"] == "not_found").unwrap();
    assert_eq!(
        (&failed["path"], &failed["status"], &failed["method"]),
        (&json!("/nowhere"), &json!(404), &json!("POST"))
    );
}

/// During an outage every request warns of the same thing.
#[tokio::test]
async fn repeated_warnings_are_counted_and_told_at_the_end() {
    let fake = FakeUpstream::start("cohere").await;
    fake.answer_always(Some(Reply::status(500)));
    let breaker = "[upstream_defaults.breaker]\nconsecutive_failures = 0\n";
    let up = upstream("up", "cohere", &fake.url());
    let server =
        Process::start(&format!("{breaker}{up}max_attempts = 1\n{}", targets("default", &[("up", "m")]))).await;
    let started = Instant::now();
    for number in 0..20 {
        assert_eq!(server.rerank("default", &number.to_string()).await, 502);
    }
    let seconds = started.elapsed().as_secs();
    let lines = server.ended().await;
    let warnings: Vec<_> = lines.iter().filter(|line| line["code"] == "upstream_unavailable").collect();
    let repeated: u64 = warnings.iter().filter_map(|line| line["repeated"].as_u64()).sum();
    let single = warnings.iter().filter(|line| line["repeated"].is_null()).count() as u64;
    assert_eq!(single + repeated, 20, "{warnings:#?}");
    assert!(single <= seconds / 10 + 1, "{warnings:#?}");
    let last = warnings.last().unwrap()["message"].as_str().unwrap();
    assert!(last.starts_with("×19 in ") || seconds >= 10, "{last}");
}

#[tokio::test]
async fn a_key_that_is_refused_and_a_model_that_is_missing_are_told() {
    let missing = Reply::Status(404, Vec::new(), json!({"message": "model 'rerank-v3.5' not found"}).to_string());
    let fake = FakeUpstream::scripted("cohere", [Reply::status(401), Reply::Score, missing]).await;
    let up =
        upstream("up", "cohere", &fake.url()).replace("api_key = 'env:KEY'", "api_keys = ['env:KEY', 'env:OTHER']");
    let server = Process::start(&format!("{up}{}", targets("default", &[("up", "rerank-v3.5")]))).await;
    assert_eq!(server.rerank("default", "a").await, 200);
    assert_ne!(server.rerank("default", "b").await, 200);
    let lines = server.ended().await;
    let retired = events(&lines, "key_retired");
    assert_eq!(retired.len(), 1, "{lines:#?}");
    assert_eq!((&retired[0]["key"], &retired[0]["keys"], &retired[0]["status"]), (&json!(1), &json!(2), &json!(401)));
    let missing = events(&lines, "model_missing");
    assert_eq!((&missing[0]["upstream"], &missing[0]["model"]), (&json!("up"), &json!("rerank-v3.5")));
}

/// A fallback answers, so that nobody else would notice: one line at the start, and one a day once the provider
/// refuses.
#[tokio::test]
async fn end_of_a_model_is_told_at_the_start_and_once_a_day() {
    let fake = FakeUpstream::start("cohere").await;
    fake.answer_always(Some(Reply::status(410)));
    let models = targets("default", &[("up", "rerank-english-v2.0"), ("local", "lexical")]);
    let server = Process::start(&format!("{}{models}", upstream("up", "cohere", &fake.url()))).await;
    for number in 0..5 {
        assert_eq!(server.rerank("default", &number.to_string()).await, 200);
    }
    let lines = server.ended().await;
    let announced = events(&lines, "model_lifecycle");
    let message = "up/rerank-english-v2.0 was retired on 2025-04-30, calls to it may fail; use rerank-v3.5";
    assert_eq!((&announced[0]["message"], &announced[0]["level"]), (&json!(message), &json!("WARN")));
    let refused = events(&lines, "model_retired");
    // Midnight may pass meanwhile.
    assert!((1..=2).contains(&refused.len()), "{lines:#?}");
    assert_eq!((&refused[0]["upstream"], &refused[0]["model"]), (&json!("up"), &json!("rerank-english-v2.0")));
    let message = "up says that rerank-english-v2.0 is retired; use rerank-v3.5 in the targets of your models";
    assert_eq!(refused[0]["message"], message);
}

#[tokio::test]
async fn a_key_that_was_read_again_is_told() {
    let fake = FakeUpstream::start("cohere").await;
    fake.refuse_if(|call| call.headers["authorization"] != "Bearer other-key", Reply::status(403));
    let key = NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "test-key").unwrap();
    let reference = format!("file:{}", key.path().display());
    let up = upstream("up", "cohere", &fake.url()).replace("env:KEY", &reference);
    let server = Process::start(&format!("{up}{}", targets("default", &[("up", "m")]))).await;
    std::fs::write(key.path(), "other-key").unwrap();
    assert_eq!(server.rerank("default", "a").await, 200);
    let lines = server.ended().await;
    let reloaded = events(&lines, "key_reloaded");
    assert_eq!(reloaded.len(), 1, "{lines:#?}");
    assert_eq!((&reloaded[0]["level"], &reloaded[0]["upstream"]), (&json!("INFO"), &json!("up")));
    assert_eq!((&reloaded[0]["key"], &reloaded[0]["keys"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_path_is_logged_on_one_line_and_a_request_that_was_abandoned_is_told() {
    let fake = FakeUpstream::scripted("cohere", [Reply::Hang]).await;
    let up = upstream("up", "cohere", &fake.url());
    let server = Process::start(&format!("access_log = 'on'\n{up}{}", targets("default", &[("up", "m")]))).await;
    assert_eq!(server.post(&format!("/{}", "p".repeat(4_000)), "{}").await, 404);
    let body = json!({"query": "q", "documents": ["a"]}).to_string();
    let leaving = tokio::spawn(client().post(server.url("/rerank")).body(body).send());
    fake.wait_for_arrivals(1).await;
    leaving.abort();
    fake.wait_for_departures(1).await;
    let lines = server.ended().await;
    let path = lines[0]["path"].as_str().unwrap();
    assert!(path.len() < 250 && path.ends_with('…'), "{path}");
    let abandoned = lines.iter().find(|line| line["message"].as_str().unwrap().contains(" abandoned after "));
    assert!(abandoned.is_some_and(|line| line["status"].is_null() && line["path"] == "/rerank"), "{lines:#?}");
}

/// With no configuration at all another model answers than the one that the client names, which the operator must see.
#[tokio::test]
async fn a_model_that_the_default_one_answered_for_is_told_once() {
    let server = Process::start("").await;
    for model in ["rerank-v3.5", "a\u{1b}b", "rerank-v3.5", "rerank-v3.5"] {
        assert_eq!(server.rerank(model, "a").await, 200);
    }
    let lines = server.ended().await;
    let told: Vec<_> = lines.iter().filter(|line| line["target"] == "rerankd::substitution").collect();
    assert_eq!(told.len(), 2, "{lines:?}");
    assert_eq!((&told[0]["level"], &told[0]["model"]), (&json!("INFO"), &json!("rerank-v3.5")));
    let message = told[0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("default answers in place of the model rerank-v3.5, which is unknown here; "),
        "{message}"
    );
    assert_eq!(told[1]["model"], "a␛b");
    let repeated = lines.iter().find(|line| line["target"] == "rerankd::repeated").unwrap();
    assert!((&repeated["level"], &repeated["repeated"]) == (&json!("INFO"), &json!(2)), "{repeated}");
}
