//! The answers of a contestant, as its answer log has them.

use std::collections::BTreeMap;

use rerankd_core::provider::Billing;
use rerankd_core::route::Route;

use crate::answers::{Answer, AnswerLog, NOT_ASKED, Ranked};
use crate::collection::Collection;
use crate::results::Unanswered;

/// The answers of one contestant.
#[derive(Clone, Debug)]
pub struct ContestantAnswers {
    /// Name from the command line.
    pub(super) name: String,
    /// One per query of the collection, in its order; `None` where the query was not asked.
    pub(super) answers: Vec<Option<Answer>>,
    /// Hash of its models and of the settings that change their scores.
    pub(super) models_fingerprint: String,
    /// Addresses of its targets with their prices, in order.
    pub(super) targets: Vec<(String, Billing)>,
}

impl ContestantAnswers {
    /// The answers of the contestant `name`, which is `route`, from its answer log.
    #[must_use]
    pub fn of_answer_log(name: &str, answer_log: &AnswerLog, route: &Route, collection: &Collection) -> Self {
        let mut answers = Vec::with_capacity(collection.queries.len());
        for query in &collection.queries {
            answers.push(if query.candidates.is_empty() {
                // Nobody is asked about nothing, and nobody fails at it.
                Some(Answer::Ranked(Ranked::of_nothing(&query.id)))
            } else {
                answer_log.answer(&query.id).cloned()
            });
        }
        let mut targets = Vec::with_capacity(route.targets.len());
        for target in &route.targets {
            targets.push((target.address(), target.facts.billing));
            // It answers queries in scripts that the cross-encoder does not read, under an address of its own.
            if let Some(parts) = &target.hybrid {
                targets.push((parts.lexical.address(), parts.lexical.facts.billing));
            }
        }
        Self { name: name.to_owned(), answers, models_fingerprint: answer_log.models_fingerprint().to_owned(), targets }
    }

    /// The name with the hash of the models behind it and of the settings that change their scores.
    #[must_use]
    pub fn identity(&self) -> (String, String) {
        (self.name.clone(), self.models_fingerprint.clone())
    }

    /// The failures of a contestant that never answered; `None` if it answered at least once.
    #[must_use]
    pub fn unanswered(&self) -> Option<Unanswered> {
        if self.ranked().next().is_some() {
            return None;
        }
        let message = self.first_failure().unwrap_or_else(|| "it was not asked".to_owned());
        Some(Unanswered { name: self.name.clone(), failures: self.failures(), message })
    }

    /// The rankings of queries that were asked.
    pub(super) fn ranked(&self) -> impl Iterator<Item = &Ranked> {
        let ranked = self.answers.iter().flatten().filter_map(Answer::ranked);
        ranked.filter(|ranked| !ranked.ranking.is_empty())
    }

    pub(super) fn first_failure(&self) -> Option<String> {
        let failed = self.answers.iter().flatten().find_map(Answer::failed)?;
        Some(failed.message.clone())
    }

    pub(super) fn failures(&self) -> BTreeMap<String, usize> {
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
