//! Things that people forget, mistype or leave to the environment.

use super::*;

const OPTIONAL: &str = "
    [upstreams.c]
    provider = 'cohere'
    api_key = 'env:C_KEY'
    optional = true
    [upstreams.v]
    provider = 'voyage'
    api_key = 'file:/nowhere/key'
    optional = true
";

fn targets_of<'a>(loaded: &'a Loaded, name: &str) -> Option<Vec<&'a str>> {
    let model = loaded.settings.models.iter().find(|model| model.name == name)?;
    Some(model.targets.iter().map(|target| target.upstream.as_str()).collect())
}

#[test]
fn an_optional_upstream_without_its_key_is_left_out_and_its_targets_are_skipped() {
    let text = format!(
        "{OPTIONAL}
        [models.default]
        targets = [{{ upstream = 'c' }}, {{ upstream = 'v' }}, {{ upstream = 'local' }}]
        shadow = {{ target = {{ upstream = 'c' }}, sample = 0.5 }}
        [models.best]
        targets = [{{ upstream = 'v' }}, {{ upstream = 'c', model = 'x' }}]
        aliases = ['top']"
    );
    let loaded = load_text(&text, &[("C_KEY", " ")]).unwrap();
    assert!(loaded.settings.upstreams.is_empty());
    assert_eq!(targets_of(&loaded, "default").unwrap(), ["local"]);
    assert!(loaded.settings.models[0].shadow.is_none());
    assert_eq!(targets_of(&loaded, "best"), None);
    assert!(loaded.settings.unknown_models.left_out.contains_key("top"));
    let warnings = without_places(&loaded.warnings);
    assert_eq!(warnings.len(), 4, "{warnings:#?}");
    assert_eq!(
        warnings[0],
        "upstreams.c: left out, for it is optional and environment variable C_KEY is empty; targets there are skipped"
    );
    assert!(warnings[1].starts_with("upstreams.v: left out, for it is optional and /nowhere/key cannot be read: "));
    assert!(warnings[2].starts_with("models.default.shadow: left out, for upstreams.c is optional and has no key"));
    assert!(warnings[3].starts_with("models.best: left out, for upstreams.v is optional and has no key: "));

    let loaded = load_text(&text, &[("C_KEY", "k")]).unwrap();
    assert_eq!(targets_of(&loaded, "default").unwrap(), ["c", "local"]);
    assert_eq!(targets_of(&loaded, "best").unwrap(), ["c"]);
    assert_eq!(loaded.warnings.len(), 1);
}

/// Requests that name no model would have no answer.
#[test]
fn a_default_model_without_any_target_left_is_a_fault() {
    for (text, model) in [
        ("[models.default]\ntargets = [{ upstream = 'c' }]", "default"),
        ("[models.first]\ntargets = [{ upstream = 'c' }]\n[models.b]\ntargets = [{ upstream = 'local' }]", "first"),
    ] {
        assert_eq!(
            faults(&format!("{OPTIONAL}{text}")),
            [format!(
                "models.{model}: upstreams.c is optional and has no key: environment variable C_KEY is not set, and it is \
                 the default model; set that, or put {{ upstream = \"local\" }} last in its targets"
            )]
        );
    }
}

#[test]
fn an_optional_upstream_may_not_have_a_key_that_is_wrong_nor_other_faults() {
    assert_eq!(faults_with(OPTIONAL, &[("C_KEY", "\"k\"")]).len(), 1);
    assert_eq!(
        faults("[upstreams.c]\nprovider = 'cohere'\noptional = true\nmax_atempts = 1"),
        ["upstreams.c.max_atempts: unknown key; did you mean max_attempts?"]
    );
    let customary = load_text("[upstreams.c]\nprovider = 'cohere'\noptional = true", &[]).unwrap();
    assert_eq!(default_target(&customary).0, "local");
    assert_eq!(
        without_places(&customary.warnings),
        [
            "upstreams.c: left out, for it is optional and environment variable COHERE_API_KEY or CO_API_KEY is not set; \
          targets there are skipped"
        ]
    );
    assert!(!customary.settings.unknown_models.nothing_is_configured);
}

#[test]
fn of_several_keys_those_that_are_there_are_used() {
    let text = "[upstreams.c]\nprovider = 'cohere'\noptional = true\napi_keys = ['env:A', 'env:B']";
    let loaded = load_text(text, &[("B", "b")]).unwrap();
    assert_eq!(loaded.settings.upstreams[0].api_keys.len(), 1);
    assert_eq!(
        without_places(&loaded.warnings),
        ["upstreams.c.api_keys: environment variable A is not set; the other keys are used"]
    );
}

#[test]
fn sizes_may_have_units() {
    let size = |text: &str| load_text(&format!("[cache]\nmax_bytes = {text}"), &[]);
    for (text, bytes) in [
        ("'256MB'", 256_000_000),
        ("'256 MB'", 256_000_000),
        ("'64MiB'", 64 << 20),
        ("'1GB'", 1_000_000_000),
        ("'2048KiB'", 2 << 20),
        ("'1048576'", 1 << 20),
        ("'1048576B'", 1 << 20),
        ("1048576", 1 << 20),
    ] {
        assert_eq!(size(text).unwrap().settings.cache.max_bytes, bytes, "{text}");
    }
    for wrong in ["'1.5GB'", "'256mb'", "'GB'", "'-1'", "''", "'99999999999TB'", "0.5", "'1KB'"] {
        let error = size(wrong).unwrap_err().to_string();
        let told = "cache.max_bytes: must be a size in bytes such as 1048576, \"256MB\" or \"64MiB\", from 1048576 to";
        assert!(error.contains(told), "{wrong}: {error}");
    }
    let of_environment = load_bare(&[("RERANKD__SERVER__MAX_BODY_BYTES", "8MiB")]);
    assert_eq!(of_environment.settings.server.max_body_bytes, 8 << 20);
}

#[test]
fn a_fault_has_its_line_and_column_or_its_variable() {
    let text = "[server]\nmax_requests = 0\n\n[upstreams.\"a b\"]\nprovider = 'tei'\n  base_url = 7\n\
                [models.m]\ntargets = [\n  { upstream = 'local' },\n  { upstream = 'local', modle = 'x' },\n]\n\
                [cache]\nmax_bytes = 1\nttl = 'x'";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let environment =
        variables(&[("RERANKD__CACHE__TTL", "soon"), ("RERANKD__MODELS__OTHER__TARGETS", "[{ upstrm = 'local' }]")]);
    let sources = Sources { file: Some(file.path().to_owned()), environment, listen: Some("x".to_owned()) };
    let Err(ConfigError::Faults(found)) = load(&sources) else { panic!() };
    let place = |path: &str| found.iter().find(|fault| fault.path == path).unwrap().place.clone().unwrap();
    let line = |place: &str| format!("{}:{place}", file.path().display());
    assert_eq!(place("server.max_requests"), line("2:1"));
    assert_eq!(place("upstreams.\"a b\".base_url"), line("6:3"));
    assert_eq!(place("models.m.targets[1].modle"), line("10:25"));
    assert_eq!(place("cache.max_bytes"), line("13:1"));
    assert_eq!(place("cache.ttl"), "RERANKD__CACHE__TTL");
    assert_eq!(place("models.other.targets[0].upstrm"), "RERANKD__MODELS__OTHER__TARGETS");
    assert_eq!(place("server.listen"), "--listen");
    let missing = load_text("\n[upstreams.u]\nprovider = 'tei'", &[]).unwrap_err().to_string();
    assert!(missing.contains(":2:12: upstreams.u.base_url: is missing: "), "{missing}");
}

#[test]
fn variables_with_single_underscores_are_warned_of() {
    let loaded = load_bare(&[("RERANKD_LISTEN", "0.0.0.0:80"), ("RERANKD_PORT", "tcp://10.0.0.1:8787")]);
    assert_eq!(
        without_places(&loaded.warnings),
        ["RERANKD_LISTEN: is not read: levels are parted by two underscores, as in RERANKD__SERVER__LISTEN"]
    );
}

/// They are too far from the right ones for a suggestion by letters.
#[test]
fn keys_of_other_programs_are_told_with_the_right_ones() {
    let found = faults(
        "
        api_key = 'k'
        model_list = []
        [server]
        port = 8080
        [telemetry]
        log-level = 'debug'
        [upstreams.'a.b']
        provider = 'tei'
        url = 'http://tei'
        base_url = 'http://tei'
        [models.default]
        fallbacks = ['local']
        targets = [{ provider = 'a.b' }]
        ",
    );
    for fault in [
        "api_key: unknown key; use server.api_keys for the keys of clients, upstreams.NAME.api_key for a provider's",
        "model_list: unknown key; use [upstreams.NAME], and [models.NAME] with its targets",
        "server.port: unknown key; use server.listen = \"127.0.0.1:8787\"",
        "telemetry.log-level: unknown key; use log_filter, such as \"debug\"",
        "upstreams.\"a.b\".url: unknown key; use base_url",
        "models.default.fallbacks: unknown key; use targets = [",
        "models.default.targets[0].provider: unknown key; use upstream",
    ] {
        assert!(found.iter().any(|line| line.starts_with(fault)), "{fault}\n{found:#?}");
    }
}
