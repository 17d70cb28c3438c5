//! `[providers.NAME]`: what is known about a provider and its models.

use std::collections::BTreeMap;

use super::reader::{Section, boolean, count, known_names, one_of, price, text, texts};
use crate::provider::{
    Billing, InstructionSupport, ModelFacts, PROVIDERS, Provider, ProviderFacts, ScoreScale, Scoring,
};

const SCORINGS: [&str; 2] = ["pointwise", "listwise"];
const SCALES: [&str; 5] = ["probability", "cosine", "logit", "lexical", "unknown"];
const INSTRUCTIONS: [&str; 2] = ["none", "prepend"];
const BLANK_PASSAGES: [&str; 2] = ["accepted", "rejected"];

pub(super) type Facts = BTreeMap<String, ProviderFacts>;

/// `[providers]`, by name.
pub(super) fn providers(section: &Section<'_>) -> Facts {
    let known = |name: &str| crate::provider::by_name(name).is_some();
    let mut facts = Facts::new();
    for (name, entry) in section.entries() {
        if !known(name) {
            section.fault(name, format!("no such provider; {}", provider_names(name)));
        } else if let Some(provider) = provider(entry) {
            facts.insert(name.to_owned(), provider);
        }
    }
    facts
}

pub(super) fn provider_names(word: &str) -> String {
    known_names(word, &PROVIDERS.map(Provider::name))
}

fn provider(section: Section<'_>) -> Option<ProviderFacts> {
    let base_url = section.read("base_url", text);
    let hosts = section.read("key_hosts", |value| {
        let hosts = value.as_table().ok_or("must be a table of key prefix to base URL")?;
        hosts.iter().map(|(prefix, url)| Ok((prefix.clone(), text(url)?))).collect::<Result<Vec<_>, String>>()
    });
    let key_variables = section.read("key_variables", texts);
    let default_model = section.read("default_model", text);
    let max_passages = section.require("max_passages", count(1..=100_000));
    let max_call_bytes = section.read("max_call_bytes", count(1_000..=1 << 40));
    let statuses = section.read("retry_statuses", |value| {
        let statuses = value.as_array().ok_or("must be a list of HTTP statuses")?;
        let status = |status: &toml::Value| count(400..=599)(status).map(|status| u16::try_from(status).unwrap_or(599));
        statuses.iter().map(status).collect::<Result<Vec<_>, _>>()
    });
    let blank = section.read(
        "blank_passages",
        one_of(&BLANK_PASSAGES, |name| match name {
            "accepted" => Some(false),
            "rejected" => Some(true),
            _ => None,
        }),
    );
    let unknown = ModelFacts {
        scoring: Scoring::Listwise,
        scale: ScoreScale::Unknown,
        instruction: InstructionSupport::None,
        billing: Billing::Unknown,
        max_call_tokens: None,
    };
    let other_models = model(section.section("other_models"), unknown);
    let models = section.section("models").entries().into_iter();
    // A listed model inherits what is assumed of others, but not their price.
    let inherited = ModelFacts { billing: Billing::Unknown, ..other_models };
    let models: BTreeMap<_, _> = models.map(|(name, entry)| (name.to_owned(), model(entry, inherited))).collect();
    section.finish();
    Some(ProviderFacts {
        base_url,
        key_hosts: hosts.unwrap_or_default(),
        key_variables: key_variables.unwrap_or_default(),
        default_model,
        max_passages: max_passages?,
        max_call_bytes,
        retry_statuses: statuses.unwrap_or_default(),
        rejects_blank_passages: blank.unwrap_or_default(),
        other_models,
        models,
    })
}

fn model(section: Section<'_>, inherited: ModelFacts) -> ModelFacts {
    let scoring = section.read(
        "scoring",
        one_of(&SCORINGS, |name| match name {
            "pointwise" => Some(Scoring::Pointwise),
            "listwise" => Some(Scoring::Listwise),
            _ => None,
        }),
    );
    let scale = section.read("scale", one_of(&SCALES, ScoreScale::by_name));
    let instruction = section.read(
        "instruction",
        one_of(&INSTRUCTIONS, |name| match name {
            "none" => Some(InstructionSupport::None),
            "prepend" => Some(InstructionSupport::Prepend),
            _ => None,
        }),
    );
    let max_call_tokens = section.read("max_call_tokens", count(100..=1 << 40));
    let per_unit = section.read("usd_per_search_unit", price).map(Billing::SearchUnits);
    let per_token = section.read("usd_per_million_tokens", price).map(Billing::Tokens);
    let free = section.read("free", boolean).filter(|free| *free).map(|_| Billing::Free);
    if [per_unit, per_token, free].iter().flatten().count() > 1 {
        section
            .fault("usd_per_search_unit", "a model has one price: usd_per_search_unit, usd_per_million_tokens or free");
    }
    section.finish();
    ModelFacts {
        scoring: scoring.unwrap_or(inherited.scoring),
        scale: scale.unwrap_or(inherited.scale),
        instruction: instruction.unwrap_or(inherited.instruction),
        billing: per_unit.or(per_token).or(free).unwrap_or(inherited.billing),
        max_call_tokens: max_call_tokens.or(inherited.max_call_tokens),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_types() {
        assert_eq!(SCALES, ScoreScale::names());
    }
}
