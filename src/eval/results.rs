//! What an evaluation found out: everything that the table, the report and `results.json` show.
//!
//! Lists named `by_query` stand in the order of [`Results::queries`].

use std::collections::BTreeMap;

use serde::Serialize;

use super::collection::LeftOut;

/// One finished evaluation. The shape of `results.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Results {
    /// Version of rerankd.
    pub rerankd: String,
    /// What was ranked.
    pub collection: CollectionSummary,
    /// Depth of the metrics that are cut.
    pub k: usize,
    /// Names of the metrics, the decisive one first.
    pub metrics: Vec<String>,
    /// What each of them measures.
    pub definitions: BTreeMap<String, String>,
    /// Who answered, best first by the decisive metric.
    pub contestants: Vec<Contestant>,
    /// Who did not answer a single query, and so was not compared.
    pub unanswered: Vec<Unanswered>,
    /// Who is chosen.
    pub choice: Choice,
    /// What was asked.
    pub queries: Vec<Query>,
}

/// The judged collection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CollectionSummary {
    /// Name of its folder.
    pub name: String,
    /// Queries that were evaluated.
    pub queries: usize,
    /// The file that the judgments are from, where that is one of its own.
    pub judgments: Option<String>,
    /// What cannot be evaluated.
    #[serde(flatten)]
    pub left_out: LeftOut,
    /// Passages in the collection.
    pub passages: usize,
    /// How the candidates came to be.
    pub first_stage: String,
    /// Candidates of a query, on average.
    pub candidates_per_query: f64,
    /// Share of the relevant passages that are among the candidates: what no reranker can better, 0 to 1; `None` if no passage is relevant.
    pub recall_ceiling: Option<f64>,
}

/// Where a contestant's rankings come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The order of the first stage.
    None,
    /// A configured model.
    Model,
}

/// One way of ranking, and how it did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contestant {
    /// What it was called on the command line; `none` for the order of the first stage.
    pub name: String,
    /// Where its rankings come from.
    pub kind: Kind,
    /// `UPSTREAM/MODEL` of the answers, usually one; several if a fallback answered some queries.
    pub answered_by: Vec<String>,
    /// Queries without an answer, by error code. They count with the order of the first stage.
    pub failures: BTreeMap<String, usize>,
    /// Ids of these queries.
    pub failed_queries: Vec<String>,
    /// What the first failure said.
    pub first_failure: Option<String>,
    /// Answers that another target gave because one before it failed.
    pub fallbacks: usize,
    /// Answers that were less than what was asked for.
    pub degraded: usize,
    /// Every metric by its name.
    pub metrics: BTreeMap<String, Estimate>,
    /// The decisive metric against the best contestant's; `None` for the best one.
    pub against_best: Option<Comparison>,
    /// The decisive metric against the order of the first stage; `None` for `none`.
    pub against_none: Option<Comparison>,
    /// `None` where nothing was measured: for `none`, and for who shares the scores of another contestant.
    pub latency: Option<Latency>,
    /// `None` where nothing was measured, as with `latency`.
    pub cost: Option<Cost>,
    /// Whether nobody is at least as good, as fast and as cheap, and better in one of these.
    pub on_pareto_front: bool,
    /// Value of every metric, for each query.
    pub by_query: Vec<BTreeMap<String, f64>>,
    /// Places in [`Query::candidates`], best first, for each query.
    pub rankings: Vec<Vec<usize>>,
    /// The score of each place in the ranking, for each query; `None` where there was none.
    pub scores: Vec<Vec<Option<f64>>>,
}

impl Contestant {
    /// Milliseconds that an answer took on average, nothing cached, if that was measured; the order of the first stage takes none. The mean and not
    /// the median, because a model that answers some queries at once and ponders over others is not as fast as the faster half.
    #[must_use]
    pub fn cold_mean(&self) -> Option<f64> {
        match self.kind {
            Kind::None => Some(0.0),
            Kind::Model => self.latency.map(|latency| latency.cold.mean).filter(|mean| mean.is_finite()),
        }
    }
}

/// A contestant without an answer. There is nothing of it to measure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unanswered {
    /// What it was called on the command line.
    pub name: String,
    /// Queries by the error code that came instead of an answer.
    pub failures: BTreeMap<String, usize>,
    /// What the first failure said.
    pub message: String,
}

/// A mean over the queries, with its 95 % confidence interval (bootstrap over queries).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Mean over the queries.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// A difference of means over the same queries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// This contestant's mean minus the other's, with its 95 % confidence interval (paired bootstrap).
    pub difference: Estimate,
    /// Probability of a difference at least as large if there were none (paired randomisation test, two-sided).
    pub p: f64,
    /// The same, adjusted for the number of contestants compared (Holm).
    pub p_adjusted: f64,
    /// Whether the difference may well be chance: the adjusted probability is 0.05 or more.
    pub is_noise: bool,
}

/// How long answers took, in milliseconds, inside rerankd.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Nothing was cached.
    pub cold: Times,
    /// The same request once more, from the cache; `None` where nothing was cached.
    pub warm: Option<Times>,
}

/// Durations of many requests, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// Half are faster.
    pub p50: f64,
    /// 95 in 100 are faster.
    pub p95: f64,
    /// On average.
    pub mean: f64,
    /// How many were measured.
    pub count: usize,
}

/// What the provider charged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// US dollars for 1,000 such queries at the list price of the registry; `None` if price or usage is not known.
    pub usd_per_1000_queries: Option<f64>,
    /// Tokens a query, if the provider told.
    pub tokens_per_query: Option<f64>,
    /// Search units a query, if the provider told.
    pub search_units_per_query: Option<f64>,
    /// What is charged for: `search unit`, `million tokens`, `free` or `not known`.
    pub unit: String,
}

/// Who is best, by the ways in which AutoRAG chooses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Strategy to the name of the contestant that it chooses: `mean`, `rank`, `normalize_mean`.
    pub by_strategy: BTreeMap<String, String>,
    /// The metrics that were taken into account.
    pub metrics: Vec<String>,
    /// Slowest mean time a query that was allowed, in milliseconds.
    pub speed_threshold_ms: Option<f64>,
    /// Contestants that are too slow. The order of the first stage takes no time, so there is always one that is not.
    pub too_slow: Vec<String>,
    /// Contestants that were not timed, and so cannot keep within a threshold, if there is one.
    pub not_timed: Vec<String>,
}

/// One query of the collection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Query {
    /// Its name in the collection.
    pub id: String,
    /// The search text.
    pub text: String,
    /// What the collection says of it, such as its language.
    pub labels: BTreeMap<String, String>,
    /// The passages to be ranked, in the order of the first stage.
    pub candidates: Vec<Candidate>,
}

/// One passage to be ranked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// Its name in the collection.
    pub id: String,
    /// How relevant it is said to be; `None` if nobody judged it.
    pub grade: Option<i32>,
    /// The beginning of its text.
    pub beginning: String,
}
