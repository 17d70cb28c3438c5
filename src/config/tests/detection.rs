//! Upstreams that keys in the environment make.

use proptest::prelude::*;
use rerankd_core::route::RouteTable;

use super::*;
use crate::assemble::assemble;
use crate::config::about_provider::ProviderGroup;
use crate::config::availability::ListedProvider;

/// The variables that made upstreams before other providers were known.
const OLD: [&str; 7] = [
    "COHERE_API_KEY",
    "CO_API_KEY",
    "JINA_API_KEY",
    "JINAAI_API_KEY",
    "JINA_AI_API_KEY",
    "VOYAGE_API_KEY",
    "MXBAI_API_KEY",
];

/// Every other variable that a row names.
fn new_variables() -> Vec<String> {
    let mut variables = Vec::new();
    for known in providers().values() {
        variables.extend(known.facts.key_variables.clone());
        variables.extend(known.about.path_variables.iter().map(|(_, variable)| variable.clone()));
    }
    variables.sort();
    variables.dedup();
    variables.retain(|variable| !OLD.contains(&variable.as_str()));
    variables
}

fn names(loaded: &Loaded) -> Vec<(&str, bool)> {
    let upstreams = &loaded.settings.upstreams;
    upstreams.iter().map(|upstream| (upstream.name.as_str(), upstream.by_name_only)).collect()
}

fn listed<'a>(loaded: &'a Loaded, name: &str) -> &'a ListedProvider {
    loaded.settings.providers.iter().find(|provider| provider.name == name).unwrap()
}

fn missing(loaded: &Loaded, name: &str) -> String {
    listed(loaded, name).missing.as_ref().map_or("nothing".to_owned(), ToString::to_string)
}

/// The end to which each of `models` leads: its targets or a kind of error, and if the default answers in its place.
fn resolutions(routes: &RouteTable, models: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for model in models {
        found.push(match routes.resolve_or_substitute(Some(model)) {
            Ok((route, substituted)) => {
                let targets: Vec<_> = route.targets.iter().map(|target| target.address()).collect();
                format!("{model}: {targets:?} {}", substituted.is_some())
            }
            Err(error) => format!("{model}: {:?}", error.kind),
        });
    }
    found
}

/// The names that an existing client may send: those of the old providers' models, bare and with their upstream, and
/// unknown ones, which begin like no new upstream.
fn models_in_use() -> Vec<String> {
    let known = providers();
    let mut models = vec!["default".to_owned(), "local".to_owned(), "nonsense".to_owned(), "a/b".to_owned()];
    for provider in ["cohere", "jina", "voyage", "mixedbread", "tei"] {
        for model in known[provider].facts.models.keys() {
            models.push(model.clone());
            models.push(format!("{provider}/{model}"));
        }
    }
    // Bare names of the new ones' models are unknown names, too.
    for provider in known.values() {
        for model in provider.facts.models.keys() {
            if model.split_once('/').is_none_or(|(prefix, _)| !known.contains_key(prefix)) {
                models.push(model.clone());
            }
        }
    }
    models.sort();
    models.dedup();
    models
}

#[test]
fn customary_key_variables_make_upstreams() {
    for (variable, upstream, model, host) in [
        ("COHERE_API_KEY", "cohere", "rerank-v4.0-fast", "api.cohere.com"),
        ("CO_API_KEY", "cohere", "rerank-v4.0-fast", "api.cohere.com"),
        ("JINA_API_KEY", "jina", "jina-reranker-v2-base-multilingual", "api.jina.ai"),
        ("JINAAI_API_KEY", "jina", "jina-reranker-v2-base-multilingual", "api.jina.ai"),
        ("JINA_AI_API_KEY", "jina", "jina-reranker-v2-base-multilingual", "api.jina.ai"),
        ("VOYAGE_API_KEY", "voyage", "rerank-2.5", "api.voyageai.com"),
        ("MXBAI_API_KEY", "mixedbread", "mixedbread-ai/mxbai-rerank-large-v2", "api.mixedbread.com"),
    ] {
        let loaded = load_bare(&[(variable, "k")]);
        assert_eq!(default_target(&loaded), (upstream.into(), model.into()), "{variable}");
        assert_eq!(loaded.settings.upstreams[0].url.host_str(), Some(host));
        assert_eq!(loaded.settings.upstreams[0].api_keys[0].expose_secret(), "k");
    }
    let both = load_bare(&[("VOYAGE_API_KEY", "v"), ("CO_API_KEY", "c")]);
    let names: Vec<_> = both.settings.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    assert_eq!(names, ["cohere", "voyage", "cohere-v1"]);
    assert_eq!(default_target(&both).0, "cohere", "the first of them is the default");
}

#[test]
fn voyage_keys_of_mongodb_go_to_mongodb() {
    let loaded = load_bare(&[("VOYAGE_API_KEY", "al-123")]);
    assert_eq!(loaded.settings.upstreams[0].url.as_str(), "https://ai.mongodb.com/v1/rerank");
}

#[test]
fn the_environment_changes_detected_upstreams_and_defaults() {
    let loaded = load_bare(&[
        ("COHERE_API_KEY", "k"),
        ("RERANKD__UPSTREAMS__COHERE__MAX_CONCURRENCY", "8"),
        ("RERANKD__MODEL_DEFAULTS__ON_FAILURE", "original_order"),
    ]);
    assert_eq!(loaded.settings.upstreams[0].max_concurrency, 8);
    assert_eq!(loaded.settings.models[0].on_failure, OnFailure::OriginalOrder);
}

#[test]
fn a_customary_key_goes_to_no_other_host() {
    let key = |environment: &[(&str, &str)]| {
        let upstream = load_bare(environment).settings.upstreams.remove(0);
        upstream.api_keys.first().map(|key| key.expose_secret().to_owned())
    };
    assert_eq!(key(&[("COHERE_API_KEY", "k")]).as_deref(), Some("k"));
    let elsewhere = ("RERANKD__UPSTREAMS__COHERE__BASE_URL", "http://127.0.0.1:1");
    assert_eq!(key(&[("COHERE_API_KEY", "k"), elsewhere]), None);
}

#[test]
fn a_file_that_declares_no_upstream_keeps_those_of_the_environment() {
    let loaded = load_text("[server]\nmax_documents = 7", &[("COHERE_API_KEY", "k")]).unwrap();
    assert_eq!(default_target(&loaded).0, "cohere");
    let declared = load_text("[upstreams.t]\nprovider = 'tei'\nbase_url = 'http://t'", &[("COHERE_API_KEY", "k")]);
    assert_eq!(default_target(&declared.unwrap()).0, "t");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Law: a key of another provider changes nothing that an environment resolves to, whatever it configures.
    #[test]
    fn keys_of_other_providers_take_no_name(
        old in proptest::sample::subsequence(OLD.to_vec(), 0..=4),
        new in proptest::sample::subsequence(new_variables(), 0..=new_variables().len()),
        file in proptest::sample::select(vec![
            "",
            "[models.default]\naliases = ['*']",
            "[models.default]\naliases = ['BAAI/bge-reranker-v2-m3', 'pinecone/*']",
            "[models.m]\ntargets = [{ upstream = 'local' }]",
            "[upstreams.main]\nprovider = 'tei'\nbase_url = 'http://t'",
            "[upstreams.pinecone]\nprovider = 'pinecone'\napi_key = 'env:PINECONE'",
        ]),
        declared in any::<bool>(),
    ) {
        let mut environment: Vec<(&str, &str)> = vec![("PINECONE", "k")];
        environment.extend(old.iter().map(|variable| (*variable, "k")));
        if declared {
            environment.push(("RERANKD__UPSTREAMS__OWN__PROVIDER", "tei"));
            environment.push(("RERANKD__UPSTREAMS__OWN__BASE_URL", "http://own"));
        }
        let before = load_text(file, &environment).unwrap();
        environment.extend(new.iter().map(|variable| (variable.as_str(), "k")));
        let after = load_text(file, &environment).unwrap();
        prop_assert_eq!(default_target(&before), default_target(&after));
        let mut models = models_in_use();
        models.push("pinecone/bge-reranker-v2-m3".to_owned());
        if !file.contains("pinecone") && !file.contains('*') {
            models.pop();
        }
        let [before, after] = [&before, &after].map(|loaded| assemble(&loaded.settings).unwrap());
        prop_assert_eq!(resolutions(&before.routes, &models), resolutions(&after.routes, &models));
    }
}

#[test]
fn every_service_with_a_key_can_be_asked_by_its_name() {
    let variables = new_variables();
    let mut environment: Vec<(&str, &str)> = variables.iter().map(|variable| (variable.as_str(), "k")).collect();
    environment.push(("COHERE_API_KEY", "k"));
    let loaded = load_bare(&environment);
    assert_eq!(names(&loaded)[0], ("cohere", false));
    assert!(names(&loaded)[1..].iter().all(|(_, by_name_only)| *by_name_only));
    let reranker = assemble(&loaded.settings).unwrap();
    let today = rerankd_core::types::date::Date::of(SystemTime::now());
    let mut count = 0;
    for (name, known) in providers() {
        let is_service = matches!(known.about.group, Some(ProviderGroup::Hosted | ProviderGroup::Gateway));
        let has_ended = known.facts.service_lifecycle.retired_on.is_some_and(|end| end <= today);
        let has_key = !known.facts.key_variables.is_empty() && !["jina", "voyage", "mixedbread"].contains(&&*name);
        let is_detected = is_service && !has_ended && has_key && known.facts.base_url.is_some();
        assert_eq!(names(&loaded).iter().any(|(upstream, _)| *upstream == name), is_detected, "{name}");
        if is_detected {
            let address = format!("{name}/some-model");
            assert_eq!(reranker.routes.resolve(Some(&address)).unwrap().targets[0].address(), address);
            assert_eq!(listed(&loaded, &name).missing, None);
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
    assert_eq!(missing(&loaded, "zeroentropy").split(';').next(), Some("retired on 2026-09-04"));
}

#[test]
fn rows_that_share_a_variable_are_each_there() {
    let loaded = load_bare(&[("DASHSCOPE_API_KEY", "k"), ("COHERE_API_KEY", "k")]);
    assert_eq!(
        names(&loaded),
        [("cohere", false), ("cohere-v1", true), ("dashscope-native", true), ("dashscope", true)]
    );
    assert_eq!(default_target(&loaded).0, "cohere");
}

#[test]
fn a_path_without_its_value_is_missing_and_no_fault() {
    let token = ("CLOUDFLARE_API_TOKEN", "k");
    let without = load_bare(&[token, ("CLOUDFLARE_ACCOUNT_ID", " ")]);
    assert!(names(&without).is_empty() && without.warnings.is_empty(), "{:?}", without.warnings);
    assert_eq!(missing(&without, "workers-ai"), "set CLOUDFLARE_ACCOUNT_ID");
    let with = load_bare(&[token, ("CLOUDFLARE_ACCOUNT_ID", "0a1b")]);
    assert_eq!(names(&with), [("workers-ai", true)]);
    let by_setting = load_bare(&[token, ("RERANKD__UPSTREAMS__WORKERS_AI__PATH_VALUES__ACCOUNT", "0a1b")]);
    assert_eq!(names(&by_setting), [("workers-ai", true)]);
    assert_eq!(missing(&load_bare(&[]), "workers-ai"), "set CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID");
}

#[test]
fn a_key_that_is_wrong_is_warned_of_and_keeps_nothing_from_starting() {
    let loaded = load_bare(&[
        ("PINECONE_API_KEY", "\"quoted\""),
        ("TOGETHER_API_KEY", "k"),
        ("CLOUDFLARE_API_TOKEN", "k"),
        ("CLOUDFLARE_ACCOUNT_ID", "../x"),
    ]);
    assert_eq!(names(&loaded), [("together", true)]);
    let told = without_places(&loaded.warnings);
    assert_eq!(told.len(), 2, "{told:#?}");
    let reason = "environment variable PINECONE_API_KEY holds quotation marks";
    let start = format!("upstreams.pinecone: made of a key in the environment, and left out: {reason}");
    assert!(told[0].starts_with(&start), "{told:#?}");
    assert!(told[1].starts_with("upstreams.workers-ai: made of a key"), "{told:#?}");
    assert!(missing(&loaded, "pinecone").starts_with(reason), "{}", missing(&loaded, "pinecone"));
    let refused = load_text("[models.default]\ntargets = [{ upstream = 'pinecone' }]", &[("PINECONE_API_KEY", "'k'")]);
    let Err(ConfigError::Faults(faults)) = refused else { panic!("{refused:?}") };
    assert!(faults[0].message.starts_with(&format!("no upstream is called pinecone; {reason}")), "{faults:?}");
}

#[test]
fn what_is_declared_is_not_found_in_the_environment() {
    let key = ("PINECONE_API_KEY", "k");
    let declared = load_bare(&[key, ("RERANKD__UPSTREAMS__PINECONE__PROVIDER", "pinecone")]);
    assert_eq!(names(&declared), [("pinecone", false)]);
    assert_eq!(default_target(&declared).0, "pinecone");
    let changed = load_bare(&[key, ("RERANKD__UPSTREAMS__PINECONE__MAX_CONCURRENCY", "8")]);
    assert_eq!(names(&changed), [("pinecone", true)]);
    assert_eq!(changed.settings.upstreams[0].max_concurrency, 8);
    assert_eq!(default_target(&changed).0, "local");
    assert!(changed.settings.unknown_models.nothing_is_configured);
    assert!(!declared.settings.unknown_models.nothing_is_configured);
    let chosen = load_text("[models.default]\ntargets = [{ upstream = 'pinecone' }]", &[key]).unwrap();
    assert_eq!(default_target(&chosen), ("pinecone".into(), "bge-reranker-v2-m3".into()));
}

#[test]
fn a_bare_name_is_answered_with_the_address_to_ask_for() {
    let loaded = load_text("[models.default]\naliases = ['x']", &[("PINECONE_API_KEY", "k")]).unwrap();
    let told = assemble(&loaded.settings).unwrap().routes.resolve(Some("bge-reranker-v2-m3")).unwrap_err().message;
    assert!(told.starts_with("bge-reranker-v2-m3 is asked for as pinecone/bge-reranker-v2-m3; or to have"), "{told}");
}

#[test]
fn what_is_missing_is_told_of_every_provider() {
    let bare = load_bare(&[]);
    for (name, expected) in [
        ("cohere", "set COHERE_API_KEY or CO_API_KEY"),
        ("pinecone", "set PINECONE_API_KEY"),
        ("vllm", "declare [upstreams.vllm] with base_url"),
        ("elasticsearch", "declare [upstreams.elasticsearch] with base_url and api_key"),
        ("iflytek", "declare [upstreams.iflytek] with api_key"),
        ("litellm", "declare [upstreams.litellm] with base_url and api_key"),
    ] {
        assert_eq!(missing(&bare, name), expected);
    }
    assert_eq!(bare.settings.providers.len(), PROVIDER_FILES.len());
    let declared = load_text("[upstreams.mine]\nprovider = 'cohere'\napi_key = 'env:K'", &[("K", "k")]).unwrap();
    assert_eq!(listed(&declared, "cohere").upstreams, [("mine".to_owned(), false)]);
    assert_eq!(missing(&declared, "pinecone"), "declare [upstreams.pinecone] with api_key");
}
