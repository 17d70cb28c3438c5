//! The published documents and the code cannot drift apart.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rerankd::config::PROVIDER_FILES;
use rerankd::dialect::{DIALECTS, Dialect};
use rerankd::http::openapi;
use rerankd_core::agreement::Agreement;
use rerankd_core::error::ErrorKind;
use rerankd_core::telemetry::shadow_metrics::ShadowedModel;
use rerankd_core::types::outcomes::{AttemptOutcome, DegradedReason, RequestOutcome, ShadowOutcome};
use rerankd_core::types::response::Usage;
use serde_json::{Value, json};

use crate::support::Gateway;

pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn document() -> Value {
    serde_json::from_str(openapi::json()).unwrap()
}

#[test]
fn the_committed_openapi_document_is_fresh() {
    assert!(read("openapi/openapi.json") == openapi::json(), "run: cargo run -- openapi > openapi/openapi.json");
}

#[test]
fn the_openapi_document_is_3_1_and_complete() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let known = [
        "/",
        "/.well-known/ready",
        "/api/v1/services/rerank/text-rerank/text-rerank",
        "/health",
        "/healthz",
        "/inference/{model}",
        "/info",
        "/livez",
        "/meta",
        "/metrics",
        "/pinecone/rerank",
        "/readyz",
        "/rerank",
        "/tei/rerank",
        "/v1/cluster/auth",
        "/v1/models",
        "/v1/models/{id}",
        "/v1/ranking",
        "/v1/rerank",
        "/v1/reranking",
        "/v1/retrieval/{model}/reranking",
        "/v2/rerank",
        "/weaviate/rerank",
    ];
    assert_eq!(paths, known);
    let responses = document["paths"]["/rerank"]["post"]["responses"].as_object().unwrap();
    let documented: BTreeSet<_> = responses.keys().map(|status| status.parse::<u16>().unwrap()).collect();
    for kind in ErrorKind::ALL {
        let status = kind.status().as_u16();
        assert!(documented.contains(&status), "{status} of {}", kind.code());
        let text = responses[&status.to_string()]["description"].as_str().unwrap();
        assert!(text.contains(kind.code()), "{} is named at {status}", kind.code());
    }
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((method.to_uppercase(), path.clone(), operation));
        }
    }
    operations
}

#[test]
fn no_two_operations_share_a_summary() {
    let document = document();
    let operations = operations(&document);
    let summaries: BTreeSet<_> =
        operations.iter().map(|(.., operation)| operation["summary"].as_str().unwrap()).collect();
    assert!(!summaries.contains(""));
    assert_eq!(summaries.len(), operations.len(), "{summaries:#?}");
}

/// The examples are errors as they are sent: with the status of their response, and a code that its description names.
#[test]
fn every_error_of_an_operation_has_an_example_of_each_code() {
    let document = document();
    let mut codes = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let description = response["description"].as_str().unwrap();
            let named = ErrorKind::ALL.map(ErrorKind::code).into_iter();
            let named: Vec<_> = named.filter(|code| description.contains(&format!("`{code}`"))).collect();
            for content in response["content"].as_object().into_iter().flat_map(|content| content.values()) {
                let examples = content["examples"].as_object().cloned().unwrap_or_default();
                assert_eq!(examples.len(), named.len(), "{method} {path} {status}: {description}");
                for code in &named {
                    let reference = examples[*code]["$ref"].as_str().unwrap();
                    let value = &document.pointer(reference.trim_start_matches('#')).unwrap()["value"];
                    assert_eq!(value["code"], *code, "{method} {path}");
                    assert_eq!(value["status"].to_string(), *status, "{method} {path} {code}");
                }
            }
            codes.extend(named);
        }
    }
    assert_eq!(codes.len(), ErrorKind::ALL.len(), "{codes:?}");
}

/// `security: []` means that no key is needed, also where keys are configured.
#[tokio::test]
async fn the_openapi_document_says_which_operations_need_no_key() {
    let gateway = Gateway::start("[server]\napi_keys = ['env:KEY']").await;
    let document = document();
    let mut open = 0;
    for (method, path, operation) in operations(&document) {
        let url = gateway.url(&path.replace("{id}", "default").replace("{model}", "default"));
        let status = gateway.client.request(method.parse().unwrap(), url).body("{}").send().await.unwrap().status();
        let is_open = operation["security"] == json!([]);
        assert_eq!(status != 401, is_open, "{method} {path} answered {status}");
        open += usize::from(is_open);
    }
    assert!(open >= 8, "{open}");
}

#[tokio::test]
async fn the_openapi_document_is_served_and_its_example_works() {
    let gateway = Gateway::start("").await;
    let served: Value = serde_json::from_str(&gateway.get_text("/openapi.json").await).unwrap();
    assert_eq!(served, document());
    let example = &served["components"]["schemas"]["RerankBody"]["example"];
    let answer = gateway.rerank_with(example.clone()).await;
    assert_eq!(answer["results"][0]["index"], 1);
}

/// Every property of the documented request is one that the decoder knows: a wrong type there is an error that names
/// it.
#[tokio::test]
async fn every_documented_request_field_is_read() {
    let gateway = Gateway::start("").await;
    let document = document();
    for field in document["components"]["schemas"]["RerankBody"]["properties"].as_object().unwrap().keys() {
        let mut body = json!({"query": "q", "documents": ["a"]});
        body[field] = json!({"wrong": true});
        let answer = gateway.try_rerank(body).await;
        assert_eq!(answer.status, 400, "{field}");
        assert_eq!(answer.body["pointer"], format!("/{field}"));
    }
}

/// Every property of a real answer is documented, and every required one is there.
#[tokio::test]
async fn answers_have_the_documented_fields() {
    let gateway = Gateway::start("").await;
    let body = json!({"query": "apple", "documents": [{"id": "x", "text": "apple"}], "return_documents": true, "explain": true});
    let answer = gateway.rerank_with(body).await;
    let schemas = &document()["components"]["schemas"];
    check(schemas, &schemas["RerankAnswer"], &answer, "answer");
    let models = gateway.send(gateway.client.get(gateway.url("/v1/models"))).await.body;
    check(schemas, &schemas["ModelList"], &models, "models");
    let problem = gateway.try_rerank(json!({})).await.body;
    check(schemas, &schemas["Problem"], &problem, "problem");
}

/// The example of every body gets an answer with the documented fields, at the path of its dialect.
#[tokio::test]
async fn answers_of_every_dialect_have_the_documented_fields() {
    let gateway = Gateway::start("").await;
    let document = document();
    let schemas = &document["components"]["schemas"];
    for (path, operations) in document["paths"].as_object().unwrap() {
        let Some(operation) = operations.get("post") else { continue };
        let body = named(schemas, &operation["requestBody"]);
        let path = path.replace("{model}", "default");
        let answer = gateway.send(gateway.post(&path).body(body["example"].to_string())).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        check(schemas, named(schemas, &operation["responses"]["200"]), &answer.body, &path);
    }
}

/// The schema of the JSON content of a request or of an answer.
fn named<'a>(schemas: &'a Value, body: &Value) -> &'a Value {
    let name = body["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
    &schemas[name.rsplit('/').next().unwrap()]
}

fn check(schemas: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return check(schemas, &schemas[name], value, place);
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for (index, value) in values.iter().enumerate() {
            check(schemas, items, value, &format!("{place}[{index}]"));
        }
    }
    let (Some(properties), Some(object)) = (schema["properties"].as_object(), value.as_object()) else { return };
    for (key, value) in object {
        let property = properties.get(key).unwrap_or_else(|| panic!("{place}.{key} is not documented"));
        check(schemas, property, value, &format!("{place}.{key}"));
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(object.contains_key(required.as_str().unwrap()), "{place}.{required} is missing");
    }
}

#[test]
fn every_error_is_documented_with_its_status() {
    let text = read("docs/errors.md");
    for kind in ErrorKind::ALL {
        let heading = format!("### `{}` ({})", kind.code(), kind.status().as_u16());
        assert!(text.contains(&heading), "{heading}");
    }
    assert_eq!(text.matches("### `").count(), ErrorKind::ALL.len(), "no heading is stale");
}

#[tokio::test]
async fn every_metric_is_documented() {
    let gateway = Gateway::start("").await;
    // A family without a series is not exposed, so each gets one.
    let metrics = &gateway.app.reranker.metrics;
    metrics.request("m", "d", RequestOutcome::Ok, Duration::ZERO);
    metrics.degraded("m", DegradedReason::StaleScores);
    metrics.fallback("u", ErrorKind::Internal);
    metrics.charge("u", "m", Usage { tokens: Some(1), search_units: Some(1), cost_usd: Some(1.0) });
    metrics.saved("u", "m", 1.0);
    metrics.upstream("u").attempt(AttemptOutcome::Scored, Duration::ZERO);
    let shadowed = ShadowedModel { model: "m", shadow: "s" };
    metrics.shadow.request(shadowed, ShadowOutcome::Compared);
    let agreement = Agreement { rank_biased_overlap: 1.0, kendall_tau: Some(1.0), top_overlap: 1.0 };
    metrics.shadow.agreed(shadowed, agreement, Duration::ZERO);
    let exposition = gateway.get_text("/metrics").await;
    let names: BTreeSet<_> =
        exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_whitespace().next()).collect();
    let text = read("docs/metrics.md");
    for name in &names {
        assert!(text.contains(&format!("| `{name}")), "{name}");
    }
    assert_eq!(text.matches("| `rerank_").count(), names.len(), "no row is stale: {names:?}");
}

#[test]
fn every_provider_is_documented_and_has_golden_files() {
    let table = read("docs/providers.md");
    let list = read("docs/provider-list.md");
    for (name, _) in PROVIDER_FILES {
        assert!(table.contains(&format!("\n| [`{name}`] | ")), "{name}");
        assert!(list.contains(&format!("\n### {name}\n")), "{name}");
        for file in ["case.json", "request.json", "reply.json"] {
            assert!(repository(&format!("tests/golden/providers/{name}/{file}")).exists(), "{name}/{file}");
        }
    }
}

#[test]
fn every_dialect_is_documented() {
    let text = read("docs/clients.md");
    for name in DIALECTS.map(Dialect::name) {
        assert!(text.contains(&format!("\n| `{name}` |")), "{name}");
    }
}

#[test]
fn every_direct_dependency_is_explained() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let text = read("docs/decisions/0001-dependencies.md");
    let dependencies = manifest["workspace"]["dependencies"].as_table().unwrap();
    for name in dependencies.keys().filter(|name| !name.starts_with("rerankd-")) {
        assert!(text.contains(&format!("| `{name}` |")), "{name}");
    }
    // Crates name no versions of their own, so the list of the workspace is complete.
    for package in ["", "crates/core/", "crates/local/", "crates/eval/"] {
        let manifest: toml::Table = read(&format!("{package}Cargo.toml")).parse().unwrap();
        for section in ["dependencies", "dev-dependencies"] {
            for (name, dependency) in manifest[section].as_table().unwrap() {
                assert_eq!(dependency.get("workspace"), Some(&true.into()), "{package}Cargo.toml: {name}");
            }
        }
    }
}
