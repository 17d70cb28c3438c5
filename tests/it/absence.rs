//! Errors about a missing key, model file or feature of the build name the way to get it.

use http::StatusCode;
use rerankd::config::{Environment, Sources, load};
use serde_json::{Value, json};

use crate::support::Gateway;
use crate::support::gateway::upstream;

async fn refusal(gateway: &Gateway, model: &str) -> String {
    let answer = gateway.try_rerank(json!({"model": model, "query": "q", "documents": ["d"]})).await;
    assert_eq!((answer.status, &answer.body["code"]), (StatusCode::NOT_FOUND, &Value::from("unknown_model")));
    assert_eq!(answer.body["pointer"], "/model");
    answer.body["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn model_of_keyless_provider_returns_404_naming_its_key_variables() {
    let gateway = Gateway::start("").await;
    for (model, told) in [
        (
            "cohere/rerank-v3.5",
            "cohere/rerank-v3.5 cannot be asked: no upstream is called cohere; set COHERE_API_KEY or CO_API_KEY in rerankd's \
             environment",
        ),
        // What Cohere's own client sends.
        (
            "rerank-v3.5",
            "rerank-v3.5 cannot be asked: no upstream is called cohere; set COHERE_API_KEY or CO_API_KEY in rerankd's environment",
        ),
        (
            "voyage/rerank-2.5",
            "voyage/rerank-2.5 cannot be asked: no upstream is called voyage; set VOYAGE_API_KEY in rerankd's environment",
        ),
        (
            "tei/bge",
            "tei/bge cannot be asked: no upstream is called tei; declare [upstreams.tei] with provider = \"tei\" and its \
             base_url",
        ),
        (
            "jina/not a name, rather a secret",
            "the model cannot be asked: no upstream is called jina; set JINA_API_KEY, JINAAI_API_KEY or JINA_AI_API_KEY in \
             rerankd's environment",
        ),
    ] {
        assert_eq!(
            refusal(&gateway, model).await,
            format!("{told}; models.NAME.aliases can give its name to another model")
        );
    }
    assert!(refusal(&gateway, "nobody/rerank-v3.5").await.starts_with("there is no model nobody/rerank-v3.5; known"));
}

/// Keys in the environment make no upstreams where the configuration declares some.
#[tokio::test]
async fn undeclared_upstream_beside_declared_ones_returns_404_asking_to_declare_it() {
    let gateway = Gateway::start(&upstream("main", "cohere", "http://127.0.0.1:9")).await;
    assert_eq!(
        refusal(&gateway, "voyage/rerank-2.5").await,
        "voyage/rerank-2.5 cannot be asked: no upstream is called voyage; declare [upstreams.voyage] with provider = \"voyage\" \
         and api_key, or VOYAGE_API_KEY in rerankd's environment; models.NAME.aliases can give its name to another model"
    );
    assert_eq!(
        refusal(&gateway, "cohere/rerank-v3.5").await,
        "cohere/rerank-v3.5 cannot be asked: no upstream is called cohere; the upstream of this provider is called main, as in \
         main/MODEL; models.NAME.aliases can give its name to another model"
    );
}

#[test]
fn upstream_set_by_variables_keeps_the_set_key_hint_for_other_providers() {
    let environment: Environment =
        [("RERANKD__UPSTREAMS__TEI__PROVIDER", "tei"), ("RERANKD__UPSTREAMS__TEI__BASE_URL", "http://t")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let settings = load(&Sources { environment, ..Sources::default() }).unwrap().settings;
    assert_eq!(settings.upstreams.len(), 1);
    assert!(
        settings.absent_upstreams["cohere"].way_out.starts_with("set COHERE_API_KEY"),
        "{:?}",
        settings.absent_upstreams
    );
    assert!(!settings.absent_upstreams.contains_key("tei"));
}

#[cfg(not(feature = "cross-encoder"))]
#[tokio::test]
async fn build_without_cross_encoder_names_the_feature_to_requests_and_configurations() {
    const TOLD: &str = "needs the cross-encoder, which is not in this build; \
        `cargo build --release --features cross-encoder` builds it in";
    let gateway = Gateway::start("").await;
    for model in ["local/cross-encoder", "local/hybrid"] {
        assert_eq!(refusal(&gateway, model).await, format!("{model} {TOLD}"));
    }
    let directory = crate::contract::repository("tests/golden/local/tiny");
    let file = tempfile::NamedTempFile::new().unwrap();
    for (config, key) in [
        (format!("[local]\nmodel_dir = '{}'", directory.display()), "local.model_dir"),
        (
            "[models.default]\ntargets = [{ upstream = 'local', model = 'hybrid' }]".to_owned(),
            "models.default.targets[0].model",
        ),
    ] {
        std::fs::write(file.path(), config).unwrap();
        let fault =
            load(&Sources { file: Some(file.path().to_owned()), ..Sources::default() }).unwrap_err().to_string();
        assert!(fault.contains(&format!("{key}: {TOLD}")), "{fault}");
    }
}

#[cfg(not(feature = "eval"))]
#[test]
fn build_without_eval_names_the_feature_whatever_the_arguments() {
    for arguments in [&["eval"][..], &["eval", "--data", "examples/eval", "--models", "local"]] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_rerankd")).args(arguments).output().unwrap();
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "rerankd: rerankd eval is not in this build; `cargo build --release --features eval` builds it in\n"
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

#[cfg(not(feature = "docs"))]
#[tokio::test]
async fn build_without_documentation_names_the_feature_and_the_document() {
    let gateway = Gateway::start("").await;
    for path in ["/docs", "/docs/", "/docs/errors", "/llms.txt"] {
        let answer = gateway.send(gateway.client.get(gateway.url(path))).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(
            answer.body["detail"],
            "the documentation is not in this build; `cargo build --release --features docs` builds it in, and \
             /openapi.json has the HTTP contract"
        );
    }
}
