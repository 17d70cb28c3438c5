//! Errors about a missing key, model file or feature of the build name the way to get it.

use http::StatusCode;
use rerankd::config::{Environment, Sources, load};
use serde_json::{Value, json};

use crate::support::FakeUpstream;
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
    let gateway = Gateway::start("[models.default]\naliases = ['mine']").await;
    for (model, name, told) in [
        (
            "cohere/rerank-v3.5",
            "cohere/rerank-v3.5",
            "cohere/rerank-v3.5 cannot be asked: no upstream is called cohere; set COHERE_API_KEY or CO_API_KEY in rerankd's \
             environment",
        ),
        // What Cohere's own client sends.
        (
            "rerank-v3.5",
            "rerank-v3.5",
            "rerank-v3.5 cannot be asked: no upstream is called cohere; set COHERE_API_KEY or CO_API_KEY in rerankd's environment",
        ),
        (
            "voyage/rerank-2.5",
            "voyage/rerank-2.5",
            "voyage/rerank-2.5 cannot be asked: no upstream is called voyage; set VOYAGE_API_KEY in rerankd's environment",
        ),
        (
            "tei/bge",
            "tei/bge",
            "tei/bge cannot be asked: no upstream is called tei; declare [upstreams.tei] with provider = \"tei\" and its \
             base_url",
        ),
        (
            "jina/not a name, rather a secret",
            "NAME",
            "the model cannot be asked: no upstream is called jina; set JINA_API_KEY, JINAAI_API_KEY or JINA_AI_API_KEY in \
             rerankd's environment",
        ),
    ] {
        assert_eq!(
            refusal(&gateway, model).await,
            format!(
                "{told}; or to have default answer it, write under [models.default]: aliases = [\"mine\", \"{name}\"]"
            )
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
         and api_key, or VOYAGE_API_KEY in rerankd's environment; or to have default answer it, write under \
         [models.default]: aliases = [\"voyage/rerank-2.5\"]"
    );
    assert_eq!(
        refusal(&gateway, "cohere/rerank-v3.5").await,
        "cohere/rerank-v3.5 cannot be asked: no upstream is called cohere; the upstream of this provider is called main, as in \
         main/MODEL; or to have default answer it, write under [models.default]: aliases = [\"cohere/rerank-v3.5\"]"
    );
}

#[tokio::test]
async fn an_unknown_model_is_answered_by_the_default_one_where_nothing_is_configured() {
    let gateway = Gateway::start("[server]\nmax_documents = 9").await;
    let ask = async |model: &str| {
        let body = json!({"model": model, "query": "apple", "documents": ["pear", "apple"]});
        gateway.send(gateway.post("/v2/rerank").body(body.to_string())).await
    };
    for model in ["rerank-v3.5", "cohere/rerank-v3.5", "defalt"] {
        let answer = ask(model).await;
        assert_eq!((answer.status, answer.body["model"].as_str()), (StatusCode::OK, Some(model)), "{}", answer.body);
        assert_eq!(answer.body["results"][0]["index"], 1);
        let meta = &answer.body["meta"]["rerankd"];
        assert_eq!((&meta["upstream"], &meta["model_substituted"]), (&Value::from("local"), &Value::from(true)));
        assert_eq!(answer.headers["x-rerankd-substituted"], model);
        let warning = meta["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with("default answered in place of the model that was asked for: "), "{warning}");
        assert!(warning.ends_with(&format!("write under [models.default]: aliases = [\"{model}\"]")), "{warning}");
    }
    let known = ask("default").await;
    assert!(known.body["meta"]["rerankd"].get("model_substituted").is_none());
    assert!(known.headers.get("x-rerankd-substituted").is_none());
    assert_eq!(ask("local/nonsense").await.status, StatusCode::NOT_FOUND, "that means the embedded scorer itself");
}

/// Keys of other providers than the first four are often there for chat models.
#[tokio::test]
async fn a_key_of_another_provider_sends_nothing_there_unless_it_is_asked_by_its_name() {
    let fake = FakeUpstream::start("cohere").await;
    let config = format!("[providers.together]\nbase_url = '{}'", fake.url());
    let gateway = Gateway::start_in(&[("TOGETHER_API_KEY", "together-key")], &config).await;
    let ask = async |model: &str| {
        let body = json!({"model": model, "query": "apple", "documents": ["pear", "apple"]});
        gateway.try_rerank(body).await.body["meta"]["rerankd"].clone()
    };
    for model in ["default", "rerank-v3.5", "Salesforce/Llama-Rank-v1"] {
        assert_eq!(ask(model).await["upstream"], "local", "{model}");
    }
    assert!(fake.calls().is_empty());
    let warning = &ask("Salesforce/Llama-Rank-v1").await["warnings"][0];
    assert!(warning.as_str().unwrap().contains("is asked for as together/Salesforce/Llama-Rank-v1"), "{warning}");
    assert_eq!(ask("together/Salesforce/Llama-Rank-v1").await["upstream"], "together");
    let calls = fake.calls();
    assert_eq!((calls.len(), &calls[0].body["model"]), (1, &Value::from("Salesforce/Llama-Rank-v1")));
    assert_eq!(calls[0].headers["authorization"], "Bearer together-key");
}

#[tokio::test]
async fn an_unknown_model_is_an_error_where_a_model_or_an_upstream_is_configured() {
    let up = upstream("main", "cohere", "http://127.0.0.1:9");
    for config in [up.as_str(), "[models.default]\naliases = ['x']", "[models.m]\ntargets = [{ upstream = 'local' }]"] {
        let told = refusal(&Gateway::start(config).await, "nope").await;
        assert!(told.ends_with("\"nope\"]"), "{told}");
    }
    let told = refusal(&Gateway::start("[models.m]\ntargets = [{ upstream = 'local' }]").await, "nope").await;
    assert!(told.ends_with("to have default answer it, write under [models.m]: aliases = [\"nope\"]"), "{told}");
}

#[tokio::test]
async fn a_model_without_a_target_left_is_refused_with_the_missing_variable() {
    let gateway = Gateway::start(
        "[upstreams.c]\nprovider = 'cohere'\napi_key = 'env:NOT_SET'\noptional = true\n\
         [models.default]\ntargets = [{ upstream = 'c' }, { upstream = 'local' }]\n\
         [models.best]\ntargets = [{ upstream = 'c' }]\naliases = ['top']",
    )
    .await;
    let reason = "upstreams.c is optional and has no key: environment variable NOT_SET is not set";
    for model in ["best", "top"] {
        let told = format!("{model} cannot be asked: models.best is left out, for {reason}");
        assert_eq!(refusal(&gateway, model).await, told);
    }
    assert!(
        refusal(&gateway, "c/rerank-v3.5").await.starts_with(&format!("c/rerank-v3.5 cannot be asked: {reason}; or"))
    );
    assert_eq!(gateway.rerank("a", &["a"]).await["meta"]["rerankd"]["fallbacks"], 0);
}

#[test]
fn where_the_environment_configures_the_line_to_paste_is_a_variable() {
    let variables = [("COHERE_API_KEY", "k"), ("RERANKD__MODELS__DEFAULT__ALIASES", "[\"a\"]")];
    let environment: Environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let settings = load(&Sources { environment, ..Sources::default() }).unwrap().settings;
    let reranker = rerankd::assemble::assemble(&settings).unwrap();
    let told = reranker.routes.resolve(Some("rerank-2.5")).unwrap_err().message;
    assert!(told.contains("; set VOYAGE_API_KEY in rerankd's environment; or"), "{told}");
    let line = "set RERANKD__MODELS__DEFAULT__ALIASES='[\"a\", \"rerank-2.5\"]'";
    assert!(told.ends_with(line), "{told}");
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
        settings.unknown_models.absent_upstreams["cohere"].way_out.starts_with("set COHERE_API_KEY"),
        "{:?}",
        settings.unknown_models.absent_upstreams
    );
    assert!(!settings.unknown_models.absent_upstreams.contains_key("tei"));
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

#[cfg(not(feature = "cross-encoder"))]
#[test]
fn build_without_cross_encoder_names_the_feature_to_model_fetch() {
    for arguments in [&["model"][..], &["model", "fetch", "--dir", "/nowhere"]] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_rerankd")).args(arguments).output().unwrap();
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "rerankd: rerankd model is not in this build, and no cross-encoder that could read weights; \
             `cargo build --release --features cross-encoder` builds both in\n"
        );
        assert_eq!(output.status.code(), Some(1));
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
