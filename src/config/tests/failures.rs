//! `errors` and the end of models under `[providers.NAME]`.

use rerankd_core::types::date::Date;
use rerankd_core::types::error_rule::{CodePattern, ErrorClass, ErrorRule};
use rerankd_core::types::lifecycle::Lifecycle;

use super::{faults, load_text};

const UPSTREAM: &str = "[upstreams.jina]\nprovider = 'jina'\napi_key = 'env:KEY'\n";

#[test]
fn rules_and_ends_are_read_as_they_are_written() {
    let text = format!(
        "{UPSTREAM}[providers.jina]\nretired_on = '2027-01-01'\nsuccessor = 'another service'\n\
         errors = [{{ status = 429, code = 'QUOTA*', is = 'quota_exhausted' }}, \
         {{ status = [500, 200], says = 'No Such', is = 'model_missing', retry = true }}]\n\
         [providers.jina.models.m]\nretired_on = '2027-06-30'\nsuccessor = 'n'\nsilent_alias_of = 'o'\n"
    );
    let loaded = load_text(&text, &[("KEY", "k")]).unwrap();
    let facts = &loaded.settings.upstreams[0].facts;
    let quota = ErrorRule {
        statuses: vec![429],
        code: Some(CodePattern::of("quota*")),
        says: None,
        class: ErrorClass::QuotaExhausted,
        retry: None,
    };
    let missing = ErrorRule {
        statuses: vec![500, 200],
        code: None,
        says: Some("no such".to_owned()),
        class: ErrorClass::ModelMissing,
        retry: Some(true),
    };
    assert_eq!(facts.error_rules, [quota, missing]);
    let lifecycle = Lifecycle {
        retired_on: Date::parse("2027-06-30"),
        successor: Some("n".to_owned()),
        silent_alias_of: Some("o".to_owned()),
    };
    assert_eq!(facts.lifecycles["m"], lifecycle);
    assert_eq!(facts.service_lifecycle.successor.as_deref(), Some("another service"));
}

#[test]
fn every_fault_of_a_rule_and_of_an_end_is_named() {
    let faults = faults(&format!(
        "{UPSTREAM}[providers.jina]\nretired_on = 'soon'\n\
         errors = [{{ status = 700, is = 'quota' }}, {{ code = '', cod = 'x' }}, 'x']\n\
         [providers.jina.models.m]\nsuccessor = 'm'\nsilent_alias_of = 'm'\n"
    ));
    for expected in [
        "providers.jina.retired_on: must be a date",
        "providers.jina.errors[0].status: must be a whole number from 200 to 599",
        "providers.jina.errors[0].is: must be one of rejected, rate_limited",
        "providers.jina.errors[1].code: must not be empty",
        "providers.jina.errors[1].is: is missing",
        "providers.jina.errors[1].cod: unknown key; did you mean code",
        "providers.jina.errors[2]: must be a table",
        "providers.jina.models.m.successor: must name another model",
        "providers.jina.models.m.silent_alias_of: must name another model",
    ] {
        assert!(faults.iter().any(|fault| fault.starts_with(expected)), "{expected}\n{faults:#?}");
    }
}
