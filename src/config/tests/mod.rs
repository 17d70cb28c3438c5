mod bad_days;
mod detection;
mod failures;
mod forgiving;
mod models;
mod reference;
mod refusals;
mod server;
mod wires;

use std::time::Duration;

use rerankd_core::route::settings::OnFailure;
use secrecy::ExposeSecret;

use super::*;
use crate::dialect::Dialect;

fn load_text(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    load(&Sources { file: Some(file.path().to_owned()), environment: variables(environment), listen: None })
}

fn load_bare(environment: &[(&str, &str)]) -> Loaded {
    load(&Sources { environment: variables(environment), ..Sources::default() }).unwrap()
}

fn variables(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn faults(text: &str) -> Vec<String> {
    faults_with(text, &[])
}

fn faults_with(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    match load_text(text, environment) {
        Err(ConfigError::Faults(faults)) => without_places(&faults),
        other => panic!("{other:?}"),
    }
}

/// Faults or warnings as they are printed, but for the name of the file, which is another in each run.
fn without_places(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect()
}

fn default_target(loaded: &Loaded) -> (String, String) {
    let model = loaded.settings.models.iter().find(|model| model.name == "default").unwrap();
    (model.targets[0].upstream.clone(), model.targets[0].model.clone())
}

#[test]
fn without_anything_the_embedded_scorer_is_the_default() {
    let loaded = load_bare(&[("COHERE_API_KEY", "  ")]);
    assert!(loaded.settings.upstreams.is_empty());
    assert_eq!(default_target(&loaded), ("local".into(), "lexical".into()));
    assert_eq!(loaded.settings.server.listen.to_string(), "127.0.0.1:8787");
}

#[test]
fn a_target_with_a_wrong_upstream_has_its_other_faults_reported_too() {
    for upstream in ["upstream = 'jna', ", ""] {
        let faults = faults(&format!("[models.default]\ntargets = [{{ {upstream}modle = 'x' }}]"));
        assert!(faults.iter().any(|fault| fault.contains("upstream")), "{faults:?}");
        assert!(faults.iter().any(|fault| fault.contains("modle")), "{faults:?}");
    }
}

#[test]
fn a_file_a_variable_and_a_flag_lie_on_top_of_each_other() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[server]\nlisten = '127.0.0.1:1'\nrequest_timeout = '5s'\nmax_documents = 5").unwrap();
    let loaded = load(&Sources {
        file: Some(file.path().to_owned()),
        environment: variables(&[("RERANKD__SERVER__REQUEST_TIMEOUT", "6s"), ("RERANKD__SERVER__MAX_DOCUMENTS", "7")]),
        listen: Some("127.0.0.1:3".into()),
    });
    let server = loaded.unwrap().settings.server;
    assert_eq!(server.request_timeout, Duration::from_secs(6));
    assert_eq!(server.max_documents, 7);
    assert_eq!((server.listen.port(), server.listen_also), (3, None));
}

#[test]
fn upstreams_and_models_inherit_and_override() {
    let text = "
        [upstream_defaults]
        max_attempts = 2
        [model_defaults]
        on_failure = 'original_order'
        [upstreams.a]
        provider = 'tei'
        base_url = 'http://a:1'
        [upstreams.b]
        provider = 'jina'
        base_url = 'http://b:2/v1'
        max_attempts = 5
        max_passages = 9
        [models.m]
        targets = [{ upstream = 'b', model = 'x', revision = '2' }, { upstream = 'a' }, { upstream = 'local' }]
        [providers.jina.models.x]
        scoring = 'pointwise'
        usd_per_million_tokens = 1
    ";
    let settings = load_text(text, &[("JINA_API_KEY", "must not leak to another host")]).unwrap().settings;
    let [a, b] = &settings.upstreams[..] else { panic!() };
    assert_eq!((a.max_attempts, b.max_attempts), (2, 5));
    assert_eq!((a.facts.max_passages, b.facts.max_passages), (32, 9));
    assert_eq!(b.url.as_str(), "http://b:2/v1/rerank");
    assert!(b.api_keys.is_empty());
    assert_eq!(b.facts.model("x").0.scoring, rerankd_core::provider::Scoring::Pointwise);
    let default = settings.models.iter().find(|model| model.name == "default").unwrap();
    assert_eq!(default.targets.iter().map(|target| target.model.as_str()).collect::<Vec<_>>(), ["x", "tei", "lexical"]);
    assert_eq!(default.on_failure, OnFailure::OriginalOrder);
}

#[test]
fn a_selector_has_the_scale_none_and_no_other_model_has() {
    let model = |keys: &str| format!("[providers.jina.models.m]\n{keys}\n");
    let settings = load_text(
        &format!("[upstreams.a]\nprovider = 'jina'\napi_key = 'env:K'\n{}", model("scoring = 'selector'")),
        &[("K", "k")],
    );
    let facts = settings.unwrap().settings.upstreams[0].facts.model("m").0;
    assert_eq!((facts.scoring.name(), facts.scale.name()), ("selector", "none"));
    for keys in ["scoring = 'selector'\nscale = 'logit'", "scoring = 'listwise'\nscale = 'none'", "scale = 'none'"] {
        let found = faults(&model(keys));
        let expected = "providers.jina.models.m.scale: \"none\" is the scale of a selector";
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{found:?}");
    }
}

#[test]
fn every_fault_is_found_at_once_and_named() {
    let found = faults(
        "
        [server]
        listen = 'localhost'
        request_timeot = '1s'
        max_documents = 0
        [cache]
        ttl = 5
        [upstreams.cohere]
        provider = 'coher'
        attemt_timeout = '1s'
        [upstreams.jina]
        provider = 'jina'
        api_key = 'sk-inline-secret'
        [upstreams.tei]
        provider = 'tei'
        [models.default]
        targets = [{ upstream = 'jna' }]
        on_failure = 'ignore'
        [extra]
        ",
    );
    let expected = [
        "server.listen: must be an IP address and a port",
        "server.max_documents: must be a whole number from 1 to",
        "server.request_timeot: unknown key; did you mean request_timeout?",
        "cache.ttl: must be a duration such as",
        "upstreams.cohere.provider: no such provider; did you mean cohere?",
        "upstreams.cohere.attemt_timeout: unknown key; did you mean attempt_timeout?",
        "upstreams.jina.api_key: must be a reference",
        "upstreams.tei.base_url: is missing",
        "models.default.on_failure: must be one of error, original_order",
        "models.default.targets[0].upstream: no upstream is called jna; did you mean jina?",
        "extra: unknown key",
    ];
    for fault in expected {
        assert!(found.iter().any(|line| line.starts_with(fault)), "{fault}\n{found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    assert!(!found.join("").contains("sk-inline-secret"));
}

#[test]
fn a_missing_key_and_a_missing_variable_are_told_apart() {
    assert_eq!(
        faults("[upstreams.c]\nprovider = 'cohere'"),
        ["upstreams.c.api_key: is missing: say \"env:NAME\" or \"file:/path\", or set COHERE_API_KEY or CO_API_KEY"]
    );
    assert_eq!(
        faults("[upstreams.c]\nprovider = 'cohere'\napi_key = 'env:NOPE'"),
        ["upstreams.c.api_key: environment variable NOPE is not set"]
    );
}

#[test]
fn syntax_errors_show_the_line() {
    let error = load_text("[server]\nlisten = sk-live-secret", &[]).unwrap_err().to_string();
    assert!(error.contains(":2:10: is not valid TOML: "), "{error}");
    assert!(!error.contains("secret"), "the line itself may hold a secret: {error}");
}

#[test]
fn secrets_come_from_files_too_and_never_show() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "the-secret\n").unwrap();
    let text = format!("[upstreams.c]\nprovider = 'cohere'\napi_key = 'file:{}'", key.path().display());
    let loaded = load_text(&text, &[]).unwrap();
    assert_eq!(loaded.settings.upstreams[0].api_keys[0].expose_secret(), "the-secret");
    assert!(!format!("{loaded:?}").contains("the-secret"));
}

#[test]
fn default_may_be_declared_for_its_aliases_alone() {
    let loaded = load_text("[models.default]\naliases = ['*']", &[("COHERE_API_KEY", "k")]).unwrap();
    assert_eq!(default_target(&loaded).0, "cohere");
    assert!(loaded.settings.models[0].aliases[0].is_pattern());
    let by_environment = load_bare(&[("RERANKD__MODELS__DEFAULT__ALIASES", "[\"*\"]")]);
    assert_eq!(by_environment.settings.models[0].aliases[0].as_str(), "*");
    assert_eq!(
        faults("[models.m]\naliases = '*'"),
        [
            "models.m.aliases: must be a list of names such as [\"rerank-v3.5\", \"nvidia/*\"]",
            "models.m.targets: is missing; it must be a list of tables such as [{ upstream = \"local\" }]",
        ]
    );
}

#[test]
fn localhost_is_two_addresses() {
    let server = load_text("[server]\nlisten = 'localhost:9'", &[]).unwrap().settings.server;
    assert_eq!(server.listen.to_string(), "127.0.0.1:9");
    assert_eq!(server.listen_also.unwrap().to_string(), "[::1]:9");
}

#[test]
fn defaults_for_others_are_checked_too() {
    let found =
        faults("[model_defaults]\non_failure = 'bogus'\n[upstream_defaults]\nmax_attempts = 'lots'\nmax_atempts = 1");
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(
        found
            .iter()
            .any(|fault| fault.starts_with("upstream_defaults.max_atempts: unknown key; did you mean max_attempts?"))
    );
}

#[test]
fn what_is_in_effect_shows_changes_to_the_registry_and_nothing_else_of_it() {
    let text = "[providers.jina]\nmax_passages = 7\n[providers.jina.models.x]\nscoring = 'pointwise'";
    let expected = "max_passages = 7\n[models.x]\nscoring = 'pointwise'".parse::<Table>().unwrap();
    assert_eq!(load_text(text, &[]).unwrap().effective["providers"]["jina"], toml::Value::Table(expected));
    assert!(!load_text("", &[]).unwrap().effective.contains_key("providers"));
}
