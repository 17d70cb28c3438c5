//! `[models]`: the public names of models, and the targets behind each.
//!
//! Every key of a table is read before the first `?`, so that one pass over the configuration finds all faults.

use std::collections::BTreeMap;
use std::time::Duration;

use rerankd_core::route::DEFAULT_MODEL;
use rerankd_core::route::alias::Alias;
use rerankd_core::route::settings::{
    HedgeSettings, ModelSettings, OnDeadline, OnFailure, ShadowSettings, TargetSettings,
};

use super::equivalent_targets::check_equivalent_targets;
use super::reader::{Section, boolean, count, duration, one_of, price, share, texts};
use super::targets::{KnownUpstreams, ReadTarget, read_target, usual_target};

/// Longest `fallback_after`.
const MAX_FALLBACK_AFTER: Duration = Duration::from_hours(1);

/// The models of a configuration.
pub(super) struct ReadModels {
    /// Public models; `default` is among them unless there is a fault.
    pub(super) models: Vec<ModelSettings>,
    /// The names and aliases of models whose targets are all left out, each with the reason.
    pub(super) left_out: BTreeMap<String, String>,
    /// The model whose `aliases` give `default` further names.
    pub(super) alias_model: String,
}

/// The models of `[models]`, with `default` among them. `default_policies` are those of `[model_defaults]`.
pub(super) fn models(section: &Section<'_>, upstreams: &KnownUpstreams<'_>, default_policies: Policies) -> ReadModels {
    let drafts = section.entries(|_| None, |name, entry| ModelDraft::read(name, entry, upstreams));
    check_equivalent_targets(section, &drafts, upstreams);
    check_names(section, &drafts);
    let declares_default = drafts.iter().any(|draft| draft.name == DEFAULT_MODEL);
    let alias_model = match drafts.first() {
        Some(first) if !declares_default => first.name.to_owned(),
        _ => DEFAULT_MODEL.to_owned(),
    };
    let mut models = Vec::with_capacity(drafts.len() + 1);
    let mut left_out = BTreeMap::new();
    for draft in drafts {
        let Some(reason) = draft.reason_to_leave_out() else {
            models.extend(draft.into_settings());
            continue;
        };
        // Without `default` there is no answer for requests that name no model: that must not go unnoticed.
        if draft.name == alias_model {
            section.fault(draft.name, format!("{reason}, and it is the default model; {LOCAL_LAST}"));
        } else {
            section.warn(draft.name, format!("left out, for {reason}; requests for it are refused; {LOCAL_LAST}"));
        }
        for name in draft.names() {
            left_out.insert(name.to_owned(), format!("models.{} is left out, for {reason}", draft.name));
        }
    }
    if !declares_default {
        models.extend(implied_default(models.first(), default_policies, upstreams));
    }
    ReadModels { models, left_out, alias_model }
}

/// The way out for a model without targets.
const LOCAL_LAST: &str = "set that, or put { upstream = \"local\" } last in its targets";

/// The model `default` where none is declared: a copy of the first model, else the usual target with the policies of
/// `[model_defaults]`. `None` if one of those policies is wrong.
fn implied_default(
    first: Option<&ModelSettings>,
    policies: Policies,
    upstreams: &KnownUpstreams<'_>,
) -> Option<ModelSettings> {
    // An alias leads to one model, and these lead to the first already.
    if let Some(first) = first {
        return Some(ModelSettings { name: DEFAULT_MODEL.to_owned(), aliases: Vec::new(), ..first.clone() });
    }
    let draft = ModelDraft {
        name: DEFAULT_MODEL,
        aliases: Vec::new(),
        targets: vec![usual_target(upstreams)],
        left_out: Vec::new(),
        shadow_target: None,
        shadow_limits: None,
        policies,
    };
    draft.into_settings()
}

/// Reports every alias that is the name or an alias of another model too.
fn check_names(section: &Section<'_>, drafts: &[ModelDraft<'_>]) {
    // All names first: an alias may stand before the model whose name it takes.
    let mut owners = BTreeMap::from([(DEFAULT_MODEL, DEFAULT_MODEL)]);
    for draft in drafts {
        owners.insert(draft.name, draft.name);
    }
    for draft in drafts {
        for alias in &draft.aliases {
            if let Some(owner) = owners.insert(alias.as_str(), draft.name) {
                section.fault(draft.name, format!("{:?} in aliases is already a name of {owner}", alias.as_str()));
            }
        }
    }
}

/// The keys of a model that `[model_defaults]` holds too. A field is `None` if its key is wrong.
pub(super) struct Policies {
    on_failure: Option<OnFailure>,
    on_deadline: Option<OnDeadline>,
    fallback_after: Option<Duration>,
    hedge: Option<HedgeSettings>,
}

impl Policies {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            on_failure: section.require("on_failure", one_of(&OnFailure::NAMES)),
            on_deadline: section.require("on_deadline", one_of(&OnDeadline::NAMES)),
            fallback_after: section.require("fallback_after", duration(Duration::ZERO..=MAX_FALLBACK_AFTER)),
            hedge: section.section("hedge", read_hedge),
        }
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

/// A model of which everything right was read, to be checked against the other models. A configuration with a fault is
/// refused as a whole, so that no draft with a gap becomes a model that serves.
pub(super) struct ModelDraft<'a> {
    pub(super) name: &'a str,
    aliases: Vec<Alias>,
    pub(super) targets: Vec<TargetSettings>,
    /// The reasons why further targets are left out.
    left_out: Vec<String>,
    /// `None` without a shadow, or if its target is wrong.
    pub(super) shadow_target: Option<TargetSettings>,
    /// `None` without a shadow, or if one of its other keys is wrong.
    shadow_limits: Option<ShadowSettings>,
    policies: Policies,
}

impl<'a> ModelDraft<'a> {
    fn read(name: &'a str, section: &Section<'_>, upstreams: &KnownUpstreams<'_>) -> Self {
        let policies = Policies::read(section);
        let aliases = read_aliases(section);
        // `default` may be declared for its aliases alone.
        let mut targets = Vec::new();
        let mut left_out = Vec::new();
        if name == DEFAULT_MODEL && !section.has("targets") {
            targets.push(usual_target(upstreams));
        } else {
            for target in section.tables("targets", |entry| read_target(entry, upstreams)).into_iter().flatten() {
                match target {
                    ReadTarget::Usable(target) => targets.push(target),
                    ReadTarget::LeftOut(reason) => left_out.push(reason),
                }
            }
        }
        if section.is_empty_list("targets") {
            section.fault("targets", "must name at least one target");
        }
        let mut draft = Self { name, aliases, targets, left_out, shadow_target: None, shadow_limits: None, policies };
        if section.has("shadow") {
            section.section("shadow", |shadow| {
                draft.shadow_limits = read_shadow_limits(shadow);
                match read_shadow_target(shadow, upstreams) {
                    Some(ReadTarget::Usable(target)) => draft.shadow_target = Some(target),
                    Some(ReadTarget::LeftOut(reason)) => {
                        shadow.warn_of_table(format!("left out, for {reason}; nothing is compared"));
                    }
                    None => {}
                }
            });
        }
        draft
    }

    /// The reason why the model cannot be served: all its targets are left out. `None` if it can, or has a fault.
    fn reason_to_leave_out(&self) -> Option<String> {
        if self.targets.is_empty() && !self.left_out.is_empty() { Some(self.left_out.join("; ")) } else { None }
    }

    /// The model's name and its aliases that are no patterns.
    fn names(&self) -> impl Iterator<Item = &str> {
        let aliases = self.aliases.iter().filter(|alias| !alias.is_pattern()).map(Alias::as_str);
        std::iter::once(self.name).chain(aliases)
    }

    /// The model; `None` if a policy is wrong.
    fn into_settings(self) -> Option<ModelSettings> {
        Some(ModelSettings {
            name: self.name.to_owned(),
            aliases: self.aliases,
            targets: self.targets,
            on_failure: self.policies.on_failure?,
            on_deadline: self.policies.on_deadline?,
            fallback_after: self.policies.fallback_after?,
            hedge: self.policies.hedge?,
            shadow: self.shadow_target.zip(self.shadow_limits),
        })
    }
}

/// The aliases without a fault; none if the key is missing.
fn read_aliases(section: &Section<'_>) -> Vec<Alias> {
    let names = section.read("aliases", |value| {
        texts(value).map_err(|_| "must be a list of names such as [\"rerank-v3.5\", \"nvidia/*\"]".to_owned())
    });
    let mut aliases = Vec::new();
    for name in names.unwrap_or_default() {
        aliases.extend(section.value_or_fault("aliases", Alias::new(&name)));
    }
    aliases
}

/// The `target` of a shadow.
fn read_shadow_target(section: &Section<'_>, upstreams: &KnownUpstreams<'_>) -> Option<ReadTarget> {
    if !section.has("target") {
        section.fault("target", "is missing; it must be a target such as { upstream = \"local\" }");
    }
    section.section("target", |target| read_target(target, upstreams))
}

/// The keys of a shadow beside its target.
fn read_shadow_limits(section: &Section<'_>) -> Option<ShadowSettings> {
    let sample = section.require("sample", share);
    let max_concurrency =
        section.read_or("max_concurrency", ShadowSettings::DEFAULT_MAX_CONCURRENCY, count(1..=10_000));
    let max_usd_per_day = section.read_or("max_usd_per_day", ShadowSettings::DEFAULT_MAX_USD_PER_DAY, price);
    Some(ShadowSettings { sample: sample?, max_concurrency: max_concurrency?, max_usd_per_day: max_usd_per_day? })
}
