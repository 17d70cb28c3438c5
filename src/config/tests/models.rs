//! Faults of models: each is found, whatever else is wrong, and none is reported twice.

use super::*;

const UPSTREAMS: &str = "[upstreams.t]\nprovider = 'tei'\nbase_url = 'http://t'\n\
                         [upstreams.v]\nprovider = 'voyage'\nbase_url = 'http://v'\n";

#[test]
fn a_misspelt_table_of_a_model_is_reported_with_the_name_that_was_meant() {
    let text = "[models.m]\ntargets = [{ upstream = 'local' }]\n\
                shadwo = { target = { upstream = 'local' }, sample = 1 }\nhegde = { enabled = true }\n\
                [models.default]\ntargtes = [{ upstream = 'local' }]";
    assert_eq!(
        faults(text),
        [
            "models.m.shadwo: unknown key; did you mean shadow?",
            "models.m.hegde: unknown key; did you mean hedge?",
            "models.default.targtes: unknown key; did you mean targets?",
        ]
    );
}

#[test]
fn a_fault_of_a_model_hides_no_name_that_is_taken() {
    let text = "[models.a]\ntargets = [{ upstream = 'nope' }]\naliases = ['x*y', 'b', '*z*', 'same']\n\
                [models.b]\ntargets = [{ upstream = 'local' }]\naliases = ['same', 'default']\non_failure = 'ignore'";
    assert_eq!(
        faults(text),
        [
            "models.a.aliases: \"x*y\" has a * that is not its end",
            "models.a.aliases: \"*z*\" has a * that is not its end",
            "models.a.targets[0].upstream: no upstream is called nope",
            "models.b.on_failure: must be one of error, original_order",
            "models.a: \"b\" in aliases is already a name of b",
            "models.b: \"same\" in aliases is already a name of a",
            "models.b: \"default\" in aliases is already a name of default",
        ]
    );
}

#[test]
fn a_fault_of_a_model_hides_no_contradiction_of_scores() {
    let text = format!(
        "{UPSTREAMS}[models.a]\ntargets = [{{ upstream = 't', scores = 's' }}, {{ upstream = 'nope' }}]\n\
         on_failure = 'ignore'\n\
         [models.b]\ntargets = [{{ upstream = 'v', model = 'x', scores = 's' }}]\naliases = 7"
    );
    let found = faults(&text);
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[3].starts_with("models.b: v/x: targets of the same scores must agree"), "{found:#?}");
}

#[test]
fn local_with_scores_is_one_fault_and_accuses_no_other_target() {
    let text = format!(
        "{UPSTREAMS}[models.m]\ntargets = [{{ upstream = 'local', scores = 's' }}, {{ upstream = 't', scores = 's' }}]"
    );
    assert_eq!(faults(&text), ["models.m: local/lexical: nothing gives the same scores as the embedded scorer"]);
}

#[test]
fn a_wrong_revision_is_one_fault() {
    let text = format!(
        "{UPSTREAMS}[models.m]\ntargets = [{{ upstream = 't', scores = 's', revision = '2' }}, \
         {{ upstream = 't', scores = 's', revision = 2 }}]"
    );
    assert_eq!(faults(&text), ["models.m.targets[1].revision: must be a text"]);
}

/// The scores of a shadow are cached under the name that it claims, so the claim must be true.
#[test]
fn the_scores_of_a_shadow_are_checked_too() {
    let text = format!(
        "{UPSTREAMS}[models.m]\ntargets = [{{ upstream = 't', scores = 's' }}]\n\
         shadow = {{ target = {{ upstream = 'v', model = 'x', scores = 's' }}, sample = 1 }}"
    );
    let found = faults(&text);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("models.m: v/x: targets of the same scores must agree"), "{found:#?}");
}

/// A list of two calls, one of them hedged, was planned anew and then failed.
#[test]
fn targets_of_which_one_tells_a_version_do_not_give_the_same_scores() {
    let wire = |name: &str, version: &str| {
        format!(
            "[wires.{name}]\npath = '/rerank'\nmax_passages = 100\n\
             request = {{ query = '/query', passages = '/documents[]' }}\n\
             reply = {{ results = '/results[]', index = '/index', score = '/score'{version} }}\n\
             other_models = {{ scoring = 'pointwise', scale = 'probability' }}\n\
             [upstreams.{name}]\nprovider = '{name}'\nbase_url = 'http://{name}'\n"
        )
    };
    let text = |version: &str| {
        let [told, other] = [wire("told", ", model_version = '/version'"), wire("other", version)];
        format!(
            "{told}{other}[models.default]\ntargets = [{{ upstream = 'told', model = 'm', scores = 's' }}, \
             {{ upstream = 'other', model = 'm', scores = 's' }}]"
        )
    };
    load_text(&text(", model_version = '/v'"), &[]).unwrap();
    let found = faults(&text(""));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("must agree in") && found[0].contains("told version of the model"), "{found:#?}");
}

#[test]
fn a_wrong_share_of_a_shadow_hides_no_contradiction_of_its_scores() {
    let text = format!(
        "{UPSTREAMS}[models.m]\ntargets = [{{ upstream = 't', scores = 's' }}]\n\
         shadow = {{ target = {{ upstream = 'v', model = 'x', scores = 's' }}, sample = 7 }}"
    );
    let found = faults(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[1].starts_with("models.m: v/x: targets of the same scores must agree"), "{found:#?}");
}

#[test]
fn a_wrong_weight_hides_no_contradiction_of_scores() {
    let text = format!(
        "{UPSTREAMS}[models.m]\ntargets = [{{ upstream = 't', scores = 's' }}, \
         {{ upstream = 'v', model = 'x', scores = 's', weight = 'many' }}]"
    );
    let found = faults(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[1].starts_with("models.m: v/x: targets of the same scores must agree"), "{found:#?}");
}

#[test]
fn a_shadow_of_the_embedded_scorer_cannot_claim_scores() {
    let text = format!(
        "{UPSTREAMS}[models.m]\ntargets = [{{ upstream = 't' }}]\n\
         shadow = {{ target = {{ upstream = 'local', scores = 'x' }}, sample = 0.1 }}"
    );
    assert_eq!(faults(&text), ["models.m: local/lexical: nothing gives the same scores as the embedded scorer"]);
}

#[test]
fn keys_may_have_a_dialect_and_models_aliases() {
    let text = "[server]\napi_keys = ['env:A', { key = 'env:B', dialect = 'tei' }]\n\
                [models.m]\ntargets = [{ upstream = 'local' }]\naliases = ['x', 'y*']";
    let settings = load_text(text, &[("A", "a"), ("B", "b")]).unwrap().settings;
    let dialects: Vec<_> = settings.server.api_keys.iter().map(|key| key.dialect.map(Dialect::name)).collect();
    assert_eq!(dialects, [None, Some("tei")]);
    assert!(settings.models[0].aliases[1].is_pattern());

    let wrong = "[server]\napi_keys = [7, { key = 'env:B', dialect = 'te' }, { key = 'env:B', dialekt = 'tei' }]\n\
                 [models.a]\ntargets = [{ upstream = 'local' }]\naliases = ['x*y']\n\
                 [models.b]\ntargets = [{ upstream = 'local' }]\naliases = ['same', 'c']\n\
                 [models.c]\ntargets = [{ upstream = 'local' }]\naliases = ['same']";
    let found = faults_with(wrong, &[("B", "b")]);
    for start in [
        "server.api_keys[0]: must be a text",
        "server.api_keys[1].dialect: no such dialect; known are native, cohere,",
        "server.api_keys[2].dialect: is missing",
        "server.api_keys[2].dialekt: unknown key; did you mean dialect?",
        "models.a.aliases: \"x*y\" has a * that is not its end",
        "models.b: \"c\" in aliases is already a name of c",
        "models.c: \"same\" in aliases is already a name of b",
    ] {
        assert!(found.iter().any(|fault| fault.starts_with(start)), "{start}: {found:#?}");
    }
    assert_eq!(found.len(), 7, "{found:#?}");
    let twice = faults_with("[server]\napi_keys = ['env:B', { key = 'env:B', dialect = 'tei' }]", &[("B", "b")]);
    assert_eq!(twice, ["server.api_keys: item 1 is the same key as one before it"]);
    let shadowed = faults("[models.m]\ntargets = [{ upstream = 'local' }]\naliases = ['default']");
    assert_eq!(shadowed, ["models.m: \"default\" in aliases is already a name of default"]);
    assert_eq!(faults("[server]\nlisten = 5"), ["server.listen: must be a text"]);
}

/// A configured name that cannot stand in an address was "a target does not exist".
#[test]
fn a_model_whose_name_cannot_stand_in_its_address_is_a_fault() {
    let account = "[upstreams.w]\nprovider = 'workers-ai'\napi_key = 'env:KEY'\npath_values.account = 'a'\n";
    let model = |name: &str| format!("{account}[models.default]\ntargets = [{{ upstream = 'w', model = '{name}' }}]");
    load_text(&model("@cf/baai/bge-reranker-base"), &[("KEY", "k")]).unwrap();
    assert_eq!(
        faults_with(&model("my model"), &[("KEY", "k")]),
        [
            "models.default.targets[0].model: cannot be asked: the name of a model of w, which is a part of its path, must \
          be of letters, digits and . _ @ : / - alone, without .. and without empty segments"
        ]
    );
    let missing = account.replace("path_values.account = 'a'\n", "");
    let faults = faults_with(&missing, &[("KEY", "k")]);
    assert!(faults[0].starts_with("upstreams.w.path_values: upstreams.w.path_values.account is missing"), "{faults:?}");
}
