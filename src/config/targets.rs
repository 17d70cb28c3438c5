//! The targets of models: an upstream and one of its models each.
//!
//! Every key of a table is read before the first `?`, so that one pass over the configuration finds all faults.

use std::collections::BTreeMap;

use rerankd_core::embedded::{self, LocalModel};
use rerankd_core::route::settings::{AbsentUpstream, TargetSettings};
use rerankd_core::suggestion::suggestion;
use rerankd_core::upstream::settings::UpstreamSettings;
use toml::{Table, Value};

use super::reader::{Section, count, known_names, text};

/// The upstreams that targets may name.
pub(super) struct KnownUpstreams<'a> {
    /// The upstreams without a fault, in the order of the configuration.
    pub(super) usable: &'a [UpstreamSettings],
    /// The providers without an upstream of their name and the upstreams that are left out, with the way to get them.
    pub(super) absent: &'a BTreeMap<String, AbsentUpstream>,
    /// The whole merged configuration, whose `[upstreams]` names the faulty ones too.
    pub(super) table: &'a Table,
    /// True if the embedded scorer has a cross-encoder beside its lexical model.
    pub(super) with_cross_encoder: bool,
}

impl<'a> KnownUpstreams<'a> {
    /// The table `[upstreams]`, faulty entries included.
    fn declared(&self) -> Option<&'a Table> {
        self.table.get("upstreams")?.as_table()
    }

    /// Returns true if an upstream of this name is declared, faulty or not.
    fn is_declared(&self, name: &str) -> bool {
        self.declared().is_some_and(|declared| declared.contains_key(name))
    }

    /// The usable upstream of this name.
    pub(super) fn find(&self, name: &str) -> Option<&'a UpstreamSettings> {
        self.usable.iter().find(|upstream| upstream.name == name)
    }

    /// The names of the embedded scorer's models, the default first. Never empty.
    fn local_models(&self) -> Vec<&'static str> {
        LocalModel::at_hand(self.with_cross_encoder).map(LocalModel::name).collect()
    }
}

/// The default model of the first upstream that has one and leads by more than its name, else the embedded scorer's.
pub(super) fn usual_target(upstreams: &KnownUpstreams<'_>) -> TargetSettings {
    for upstream in upstreams.usable {
        if let Some(model) = &upstream.facts.default_model
            && !upstream.by_name_only
        {
            return plain_target(&upstream.name, model);
        }
    }
    plain_target(embedded::NAME, upstreams.local_models()[0])
}

/// A target whose optional keys are left out.
fn plain_target(upstream: &str, model: &str) -> TargetSettings {
    TargetSettings {
        upstream: upstream.to_owned(),
        model: model.to_owned(),
        revision: String::new(),
        scores: None,
        weight: TargetSettings::DEFAULT_WEIGHT,
    }
}

/// A target without faults.
pub(super) enum ReadTarget {
    Usable(TargetSettings),
    /// Its upstream is optional and has no key; with the reason.
    LeftOut(String),
}

/// Reads one target; `None` if it has a fault.
pub(super) fn read_target(section: &Section<'_>, upstreams: &KnownUpstreams<'_>) -> Option<ReadTarget> {
    let required_upstream = section.require("upstream", text);
    let given_model = section.read("model", text);
    let revision = section.read_or("revision", String::new(), text);
    let scores = section.read("scores", text);
    let weight = section.read_or("weight", TargetSettings::DEFAULT_WEIGHT, weight_of);
    if section.has("weight") && !section.has("scores") {
        section.fault("weight", "means nothing without scores: it shares requests among targets of the same scores");
    }
    let upstream = required_upstream?;
    let default_model = if upstream == embedded::NAME {
        let models = upstreams.local_models();
        if let Some(model) = &given_model
            && !models.contains(&model.as_str())
        {
            section.fault("model", local_model_fault(model, &models));
        }
        Some(models[0].to_owned())
    } else if let Some(settings) = upstreams.find(&upstream) {
        settings.facts.default_model.clone()
    } else if let Some(absent) = upstreams.absent.get(&upstream)
        && absent.is_left_out
    {
        return Some(ReadTarget::LeftOut(absent.way_out.clone()));
    } else {
        // The faults of a declared upstream have been reported where it was read.
        if !upstreams.is_declared(&upstream) {
            section.fault("upstream", unknown_upstream_fault(&upstream, upstreams));
        }
        return None;
    };
    let model = given_model.or(default_model);
    if model.is_none() {
        section.fault("model", "is missing: the provider has no default model");
    }
    if let Some(model) = &model
        && let Some(settings) = upstreams.find(&upstream)
        && let Some(address) = &settings.model_address
        && let Err((_, message)) = address.url(model)
    {
        section.fault("model", format!("cannot be asked: {message}"));
    }
    Some(ReadTarget::Usable(TargetSettings {
        upstream,
        model: model?,
        revision: revision?,
        scores,
        weight: weight.unwrap_or(TargetSettings::DEFAULT_WEIGHT),
    }))
}

fn weight_of(value: &Value) -> Result<u32, String> {
    Ok(u32::try_from(count(0..=1_000)(value)?).unwrap_or(u32::MAX))
}

/// The message for a model that the embedded scorer does not have, or not without weights.
fn local_model_fault(model: &str, models: &[&str]) -> String {
    match LocalModel::by_name(model) {
        Some(_) => embedded::NEEDS_CROSS_ENCODER.to_owned(),
        None => format!("the embedded scorer has no such model; {}", known_names(model, models)),
    }
}

/// The message for an upstream that is not declared: the way to get it, else the name that was probably meant.
fn unknown_upstream_fault(name: &str, upstreams: &KnownUpstreams<'_>) -> String {
    if let Some(absent) = upstreams.absent.get(name) {
        return format!("no upstream is called {name}; {}", absent.way_out);
    }
    let mut known = vec![embedded::NAME];
    if let Some(declared) = upstreams.declared() {
        known.extend(declared.keys().map(String::as_str));
    }
    format!("no upstream is called {name}{}", suggestion(name, known.into_iter()))
}
