//! Discovery requests that clients send before they rerank.

use serde_json::json;

use crate::support::Gateway;

async fn get(gateway: &Gateway, path: &str) -> serde_json::Value {
    let answer = gateway.send(gateway.client.get(gateway.url(path))).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

#[tokio::test]
async fn discovery_endpoints_answer_below_any_prefix() {
    let gateway = Gateway::start("[models.main]\ntargets = [{ upstream = 'local' }]\naliases = ['m', 'n/*']").await;
    for path in ["/v1/models", "/models", "/voyage/v1/models/"] {
        let list = get(&gateway, path).await;
        let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["default", "main", "m", "local/lexical"], "{path}: names, not patterns");
    }
    for id in ["default", "m", "n/any/thing", "local/lexical", "local%2Flexical"] {
        let model = get(&gateway, &format!("/v1/models/{id}")).await;
        assert_eq!(model["model_type"], "rerank");
        assert_eq!(model["id"], id.replace("%2F", "/"));
    }
    let lost = gateway.send(gateway.client.get(gateway.url("/v1/models/nope"))).await;
    assert_eq!((lost.status.as_u16(), lost.body["code"].as_str()), (404, Some("unknown_model")));

    let info = get(&gateway, "/tei/info").await;
    assert_eq!(info["model_type"]["reranker"]["id2label"]["0"], "LABEL_0");
    assert_eq!(info["max_client_batch_size"], 10_000);
    assert!(info["max_input_length"].is_u64());
    assert_eq!(get(&gateway, "/v1/cluster/auth").await, json!({"auth": false}));
    assert_eq!(get(&gateway, "/health").await["status"], "ok");
    assert_eq!(get(&gateway, "/v1/health/ready").await["object"], "health.response");
    assert_eq!(
        get(&gateway, "/meta").await,
        json!({"id": "default", "object": "model", "model_type": "rerank"}),
        "nothing of upstreams: it needs no key"
    );
    let ready = gateway.client.get(gateway.url("/.well-known/ready")).send().await.unwrap();
    assert_eq!((ready.status().as_u16(), ready.text().await.unwrap().as_str()), (204, ""));
    let head = gateway.client.head(gateway.url("/health")).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.text().await.unwrap().as_str()), (200, ""));
}

#[tokio::test]
async fn discovery_endpoints_except_models_need_no_api_key() {
    let gateway = Gateway::start("[server]\napi_keys = ['env:KEY']").await;
    assert_eq!(get(&gateway, "/v1/cluster/auth").await, json!({"auth": true}));
    for path in ["/info", "/health", "/v1/health/ready", "/meta"] {
        get(&gateway, path).await;
    }
    for path in ["/v1/models", "/v1/models/default"] {
        assert_eq!(gateway.send(gateway.client.get(gateway.url(path))).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn draining_server_fails_every_readiness_endpoint() {
    let mut gateway = Gateway::start("[server]\ndrain_delay = '20s'").await;
    gateway.begin_shutdown();
    while gateway.client.get(gateway.url("/readyz")).send().await.unwrap().status() == 200 {
        tokio::task::yield_now().await;
    }
    for path in ["/health", "/v1/health/ready", "/.well-known/ready"] {
        assert_eq!(gateway.client.get(gateway.url(path)).send().await.unwrap().status(), 503, "{path}");
    }
}
