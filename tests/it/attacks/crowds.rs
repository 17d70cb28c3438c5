//! Large numbers of connections, documents and invented names.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, expected, provenance, scores};

const CROWD: usize = 1_000;
/// Set in the process that makes the connections.
const CROWD_VARIABLE: &str = "RERANKD_TEST_CROWD";

/// Limit of open files of this process.
fn max_open_files() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}

/// Runs in a child process of the test below, which raises the limit of open files: each connection takes two.
#[tokio::test]
async fn child_process_answers_requests_behind_idle_connections() {
    if std::env::var_os(CROWD_VARIABLE).is_none() {
        return;
    }
    let gateway = Gateway::start("").await;
    let crowd = CROWD.min(max_open_files().saturating_sub(200) / 2);
    let mut connections = Vec::new();
    for number in 0..crowd {
        let mut connection = TcpStream::connect(gateway.address).await.unwrap();
        // Some say nothing, some half a request, some a whole one whose answer they do not read.
        let said =
            ["", "POST /rerank HTTP/1.1\r\nhost: 127.0.0.1\r\n", "GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"];
        connection.write_all(said[number % said.len()].as_bytes()).await.unwrap();
        connections.push(connection);
    }
    let started = Instant::now();
    for number in 0..20 {
        // A connection of its own each time.
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let body = json!({"query": "apple", "documents": ["pear", format!("apple {number}")]}).to_string();
        let answer = gateway.send(client.post(gateway.url("/rerank")).body(body)).await;
        assert_eq!(answer.body["results"][0]["index"], 1, "{}", answer.body);
    }
    assert!(started.elapsed() < Duration::from_secs(10), "the crowd costs nobody else time");
    assert!(crowd > 100, "{crowd} connections are no crowd");
}

#[test]
fn thousand_idle_connections_leave_new_requests_answered() {
    let binary = std::env::current_exe().unwrap();
    let run = Command::new("sh")
        .args(["-c", "ulimit -n 4096 2>/dev/null; exec \"$0\" \"$@\"", binary.to_str().unwrap()])
        .args(["attacks::crowds::child_process_answers_requests_behind_idle_connections", "--exact", "--nocapture"])
        .env(CROWD_VARIABLE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
}

#[tokio::test]
async fn ten_thousand_passages_cold_or_cached_return_expected_scores() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    let texts: Vec<_> = (0..10_000).map(|number| format!("passage {}", number % 9_000)).collect();
    let passages: Vec<_> = texts.iter().map(String::as_str).collect();
    let truth = expected("q", &passages);
    for (hit, scored) in [(0, 9_000), (9_000, 0)] {
        let answer = gateway.rerank("q", &passages).await;
        assert_eq!(provenance(&answer)["pairs"]["hit"], hit);
        assert_eq!(provenance(&answer)["pairs"]["scored"], scored);
        assert!(scores(&answer) == truth, "ten thousand scores, each at its place");
    }
    assert_eq!(fake.passages().len(), 9_000, "each pair once");
    let answer = gateway.try_rerank(json!({"query": "q", "documents": vec!["a"; 10_001]})).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (400, &json!("too_many_documents")));
}

/// Names that a client writes anywhere in a request add no metric series.
#[tokio::test]
async fn invented_names_in_requests_add_no_metric_series() {
    let fake = FakeUpstream::start("cohere").await;
    let config = format!(
        "[server]\napi_keys = ['env:KEY']\n{}{}",
        upstream("up", "cohere", &fake.url()),
        targets("default", &[("up", "rerank-v3.5")])
    );
    let gateway = Gateway::start(&config).await;
    let series = async || gateway.get_text("/metrics").await.lines().filter(|line| !line.starts_with('#')).count();
    let invent = async |number: usize| {
        let body = json!({
            "query": format!("q{number}"), "documents": ["a"], "model": format!("up/invented-{number}"),
            "instruction": format!("i{number}"), format!("field{number}"): 1,
        });
        let own = json!({"query": format!("q{number}"), "documents": ["a"]});
        for key in ["test-key", "wrong"] {
            for (path, body) in [
                ("/rerank".to_owned(), &body),
                (format!("/invented{number}/v1/rerank"), &body),
                (format!("/inference/invented-{number}"), &own),
                (format!("/v1/retrieval/invented-{number}/reranking"), &own),
                (format!("/invented-{number}"), &own),
                ("/rerank".to_owned(), &own),
            ] {
                for dialect in [format!("invented-{number}"), "jina".to_owned()] {
                    let request = gateway.post(&path).bearer_auth(format!("{key}{}", "x".repeat(number % 2)));
                    let request = request.header("x-rerank-dialect", dialect).header("user-agent", number.to_string());
                    request.body(body.to_string()).send().await.unwrap();
                }
            }
        }
    };
    for number in 0..4 {
        invent(number).await;
    }
    let before = series().await;
    for number in 4..24 {
        invent(number).await;
    }
    assert_eq!(series().await, before);
    assert!(!gateway.get_text("/metrics").await.contains("invented"));
}
