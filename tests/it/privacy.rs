//! Law 11: query, passages and keys never appear in logs, metrics or error messages, at any level.

use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use crate::support::gateway::{NO_BREAKER, client, targets, upstream};
use crate::support::{FakeUpstream, Gateway, Reply};

const QUERY: &str = "canary-query-zq81 about something private";
const PASSAGE: &str = "canary-passage-kx55 which nobody but its owner may read, not even in a log";
const INSTRUCTION: &str = "canary-instruction-pw27 that tells more about its owner than the query does";
const KEY: &str = "canary-key-7f3a9";

#[tokio::test]
async fn law_11_trace_logs_metrics_and_errors_hold_no_private_text() {
    let quoting = json!({"message": format!("cannot score '{PASSAGE}' for '{QUERY}' with {KEY}")}).to_string();
    // Each secret by itself, so that none is withheld only because another is.
    let alone =
        [QUERY, PASSAGE, INSTRUCTION, KEY].map(|secret| json!({"message": format!("bad: {secret}")}).to_string());
    let refusals = alone.clone().map(|body| Reply::Status(422, Vec::new(), body));
    let nonsense = alone.map(Reply::body);
    let replies = [
        Reply::Score,
        Reply::Status(400, Vec::new(), quoting.clone()),
        Reply::Status(401, Vec::new(), quoting.clone()),
        Reply::body(quoting),
        Reply::body(format!("not json {PASSAGE}")),
        Reply::Close,
    ];
    let replies: Vec<_> = replies.into_iter().chain(refusals).chain(nonsense).collect();
    let count = replies.len();
    let fake = FakeUpstream::scripted("cohere", replies).await;
    let config = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "[telemetry]\nlog_filter = 'trace'\n{NO_BREAKER}{}max_attempts = 1\n{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    std::fs::write(config.path(), text).unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_rerankd"))
        .args(["serve", "--listen", "127.0.0.1:0", "--config", config.path().to_str().unwrap()])
        .env_clear()
        .env("KEY", KEY)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut banner = BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    banner.read_line(&mut line).await.unwrap();
    let url = line.trim().rsplit(' ').next().unwrap().to_owned();
    // Read all the time, so that the server never waits for us.
    let mut stderr = server.stderr.take().unwrap();
    let logs = tokio::spawn(async move {
        let mut logs = String::new();
        stderr.read_to_string(&mut logs).await.unwrap();
        logs
    });

    let client = client();
    let post = async |body: String| {
        client.post(format!("{url}/rerank")).body(body).send().await.unwrap().text().await.unwrap()
    };
    let mut answers = vec![post(json!({"query": QUERY, "documents": ["harmless"]}).to_string()).await];
    for index in 1..count {
        // Each asks for one passage that is not known yet.
        let passage = format!("{PASSAGE} {index}");
        answers
            .push(post(json!({"query": QUERY, "documents": [passage], "instruction": INSTRUCTION}).to_string()).await);
    }
    for broken in [
        format!("{{\"query\": \"{QUERY}\", \"documents\": \"{PASSAGE}\"}}"),
        format!("{{\"query\": \"{QUERY}\", \"documents\": [[\"{PASSAGE}\"]]}}"),
        format!("{{\"query\": \"{QUERY}\", \"documents\": [], \"top_n\": \"{PASSAGE}\"}}"),
        format!("{{\"query\": \"{QUERY}\", \"documents\": [], \"model\": \"{PASSAGE}\"}}"),
        format!("\"{PASSAGE}\""),
        format!("{{\"{PASSAGE}\": 1, \"{PASSAGE}\": \"{QUERY}\\q\"}}"),
    ] {
        answers.push(post(broken).await);
    }
    answers.push(client.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap());
    answers.push(client.get(format!("{url}/v1/models")).send().await.unwrap().text().await.unwrap());
    server.start_kill().unwrap();
    let logs = logs.await.unwrap();
    assert!(logs.contains("upstream_rejected"), "the failures were logged: {logs}");
    for text in answers.iter().chain([&logs]) {
        for canary in ["canary-query", "canary-passage", "canary-instruction", "canary-key"] {
            assert!(!text.contains(canary), "{canary} in {text}");
        }
    }
}

#[tokio::test]
async fn provider_message_is_shown_unless_it_quotes_the_request() {
    let message = |message: &str| Reply::Status(400, Vec::new(), json!({ "message": message }).to_string());
    let fake =
        FakeUpstream::scripted("cohere", [message("document 0 has 9000 tokens"), message(&format!("bad: {PASSAGE}"))])
            .await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    let body = json!({"query": QUERY, "documents": [PASSAGE]});
    let plain = gateway.try_rerank(body.clone()).await;
    assert_eq!(plain.body["detail"], "up answered with status 400: document 0 has 9000 tokens");
    let quoting = gateway.try_rerank(body).await;
    assert_eq!(quoting.body["detail"], "up answered with status 400");
}
