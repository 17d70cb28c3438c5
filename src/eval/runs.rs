//! Rankings as TREC run files, for whoever has other tools: `query Q0 passage rank score tag`.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::collection::Collection;
use super::file_name;
use super::results::{Contestant, Results};
use super::trec::order_keeping_scores;

/// The name and the content of a run file for each contestant.
#[must_use]
pub fn runs(results: &Results) -> Vec<(String, String)> {
    let run = |contestant: &Contestant| (format!("{}.run", file_name(&contestant.name)), run(results, contestant));
    results.contestants.iter().map(run).collect()
}

/// The judgments as TREC qrels, `query 0 passage grade`: with the ids that the runs have, wherever the collection comes from.
#[must_use]
pub fn qrels(collection: &Collection) -> String {
    let mut text = String::new();
    for query in &collection.queries {
        for (passage, grade) in &query.judgments {
            text.push_str(&format!("{} 0 {} {grade}\n", word(&query.id), word(passage)));
        }
    }
    text
}

fn run(results: &Results, contestant: &Contestant) -> String {
    let tag = word(&contestant.name);
    let mut text = String::new();
    for ((query, ranking), scores) in results.queries.iter().zip(&contestant.rankings).zip(&contestant.scores) {
        let id = word(&query.id);
        for ((rank, &place), score) in (1..).zip(ranking).zip(written(scores)) {
            text.push_str(&format!("{id} Q0 {} {rank} {score} {tag}\n", word(&query.candidates[place].id)));
        }
    }
    text
}

/// What may stand in a column. Columns are parted by blanks, so those of an id or a name are percent-encoded. Percent signs are left alone, because
/// ids that need no encoding must be those of the judgments.
fn word(text: &str) -> String {
    let is_blank = |character: &char| character.is_whitespace();
    let encoded = |character: char| match Some(character).filter(is_blank) {
        Some(blank) => utf8_percent_encode(&blank.to_string(), NON_ALPHANUMERIC).to_string(),
        None => character.to_string(),
    };
    text.chars().map(encoded).collect()
}

/// Scores that keep the order: the model's own as far as they do, ranks from below where there are none.
fn written(scores: &[Option<f64>]) -> Vec<f64> {
    let own: Option<Vec<f64>> = scores.iter().copied().collect();
    own.map_or_else(|| (1..=scores.len()).rev().map(super::exact).collect(), |own| order_keeping_scores(&own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_keep_the_order_and_where_there_are_none_ranks_do() {
        assert_eq!(written(&[Some(0.9), Some(0.5)]), [0.9, 0.5]);
        let tied = written(&[Some(0.5), Some(0.5)]);
        assert!(tied[0] > tied[1] && tied[1] > 0.4999);
        assert_eq!(written(&[None, Some(0.5), None]), [3.0, 2.0, 1.0]);
    }

    #[test]
    fn ids_with_blanks_stay_in_their_column() {
        assert_eq!(["a b", "a_b", "a\u{a0}%"].map(word), ["a%20b", "a_b", "a%C2%A0%"]);
    }
}
