//! Judgments in columns: BEIR's `query-id corpus-id score` and TREC's `query iteration passage relevance`.

use std::path::Path;

use super::draft::Draft;
use super::input_error::CollectionError;
use super::lines::{columns, each_line};

const QRELS_COLUMNS: &str =
    "must have 3 columns (query-id, corpus-id, score) or 4 (query, iteration, passage, relevance)";

/// Names of the last column in a header, in lower case. By one of these the first line is known to be a header: ids may
/// be any word.
const HEADERS: [&str; 8] = ["score", "rel", "relevance", "relevancy", "label", "grade", "judgment", "rating"];

/// Reads judgments into the draft's queries, which must have been read before. Judgments for queries that it does not
/// hold are counted.
pub(super) fn read(path: &Path, draft: &mut Draft) -> Result<(), CollectionError> {
    let mut is_first_line = true;
    each_line(path, |_, line| {
        let columns = columns(line, &[3, 4]).ok_or(QRELS_COLUMNS)?;
        let &[query, .., passage, grade] = columns.as_slice() else { return Err(QRELS_COLUMNS.to_owned()) };
        // Only the first line may be a header.
        if std::mem::take(&mut is_first_line) && HEADERS.contains(&grade.trim().to_ascii_lowercase().as_str()) {
            return Ok(());
        }
        let grade = whole(grade).ok_or("the grade, in the last column, must be a whole number")?;
        if query.is_empty() || passage.is_empty() {
            return Err("an id is empty".to_owned());
        }
        let Some(index) = draft.query_index(query) else {
            draft.left_out.judgments_of_unknown_queries.note(query);
            return Ok(());
        };
        match draft.queries[index].judgments.insert(passage.to_owned(), grade) {
            Some(earlier) if earlier != grade => Err("an earlier line gives this passage another grade".to_owned()),
            _ => Ok(()),
        }
    })
}

/// A whole number, which may be written `1.0`.
fn whole(text: &str) -> Option<i32> {
    let text = text.trim();
    let digits = match text.split_once('.') {
        None => text,
        Some((digits, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => digits,
        Some(_) => return None,
    };
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grades_are_whole_numbers() {
        let read = ["1", "-1", "2.0", " 3 ", "0.5", "one", "1.", ".0", "99999999999"].map(whole);
        assert_eq!(read, [Some(1), Some(-1), Some(2), Some(3), None, None, None, None, None]);
    }
}
