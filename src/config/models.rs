//! `[models]`: public names and where they lead.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::reader::{Section, known_names, one_of, suggestion, text, texts};
use super::settings::{ModelSettings, OnFailure, TargetSettings, UpstreamSettings};
use crate::local::{self, LocalModel};
use crate::route::DEFAULT_MODEL;
use crate::route::alias::Alias;

/// The upstreams that targets may name.
pub(super) struct Declared<'a> {
    pub(super) usable: &'a [UpstreamSettings],
    pub(super) table: &'a Table,
}

impl Declared<'_> {
    fn has(&self, name: &str) -> bool {
        self.table.get("upstreams").and_then(|upstreams| upstreams.get(name)).is_some()
    }
}

/// `[models]`, with `default` among them.
pub(super) fn models(section: &Section<'_>, upstreams: &Declared<'_>, usual: OnFailure) -> Vec<ModelSettings> {
    let mut models: Vec<_> =
        section.entries().into_iter().filter_map(|(name, entry)| model(name, entry, upstreams)).collect();
    if !models.iter().any(|model| model.name == DEFAULT_MODEL) {
        let targets = models.first().map(|model| (model.targets.clone(), model.on_failure));
        let (targets, on_failure) = targets.unwrap_or_else(|| (vec![usual_target(upstreams.usable)], usual));
        models.push(ModelSettings { name: DEFAULT_MODEL.to_owned(), aliases: Vec::new(), targets, on_failure });
    }
    doubled_names(section, &models);
    models
}

/// A name must lead to one model.
fn doubled_names(section: &Section<'_>, models: &[ModelSettings]) {
    let mut owners: BTreeMap<&str, &str> =
        models.iter().map(|model| (model.name.as_str(), model.name.as_str())).collect();
    for model in models {
        for alias in &model.aliases {
            if let Some(owner) = owners.insert(alias.as_str(), &model.name) {
                section.fault(&model.name, format!("{:?} in aliases is already a name of {owner}", alias.as_str()));
            }
        }
    }
}

/// The first upstream's usual model, else the embedded scorer.
fn usual_target(upstreams: &[UpstreamSettings]) -> TargetSettings {
    let usual =
        upstreams.iter().find_map(|upstream| Some((upstream.name.as_str(), upstream.facts.default_model.as_deref()?)));
    let (upstream, model) = usual.unwrap_or((local::NAME, LocalModel::ALL[0].name()));
    TargetSettings { upstream: upstream.to_owned(), model: model.to_owned(), revision: String::new() }
}

fn model(name: &str, section: Section<'_>, upstreams: &Declared<'_>) -> Option<ModelSettings> {
    let on_failure = section.require("on_failure", one_of(&OnFailure::NAMES, OnFailure::by_name));
    let aliases = section.read("aliases", aliases_of);
    // `default` may be declared for its aliases alone.
    let targets = if name == DEFAULT_MODEL && !section.has("targets") {
        vec![Some(usual_target(upstreams.usable))]
    } else {
        section.tables("targets").into_iter().map(|entry| target(entry, upstreams)).collect()
    };
    if section.is_empty_list("targets") {
        section.fault("targets", "must name at least one target");
    }
    let aliases = if section.has("aliases") { aliases } else { Some(Vec::new()) };
    section.finish();
    Some(ModelSettings {
        name: name.to_owned(),
        aliases: aliases?,
        targets: targets.into_iter().collect::<Option<_>>()?,
        on_failure: on_failure?,
    })
}

fn aliases_of(value: &Value) -> Result<Vec<Alias>, String> {
    let names = texts(value).map_err(|_| "must be a list of names such as [\"rerank-v3.5\", \"nvidia/*\"]")?;
    names.iter().map(|alias| Alias::new(alias)).collect()
}

fn target(section: Section<'_>, upstreams: &Declared<'_>) -> Option<TargetSettings> {
    let upstream = section.require("upstream", text);
    let model = section.read("model", text);
    let revision = section.read("revision", text).unwrap_or_default();
    let upstream = upstream?;
    let usual = if upstream == local::NAME {
        if let Some(model) = model.as_deref().filter(|model| LocalModel::by_name(model).is_none()) {
            let known = known_names(model, &LocalModel::ALL.map(LocalModel::name));
            section.fault("model", format!("the embedded scorer has no such model; {known}"));
        }
        Some(LocalModel::ALL[0].name().to_owned())
    } else if let Some(settings) = upstreams.usable.iter().find(|settings| settings.name == upstream) {
        settings.facts.default_model.clone()
    } else {
        // One that is declared and faulty has been named already.
        if !upstreams.has(&upstream) {
            let known = upstreams.usable.iter().map(|settings| settings.name.as_str()).chain([local::NAME]);
            section.fault("upstream", format!("no upstream of this name{}", suggestion(&upstream, known)));
        }
        return None;
    };
    let model = model.or(usual);
    if model.is_none() {
        section.fault("model", "is missing: the provider has no usual model");
    }
    section.finish();
    Some(TargetSettings { upstream, model: model?, revision })
}
