//! `rerankd eval` as typed, before scripted upstreams: its calls, its kept answers, its output.

mod bill;
mod comparison;
mod failures;
mod inputs;
mod interruptions;
mod verdicts;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::contract::repository;
use crate::support::FakeUpstream;
use crate::support::gateway::upstream;

/// A folder with a collection, a configuration, and room for run folders.
struct Desk {
    folder: TempDir,
}

/// Passages of each query.
const PASSAGES: usize = 5;

impl Desk {
    /// So many queries with five passages each, and one upstream `up` of the provider at each address.
    fn new(queries: usize, upstreams: &[(&str, &str, &FakeUpstream)], more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let line = |number: usize| {
            let passages: Vec<_> = (0..PASSAGES).map(|place| format!("passage {place} of {number}")).collect();
            json!({"id": format!("q{number}"), "query": query(number), "passages": passages, "relevant": [number % PASSAGES]})
        };
        let lines: Vec<String> = (0..queries).map(|number| line(number).to_string()).collect();
        fs::write(folder.path().join("collection.jsonl"), lines.join("\n")).unwrap();
        let tables = upstreams.iter().map(|(name, provider, fake)| upstream(name, provider, &fake.url()));
        let tables: Vec<String> = tables.chain([more.to_owned()]).collect();
        fs::write(folder.path().join("rerankd.toml"), tables.join("\n")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `rerankd eval` over the collection, into the run folder `out`.
    fn eval(&self, models: &str, out: &str, more: &[&str]) -> Command {
        let mut command = rerankd();
        let (data, config) = (self.path("collection.jsonl"), self.path("rerankd.toml"));
        command.arg("--data").arg(data).arg("--config").arg(config).arg("--out").arg(self.path(out));
        command.args(["--models", models]).args(more).env("KEY", "test-key");
        command
    }

    fn results(&self, out: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path(out).join("results.json")).unwrap()).unwrap()
    }
}

fn query(number: usize) -> String {
    format!("query number {number}")
}

/// `rerankd eval` in an environment that holds nothing.
fn rerankd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rerankd"));
    command.arg("eval").env_clear().current_dir(repository("")).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(command: &mut Command) -> Output {
    let output = tokio::time::timeout(std::time::Duration::from_mins(1), command.output()).await;
    output.expect("rerankd eval ended in time").unwrap()
}

/// Runs to a good end and returns what was printed.
async fn succeed(command: &mut Command) -> String {
    let output = run(command).await;
    assert!(output.status.success(), "{}", err(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Every pair that an upstream was sent, sorted; one that was sent twice is there twice.
fn pairs_sent(fake: &FakeUpstream) -> Vec<(String, String)> {
    let calls = fake.calls();
    let of_call = |call: &crate::support::upstream::Recorded| {
        let query = call.body["query"].as_str().unwrap().to_owned();
        call.passages().into_iter().map(|passage| (query.clone(), passage)).collect::<Vec<_>>()
    };
    let mut pairs: Vec<_> = calls.iter().flat_map(of_call).collect();
    pairs.sort();
    pairs
}

/// Every pair of the collection.
fn all_pairs(queries: usize) -> Vec<(String, String)> {
    let of_query = |number| (0..PASSAGES).map(move |place| (query(number), format!("passage {place} of {number}")));
    let mut pairs: Vec<_> = (0..queries).flat_map(of_query).collect();
    pairs.sort();
    pairs
}

fn contestant<'a>(results: &'a Value, name: &str) -> &'a Value {
    let contestants = results["contestants"].as_array().unwrap();
    contestants.iter().find(|contestant| contestant["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

/// Tells a process to end, as Ctrl-C does.
fn interrupt(child: &Child) {
    let id = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
}

/// The one file of a folder.
fn only_file(folder: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    file.clone()
}
