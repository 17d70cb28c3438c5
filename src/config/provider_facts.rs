//! `[providers.NAME]` and `[wires.NAME]`: a provider's wire shape, and the facts about it and its models.

use std::collections::BTreeMap;
use std::sync::Arc;

use rerankd_core::provider::{Billing, InstructionSupport, ModelFacts, ProviderFacts, ScoreScale, Scoring, Wire};
use rerankd_core::suggestion::suggestion;
use rerankd_core::types::lifecycle::Lifecycle;
use toml::Value;

use super::about_provider::{AboutProvider, ProviderGroup, about};
use super::call_limits::{CharacterLimits, MAX_PASSAGES};
use super::compiled_in::{is_compiled_in, provider_names};
use super::error_rules;
use super::reader::{Section, boolean, bytes, count, date, one_of, price, text, texts};
use super::values::statuses;
use super::wire_shape::wire;

/// The words of `blank_passages`; true if such a passage is rejected.
pub(super) const BLANK_PASSAGES: [(&str, bool); 2] = [("accepted", false), ("rejected", true)];

/// A provider: its wire shape, the facts about it, and what a reader wants to know of it.
#[derive(Clone, Debug)]
pub struct KnownProvider {
    /// Information for readers.
    pub about: AboutProvider,
    /// The shape of calls and replies.
    pub wire: Arc<Wire>,
    /// Limits, models, prices.
    pub facts: ProviderFacts,
}

impl KnownProvider {
    /// Returns true if it wants a key, as far as that is known.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        !self.facts.key_variables.is_empty() || self.about.group == Some(ProviderGroup::Hosted)
    }
}

/// The providers by their names.
pub type Providers = BTreeMap<String, KnownProvider>;

/// The providers of `[providers]`, which are compiled in, and of `[wires]`, which are the operator's own. A provider
/// with faults is left out.
pub(super) fn providers(root: &Section<'_>) -> Providers {
    let mut providers = Providers::new();
    for (key, name_fault) in [("providers", override_fault as fn(&str) -> Option<String>), ("wires", own_fault)] {
        let entries = root.section(key, |section| {
            section
                .entries(name_fault, |name, entry| Some((name.to_owned(), read_provider(name, entry, key == "wires")?)))
        });
        providers.extend(entries.into_iter().flatten());
    }
    providers
}

/// The fault of a name in `[providers]`; `None` if there is such a provider.
fn override_fault(name: &str) -> Option<String> {
    if is_compiled_in(name) {
        return None;
    }
    Some(format!("{}; a provider of your own is declared as [wires.{name}]", no_such_provider(name, &[])))
}

/// The fault of a name in `[wires]`; `None` if it can be the name of a provider.
fn own_fault(name: &str) -> Option<String> {
    if is_compiled_in(name) {
        return Some(format!("is the name of a provider that is compiled in; change its keys in [providers.{name}]"));
    }
    let is_word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    (!is_word).then(|| "a name must consist of letters, digits, hyphens, dots and underscores".to_owned())
}

/// The message about a provider that does not exist, with the one that was probably meant, of those compiled in and of
/// the operator's `own`.
pub(super) fn no_such_provider(word: &str, own: &[&str]) -> String {
    let mut names: Vec<&str> = provider_names().collect();
    names.extend(own);
    format!("no such provider{}; `rerankd models --providers` lists them", suggestion(word, names.into_iter()))
}

/// The facts assumed where nothing is known. Listwise is the careful guess: scores are reused for the same list alone.
const UNKNOWN: ModelFacts = ModelFacts {
    scoring: Scoring::Listwise,
    scale: ScoreScale::Unknown,
    instruction: InstructionSupport::None,
    billing: Billing::Unknown,
    price_date: None,
    max_call_tokens: None,
    max_passages: None,
};

fn read_provider(name: &str, section: &Section<'_>, is_operators: bool) -> Option<KnownProvider> {
    let about = about(section);
    let wire = wire(name, section, is_operators);
    let base_url = section.read("base_url", text);
    let key_hosts = section.read("key_hosts", key_hosts);
    let key_variables = section.read("key_variables", texts);
    let default_model = section.read("default_model", text);
    let max_passages = section.require("max_passages", count(MAX_PASSAGES));
    let max_call_bytes = section.read("max_call_bytes", bytes(1_000..=1 << 40));
    let limits = CharacterLimits::read(section);
    let retry_statuses = section.read("retry_statuses", statuses(400..=599));
    let rejects_blank_passages = section.read("blank_passages", one_of(&BLANK_PASSAGES));
    let price_date = section.read("price_date", date);
    let other_models = section.section("other_models", |others| {
        let facts = read_model(others, UNKNOWN);
        check_against_wire(others, &facts, wire.as_ref(), true);
        facts
    });
    // A listed model inherits what is assumed of others, but not their price.
    let inherited = ModelFacts { billing: Billing::Unknown, price_date, ..other_models };
    let (models, lifecycles) = section.section("models", |models| read_models(models, inherited, wire.as_ref()));
    let service_lifecycle = Lifecycle {
        retired_on: section.read("retired_on", date),
        successor: section.read("successor", text),
        silent_alias_of: None,
    };
    let error_rules = error_rules::read(section);
    let facts = ProviderFacts {
        base_url,
        key_hosts: key_hosts.unwrap_or_default(),
        key_variables: key_variables.unwrap_or_default(),
        default_model,
        max_passages: max_passages?,
        max_call_bytes,
        max_call_characters: limits.call,
        max_passage_characters: limits.passage,
        max_query_characters: limits.query,
        retry_statuses: retry_statuses.unwrap_or_default(),
        rejects_blank_passages: rejects_blank_passages.unwrap_or_default(),
        other_models,
        models,
        lifecycles,
        service_lifecycle,
        error_rules,
    };
    Some(KnownProvider { about, wire: Arc::new(wire?), facts })
}

/// The facts about the listed models, and about the end of those that have one.
fn read_models(
    section: &Section<'_>,
    inherited: ModelFacts,
    wire: Option<&Wire>,
) -> (BTreeMap<String, ModelFacts>, BTreeMap<String, Lifecycle>) {
    let entries = section.entries(
        |_| None,
        |name, entry| {
            let facts = read_model(entry, inherited);
            check_against_wire(entry, &facts, wire, false);
            (name, facts, read_lifecycle(name, entry))
        },
    );
    let mut models = BTreeMap::new();
    let mut lifecycles = BTreeMap::new();
    for (name, model, lifecycle) in entries {
        models.insert(name.to_owned(), model);
        if !lifecycle.is_empty() {
            lifecycles.insert(name.to_owned(), lifecycle);
        }
    }
    (models, lifecycles)
}

/// Parses a table of key prefix to base URL.
fn key_hosts(value: &Value) -> Result<Vec<(String, String)>, String> {
    let table = value.as_table().ok_or("must be a table of key prefix to base URL")?;
    let mut hosts = Vec::with_capacity(table.len());
    for (prefix, url) in table {
        hosts.push((prefix.clone(), text(url)?));
    }
    Ok(hosts)
}

/// Reports facts about a model that its provider's wire shape rules out. What a listed model inherits is reported where
/// it stands, in `other_models`.
fn check_against_wire(section: &Section<'_>, facts: &ModelFacts, wire: Option<&Wire>, is_of_others: bool) {
    let Some(wire) = wire else { return };
    if section.has("instruction") && facts.instruction == InstructionSupport::Field && !wire.takes_instruction() {
        section.fault("instruction", "\"field\" has no field: [request] says no place for instruction");
    }
    if !(is_of_others || section.has("scoring")) {
        return;
    }
    match (facts.scoring == Scoring::Selector, wire.gives_no_scores()) {
        (false, true) => {
            let message = "must be \"selector\": [reply] says no place for score, so the answer names passages alone";
            section.fault("scoring", message);
        }
        // A provider may make up scores for what it picks.
        (true, false) => {
            section
                .warn("scoring", "is \"selector\", so the scores that [reply] reads give the order and nothing else");
        }
        _ => {}
    }
}

/// The facts about the end of the model `name`.
fn read_lifecycle(name: &str, section: &Section<'_>) -> Lifecycle {
    let other = |value: &Value| match text(value)? {
        other if other == name => Err("must name another model than this one".to_owned()),
        other => Ok(other),
    };
    Lifecycle {
        retired_on: section.read("retired_on", date),
        successor: section.read("successor", other),
        silent_alias_of: section.read("silent_alias_of", other),
    }
}

/// The facts about one model. A fact that is missing or wrong is the inherited one.
fn read_model(section: &Section<'_>, inherited: ModelFacts) -> ModelFacts {
    let scoring = section.read("scoring", one_of(&Scoring::NAMES));
    let scoring = scoring.unwrap_or(inherited.scoring);
    let scale = section.read("scale", one_of(&ScoreScale::NAMES));
    // A selector has one scale to declare, so it may be left out.
    let scale = scale.unwrap_or(if scoring == Scoring::Selector { ScoreScale::None } else { inherited.scale });
    if scale.has_scores() == (scoring == Scoring::Selector) {
        section.fault("scale", "\"none\" is the scale of a selector, and of no other model: change scale or scoring");
    }
    let instruction = section.read("instruction", one_of(&InstructionSupport::NAMES));
    let max_call_tokens = section.read("max_call_tokens", count(100..=1 << 40));
    let max_passages = section.read("max_passages", count(MAX_PASSAGES));
    let price_date = section.read("price_date", date);
    let per_unit = section.read("usd_per_search_unit", price).map(Billing::SearchUnits);
    let per_token = section.read("usd_per_million_tokens", price).map(Billing::Tokens);
    let per_call = section.read("usd_per_call", price).map(Billing::Calls);
    let free = (section.read("free", boolean) == Some(true)).then_some(Billing::Free);
    if [per_unit, per_token, per_call, free].iter().flatten().count() > 1 {
        let message = "a model has one price: usd_per_search_unit, usd_per_million_tokens, usd_per_call or free";
        section.fault("usd_per_search_unit", message);
    }
    let billing = per_unit.or(per_token).or(per_call).or(free).unwrap_or(inherited.billing);
    // A date beside no price would date nothing.
    let is_priced = matches!(billing, Billing::SearchUnits(_) | Billing::Tokens(_) | Billing::Calls(_));
    ModelFacts {
        scoring,
        scale,
        instruction: instruction.unwrap_or(inherited.instruction),
        billing,
        price_date: price_date.or(inherited.price_date).filter(|_| is_priced),
        max_call_tokens: max_call_tokens.or(inherited.max_call_tokens),
        max_passages: max_passages.or(inherited.max_passages),
    }
}
