//! Settings of a model: `[models.NAME]`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::DEFAULT_MODEL;
use super::alias::Alias;

/// `[models.NAME]`
#[derive(Clone, Debug)]
pub struct ModelSettings {
    /// The table's name.
    pub name: String,
    /// Other names of the model.
    pub aliases: Vec<Alias>,
    /// The targets in the order in which they are asked.
    pub targets: Vec<TargetSettings>,
    /// The answer when every target failed.
    pub on_failure: OnFailure,
    /// The answer when the deadline passes and some scores are there.
    pub on_deadline: OnDeadline,
    /// The longest wait for the first answer of an upstream whose usual latency is not known, while another target is
    /// ready; zero for none.
    pub fallback_after: Duration,
    /// The conditions under which slow calls are sent twice.
    pub hedge: HedgeSettings,
    /// The target that is asked the same in the background, to be compared.
    pub shadow: Option<(TargetSettings, ShadowSettings)>,
}

/// `shadow` of a model, beside its target: how often and how dearly it may be asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShadowSettings {
    /// Share of the queries that are compared, 0 to 1.
    pub sample: f64,
    /// Most comparisons under way at once.
    pub max_concurrency: usize,
    /// Most that a day's comparisons may cost, in US dollars at list price, as far as that is known.
    pub max_usd_per_day: f64,
}

impl ShadowSettings {
    /// Default of `max_concurrency`.
    pub const DEFAULT_MAX_CONCURRENCY: usize = 4;
    /// Default of `max_usd_per_day`.
    pub const DEFAULT_MAX_USD_PER_DAY: f64 = 1.0;
}

/// `hedge` of a model: when a slow call is sent to another target of the same scores too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HedgeSettings {
    /// False if no call is sent twice.
    pub enabled: bool,
    /// A call is slow when this share of the calls of its size are faster, 0 to 1.
    pub after_quantile: f64,
    /// Most second calls, as a share of all calls, 0 to 1.
    pub max_calls: f64,
    /// Most that second calls may cost, as a share of what all calls cost, 0 to 1.
    pub max_spend: f64,
}

/// One entry of a model's `targets`.
#[derive(Clone, Debug)]
pub struct TargetSettings {
    /// Name of the upstream.
    pub upstream: String,
    /// The upstream's name for the model.
    pub model: String,
    /// The operator's mark for a model that changed behind its name.
    pub revision: String,
    /// The name of the scores, if other targets give the same.
    pub scores: Option<String>,
    /// Share of the requests among targets of the same scores.
    pub weight: u32,
}

impl TargetSettings {
    /// Default of `weight`.
    pub const DEFAULT_WEIGHT: u32 = 1;
}

/// The answer when the deadline passes and some scores are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDeadline {
    /// The same as on any failure, by [`OnFailure`].
    Error,
    /// The client gets the scored documents, best first, and the others after them.
    Partial,
}

impl OnDeadline {
    /// The policies by their names in the configuration.
    pub const NAMES: [(&'static str, Self); 2] = [("error", Self::Error), ("partial", Self::Partial)];
}

/// The answer when every target failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The client gets the error.
    Error,
    /// The client gets its documents back in input order, marked as not reranked.
    OriginalOrder,
}

impl OnFailure {
    /// The policies by their names in the configuration.
    pub const NAMES: [(&'static str, Self); 2] = [("error", Self::Error), ("original_order", Self::OriginalOrder)];
}

/// Treatment of models that no route leads to.
#[derive(Clone, Debug)]
pub struct UnknownModels {
    /// The providers without an upstream of their name and the upstreams that are left out, by name.
    pub absent_upstreams: BTreeMap<String, AbsentUpstream>,
    /// The models that are left out, and their aliases, each with the reason in words.
    pub left_out: BTreeMap<String, String>,
    /// The model whose `aliases` give the default model further names.
    pub alias_model: String,
    /// The place where the operator configures.
    pub written_in: WrittenIn,
    /// True if there is neither an upstream nor a model: then requests for any model get the default one.
    pub nothing_is_configured: bool,
}

impl Default for UnknownModels {
    fn default() -> Self {
        Self {
            absent_upstreams: BTreeMap::new(),
            left_out: BTreeMap::new(),
            alias_model: DEFAULT_MODEL.to_owned(),
            written_in: WrittenIn::File,
            nothing_is_configured: false,
        }
    }
}

/// The place where the operator configures, by which a line to paste is worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrittenIn {
    /// A file in TOML.
    File,
    /// Environment variables.
    Environment,
}

/// A provider that has no upstream of its name, or an upstream that is left out.
#[derive(Clone, Debug)]
pub struct AbsentUpstream {
    /// True if it is declared, optional, and has no key.
    pub is_left_out: bool,
    /// The way to get it, in words.
    pub way_out: String,
    /// The models that it would have.
    pub models: Vec<String>,
}
