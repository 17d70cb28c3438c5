//! The help of the commands: it fits the terminal, and its examples run as they stand.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::contract::repository;
use crate::support::Gateway;

/// The commands with examples. A build without `eval` has none for it.
const COMMANDS: [&str; 8] = ["", "serve", "rerank", "check", "eval", "models", "openapi", "health"];
/// The address that the examples give.
const ADDRESS: &str = "127.0.0.1:8787";

fn help(command: &str) -> String {
    let arguments: Vec<&str> = [command, "--help"].into_iter().filter(|argument| !argument.is_empty()).collect();
    let output = Command::new(env!("CARGO_BIN_EXE_rerankd")).args(arguments).env_clear().output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn examples(command: &str) -> Vec<String> {
    let help = help(command);
    let (_, lines) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{help}"));
    lines.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// A shell that runs `line` in `directory`, where `rerankd` is this binary.
fn shell(line: &str, directory: &Path) -> Command {
    let binaries = Path::new(env!("CARGO_BIN_EXE_rerankd")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-c", line]).env_clear().env("PATH", path).current_dir(directory).stdin(Stdio::null());
    command
}

/// An installation has no files of the repository.
#[test]
fn the_first_examples_need_no_file_and_find_what_they_ask_for() {
    let directory = tempfile::tempdir().unwrap();
    for command in ["", "rerank"] {
        let lines: Vec<_> = examples(command).into_iter().filter(|line| line.contains("rerankd rerank")).collect();
        assert!(!lines.is_empty(), "{command}");
        for line in lines {
            let output = shell(&line, directory.path()).output().unwrap();
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            let seoul = told.find("Seoul").unwrap_or_else(|| panic!("{line}: {told}"));
            assert!(told.find("Busan").is_none_or(|busan| seoul < busan), "{line}: {told}");
        }
    }
}

/// A directory in which the examples find their files and may write.
fn workplace() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in ["config", "examples"] {
        std::os::unix::fs::symlink(repository(name), directory.path().join(name)).unwrap();
    }
    directory
}

#[tokio::test]
async fn every_example_of_the_help_runs() {
    let gateway = Gateway::start("").await;
    let address = gateway.address.to_string();
    let directory = workplace();
    for command in COMMANDS {
        if command == "eval" && !cfg!(feature = "eval") {
            continue;
        }
        let lines = examples(command);
        assert_eq!(lines.len(), 2, "{command}");
        for line in lines {
            if line == "rerankd" || line.contains("rerankd serve") {
                // In place of the shell, so that the server is what is ended.
                let run = line.replace(":8787", ":0").replacen("rerankd", "exec rerankd", 1);
                let mut shell = shell(&run, directory.path());
                shell.env("RERANKD__SERVER__LISTEN", "127.0.0.1:0");
                let mut server = shell.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
                let mut banner = String::new();
                BufReader::new(server.stdout.take().unwrap()).read_line(&mut banner).unwrap();
                server.kill().unwrap();
                server.wait().unwrap();
                assert!(banner.contains("listens on http://"), "{line}: {banner}");
                continue;
            }
            let mut shell = shell(&line.replace(ADDRESS, &address), directory.path());
            shell.env("RERANKD__SERVER__LISTEN", &address);
            let output: Output = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().unwrap();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    assert!(directory.path().join("openapi.json").exists());
}

#[test]
fn no_line_of_the_help_is_wider_than_a_terminal_but_its_examples() {
    for command in COMMANDS {
        let help = help(command);
        let text = help.split("Examples:").next().unwrap();
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 100, "{command}: {widest}\n{help}");
    }
}

#[test]
fn tables_fit_80_columns_and_models_are_told_as_json_too() {
    let targets = "[{ upstream = \"cohere\", model = \"rerank-v4.0-fast\" }, { upstream = \"voyage\" }, { upstream = \"local\" }]";
    let run = |line: &str| {
        let mut shell = shell(line, &repository(""));
        for (name, value) in [
            ("COHERE_API_KEY", "k"),
            ("VOYAGE_API_KEY", "k"),
            ("RERANKD__MODELS__DEFAULT__TARGETS", targets),
            ("RERANKD__MODELS__DEFAULT__ALIASES", "[\"rerank-v3.5\", \"a-long-name-of-a-model\"]"),
        ] {
            shell.env(name, value);
        }
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let long = "word ".repeat(100);
    for line in [
        "rerankd models",
        "rerankd rerank --model local/lexical capital examples/passages.txt",
        &format!("echo {long} | rerankd rerank --model local/lexical capital"),
    ] {
        let text = run(line);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 80, "{line}: {widest}\n{text}");
    }
    let one = run("echo a | rerankd rerank --model local/lexical a");
    assert!(one.contains("\n1 passage by local/lexical,"), "{one}");
    let models: Value = serde_json::from_str(&run("rerankd models --json")).unwrap();
    assert_eq!(models["data"][0]["id"], "default");
    assert_eq!(models["data"][0]["targets"][0], "cohere/rerank-v4.0-fast");
}
