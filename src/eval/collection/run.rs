//! Runs: what a first stage found, in columns.
//!
//! TREC's `query Q0 passage rank score tag`, or in short `query passage rank score` and `query passage score`.

use std::cmp::Ordering;
use std::path::Path;

use super::draft::Draft;
use super::error::{CollectionError, Place};
use super::lines::{columns, each_line};

const COLUMNS: &str = "must have 6 columns (query, Q0, passage, rank, score, tag), 4 (query, passage, rank, score) or 3 \
                       (query, passage, score)";

/// A line of a run.
struct Found {
    place: usize,
    /// 0 if the run says none.
    rank: i64,
    /// Finite.
    score: f64,
    line: usize,
}

/// The columns of a line.
struct Columns<'line> {
    query: &'line str,
    passage: &'line str,
    rank: Option<&'line str>,
    score: &'line str,
}

/// Gives queries their candidates: by score, best first, then by rank, then in the order of the lines. Lines for queries that the
/// draft does not hold are counted.
pub(super) fn read(path: &Path, draft: &mut Draft) -> Result<(), CollectionError> {
    let mut found: Vec<Vec<Found>> = draft.queries.iter().map(|_| Vec::new()).collect();
    let mut first = true;
    each_line(path, |line, text| {
        let columns = split(text)?;
        if std::mem::take(&mut first) && columns.score.trim().eq_ignore_ascii_case("score") {
            return Ok(());
        }
        let score = number(columns.score).ok_or("the score must be a finite number")?;
        let rank =
            columns.rank.map_or(Some(0), |rank| rank.trim().parse().ok()).ok_or("the rank must be a whole number")?;
        let Some(number) = draft.number(columns.query) else {
            draft.left_out.run_lines_of_unknown_queries.note(columns.query);
            return Ok(());
        };
        let place = draft.passages.place(columns.passage).ok_or("names a passage that the collection does not hold")?;
        found[number].push(Found { place, rank, score, line });
        Ok(())
    })?;
    for (query, found) in draft.queries.iter_mut().zip(&mut found) {
        if let Some(line) = repeated(found) {
            let reason = "an earlier line names the same passage for this query";
            return Err(CollectionError::new(path, Place::Line(line), reason));
        }
        found.sort_by(best_first);
        query.candidates = found.iter().map(|found| found.place).collect();
    }
    Ok(())
}

fn split(line: &str) -> Result<Columns<'_>, String> {
    match *columns(line, &[3, 4, 6]).ok_or(COLUMNS)? {
        [query, passage, score] => Ok(Columns { query, passage, rank: None, score }),
        [query, passage, rank, score] | [query, _, passage, rank, score, _] => {
            Ok(Columns { query, passage, rank: Some(rank), score })
        }
        _ => Err(COLUMNS.to_owned()),
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

fn best_first(left: &Found, right: &Found) -> Ordering {
    let by_score = right.score.partial_cmp(&left.score).unwrap_or(Ordering::Equal);
    by_score.then(left.rank.cmp(&right.rank)).then(left.line.cmp(&right.line))
}

/// The first line that names a passage again.
fn repeated(found: &mut [Found]) -> Option<usize> {
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
        assert_eq!(["1e3", "-2", "inf", "NaN", "x"].map(number), [Some(1000.0), Some(-2.0), None, None, None]);
    }

    #[test]
    fn scores_order_then_ranks_then_lines() {
        let found = |score, rank, line| Found { place: line, rank, score, line };
        let mut run = [found(0.0, 2, 1), found(-0.0, 1, 2), found(-0.0, 1, 3), found(1.0, 9, 4)];
        run.sort_by(best_first);
        assert_eq!(run.map(|found| found.line), [4, 2, 3, 1]);
    }
}
