//! Rankings as TREC run files, for other tools: `query Q0 passage rank score tag`.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::collection::Collection;
use super::file_name;
use super::results::{Contestant, Results};
use super::trec::order_keeping_scores;

/// A run file for each contestant: its name and its content.
#[must_use]
pub fn runs(results: &Results) -> Vec<(String, String)> {
    let mut files = Vec::with_capacity(results.contestants.len());
    for contestant in &results.contestants {
        files.push((format!("{}.run", file_name(&contestant.name)), run(results, contestant)));
    }
    files
}

/// The judgments as TREC qrels, `query 0 passage grade`, with the same ids as the runs.
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
        // `Contestant::scores` has one score for each place of the ranking.
        for ((rank, &place), score) in (1..).zip(ranking).zip(run_scores(scores)) {
            text.push_str(&format!("{id} Q0 {} {rank} {score} {tag}\n", word(&query.candidates[place].id)));
        }
    }
    text
}

/// An id or a name as the text of a column. Columns are separated by blanks, so its own blanks are percent-encoded.
///
/// Percent signs are left alone: an id without blanks must stay as it is in the judgments.
fn word(text: &str) -> String {
    let mut word = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_whitespace() {
            word.extend(utf8_percent_encode(character.encode_utf8(&mut [0; 4]), NON_ALPHANUMERIC));
        } else {
            word.push(character);
        }
    }
    word
}

/// Scores that keep the order: the model's own where each passage has one, changed as little as need be, else
/// descending ranks.
fn run_scores(scores: &[Option<f64>]) -> Vec<f64> {
    let own: Option<Vec<f64>> = scores.iter().copied().collect();
    match own {
        Some(own) => order_keeping_scores(&own),
        None => (1..=scores.len()).rev().map(rerankd_core::types::as_f64).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_keep_the_order_and_where_there_are_none_ranks_do() {
        assert_eq!(run_scores(&[Some(0.9), Some(0.5)]), [0.9, 0.5]);
        let tied = run_scores(&[Some(0.5), Some(0.5)]);
        assert!(tied[0] > tied[1] && tied[1] > 0.4999);
        assert_eq!(run_scores(&[None, Some(0.5), None]), [3.0, 2.0, 1.0]);
    }

    #[test]
    fn ids_with_blanks_stay_in_their_column() {
        assert_eq!(["a b", "a_b", "a\u{a0}%"].map(word), ["a%20b", "a_b", "a%C2%A0%"]);
    }
}
