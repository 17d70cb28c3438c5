//! From answers to results: what every ranking is worth, who is best, and whether that could be chance.

mod charges;
mod compare;
mod measures;
mod pareto;

use std::collections::BTreeMap;
use std::time::Duration;

use self::charges::{cost, latency};
use self::compare::{against, estimate};
use self::measures::Measure;
use self::pareto::front;
use super::NONE;
use super::choice::{self, Strategy};
use super::collection::{Collection, JudgedQuery};
use super::contest::{Answer, Ledger, NOT_ASKED, Ranked};
use super::exact;
use super::metrics::recall_ceiling;
use super::results::{Candidate, Choice, CollectionSummary, Contestant, Kind, Query, Results, Unanswered};
use super::statistics::mean;
use crate::provider::Billing;
use crate::route::Route;

/// Characters of a passage that a report shows.
const BEGINNING: usize = 200;

/// What an evaluation is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Depth of the metrics that are cut.
    pub k: usize,
    /// Slowest mean time a query with which a contestant may be chosen.
    pub speed_threshold: Option<Duration>,
    /// Whether AutoRAG's metrics are told, and used to choose.
    pub autorag: bool,
}

/// A contestant's answers.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it was called on the command line.
    name: String,
    /// For each query; `None` where it was not asked.
    answers: Vec<Option<Answer>>,
    /// What is charged for.
    unit: &'static str,
}

impl Entry {
    /// What `ledger` holds of the contestant `name`, which is `route`.
    #[must_use]
    pub fn of_ledger(name: &str, ledger: &Ledger, route: &Route, collection: &Collection) -> Self {
        let answer = |query: &JudgedQuery| ledger.answer(&query.id).cloned();
        let unit = route.targets.first().map_or(Billing::Unknown, |target| target.facts.billing).unit();
        Self { name: name.to_owned(), answers: collection.queries.iter().map(answer).collect(), unit }
    }

    /// What there is to say of a contestant that never answered; `None` if it did.
    #[must_use]
    pub fn unanswered(&self) -> Option<Unanswered> {
        if self.ranked().next().is_some() {
            return None;
        }
        let message = self.first_failure().unwrap_or_else(|| "it was not asked".to_owned());
        Some(Unanswered { name: self.name.clone(), failures: self.failures(), message })
    }

    fn ranked(&self) -> impl Iterator<Item = &Ranked> {
        self.answers.iter().flatten().filter_map(Answer::ranked)
    }

    fn first_failure(&self) -> Option<String> {
        self.answers.iter().flatten().find_map(|answer| Some(answer.failed()?.message.clone()))
    }

    fn failures(&self) -> BTreeMap<String, usize> {
        let mut failures = BTreeMap::new();
        for answer in &self.answers {
            let code = match answer {
                Some(Answer::Ranked(_)) => continue,
                Some(Answer::Failed(failed)) => &failed.code,
                None => NOT_ASKED,
            };
            *failures.entry(code.to_owned()).or_default() += 1;
        }
        failures
    }
}

/// Judges all contestants over one collection; the order of the first stage is one of them.
#[must_use]
pub fn judge(collection: &Collection, entries: &[Entry], terms: &Terms) -> Results {
    let measures = Measure::all(terms);
    let mut contestants = vec![first_stage(collection, &measures)];
    let answered = entries.iter().filter(|entry| entry.unanswered().is_none());
    contestants.extend(answered.map(|entry| contestant(collection, entry, &measures)));
    let decisive = measures[0].name();
    compare_all(&mut contestants, &decisive);
    let on_front = front(&contestants, &decisive);
    for (contestant, is_on_front) in contestants.iter_mut().zip(on_front) {
        contestant.on_pareto_front = is_on_front;
    }
    let choice = choose(&contestants, &measures, terms);
    let mean = |contestant: &Contestant| contestant.metrics.get(&decisive).map_or(0.0, |estimate| estimate.mean);
    contestants.sort_by(|left, right| mean(right).total_cmp(&mean(left)));
    Results {
        rerankd: env!("CARGO_PKG_VERSION").to_owned(),
        collection: summary(collection),
        k: terms.k,
        metrics: measures.iter().map(Measure::name).collect(),
        definitions: measures.iter().map(|measure| (measure.name(), measure.definition().to_owned())).collect(),
        contestants,
        unanswered: entries.iter().filter_map(Entry::unanswered).collect(),
        choice,
        queries: collection.queries.iter().map(|query| shown(collection, query)).collect(),
    }
}

/// The candidates as they came.
fn first_stage(collection: &Collection, measures: &[Measure]) -> Contestant {
    let rankings = collection.queries.iter().map(as_it_came).collect();
    of_rankings(NONE, Kind::None, collection, rankings, measures)
}

fn contestant(collection: &Collection, entry: &Entry, measures: &[Measure]) -> Contestant {
    let rankings = collection.queries.iter().zip(&entry.answers);
    let rankings = rankings.map(|(query, answer)| ranking(query, answer.as_ref())).collect();
    let failed = collection.queries.iter().zip(&entry.answers);
    let failed = failed.filter(|(_, answer)| answer.as_ref().and_then(Answer::ranked).is_none());
    let mut answered_by: Vec<String> = entry.ranked().filter_map(|ranked| ranked.answered_by.clone()).collect();
    answered_by.sort_unstable();
    answered_by.dedup();
    Contestant {
        answered_by,
        failures: entry.failures(),
        failed_queries: failed.map(|(query, _)| query.id.clone()).collect(),
        first_failure: entry.first_failure(),
        fallbacks: entry.ranked().filter(|ranked| ranked.fallbacks > 0).count(),
        degraded: entry.ranked().filter(|ranked| !ranked.degraded.is_empty()).count(),
        latency: latency(entry.ranked()),
        cost: cost(entry.ranked(), entry.unit),
        ..of_rankings(&entry.name, Kind::Model, collection, rankings, measures)
    }
}

fn of_rankings(
    name: &str,
    kind: Kind,
    collection: &Collection,
    rankings: Vec<Ranking>,
    measures: &[Measure],
) -> Contestant {
    let (rankings, scores): (Vec<_>, Vec<_>) = rankings.into_iter().unzip();
    let value_of = |(query, ranking): (&JudgedQuery, &Vec<usize>)| {
        let value = |measure: &Measure| Some((measure.name(), measure.value(collection, query, ranking)?));
        measures.iter().filter_map(value).collect::<BTreeMap<_, _>>()
    };
    let by_query: Vec<BTreeMap<String, f64>> = collection.queries.iter().zip(&rankings).map(value_of).collect();
    // A metric that is defined for no query has no mean.
    let mean_of = |measure: &Measure| match values(&by_query, &measure.name()) {
        none if none.is_empty() => None,
        values => Some((measure.name(), estimate(&values))),
    };
    Contestant {
        name: name.to_owned(),
        kind,
        answered_by: Vec::new(),
        failures: BTreeMap::new(),
        failed_queries: Vec::new(),
        first_failure: None,
        fallbacks: 0,
        degraded: 0,
        metrics: measures.iter().filter_map(mean_of).collect(),
        against_best: None,
        against_none: None,
        latency: None,
        cost: None,
        on_pareto_front: false,
        by_query,
        rankings,
        scores,
    }
}

/// The values of one metric, for each query that it is defined for.
fn values(by_query: &[BTreeMap<String, f64>], metric: &str) -> Vec<f64> {
    by_query.iter().filter_map(|values| values.get(metric).copied()).collect()
}

/// Places among the candidates, best first, and their scores.
type Ranking = (Vec<usize>, Vec<Option<f64>>);

fn as_it_came(query: &JudgedQuery) -> Ranking {
    let count = query.candidates.len();
    ((0..count).collect(), vec![None; count])
}

/// What a contestant made of a query. A query without an answer counts with the order of the first stage, which is what an application
/// would fall back to.
fn ranking(query: &JudgedQuery, answer: Option<&Answer>) -> Ranking {
    let Some(Answer::Ranked(ranked)) = answer else { return as_it_came(query) };
    ranked.ranking.iter().filter(|(place, _)| *place < query.candidates.len()).copied().unzip()
}

fn compare_all(contestants: &mut [Contestant], decisive: &str) {
    let all: Vec<Vec<f64>> = contestants.iter().map(|contestant| values(&contestant.by_query, decisive)).collect();
    // The first of those that are equally good.
    let best = (0..all.len()).rev().max_by(|&left, &right| mean(&all[left]).total_cmp(&mean(&all[right])));
    let (to_best, to_none) = (best.map(|best| against(&all, best)), against(&all, 0));
    for (at, contestant) in contestants.iter_mut().enumerate() {
        contestant.against_best = to_best.as_ref().and_then(|comparisons| comparisons[at]);
        contestant.against_none = to_none[at];
    }
}

fn choose(contestants: &[Contestant], measures: &[Measure], terms: &Terms) -> Choice {
    let is_defined = |name: &String| contestants.iter().all(|contestant| contestant.metrics.contains_key(name));
    let used = measures.iter().filter(|measure| measure.is_autorag() == terms.autorag).map(Measure::name);
    let used: Vec<String> = used.filter(is_defined).collect();
    let seconds = |contestant: &Contestant| contestant.cold_mean().map(|milliseconds| milliseconds / 1e3);
    let rivals: Vec<_> = contestants
        .iter()
        .map(|contestant| choice::Contestant {
            metrics: used.iter().map(|name| contestant.metrics[name].mean).collect(),
            seconds: seconds(contestant).unwrap_or(f64::INFINITY),
        })
        .collect();
    let slowest = terms.speed_threshold.map(|threshold| threshold.as_secs_f64());
    let choices = Strategy::ALL.map(|strategy| (strategy, choice::choose(&rivals, strategy, slowest)));
    let by_strategy = choices.iter().filter_map(|(strategy, choice)| {
        Some((strategy.name().to_owned(), contestants[choice.as_ref()?.best].name.clone()))
    });
    let names = |is_one: &dyn Fn(&Contestant, f64) -> bool| -> Vec<String> {
        let Some(slowest) = slowest else { return Vec::new() };
        let found = contestants.iter().filter(|contestant| is_one(contestant, slowest));
        found.map(|contestant| contestant.name.clone()).collect()
    };
    Choice {
        by_strategy: by_strategy.collect(),
        metrics: used,
        speed_threshold_ms: slowest.map(|slowest| slowest * 1e3),
        too_slow: names(&|contestant, slowest| seconds(contestant).is_some_and(|seconds| seconds > slowest)),
        not_timed: names(&|contestant, _| seconds(contestant).is_none()),
    }
}

fn summary(collection: &Collection) -> CollectionSummary {
    let counts: Vec<f64> = collection.queries.iter().map(|query| exact(query.candidates.len())).collect();
    let ceiling = |query: &JudgedQuery| {
        let grades: Vec<i32> = query.judgments.values().copied().collect();
        let is_relevant = grades.iter().any(|&grade| grade > 0);
        is_relevant.then(|| recall_ceiling(&candidate_grades(collection, query), &grades))
    };
    let ceilings: Vec<f64> = collection.queries.iter().filter_map(ceiling).collect();
    CollectionSummary {
        name: collection.name.clone(),
        queries: collection.queries.len(),
        judgments: collection.judgments.clone(),
        left_out: collection.left_out.clone(),
        passages: collection.passages.len(),
        first_stage: collection.first_stage.clone(),
        candidates_per_query: mean(&counts),
        recall_ceiling: (!ceilings.is_empty()).then(|| mean(&ceilings)),
    }
}

fn candidate_grades(collection: &Collection, query: &JudgedQuery) -> Vec<Option<i32>> {
    query.candidates.iter().map(|&place| query.grade(&collection.passages[place])).collect()
}

fn shown(collection: &Collection, query: &JudgedQuery) -> Query {
    let candidate = |&place: &usize| {
        let passage = &collection.passages[place];
        Candidate {
            id: passage.id.to_string(),
            grade: query.grade(passage),
            beginning: passage.text.chars().take(BEGINNING).collect(),
        }
    };
    Query {
        id: query.id.clone(),
        text: query.text.to_string(),
        labels: query.labels.clone(),
        candidates: query.candidates.iter().map(candidate).collect(),
    }
}
