//! Results from answers: the value of every ranking, the best contestant, and the significance of the differences.

mod charges;
pub(crate) mod compare;
mod contestant_answers;
mod measures;
mod pareto;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rerankd_core::types::as_f64;

use self::charges::{cost, latency, unit};
use self::compare::{compare_all, estimate, paired_differences};
pub use self::contestant_answers::ContestantAnswers;
use self::measures::Measure;
use self::pareto::front;
use super::FIRST_STAGE;
use super::answers::{Answer, Ranked};
use super::choice::{self, Strategy};
use super::collection::{Collection, JudgedQuery};
use super::ranking_metrics::recall_ceiling;
use super::results::{Candidate, Choice, CollectionSummary, Contestant, Kind, Query, Results};
use super::statistics::mean;

/// Characters of a passage that the results keep, for the report to show.
const BEGINNING_CHARS: usize = 200;

/// The way contestants are compared.
#[derive(Clone, Copy, Debug)]
pub struct Criteria {
    /// Depth of the metrics that are cut.
    pub k: usize,
    /// Highest mean time per query with which a contestant may be chosen.
    pub speed_threshold: Option<Duration>,
    /// True to report AutoRAG's metrics too, and to choose by them.
    pub autorag: bool,
}

/// Judges all contestants over one collection; the order of the first stage is one of them.
#[must_use]
pub fn judge(collection: &Collection, entries: &[ContestantAnswers], criteria: &Criteria) -> Results {
    let measures = Measure::all(criteria);
    // The first stage stands first: `compare_all` and `choose` rely on it.
    let mut contestants = vec![first_stage(collection, &measures)];
    let mut unanswered = Vec::new();
    for entry in entries {
        match entry.unanswered() {
            Some(failures) => unanswered.push(failures),
            None => contestants.push(contestant(collection, entry, &measures)),
        }
    }
    let decisive = Measure::decisive(criteria.k).name();
    let mut values_by_contestant = Vec::with_capacity(contestants.len());
    for contestant in &contestants {
        values_by_contestant.push(values(&contestant.by_query, &decisive));
    }
    compare_all(&mut contestants, &values_by_contestant);
    set_differences_to_none(&mut contestants, &measures);
    let on_front = front(&contestants, &decisive);
    for (contestant, is_on_front) in contestants.iter_mut().zip(on_front) {
        contestant.on_pareto_front = is_on_front;
    }
    // Chosen before they are sorted: among equals the first stage wins, then the order of the command line.
    let choice = choose(&contestants, &measures, criteria);
    contestants.sort_by(|left, right| quality(right, &decisive).total_cmp(&quality(left, &decisive)));
    let mut definitions = BTreeMap::new();
    for measure in &measures {
        definitions.insert(measure.name(), measure.definition().to_owned());
    }
    Results {
        rerankd: env!("CARGO_PKG_VERSION").to_owned(),
        run: None,
        collection: summary(collection),
        k: criteria.k,
        metrics: measures.iter().map(Measure::name).collect(),
        definitions,
        contestants,
        unanswered,
        choice,
        queries: collection.queries.iter().map(|query| reported_query(collection, query)).collect(),
    }
}

/// Sets [`Contestant::to_none`]. The first of `contestants` is the first stage.
fn set_differences_to_none(contestants: &mut [Contestant], measures: &[Measure]) {
    let Some((first_stage, models)) = contestants.split_first_mut() else { return };
    for contestant in models {
        for measure in measures {
            let name = measure.name();
            let differences = paired_differences(&contestant.by_query, &first_stage.by_query, &name);
            if !differences.is_empty() {
                contestant.to_none.insert(name, estimate(&differences));
            }
        }
    }
}

/// The mean of the decisive metric; 0 if it is not defined for any query, as of a collection without queries.
fn quality(contestant: &Contestant, decisive: &str) -> f64 {
    match contestant.metrics.get(decisive) {
        Some(estimate) => estimate.mean,
        None => 0.0,
    }
}

/// The contestant that leaves the candidates in their order.
fn first_stage(collection: &Collection, measures: &[Measure]) -> Contestant {
    let rankings = collection.queries.iter().map(first_stage_ranking).collect();
    of_rankings(FIRST_STAGE, Kind::None, collection, rankings, measures)
}

/// The contestant of an entry with at least one answer. The differences and the Pareto front are left for later: they
/// need all contestants.
fn contestant(collection: &Collection, entry: &ContestantAnswers, measures: &[Measure]) -> Contestant {
    let mut rankings = Vec::with_capacity(collection.queries.len());
    let mut failed_queries = Vec::new();
    for (query, answer) in collection.queries.iter().zip(&entry.answers) {
        if let Some(Answer::Ranked(ranked)) = answer {
            rankings.push(ranking(query, ranked));
        } else {
            // An application would fall back to the order of the first stage, so a failure counts as that.
            rankings.push(first_stage_ranking(query));
            failed_queries.push(query.id.clone());
        }
    }
    let mut answered_by = BTreeSet::new();
    let mut fallbacks = 0;
    let mut degraded = 0;
    for ranked in entry.ranked() {
        answered_by.extend(ranked.answered_by.clone());
        fallbacks += usize::from(ranked.fallbacks > 0);
        degraded += usize::from(!ranked.degraded.is_empty());
    }
    Contestant {
        answered_by: answered_by.into_iter().collect(),
        failures: entry.failures(),
        failed_queries,
        first_failure: entry.first_failure(),
        fallbacks,
        degraded,
        latency: latency(entry.ranked()),
        cost: cost(entry.ranked(), unit(&entry.targets, entry.ranked())),
        ..of_rankings(&entry.name, Kind::Model, collection, rankings, measures)
    }
}

/// A contestant with the metrics of its rankings, one per query in the order of the collection. The answers' failures,
/// times and costs are left empty.
fn of_rankings(
    name: &str,
    kind: Kind,
    collection: &Collection,
    rankings: Vec<Ranking>,
    measures: &[Measure],
) -> Contestant {
    let mut by_query = Vec::with_capacity(rankings.len());
    let mut rankings_by_query = Vec::with_capacity(rankings.len());
    let mut scores_by_query = Vec::with_capacity(rankings.len());
    for (query, Ranking { candidates, scores }) in collection.queries.iter().zip(rankings) {
        let mut metrics = BTreeMap::new();
        for measure in measures {
            if let Some(value) = measure.value(collection, query, &candidates) {
                metrics.insert(measure.name(), value);
            }
        }
        by_query.push(metrics);
        rankings_by_query.push(candidates);
        scores_by_query.push(scores);
    }
    let mut estimates = BTreeMap::new();
    for measure in measures {
        let name = measure.name();
        let values = values(&by_query, &name);
        // A metric that is defined for no query has no mean.
        if !values.is_empty() {
            estimates.insert(name, estimate(&values));
        }
    }
    Contestant {
        by_query,
        rankings: rankings_by_query,
        scores: scores_by_query,
        ..Contestant::with_metrics(name, kind, estimates)
    }
}

/// The values of one metric, for each query that it is defined for.
fn values(by_query: &[BTreeMap<String, f64>], metric: &str) -> Vec<f64> {
    by_query.iter().filter_map(|metrics| metrics.get(metric).copied()).collect()
}

/// One query's candidates in an order, best first.
struct Ranking {
    /// Indices into [`JudgedQuery::candidates`].
    candidates: Vec<usize>,
    /// The score of each of them; `None` where the model gave none.
    scores: Vec<Option<f64>>,
}

/// The candidates as they came, without scores.
fn first_stage_ranking(query: &JudgedQuery) -> Ranking {
    let count = query.candidates.len();
    Ranking { candidates: (0..count).collect(), scores: vec![None; count] }
}

/// The order and the scores of an answer.
fn ranking(query: &JudgedQuery, ranked: &Ranked) -> Ranking {
    let mut candidates = Vec::with_capacity(ranked.ranking.len());
    let mut scores = Vec::with_capacity(ranked.ranking.len());
    for &(candidate_index, score) in &ranked.ranking {
        // An answer log is a file that can be edited: an index beyond the candidates must not panic.
        if candidate_index < query.candidates.len() {
            candidates.push(candidate_index);
            scores.push(score);
        }
    }
    Ranking { candidates, scores }
}

/// The choice of each strategy, by the metrics of one family: `AutoRAG`'s if they are wanted, else `trec_eval`'s.
/// `contestants` begin with the first stage, which wins ties and is never too slow.
fn choose(contestants: &[Contestant], measures: &[Measure], criteria: &Criteria) -> Choice {
    let mut metrics = Vec::new();
    for measure in measures {
        let name = measure.name();
        // A strategy compares means, so every contestant must have one.
        let is_defined = contestants.iter().all(|contestant| contestant.metrics.contains_key(&name));
        if is_defined && measure.is_autorag() == criteria.autorag {
            metrics.push(name);
        }
    }
    let slowest = criteria.speed_threshold.map(|threshold| threshold.as_secs_f64());
    let mut rivals = Vec::with_capacity(contestants.len());
    let mut too_slow = Vec::new();
    let mut not_timed = Vec::new();
    for contestant in contestants {
        let seconds = contestant.cold_mean().map(|milliseconds| milliseconds / 1e3);
        match (seconds, slowest) {
            (Some(seconds), Some(slowest)) if seconds > slowest => too_slow.push(contestant.name.clone()),
            (None, Some(_)) => not_timed.push(contestant.name.clone()),
            (Some(_), Some(_)) | (_, None) => {}
        }
        // All of them, those that are too slow too: `choice::choose` leaves them out itself, and its index must be one
        // of `contestants`. A time that is not known is beyond every threshold.
        rivals.push(choice::SelectionInput {
            metrics: metrics.iter().map(|name| contestant.metrics[name].mean).collect(),
            seconds: seconds.unwrap_or(f64::INFINITY),
        });
    }
    let mut by_strategy = BTreeMap::new();
    for strategy in Strategy::ALL {
        if let Some(choice) = choice::choose(&rivals, strategy, slowest) {
            by_strategy.insert(strategy.name().to_owned(), contestants[choice.best].name.clone());
        }
    }
    let speed_threshold_ms = slowest.map(|seconds| seconds * 1e3);
    Choice { by_strategy, metrics, speed_threshold_ms, too_slow, not_timed }
}

fn summary(collection: &Collection) -> CollectionSummary {
    let mut candidate_counts = Vec::with_capacity(collection.queries.len());
    let mut ceilings = Vec::with_capacity(collection.queries.len());
    for query in &collection.queries {
        candidate_counts.push(as_f64(query.candidates.len()));
        let grades: Vec<i32> = query.judgments.values().copied().collect();
        // Where no passage is relevant, recall is 0 by definition, which says nothing of the first stage.
        if grades.iter().any(|&grade| grade > 0) {
            ceilings.push(recall_ceiling(&candidate_grades(collection, query), &grades));
        }
    }
    CollectionSummary {
        name: collection.name.clone(),
        queries: collection.queries.len(),
        judgments: collection.judgments.clone(),
        left_out: collection.left_out.clone(),
        passages: collection.passages.len(),
        first_stage: collection.first_stage.clone(),
        candidates_per_query: mean(&candidate_counts),
        undecidable_queries: collection.undecidable_queries(),
        recall_ceiling: (!ceilings.is_empty()).then(|| mean(&ceilings)),
    }
}

fn candidate_grades(collection: &Collection, query: &JudgedQuery) -> Vec<Option<i32>> {
    query.candidates.iter().map(|&index| query.grade(&collection.passages[index])).collect()
}

fn reported_query(collection: &Collection, query: &JudgedQuery) -> Query {
    let mut candidates = Vec::with_capacity(query.candidates.len());
    for &index in &query.candidates {
        let passage = &collection.passages[index];
        candidates.push(Candidate {
            id: passage.id.to_string(),
            grade: query.grade(passage),
            beginning: passage.text.chars().take(BEGINNING_CHARS).collect(),
        });
    }
    Query { id: query.id.clone(), text: query.text.to_string(), labels: query.labels.clone(), candidates }
}
