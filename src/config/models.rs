//! `[models]`: the public names of models, and the targets behind each.
//!
//! Every key of a table is read before the first `?`, so that one pass over the configuration finds all faults.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::reader::{Section, boolean, count, known_names, one_of, price, share, text, texts};
use crate::embedded::{self, LocalModel};
use crate::provider::{InstructionSupport, ScoreScale, Scoring};
use crate::route::DEFAULT_MODEL;
use crate::route::alias::Alias;
use crate::route::settings::{
    AbsentUpstream, HedgeSettings, ModelSettings, OnDeadline, OnFailure, ShadowSettings, TargetSettings,
};
use crate::suggestion::suggestion;
use crate::upstream::settings::{LongPassages, UpstreamSettings};

/// Default of `shadow.max_concurrency`, in comparisons under way at once.
const SHADOW_MAX_CONCURRENCY: usize = 4;
/// Default of `shadow.max_usd_per_day`, in US dollars at list price.
const SHADOW_MAX_USD_PER_DAY: f64 = 1.0;

/// The upstreams that targets may name.
pub(super) struct KnownUpstreams<'a> {
    /// The upstreams without a fault, in the order of the configuration.
    pub(super) usable: &'a [UpstreamSettings],
    /// The providers without an upstream of their name, and the way to get one.
    pub(super) absent: &'a BTreeMap<&'static str, AbsentUpstream>,
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
    fn find(&self, name: &str) -> Option<&'a UpstreamSettings> {
        self.usable.iter().find(|upstream| upstream.name == name)
    }

    /// The names of the embedded scorer's models, the default first. Never empty.
    fn local_models(&self) -> Vec<&'static str> {
        LocalModel::at_hand(self.with_cross_encoder).map(LocalModel::name).collect()
    }
}

/// The models of `[models]`, with `default` among them. `default_policies` are those of `[model_defaults]`.
pub(super) fn models(
    section: &Section<'_>,
    upstreams: &KnownUpstreams<'_>,
    default_policies: Policies,
) -> Vec<ModelSettings> {
    let entries = section.entries(|_| None, |name, entry| read_model(name, entry, upstreams));
    let mut models: Vec<ModelSettings> = entries.into_iter().flatten().collect();
    check_shared_scores(section, &models, upstreams);
    // Only now: a copy of a faulty model would have its faults named twice.
    if !models.iter().any(|model| model.name == DEFAULT_MODEL) {
        models.extend(implied_default(models.first(), default_policies, upstreams));
    }
    check_names(section, &models);
    models
}

/// The model `default` where none is declared: a copy of the first model, else the usual target with the policies of
/// `[model_defaults]`. `None` if one of those policies is wrong.
fn implied_default(
    first: Option<&ModelSettings>,
    policies: Policies,
    upstreams: &KnownUpstreams<'_>,
) -> Option<ModelSettings> {
    let name = DEFAULT_MODEL.to_owned();
    match first {
        // An alias leads to one model, and these lead to the first already.
        Some(first) => Some(ModelSettings { name, aliases: Vec::new(), ..first.clone() }),
        None => policies.into_model(name, Vec::new(), vec![usual_target(upstreams)]),
    }
}

/// Reports every alias that is the name or an alias of another model too.
fn check_names(section: &Section<'_>, models: &[ModelSettings]) {
    // All names first: an alias may stand before the model whose name it takes.
    let mut owners = BTreeMap::new();
    for model in models {
        owners.insert(model.name.as_str(), model.name.as_str());
    }
    for model in models {
        for alias in &model.aliases {
            if let Some(owner) = owners.insert(alias.as_str(), &model.name) {
                section.fault(&model.name, format!("{:?} in aliases is already a name of {owner}", alias.as_str()));
            }
        }
    }
}

/// The default model of the first upstream that has one, else the embedded scorer's.
fn usual_target(upstreams: &KnownUpstreams<'_>) -> TargetSettings {
    for upstream in upstreams.usable {
        if let Some(model) = &upstream.facts.default_model {
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
        weight: 1,
    }
}

/// The keys of a model that `[model_defaults]` holds too. A field is `None` if its key is wrong.
pub(super) struct Policies {
    on_failure: Option<OnFailure>,
    on_deadline: Option<OnDeadline>,
    hedge: Option<HedgeSettings>,
}

impl Policies {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            on_failure: section.require("on_failure", one_of(&OnFailure::NAMES)),
            on_deadline: section.require("on_deadline", one_of(&OnDeadline::NAMES)),
            hedge: section.section("hedge", read_hedge),
        }
    }

    /// A model without a shadow; `None` if a policy is wrong.
    fn into_model(self, name: String, aliases: Vec<Alias>, targets: Vec<TargetSettings>) -> Option<ModelSettings> {
        Some(ModelSettings {
            name,
            aliases,
            targets,
            on_failure: self.on_failure?,
            on_deadline: self.on_deadline?,
            hedge: self.hedge?,
            shadow: None,
        })
    }
}

fn read_hedge(section: &Section<'_>) -> Option<HedgeSettings> {
    let enabled = section.require("enabled", boolean);
    let after_quantile = section.require("after_quantile", share);
    let max_calls = section.require("max_calls", share);
    let max_spend = section.require("max_spend", share);
    Some(HedgeSettings {
        enabled: enabled?,
        after_quantile: after_quantile?,
        max_calls: max_calls?,
        max_spend: max_spend?,
    })
}

/// Everything that a target's scores depend on, beside the texts and the model's weights.
#[derive(PartialEq)]
struct ScoreTerms<'a> {
    scale: ScoreScale,
    scoring: Scoring,
    instruction: InstructionSupport,
    limits_passage_tokens: bool,
    long_passages: LongPassages,
    rejects_blank_passages: bool,
    revision: &'a str,
}

impl<'a> ScoreTerms<'a> {
    /// The terms of a target; `None` if its upstream is the embedded scorer or faulty.
    fn of(target: &'a TargetSettings, upstreams: &KnownUpstreams<'_>) -> Option<Self> {
        let upstream = upstreams.find(&target.upstream)?;
        let (facts, _) = upstream.facts.model(&target.model);
        Some(Self {
            scale: facts.scale,
            scoring: facts.scoring,
            instruction: facts.instruction,
            limits_passage_tokens: upstream.provider.limits_passage_tokens(),
            long_passages: upstream.long_passages,
            rejects_blank_passages: upstream.facts.rejects_blank_passages,
            revision: &target.revision,
        })
    }
}

/// Reports targets that claim the same scores and differ in something that scores depend on. The claim holds across
/// models.
fn check_shared_scores(section: &Section<'_>, models: &[ModelSettings], upstreams: &KnownUpstreams<'_>) {
    let mut claimants: Vec<&TargetSettings> = Vec::new();
    for model in models {
        for target in &model.targets {
            if target.scores.is_none() {
                continue;
            }
            let first = claimants.iter().find(|earlier| earlier.scores == target.scores).copied();
            claimants.push(target);
            let address = format!("{}/{}", target.upstream, target.model);
            if target.upstream == embedded::NAME {
                let message = format!("{address}: nothing gives the same scores as the embedded scorer");
                section.fault(&model.name, message);
                continue;
            }
            // The first one stands for all: equality is transitive.
            if let Some(first) = first
                && ScoreTerms::of(first, upstreams) != ScoreTerms::of(target, upstreams)
            {
                let same = "scale, scoring, instruction, long_passages, limit of tokens, blank passages and revision";
                section.fault(&model.name, format!("{address}: targets of the same scores must agree in {same}"));
            }
        }
    }
}

fn read_model(name: &str, section: &Section<'_>, upstreams: &KnownUpstreams<'_>) -> Option<ModelSettings> {
    let policies = Policies::read(section);
    // Read even where it is left out: suggestions for unknown keys are made from the keys that were read.
    let given_aliases = section.read("aliases", aliases_of);
    let aliases = if section.has("aliases") { given_aliases } else { Some(Vec::new()) };
    // `default` may be declared for its aliases alone.
    let targets = if name == DEFAULT_MODEL && !section.has("targets") {
        Some(vec![usual_target(upstreams)])
    } else {
        read_targets(section, upstreams)
    };
    if section.is_empty_list("targets") {
        section.fault("targets", "must name at least one target");
    }
    // `Some(None)` if there is none; `None` if it is wrong, which has been reported.
    let shadow = if section.has("shadow") {
        section.section("shadow", |shadow| read_shadow(shadow, upstreams)).map(Some)
    } else {
        Some(None)
    };
    let model = policies.into_model(name.to_owned(), aliases?, targets?)?;
    Some(ModelSettings { shadow: shadow?, ..model })
}

/// The targets of a model; `None` if one of them is wrong.
fn read_targets(section: &Section<'_>, upstreams: &KnownUpstreams<'_>) -> Option<Vec<TargetSettings>> {
    section.tables("targets", |entry| read_target(entry, upstreams)).into_iter().collect()
}

/// `shadow = { target = …, sample = … }`
fn read_shadow(section: &Section<'_>, upstreams: &KnownUpstreams<'_>) -> Option<(TargetSettings, ShadowSettings)> {
    if !section.has("target") {
        section.fault("target", "is missing; it must be a target such as { upstream = \"local\" }");
    }
    let target = section.section("target", |target| read_target(target, upstreams));
    let sample = section.require("sample", share);
    let max_concurrency = section.read("max_concurrency", count(1..=10_000)).unwrap_or(SHADOW_MAX_CONCURRENCY);
    let max_usd_per_day = section.read("max_usd_per_day", price).unwrap_or(SHADOW_MAX_USD_PER_DAY);
    Some((target?, ShadowSettings { sample: sample?, max_concurrency, max_usd_per_day }))
}

fn aliases_of(value: &Value) -> Result<Vec<Alias>, String> {
    let names = texts(value).map_err(|_| "must be a list of names such as [\"rerank-v3.5\", \"nvidia/*\"]")?;
    names.iter().map(|alias| Alias::new(alias)).collect()
}

fn read_target(section: &Section<'_>, upstreams: &KnownUpstreams<'_>) -> Option<TargetSettings> {
    let required_upstream = section.require("upstream", text);
    let given_model = section.read("model", text);
    let revision = section.read("revision", text).unwrap_or_default();
    let scores = section.read("scores", text);
    let weight = section.read("weight", count(0..=1_000)).unwrap_or(1);
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
    let weight = u32::try_from(weight).unwrap_or(u32::MAX);
    Some(TargetSettings { upstream, model: model?, revision, scores, weight })
}

/// The message for a model that the embedded scorer does not have, or not without weights.
fn local_model_fault(model: &str, models: &[&str]) -> String {
    match LocalModel::by_name(model) {
        Some(_) => embedded::NEEDS_WEIGHTS.to_owned(),
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
