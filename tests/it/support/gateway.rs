//! The real server, in this process, on a free port.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use rerankd::config::{Environment, Sources, load};
use rerankd::http::App;
use rerankd::server::Server;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running gateway. Ends when dropped.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) app: Arc<App>,
    pub(crate) client: reqwest::Client,
    shutdown: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

/// Status, headers and JSON body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Gateway {
    /// Starts with this configuration; `KEY` in the environment holds `test-key`.
    pub(crate) async fn start(config: &str) -> Self {
        Self::start_in(&[], config).await
    }

    /// The same with these environment variables, too.
    pub(crate) async fn start_in(variables: &[(&str, &str)], config: &str) -> Self {
        let server = Server::bind(&settings_in(variables, config)).await.unwrap();
        let address = server.address().unwrap();
        let app = server.app().clone();
        let (shutdown, told) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            drop(told.await);
        }));
        let client = client();
        Self { address, app, client, shutdown: Some(shutdown), running }
    }

    /// One upstream `up` of `provider` at `base_url`, whose `model` is the default.
    pub(crate) async fn in_front_of(provider: &str, model: &str, base_url: &str) -> Self {
        Self::start(&format!("{}\n{}", upstream("up", provider, base_url), targets("default", &[("up", model)]))).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(self.url(path))
    }

    /// Reranks and returns the body of a good answer.
    pub(crate) async fn rerank(&self, query: &str, documents: &[&str]) -> Value {
        self.rerank_with(json!({ "query": query, "documents": documents })).await
    }

    /// Posts a body and returns that of a good answer.
    pub(crate) async fn rerank_with(&self, body: Value) -> Value {
        let answer = self.send(self.post("/rerank").body(body.to_string())).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.body
    }

    /// Posts a body and returns whatever comes.
    pub(crate) async fn try_rerank(&self, body: Value) -> Answer {
        self.send(self.post("/rerank").body(body.to_string())).await
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"));
        Answer { status, headers, body }
    }

    pub(crate) async fn get_text(&self, path: &str) -> String {
        self.client.get(self.url(path)).send().await.unwrap().text().await.unwrap()
    }

    /// The value of one line of `/metrics`, 0 if the line is not there.
    pub(crate) async fn metric(&self, line: &str) -> f64 {
        let exposition = self.get_text("/metrics").await;
        let value = exposition.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
        value.unwrap_or(0.0)
    }

    /// Tells the server to end, as a signal would, and waits until it has.
    pub(crate) async fn shut_down(mut self) {
        self.begin_shutdown();
        tokio::time::timeout(Duration::from_secs(20), &mut self.running).await.unwrap().unwrap();
    }

    pub(crate) fn begin_shutdown(&mut self) {
        drop(self.shutdown.take());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// An HTTP client of the tests' own. The TLS implementation belongs to the process, so whoever comes first chooses it:
/// the same one.
pub(crate) fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// The checked configuration of a test.
pub(crate) fn settings(config: &str) -> rerankd::config::settings::Settings {
    settings_in(&[], config)
}

/// The same with these environment variables, too.
fn settings_in(variables: &[(&str, &str)], config: &str) -> rerankd::config::settings::Settings {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config).unwrap();
    let keys = [("KEY", "test-key"), ("OTHER", "other-key")];
    let environment: Environment =
        keys.iter().chain(variables).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let sources =
        Sources { file: Some(PathBuf::from(file.path())), environment, listen: Some("127.0.0.1:0".to_owned()) };
    load(&sources).unwrap_or_else(|error| panic!("{error}")).settings
}

/// Configuration without a circuit breaker, for tests with many failures.
pub(crate) const NO_BREAKER: &str = "[upstream_defaults.breaker]\nconsecutive_failures = 0\n";

/// `[upstreams.NAME]`
pub(crate) fn upstream(name: &str, provider: &str, base_url: &str) -> String {
    format!("[upstreams.{name}]\nprovider = '{provider}'\nbase_url = '{base_url}'\napi_key = 'env:KEY'\n")
}

/// `[models.NAME]` with its targets.
pub(crate) fn targets(name: &str, targets: &[(&str, &str)]) -> String {
    let target = |(upstream, model): &(&str, &str)| format!("{{ upstream = '{upstream}', model = '{model}' }}");
    format!("[models.{name}]\ntargets = [{}]\n", targets.iter().map(target).collect::<Vec<_>>().join(", "))
}
