//! Web pages of other origins send no requests in the name of their visitors.

use rerankd::server::Server;
use serde_json::json;

use crate::support::gateway::{client, settings};
use crate::support::{FakeUpstream, Gateway, PAGE_STATUS};

fn body() -> String {
    json!({"query": "q", "documents": ["a"]}).to_string()
}

/// `fetch(…, {mode: "no-cors", method: "POST", body})`, as browsers send it.
#[tokio::test]
async fn cross_origin_requests_return_403_without_an_upstream_call() {
    let fake = FakeUpstream::start("cohere").await;
    let gateway = Gateway::in_front_of("cohere", "rerank-v3.5", &fake.url()).await;
    for (path, headers) in [
        ("/rerank", &[("origin", "https://evil.example"), ("content-type", "text/plain;charset=UTF-8")][..]),
        ("/v2/rerank", &[("origin", "null")]),
        ("/rerank", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]),
        ("/rerank", &[("host", "evil.example")]),
        (
            "/rerank",
            &[("host", "evil.example:8787"), ("origin", "http://evil.example:8787"), ("sec-fetch-site", "same-origin")],
        ),
        ("/tei/rerank", &[("origin", "https://evil.example")]),
        ("/pinecone/rerank", &[("origin", "https://evil.example")]),
    ] {
        let mut request = gateway.post(path).body(body());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = gateway.send(request).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (403, &json!("forbidden")), "{path} {headers:?}");
        if path.starts_with("/tei") {
            assert_eq!(answer.body["error_type"], "Validation", "in the dialect of the path");
        }
        if path.starts_with("/pinecone") {
            assert_eq!(answer.body["error"]["code"], "PERMISSION_DENIED");
        }
    }
    assert!(fake.calls().is_empty(), "nothing was asked for them");
    let refused = "rerank_requests_total{model=\"none\",dialect=\"tei\",outcome=\"forbidden\"}";
    assert_eq!(gateway.metric(refused).await, 1.0);
}

#[tokio::test]
async fn foreign_host_header_returns_403_on_every_path() {
    let gateway = Gateway::start("").await;
    for path in ["/v1/models", "/metrics", "/docs/", "/openapi.json", "/healthz", "/nowhere"] {
        let answer = gateway.client.get(gateway.url(path)).header("host", "evil.example").send().await.unwrap();
        assert_eq!(answer.status(), 403, "{path}");
    }
}

#[tokio::test]
async fn same_origin_and_loopback_requests_are_answered() {
    let gateway = Gateway::start("").await;
    let own = format!("http://{}", gateway.address);
    for headers in [
        &[][..],
        &[("origin", own.as_str()), ("sec-fetch-site", "same-origin")],
        &[("origin", "http://localhost:3000"), ("sec-fetch-site", "same-site")],
        &[("host", "localhost:8787")],
        &[("host", "[::1]:8787")],
    ] {
        let mut request = gateway.post("/rerank").body(body());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        assert_eq!(gateway.send(request).await.status, 200, "{headers:?}");
    }
    let link = gateway.client.get(gateway.url("/docs/")).header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(link.status(), PAGE_STATUS, "a link from another site leads to the documentation");
}

#[tokio::test]
async fn allowed_host_or_valid_api_key_passes_the_origin_check() {
    let allowed = "[server]\nallowed_hosts = ['rerank.example']\nallowed_origins = ['https://app.example']";
    let keyed = "[server]\napi_keys = ['env:KEY']";
    for config in [allowed, keyed] {
        let gateway = Gateway::start(config).await;
        let request = gateway.post("/rerank").bearer_auth("test-key").body(body());
        let request = request.header("host", "rerank.example").header("origin", "https://app.example");
        assert_eq!(gateway.send(request).await.status, 200, "{config}");
    }
}

/// Listed host names are binding, whatever the listener's address.
#[tokio::test]
async fn unlisted_host_on_public_listener_returns_403_if_hosts_are_listed() {
    let mut settings = settings("[server]\nallowed_hosts = ['rerank.example']");
    settings.server.listen = "0.0.0.0:0".parse().unwrap();
    let server = Server::bind(&settings).await.unwrap();
    let url = format!("http://127.0.0.1:{}/rerank", server.address().unwrap().port());
    let running = tokio::spawn(server.run(std::future::pending()));
    for (host, status) in [("rerank.example:8787", 200), ("localhost", 200), ("evil.example", 403)] {
        let answer = client().post(&url).header("host", host).body(body()).send().await.unwrap();
        assert_eq!(answer.status(), status, "{host}");
    }
    running.abort();
}

/// Containers listen on all addresses and are called by their service name.
#[tokio::test]
async fn any_host_on_public_listener_is_answered_without_allowed_hosts() {
    let mut settings = settings("");
    settings.server.listen = "0.0.0.0:0".parse().unwrap();
    let server = Server::bind(&settings).await.unwrap();
    let url = format!("http://127.0.0.1:{}/rerank", server.address().unwrap().port());
    let running = tokio::spawn(server.run(std::future::pending()));
    for (name, value, status) in [
        ("host", "rerankd:8787", 200),
        ("host", "evil.example", 200),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
    ] {
        let answer = client().post(&url).header(name, value).body(body()).send().await.unwrap();
        assert_eq!(answer.status(), status, "{name}: {value}");
    }
    running.abort();
}
