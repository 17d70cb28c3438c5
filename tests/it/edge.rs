//! Paths, methods, keys, request ids.

use serde_json::json;

use crate::support::{Gateway, PAGE_STATUS, order};

#[tokio::test]
async fn every_rerank_path_answers() {
    let gateway = Gateway::start("").await;
    let body = json!({"query": "apple", "documents": ["pear", "apple"]}).to_string();
    for path in ["/rerank", "/v1/rerank", "/v2/rerank"] {
        let answer = gateway.send(gateway.post(path).body(body.clone())).await;
        assert_eq!(order(&answer.body), [1, 0], "{path}");
    }
}

#[tokio::test]
async fn wrong_path_or_method_returns_json_naming_the_right_one() {
    let gateway = Gateway::start("").await;
    let lost = gateway.send(gateway.post("/rerankk").body("{}")).await;
    assert_eq!((lost.status.as_u16(), lost.body["code"].as_str()), (404, Some("not_found")));
    assert!(lost.body["detail"].as_str().unwrap().contains("; did you mean /rerank?; "));
    for (path, meant) in [("/v1", "/v1/rerank"), ("/team/v2/", "/team/v2/rerank")] {
        let lost = gateway.send(gateway.post(path).body("{}")).await.body;
        let hint = format!("there is nothing at this path; did you mean {meant}?; ");
        assert!(lost["detail"].as_str().unwrap().starts_with(&hint), "{path}: {lost}");
    }
    let wrong = gateway.send(gateway.client.get(gateway.url("/rerank"))).await;
    assert_eq!((wrong.status.as_u16(), wrong.body["detail"].as_str()), (405, Some("GET does not work here; use POST")));
    assert_eq!(wrong.headers["allow"], "POST");
    for path in ["/v1/models", "/metrics", "/docs/", "/docs/rerank"] {
        assert_eq!(gateway.send(gateway.post(path)).await.headers["allow"], "GET, HEAD", "{path}");
    }
}

#[tokio::test]
async fn api_key_is_required_except_for_probes_metrics_and_documentation() {
    let gateway = Gateway::start("[server]\napi_keys = ['env:KEY']").await;
    let body = json!({"query": "q", "documents": ["a"]}).to_string();
    for path in ["/rerank", "/v1/rerank", "/v2/rerank", "/nowhere"] {
        let answer = gateway.send(gateway.post(path).body(body.clone())).await;
        assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (401, Some("unauthorized")), "{path}");
    }
    let models = gateway.send(gateway.client.get(gateway.url("/v1/models"))).await;
    assert_eq!((models.status.as_u16(), &models.headers["www-authenticate"]), (401, &"Bearer".parse().unwrap()));
    assert_eq!(gateway.send(gateway.post("/rerank").bearer_auth("wrong").body(body.clone())).await.status, 401);
    assert_eq!(gateway.send(gateway.post("/rerank").bearer_auth("test-key").body(body)).await.status, 200);
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        assert_eq!(gateway.client.get(gateway.url(path)).send().await.unwrap().status(), 200, "{path}");
    }
    assert_eq!(gateway.client.get(gateway.url("/docs/")).send().await.unwrap().status(), PAGE_STATUS);
}

#[tokio::test]
async fn valid_request_id_is_echoed_and_invalid_one_replaced() {
    let gateway = Gateway::start("").await;
    let body = json!({"query": "q", "documents": ["a"]}).to_string();
    let with_id =
        async |id: &str| gateway.send(gateway.post("/rerank").header("x-request-id", id).body(body.clone())).await;
    let answer = with_id("trace-7").await;
    assert_eq!(answer.headers["x-request-id"], "trace-7");
    assert_eq!(answer.body["id"], "trace-7");
    for odd in ["with blank", &"x".repeat(129), ""] {
        let answer = with_id(odd).await;
        let id = answer.headers["x-request-id"].to_str().unwrap();
        assert_eq!(id.len(), 36, "{id}");
        assert_eq!(answer.body["id"], id);
    }
}

#[tokio::test]
async fn models_are_listed_with_their_targets() {
    let config = "[upstreams.up]\nprovider = 'tei'\nbase_url = 'http://tei:80'\n\
                  [models.main]\ntargets = [{ upstream = 'up' }, { upstream = 'local' }]";
    let gateway = Gateway::start(config).await;
    let list = gateway.send(gateway.client.get(gateway.url("/v1/models"))).await.body;
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["default", "main", "local/lexical"]);
    assert_eq!(list["data"][1]["targets"], json!(["up/tei", "local/lexical"]));
    assert_eq!(list["data"][1]["score_scale"], "probability");
}

#[tokio::test]
async fn upstream_model_name_without_prefix_works_if_unambiguous() {
    let upstream = |name: &str| format!("[upstreams.{name}]\nprovider = 'cohere'\nbase_url = 'http://127.0.0.1:1'\n");
    let ask = async |config: &str, model: &str| {
        let gateway = Gateway::start(config).await;
        gateway.try_rerank(json!({"query": "q", "documents": [], "model": model})).await
    };
    let one = upstream("one");
    for model in ["rerank-v3.5", "one/rerank-v3.5", "one/some-new-model", "local", "local/lexical", "default"] {
        assert_eq!(ask(&one, model).await.status, 200, "{model}");
    }
    let answer = ask(&one, "rerank-v3.5").await;
    assert_eq!(answer.body["model"], "rerank-v3.5");
    assert_eq!(ask(&one, "local/nope").await.status, 404);
    let both = format!("{one}{}", upstream("two"));
    let answer = ask(&both, "rerank-v3.5").await;
    assert_eq!(
        answer.body["detail"],
        "several upstreams have this model; ask for one of one/rerank-v3.5, two/rerank-v3.5"
    );
}

#[cfg(feature = "docs")]
#[tokio::test]
async fn page_of_the_api_loads_nothing_from_other_hosts() {
    let gateway = Gateway::start("").await;
    let page = gateway.get_text("/docs/api/").await;
    let initializer = gateway.get_text("/docs/api/swagger-initializer.js").await;
    for text in [&page, &initializer] {
        assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
    }
    // Relative, so that a proxy may serve them below a prefix.
    assert!(initializer.contains("url: \"../../openapi.json\""), "{initializer}");
    assert!(initializer.contains("validatorUrl: \"none\""), "{initializer}");
}

/// Clients that take no gzip, such as curl and Python's own, say so or say nothing.
#[cfg(feature = "docs")]
#[tokio::test]
async fn documentation_is_packed_only_for_clients_that_take_gzip() {
    let gateway = Gateway::start("").await;
    let client = reqwest::Client::builder().no_gzip().build().unwrap();
    for file in ["/docs/", "/docs/errors.md", "/docs/api/", "/docs/api/swagger-ui-bundle.js"] {
        let get = async |accepted: Option<&str>| {
            let mut request = client.get(gateway.url(file));
            if let Some(accepted) = accepted {
                request = request.header("accept-encoding", accepted);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["vary"], "accept-encoding");
            let is_packed = response.headers().contains_key("content-encoding");
            (is_packed, response.bytes().await.unwrap())
        };
        let (is_packed, plain) = get(None).await;
        assert!(!is_packed && !plain.starts_with(&[0x1f, 0x8b]), "{file}");
        for accepted in ["identity", "br, gzip;q=0", "gzip; q=0.0"] {
            assert_eq!(get(Some(accepted)).await, (false, plain.clone()), "{file} {accepted}");
        }
        for accepted in ["gzip", "deflate, GZIP;q=0.5, br"] {
            let (is_packed, packed) = get(Some(accepted)).await;
            assert!(is_packed && packed.starts_with(&[0x1f, 0x8b]) && packed.len() < plain.len(), "{file} {accepted}");
        }
    }
}

#[tokio::test]
async fn oversized_model_name_is_refused_without_being_quoted() {
    let gateway = Gateway::start("[models.default]\naliases = []").await;
    let answer = gateway.try_rerank(json!({"query": "q", "documents": [], "model": "a".repeat(5_000_000)})).await;
    assert_eq!(
        answer.body["detail"],
        "there is no model; known models: default, local, local/lexical; to have default answer it, write under \
         [models.default]: aliases = [\"NAME\"]"
    );
}

#[tokio::test]
async fn errors_below_docs_path_are_json() {
    let gateway = Gateway::start("").await;
    let lost = gateway.send(gateway.client.get(gateway.url("/docs/nope"))).await;
    assert_eq!((lost.status.as_u16(), lost.body["code"].as_str()), (404, Some("not_found")));
    let wrong = gateway.send(gateway.post("/docs/")).await;
    assert_eq!((wrong.status.as_u16(), wrong.body["code"].as_str()), (405, Some("method_not_allowed")));
    assert_eq!(wrong.body["detail"], "this method does not work here; use GET");
}

#[tokio::test]
async fn rejected_api_key_increments_the_request_counter() {
    let gateway = Gateway::start("[server]\napi_keys = ['env:KEY']").await;
    gateway.try_rerank(json!({})).await;
    let line = "rerank_requests_total{model=\"none\",dialect=\"native\",outcome=\"unauthorized\"}";
    assert_eq!(gateway.metric(line).await, 1.0);
}

#[tokio::test]
async fn localhost_listens_on_both_loopback_addresses() {
    let mut settings = crate::support::gateway::settings("");
    settings.server.listen_also = Some("[::1]:0".parse().unwrap());
    let server = rerankd::server::Server::bind(&settings).await.unwrap();
    let port = server.address().unwrap().port();
    let running = tokio::spawn(server.run(std::future::pending()));
    let client = crate::support::gateway::client();
    let hosts =
        if std::net::TcpListener::bind("[::1]:0").is_ok() { vec!["127.0.0.1", "[::1]"] } else { vec!["127.0.0.1"] };
    for host in hosts {
        let status = client.get(format!("http://{host}:{port}/readyz")).send().await.unwrap().status();
        assert_eq!(status, 200, "{host}");
    }
    running.abort();
}
