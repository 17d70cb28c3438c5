//! The results of an evaluation: everything that the table, the report and `results.json` show.
//!
//! Lists named `by_query` stand in the order of [`Results::queries`].

use std::collections::BTreeMap;

use serde::Serialize;

use super::collection::{Checksums, LeftOut};

/// A finished evaluation. The names and the order of the fields are the shape of `results.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Results {
    /// Version of rerankd, as in `Cargo.toml`.
    pub rerankd: String,
    /// The circumstances of the run; `None` of results that no command made.
    pub run: Option<RunRecord>,
    /// The judged collection, in numbers.
    pub collection: CollectionSummary,
    /// Depth of the metrics that are cut.
    pub k: usize,
    /// Names of the metrics, the decisive one first.
    pub metrics: Vec<String>,
    /// A sentence on each metric, by its name.
    pub definitions: BTreeMap<String, String>,
    /// Contestants that answered at least one query, best first by the decisive metric.
    pub contestants: Vec<Contestant>,
    /// Contestants that answered no query, and so were not compared.
    pub unanswered: Vec<Unanswered>,
    /// The chosen contestant, by each strategy.
    pub choice: Choice,
    /// The evaluated queries, in the order of the collection.
    pub queries: Vec<Query>,
}

/// The circumstances of a run, so that its figures can be cited and measured again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRecord {
    /// Time at which the results were written, in UTC: `2026-11-30T18:00:00Z`.
    pub date: String,
    /// Command line as typed, with user names and passwords in addresses left out.
    pub command: String,
    /// The machine that measured the times.
    pub machine: Machine,
    /// Options that the figures depend on, by name, those left at their defaults included.
    pub settings: BTreeMap<String, String>,
    /// Checksums of the collection.
    pub checksums: Checksums,
    /// Hash of each model and of the settings that change its scores, by the model's name.
    pub models: BTreeMap<String, String>,
    /// Number of answers that earlier runs left; their times and prices are those of then.
    pub answers_kept: usize,
    /// Number of answers of this run.
    pub answers_new: usize,
    /// Day on which the list prices were looked up, or the first and the last day; `None` where no model has a price.
    pub prices_as_of: Option<String>,
}

/// A machine, in the words of its system.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// Model of the processor, or its architecture where the system does not tell.
    pub cpu: String,
    /// Number of processors that the process may use.
    pub cores: usize,
    /// Operating system with its version, as far as it tells.
    pub os: String,
}

/// The judged collection, in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CollectionSummary {
    /// Name of its folder, or of its one file without the ending.
    pub name: String,
    /// Number of queries evaluated.
    pub queries: usize,
    /// File of the judgments; `None` where the data file holds them too.
    pub judgments: Option<String>,
    /// Counts of what cannot be evaluated.
    #[serde(flatten)]
    pub left_out: LeftOut,
    /// Number of passages in the corpus.
    pub passages: usize,
    /// Origin of the candidates, in words.
    pub first_stage: String,
    /// Mean number of candidates per query.
    pub candidates_per_query: f64,
    /// Number of queries for which every order of the candidates has the same value, because all candidates have the
    /// same grade.
    pub undecidable_queries: usize,
    /// Share of the relevant passages that are among the candidates, 0 to 1. No reranker has a higher recall. `None` if
    /// no passage is relevant.
    pub recall_ceiling: Option<f64>,
}

/// Origin of a contestant's rankings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The order of the first stage.
    None,
    /// A model of the configuration.
    Model,
}

/// A model or the first stage, with its rankings, metrics, times and costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contestant {
    /// Name from the command line; `none` for the order of the first stage.
    pub name: String,
    /// Origin of its rankings.
    pub kind: Kind,
    /// `UPSTREAM/MODEL` of the answers, usually one; several if a fallback answered some queries.
    pub answered_by: Vec<String>,
    /// Number of queries without an answer, by error code. They count with the order of the first stage.
    pub failures: BTreeMap<String, usize>,
    /// Ids of the queries without an answer.
    pub failed_queries: Vec<String>,
    /// Message of the first failure; `None` if there was none.
    pub first_failure: Option<String>,
    /// Number of answers from a fallback, because a target before it failed.
    pub fallbacks: usize,
    /// Number of answers that are worse than requested.
    pub degraded: usize,
    /// Estimates of the metrics, by name; a metric that is defined for no query is missing.
    pub metrics: BTreeMap<String, Estimate>,
    /// Differences of the means from the first stage's, by metric, over the queries that the metric is defined for;
    /// empty for `none`.
    pub to_none: BTreeMap<String, Estimate>,
    /// The decisive metric against the best contestant's; `None` for the best one.
    pub against_best: Option<Comparison>,
    /// The decisive metric against the order of the first stage; `None` for `none`.
    pub against_none: Option<Comparison>,
    /// Times of its answers; `None` where nothing was measured: for `none`, and for a contestant that took all scores
    /// from another one.
    pub latency: Option<Latency>,
    /// Charges per query; `None` as with `latency`.
    pub cost: Option<Cost>,
    /// True if no other contestant is at least as good, as fast and as cheap, and better in one of these.
    pub on_pareto_front: bool,
    /// For each query: values of the metrics by name. A metric that is not defined for the query is missing.
    pub by_query: Vec<BTreeMap<String, f64>>,
    /// For each query: indices into [`Query::candidates`], best first.
    pub rankings: Vec<Vec<usize>>,
    /// For each query: the score of each passage in the order of its ranking; `None` where there was none.
    pub scores: Vec<Vec<Option<f64>>>,
}

impl Contestant {
    /// A contestant with these metrics, of which nothing else is known yet.
    pub(crate) fn with_metrics(name: &str, kind: Kind, metrics: BTreeMap<String, Estimate>) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            answered_by: Vec::new(),
            failures: BTreeMap::new(),
            failed_queries: Vec::new(),
            first_failure: None,
            fallbacks: 0,
            degraded: 0,
            metrics,
            to_none: BTreeMap::new(),
            against_best: None,
            against_none: None,
            latency: None,
            cost: None,
            on_pareto_front: false,
            by_query: Vec::new(),
            rankings: Vec::new(),
            scores: Vec::new(),
        }
    }

    /// Mean milliseconds until an answer, nothing cached; 0 for the order of the first stage, `None` where nothing was
    /// measured.
    ///
    /// It is the mean and not the median, because a model that is fast on some queries and slow on others is not as
    /// fast as its faster half.
    #[must_use]
    pub fn cold_mean(&self) -> Option<f64> {
        match self.kind {
            Kind::None => Some(0.0),
            Kind::Model => {
                let mean = self.latency?.cold.mean;
                // An unknown time is ranked as infinite, so no known one may be.
                mean.is_finite().then_some(mean)
            }
        }
    }
}

/// A contestant without an answer, which leaves nothing to measure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unanswered {
    /// Name from the command line.
    pub name: String,
    /// Number of queries, by the error code that came instead of an answer.
    pub failures: BTreeMap<String, usize>,
    /// Message of the first failure.
    pub message: String,
}

/// A mean over the queries, with its 95 % confidence interval (bootstrap over queries).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Mean over the queries that the metric is defined for.
    pub mean: f64,
    /// Lower end of the interval; NaN (`null` in JSON) over a single query, which has none.
    pub low: f64,
    /// Upper end of the interval; NaN as with `low`.
    pub high: f64,
}

impl Estimate {
    /// Returns false for the mean of a single query, which says nothing of others.
    pub(crate) fn has_interval(&self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }
}

/// A difference of means over the same queries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// This contestant's mean minus the other's, with its 95 % confidence interval (paired bootstrap).
    pub difference: Estimate,
    /// The two-sided p-value of the paired randomisation test, as
    /// [`randomization_test`](crate::statistics::randomization_test) has it.
    pub p: f64,
    /// The same, adjusted for the number of contestants compared (Holm).
    pub p_adjusted: f64,
    /// True if the difference may well be chance: the adjusted p-value is 0.05 or more.
    pub is_noise: bool,
}

/// Latency of the answers, in milliseconds, measured inside rerankd.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Requests with nothing cached.
    pub cold: Times,
    /// The same request once more, from the cache; `None` where nothing was cached.
    pub warm: Option<Times>,
}

/// Quantiles and mean of durations, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// Median, by nearest rank.
    pub p50: f64,
    /// 95th percentile, by nearest rank.
    pub p95: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Number of requests measured.
    pub count: usize,
}

/// Charges of the provider, mean per query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// US dollars for 1,000 such queries at the list price of the registry; `None` if price or usage is not known.
    pub usd_per_1000_queries: Option<f64>,
    /// Tokens per query; `None` if the provider did not say.
    pub tokens_per_query: Option<f64>,
    /// Search units per query; `None` if the provider did not say.
    pub search_units_per_query: Option<f64>,
    /// Unit of billing: `search unit`, `million tokens`, `call`, `free` or `not known`; several, such as
    /// `free and search unit`, if fallbacks of another unit answered too.
    pub unit: String,
}

/// The best contestant, by each of AutoRAG's strategies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Strategy to the name of the contestant that it chooses: `mean`, `rank`, `normalize_mean`.
    pub by_strategy: BTreeMap<String, String>,
    /// The metrics that were taken into account.
    pub metrics: Vec<String>,
    /// Highest mean time per query that was allowed, in milliseconds; `None` if any was.
    pub speed_threshold_ms: Option<f64>,
    /// Names of the contestants slower than `speed_threshold_ms`; empty without one. Never all of them: the order of
    /// the first stage takes no time.
    pub too_slow: Vec<String>,
    /// Contestants without times, which cannot keep within a threshold; empty without one.
    pub not_timed: Vec<String>,
}

/// A query of the collection, with its candidates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Query {
    /// Id in the collection.
    pub id: String,
    /// Text of the query.
    pub text: String,
    /// Short values of the collection's metadata, such as the language, by name.
    pub labels: BTreeMap<String, String>,
    /// The passages to be ranked, in the order of the first stage.
    pub candidates: Vec<Candidate>,
}

/// A passage to be ranked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// Id in the collection.
    pub id: String,
    /// Grade of relevance, above 0 if relevant; `None` if the passage was not judged.
    pub grade: Option<i32>,
    /// First characters of its text, at most 200.
    pub beginning: String,
}
