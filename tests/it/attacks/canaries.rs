//! Law 11 at log level trace, over HTTP/1.1 and HTTP/2 and in both log formats: keys and texts of clients stay out of
//! the log.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Reply};

const CALLER_KEY: &str = "canary-caller-key-51af";
const WRONG_KEY: &str = "canary-wrong-key-77bd";
const UPSTREAM_KEY: &str = "canary-upstream-key-7f3a9";
const TEXT: &str = "canary-text-kx55 that nobody but its owner may read";

/// Requests that succeed, fail here and fail at the upstream, and whose client leaves.
async fn ask_everything(client: &reqwest::Client, url: &str, fake: &FakeUpstream) {
    let body = |number: usize| {
        let document = json!({"id": TEXT, "text": format!("{TEXT} {number}"), "metadata": {TEXT: TEXT}});
        json!({
            "query": TEXT, "documents": [document], "instruction": TEXT, "return_documents": true, "rank_fields": ["text"],
            TEXT: TEXT, "explain": true,
        })
    };
    let seeds = fake.calls().len();
    for (number, (name, key)) in [
        ("authorization", format!("Bearer {CALLER_KEY}")),
        ("authorization", format!("bearer  {CALLER_KEY}")),
        ("x-api-key", CALLER_KEY.to_owned()),
        ("api-key", CALLER_KEY.to_owned()),
        ("authorization", format!("Bearer {WRONG_KEY}")),
        ("authorization", WRONG_KEY.to_owned()),
        ("x-api-key", WRONG_KEY.to_owned()),
        ("cookie", format!("key={WRONG_KEY}")),
    ]
    .into_iter()
    .enumerate()
    {
        for path in ["/rerank", "/voyage/v1/rerank", "/nowhere", "/rerank?key=canary-in-the-address"] {
            let request = client.post(format!("{url}{path}")).header(name, &key);
            let body = body(seeds + number).to_string();
            drop(request.body(body).send().await.unwrap().bytes().await);
        }
    }
    let good = || client.post(format!("{url}/rerank")).bearer_auth(CALLER_KEY);
    for broken in [format!("{{\"query\": \"{TEXT}"), format!("[\"{TEXT}\"]"), json!({"query": [TEXT]}).to_string()] {
        drop(good().body(broken).send().await.unwrap().bytes().await);
    }
    fake.then([Reply::Hang]);
    let arrived = fake.calls().len();
    let leaving = tokio::spawn(good().body(body(1_000 + seeds).to_string()).send());
    fake.wait_for_arrivals(arrived + 1).await;
    leaving.abort();
    fake.wait_for_departures(1).await;
}

#[tokio::test]
async fn law_11_requests_at_trace_level_log_no_key_and_no_text() {
    for format in ["text", "json"] {
        let fake = FakeUpstream::start("cohere").await;
        let config = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "[server]\napi_keys = ['env:CALLER']\n[telemetry]\nlog_filter = 'trace'\nlog_format = '{format}'\n{}{}",
            upstream("up", "cohere", &fake.url()),
            targets("default", &[("up", "rerank-v3.5")])
        );
        std::fs::write(config.path(), text).unwrap();
        let mut server = Command::new(env!("CARGO_BIN_EXE_rerankd"))
            .args(["serve", "--listen", "127.0.0.1:0", "--config", config.path().to_str().unwrap()])
            .env_clear()
            .env("KEY", UPSTREAM_KEY)
            .env("CALLER", CALLER_KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut banner = BufReader::new(server.stdout.take().unwrap());
        let mut line = String::new();
        banner.read_line(&mut line).await.unwrap();
        let url = match format {
            "json" => serde_json::from_str::<Value>(&line).unwrap()["url"].as_str().unwrap().to_owned(),
            _ => line.trim().rsplit(' ').next().unwrap().to_owned(),
        };
        let mut stderr = server.stderr.take().unwrap();
        let log = tokio::spawn(async move {
            let mut log = String::new();
            stderr.read_to_string(&mut log).await.unwrap();
            log
        });
        let client = crate::support::gateway::client();
        ask_everything(&client, &url, &fake).await;
        let http2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
        ask_everything(&http2, &url, &fake).await;
        let id = server.id().unwrap().to_string();
        assert!(Command::new("kill").arg(id).status().await.unwrap().success());
        assert!(server.wait().await.unwrap().success());
        let log = log.await.unwrap();
        assert!(log.contains("TRACE") && log.contains("invalid_json") && log.contains("unauthorized"), "{log}");
        let told: Vec<_> = log.lines().filter(|line| line.contains("canary")).collect();
        assert!(told.is_empty(), "{format}: {told:#?}");
    }
}
