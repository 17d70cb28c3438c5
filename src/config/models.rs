//! `[models]`: public names and where they lead.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::reader::{Section, boolean, count, known_names, one_of, price, share, text, texts};
use super::settings::{
    AbsentUpstream, HedgeSettings, ModelSettings, OnDeadline, OnFailure, ShadowSettings, TargetSettings,
    UpstreamSettings,
};
use crate::local::{self, LocalModel};
use crate::route::DEFAULT_MODEL;
use crate::route::alias::Alias;
use crate::suggestion::suggestion;

/// What a shadow may do where the configuration does not say.
const SHADOWS_AT_ONCE: usize = 4;
const SHADOW_USD_PER_DAY: f64 = 1.0;

/// The upstreams that targets may name.
pub(super) struct Declared<'a> {
    pub(super) usable: &'a [UpstreamSettings],
    /// What would make one of a provider that has none of its name.
    pub(super) absent: &'a BTreeMap<&'static str, AbsentUpstream>,
    pub(super) table: &'a Table,
    /// Whether the embedded scorer has more than its lexical model.
    pub(super) with_cross_encoder: bool,
}

impl Declared<'_> {
    fn has(&self, name: &str) -> bool {
        self.table.get("upstreams").and_then(|upstreams| upstreams.get(name)).is_some()
    }

    /// The embedded scorer's models, the usual one first.
    fn local_models(&self) -> Vec<&'static str> {
        LocalModel::at_hand(self.with_cross_encoder).map(LocalModel::name).collect()
    }
}

/// `[models]`, with `default` among them.
pub(super) fn models(section: &Section<'_>, upstreams: &Declared<'_>, defaults: Section<'_>) -> Vec<ModelSettings> {
    let usual = Policies::read(&defaults);
    defaults.finish();
    let mut models: Vec<_> =
        section.entries().into_iter().filter_map(|(name, entry)| model(name, entry, upstreams)).collect();
    check_shared_scores(section, &models, upstreams);
    if !models.iter().any(|model| model.name == DEFAULT_MODEL) {
        let first = models.first().map(|model| ModelSettings { aliases: Vec::new(), ..model.clone() });
        let undeclared = || usual.model(Vec::new(), vec![usual_target(upstreams)]);
        models.extend(first.or_else(undeclared).map(|model| ModelSettings { name: DEFAULT_MODEL.to_owned(), ..model }));
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
fn usual_target(upstreams: &Declared<'_>) -> TargetSettings {
    let usual = |upstream: &UpstreamSettings| Some((upstream.name.clone(), upstream.facts.default_model.clone()?));
    let embedded = || (local::NAME.to_owned(), upstreams.local_models()[0].to_owned());
    let (upstream, model) = upstreams.usable.iter().find_map(usual).unwrap_or_else(embedded);
    TargetSettings { upstream, model, revision: String::new(), scores: None, weight: 1 }
}

/// The keys of a model that `[model_defaults]` holds too.
struct Policies {
    on_failure: Option<OnFailure>,
    on_deadline: Option<OnDeadline>,
    hedge: Option<HedgeSettings>,
}

impl Policies {
    fn read(section: &Section<'_>) -> Self {
        Self {
            on_failure: section.require("on_failure", one_of(&OnFailure::NAMES, OnFailure::by_name)),
            on_deadline: section.require("on_deadline", one_of(&OnDeadline::NAMES, OnDeadline::by_name)),
            hedge: hedge(section.section("hedge")),
        }
    }

    /// A model without a name; `None` if a policy is wrong.
    fn model(self, aliases: Vec<Alias>, targets: Vec<TargetSettings>) -> Option<ModelSettings> {
        Some(ModelSettings {
            name: String::new(),
            aliases,
            targets,
            on_failure: self.on_failure?,
            on_deadline: self.on_deadline?,
            hedge: self.hedge?,
            shadow: None,
        })
    }
}

fn hedge(section: Section<'_>) -> Option<HedgeSettings> {
    let enabled = section.require("enabled", boolean);
    let after_quantile = section.require("after_quantile", share);
    let max_calls = section.require("max_calls", share);
    let max_spend = section.require("max_spend", share);
    section.finish();
    Some(HedgeSettings {
        enabled: enabled?,
        after_quantile: after_quantile?,
        max_calls: max_calls?,
        max_spend: max_spend?,
    })
}

/// Targets that claim to give the same scores must agree on everything that a score depends on, whatever model they stand in.
fn check_shared_scores(section: &Section<'_>, models: &[ModelSettings], upstreams: &Declared<'_>) {
    let facts = |target: &TargetSettings| {
        let upstream = upstreams.usable.iter().find(|upstream| upstream.name == target.upstream)?;
        let (facts, _) = upstream.facts.model(&target.model);
        let cuts = (upstream.provider.limits_passage_tokens(), upstream.long_passages);
        let blanks = upstream.facts.rejects_blank_passages;
        Some((facts.scale, facts.scoring, facts.instruction, cuts, blanks, target.revision.clone()))
    };
    let all: Vec<_> =
        models.iter().flat_map(|model| model.targets.iter().map(|target| (&*model.name, target))).collect();
    for (at, (model, target)) in all.iter().enumerate().filter(|(_, (_, target))| target.scores.is_some()) {
        let address = format!("{}/{}", target.upstream, target.model);
        if target.upstream == local::NAME {
            section.fault(model, format!("{address}: nothing gives the same scores as the embedded scorer"));
            continue;
        }
        let twin = all[..at].iter().find(|(_, earlier)| earlier.scores == target.scores);
        if twin.is_some_and(|(_, twin)| facts(twin) != facts(target)) {
            let same = "scale, scoring, instruction, long_passages, limit of tokens, blank passages and revision";
            section.fault(model, format!("{address}: targets of the same scores must agree in {same}"));
        }
    }
}

fn model(name: &str, section: Section<'_>, upstreams: &Declared<'_>) -> Option<ModelSettings> {
    let policies = Policies::read(&section);
    let aliases = section.read("aliases", aliases_of);
    // `default` may be declared for its aliases alone.
    let targets = if name == DEFAULT_MODEL && !section.has("targets") {
        vec![Some(usual_target(upstreams))]
    } else {
        section.tables("targets").into_iter().map(|entry| target(entry, upstreams)).collect()
    };
    if section.is_empty_list("targets") {
        section.fault("targets", "must name at least one target");
    }
    let aliases = if section.has("aliases") { aliases } else { Some(Vec::new()) };
    let shadow = section.has("shadow").then(|| shadow(section.section("shadow"), upstreams));
    let targets: Option<Vec<_>> = targets.into_iter().collect();
    section.finish();
    // A shadow that was asked for and is wrong has been named already.
    let shadow = shadow.map_or(Some(None), |shadow| shadow.map(Some))?;
    Some(ModelSettings { name: name.to_owned(), shadow, ..policies.model(aliases?, targets?)? })
}

/// `shadow = { target = …, sample = … }`
fn shadow(section: Section<'_>, upstreams: &Declared<'_>) -> Option<(TargetSettings, ShadowSettings)> {
    if !section.has("target") {
        section.fault("target", "is missing; it must be a target such as { upstream = \"local\" }");
    }
    let target = target(section.section("target"), upstreams);
    let sample = section.require("sample", share);
    let max_concurrency = section.read("max_concurrency", count(1..=10_000)).unwrap_or(SHADOWS_AT_ONCE);
    let max_usd_per_day = section.read("max_usd_per_day", price).unwrap_or(SHADOW_USD_PER_DAY);
    section.finish();
    Some((target?, ShadowSettings { sample: sample?, max_concurrency, max_usd_per_day }))
}

fn aliases_of(value: &Value) -> Result<Vec<Alias>, String> {
    let names = texts(value).map_err(|_| "must be a list of names such as [\"rerank-v3.5\", \"nvidia/*\"]")?;
    names.iter().map(|alias| Alias::new(alias)).collect()
}

fn target(section: Section<'_>, upstreams: &Declared<'_>) -> Option<TargetSettings> {
    let upstream = section.require("upstream", text);
    let model = section.read("model", text);
    let revision = section.read("revision", text).unwrap_or_default();
    let scores = section.read("scores", text);
    let weight = section.read("weight", count(0..=1_000)).unwrap_or(1);
    if section.has("weight") && !section.has("scores") {
        section.fault("weight", "means nothing without scores: it shares requests among targets of the same scores");
    }
    let upstream = upstream?;
    let usual = if upstream == local::NAME {
        let models = upstreams.local_models();
        if let Some(model) = model.as_deref().filter(|model| !models.contains(model)) {
            let why = match LocalModel::by_name(model) {
                Some(_) => local::NEEDS_WEIGHTS.to_owned(),
                None => format!("the embedded scorer has no such model; {}", known_names(model, &models)),
            };
            section.fault("model", why);
        }
        models.first().map(|&model| model.to_owned())
    } else if let Some(settings) = upstreams.usable.iter().find(|settings| settings.name == upstream) {
        settings.facts.default_model.clone()
    } else {
        // One that is declared and faulty has been named already.
        if !upstreams.has(&upstream) {
            let declared = upstreams.table.get("upstreams").and_then(Value::as_table).into_iter().flat_map(Table::keys);
            let known = declared.map(String::as_str).chain([local::NAME]);
            let way_out = upstreams.absent.get(&*upstream).map(|absent| format!("; {}", absent.way_out));
            let way_out = way_out.unwrap_or_else(|| suggestion(&upstream, known));
            section.fault("upstream", format!("no upstream is called {upstream}{way_out}"));
        }
        return None;
    };
    let model = model.or(usual);
    if model.is_none() {
        section.fault("model", "is missing: the provider has no usual model");
    }
    section.finish();
    let weight = u32::try_from(weight).unwrap_or(u32::MAX);
    Some(TargetSettings { upstream, model: model?, revision, scores, weight })
}
