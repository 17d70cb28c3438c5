//! A run of candidates to be kept as a file, so that every later evaluation starts from the same ones.

use super::candidates::by_bm25_to_depth;
use super::input_error::CollectionError;
use super::{Source, input};

/// Returns a run of `depth` passages for every query, as `bm25:DEPTH` takes them, to be kept as `candidates.tsv`:
/// lines of `query passage rank score`, separated by tabs.
///
/// # Errors
/// As [`load`](super::load). Also if the input itself holds candidates, which later evaluations use, or if an id holds
/// a tab or a line break, which no run can name.
pub fn prepare(source: &Source, depth: usize) -> Result<String, CollectionError> {
    let draft = input::read(source)?;
    if draft.first_stage.is_some() {
        let reason = "holds candidates itself, and they are used; for others, evaluate with --candidates bm25:N";
        return Err(CollectionError::whole(&source.data, reason));
    }
    // Unjudged queries too: other judgments may be used with the same candidates.
    let texts: Vec<&str> = draft.queries.iter().map(|query| &*query.text).collect();
    let found = by_bm25_to_depth(&draft.passages.texts(), &texts, depth);
    let mut run = String::new();
    for (query, hits) in draft.queries.iter().zip(found) {
        for (rank, hit) in (1..).zip(hits) {
            let query_id = query.id.as_str();
            let passage_id = &*draft.passages.records[hit.place].id;
            if [query_id, passage_id].iter().any(|id| id.contains(['\t', '\n', '\r'])) {
                let reason = "an id holds a tab or a line break, so that candidates cannot be written to a run";
                return Err(CollectionError::whole(&source.data, reason));
            }
            // Where scores tie at six decimals, a reader goes by the rank.
            run.push_str(&format!("{query_id}\t{passage_id}\t{rank}\t{:.6}\n", hit.score));
        }
    }
    Ok(run)
}
