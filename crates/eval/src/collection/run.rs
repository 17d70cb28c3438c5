//! Runs: the candidates that a first stage found, in columns.
//!
//! The columns are TREC's `query Q0 passage rank score tag`, or in short `query passage rank score`, or
//! `query passage score`.

use std::cmp::Ordering;
use std::path::Path;

use super::draft::Draft;
use super::input_error::{CollectionError, FilePosition};
use super::lines::{columns, each_line};

const RUN_COLUMNS: &str = "must have 6 columns (query, Q0, passage, rank, score, tag), 4 (query, passage, rank, score) \
                       or 3 (query, passage, score)";

/// A line of a run.
struct RunLine {
    /// Index of the passage in the corpus.
    place: usize,
    /// 0 if the run has no ranks.
    rank: i64,
    /// Finite; higher is better.
    score: f64,
    /// Number of the line, from 1.
    line: usize,
}

/// The columns of a line that matter.
struct Columns<'line> {
    query: &'line str,
    passage: &'line str,
    /// `None` in a run of three columns.
    rank: Option<&'line str>,
    score: &'line str,
}

/// Reads a run into the candidates of the draft's queries: by score, best first, then by rank, then in the order of the
/// lines. Lines for queries that the draft does not hold are counted.
pub(super) fn read(path: &Path, draft: &mut Draft) -> Result<(), CollectionError> {
    // Lines of a query need not stand together, so all are collected before they are sorted.
    let mut by_query: Vec<Vec<RunLine>> = Vec::new();
    by_query.resize_with(draft.queries.len(), Vec::new);
    let mut is_first_line = true;
    each_line(path, |line, text| {
        let columns = split(text)?;
        // Only the first line may be a header.
        if std::mem::take(&mut is_first_line) && columns.score.trim().eq_ignore_ascii_case("score") {
            return Ok(());
        }
        let score = finite(columns.score).ok_or("the score must be a finite number")?;
        let rank = match columns.rank {
            Some(rank) => rank.trim().parse().map_err(|_| "the rank must be a whole number")?,
            None => 0,
        };
        let Some(query_index) = draft.query_index(columns.query) else {
            draft.left_out.run_lines_of_unknown_queries.note(columns.query);
            return Ok(());
        };
        let place = draft.passages.place(columns.passage).ok_or("names a passage that the collection does not hold")?;
        by_query[query_index].push(RunLine { place, rank, score, line });
        Ok(())
    })?;
    for (query, found) in draft.queries.iter_mut().zip(&mut by_query) {
        if let Some(line) = first_repetition(found) {
            let reason = "an earlier line names the same passage for this query";
            return Err(CollectionError::new(path, FilePosition::Line(line), reason));
        }
        found.sort_by(best_first);
        query.candidates = found.iter().map(|found| found.place).collect();
    }
    Ok(())
}

fn split(line: &str) -> Result<Columns<'_>, String> {
    match *columns(line, &[3, 4, 6]).ok_or(RUN_COLUMNS)? {
        [query, passage, score] => Ok(Columns { query, passage, rank: None, score }),
        [query, passage, rank, score] | [query, _, passage, rank, score, _] => {
            Ok(Columns { query, passage, rank: Some(rank), score })
        }
        _ => Err(RUN_COLUMNS.to_owned()),
    }
}

/// A finite number; `None` of anything else, `inf` and `NaN` included.
fn finite(text: &str) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

fn best_first(left: &RunLine, right: &RunLine) -> Ordering {
    // Not `total_cmp`, which puts -0 below 0. Scores are finite, so there is always an order.
    let by_score = right.score.partial_cmp(&left.score).unwrap_or(Ordering::Equal);
    by_score.then(left.rank.cmp(&right.rank)).then(left.line.cmp(&right.line))
}

/// The first line that names a passage again. Leaves `found` in the order of the passages.
fn first_repetition(found: &mut [RunLine]) -> Option<usize> {
    found.sort_unstable_by_key(|found| (found.place, found.line));
    found.windows(2).filter(|pair| pair[0].place == pair[1].place).map(|pair| pair[1].line).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms_are_told_apart_by_their_columns() {
        for line in ["q Q0 d 3 0.5 tag", "q\td\t3\t0.5", "q  d 3 0.5"] {
            let columns = split(line).unwrap();
            assert_eq!((columns.query, columns.passage, columns.rank, columns.score), ("q", "d", Some("3"), "0.5"));
        }
        assert_eq!(split("q\td d\t0.5").unwrap().passage, "d d");
        assert!(split("q d").is_err() && split("q Q0 d 3 0.5").is_err());
        assert_eq!(["1e3", "-2", "inf", "NaN", "x"].map(finite), [Some(1000.0), Some(-2.0), None, None, None]);
    }

    #[test]
    fn scores_order_then_ranks_then_lines() {
        let found = |score, rank, line| RunLine { place: line, rank, score, line };
        let mut run = [found(0.0, 2, 1), found(-0.0, 1, 2), found(-0.0, 1, 3), found(1.0, 9, 4)];
        run.sort_by(best_first);
        assert_eq!(run.map(|found| found.line), [4, 2, 3, 1]);
    }
}
