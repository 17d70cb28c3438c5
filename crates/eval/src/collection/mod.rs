//! Judged collections: queries, their candidate passages in first-stage order, and judgments.
//!
//! All kinds of input become one type, in three steps: an input is read into a `Draft` (`beir.rs`, `jsonl.rs`,
//! `autorag.rs`), candidates are chosen (`candidates.rs`), and what cannot be evaluated is left out and counted
//! (`draft.rs`).

mod autorag;
mod beir;
mod candidates;
mod checksums;
mod draft;
mod input;
mod input_error;
mod json;
mod jsonl;
mod lines;
mod prepare;
mod qrels;
mod run;

use std::collections::BTreeMap;
use std::path::PathBuf;

use faststr::FastStr;
use serde::Serialize;

pub use self::autorag::PARQUET_THREAD;
pub use self::candidates::{Candidates, DEFAULT_DEPTH, OWN_FILES, PREPARED_FILE};
pub use self::checksums::Checksums;
pub use self::input::folder_of;
pub use self::input_error::CollectionError;
pub use self::prepare::prepare;

/// A judged collection, complete and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Collection {
    /// The name of its folder, or of its one file without the ending.
    pub name: String,
    /// All passages of the corpus, in its order.
    pub passages: Vec<PassageRecord>,
    /// Queries with at least one judgment, in the order of the input. One without a candidate counts as 0.
    pub queries: Vec<JudgedQuery>,
    /// File of the judgments, in words for a report; `None` where the data file holds them too.
    pub judgments: Option<String>,
    /// Origin of the candidates, in words for a report.
    pub first_stage: String,
    /// Counts of what cannot be evaluated.
    pub left_out: LeftOut,
}

/// A passage of the corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassageRecord {
    /// Id, unique in the corpus.
    pub id: FastStr,
    /// Text that a model is shown, the title included.
    pub text: FastStr,
}

/// A query with its candidates and judgments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JudgedQuery {
    /// Id, unique in the collection.
    pub id: String,
    /// Text of the query, never blank.
    pub text: FastStr,
    /// Indices into [`Collection::passages`], best first; none twice.
    pub candidates: Vec<usize>,
    /// Grades by the id of the passage: above 0 is relevant, the more the better. Passages that the corpus does not
    /// hold are included: no first stage can find them, and recall must count them as missed.
    pub judgments: BTreeMap<String, i32>,
    /// Groups of passages, by id, of which one of each group is needed (`AutoRAG`'s `retrieval_gt`). Where the input
    /// has no groups, each relevant passage is a group of its own.
    pub groups: Vec<Vec<String>>,
    /// Short values of the query's `metadata` by name, such as its language.
    pub labels: BTreeMap<String, String>,
}

/// Counts of what an input holds that cannot be evaluated, or says less than it seems to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Queries without a judgment.
    pub unjudged_queries: usize,
    /// Queries with judgments, but without a candidate. They are not left out: each counts as 0, as with `-c` of
    /// `trec_eval`.
    pub queries_without_candidates: usize,
    /// Queries that share no word with any passage, so that BM25 could not order their candidates.
    pub queries_without_common_words: usize,
    /// Queries whose candidates differ in grade and were given in the order of their grades, best first. Always 0 where
    /// BM25 orders the candidates, because that order is a search's.
    pub queries_sorted_by_grade: usize,
    /// Judgments of passages that the corpus does not hold. The metrics count them all the same, see
    /// [`JudgedQuery::judgments`].
    pub judgments_of_unknown_passages: UnknownIds,
    /// Judgments for queries that the input does not hold.
    pub judgments_of_unknown_queries: UnknownIds,
    /// Lines of a run for queries that the input does not hold.
    pub run_lines_of_unknown_queries: UnknownIds,
    /// Lines with a lone surrogate, which is no character and was read as U+FFFD. They are not left out.
    #[serde(rename = "lines_with_half_pairs")]
    pub lines_with_lone_surrogates: usize,
}

/// Ids that are named in the input and belong to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnknownIds {
    /// Number of times that such an id is named.
    pub count: usize,
    /// The first of these ids.
    pub first: Option<String>,
}

impl UnknownIds {
    fn note(&mut self, id: &str) {
        self.count += 1;
        self.first.get_or_insert_with(|| id.to_owned());
    }
}

/// The files of a collection, as the command line names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// A BEIR or `AutoRAG` folder, a JSONL file, or a folder with one. A file of a folder (`DIR/corpus.jsonl`,
    /// `DIR/qa_test.parquet`) stands for the folder; where several kinds or tables are in it, the file decides.
    pub data: PathBuf,
    /// The judgments of a BEIR folder that holds several: a file in the working directory, in the folder or in its
    /// `qrels`, or the name of one in `qrels` without `.tsv`.
    pub qrels: Option<PathBuf>,
    /// The source of the candidates. Without one: those that the input itself holds, or `candidates.tsv` or
    /// `candidates.run` in the folder, or else the best 50 by BM25.
    pub candidates: Option<Candidates>,
}

impl JudgedQuery {
    /// The grade of a passage; `None` if it was not judged.
    #[must_use]
    pub fn grade(&self, passage: &PassageRecord) -> Option<i32> {
        self.judgments.get(&*passage.id).copied()
    }

    /// The grades of the candidates, in their order; 0 for those that are irrelevant or not judged.
    fn candidate_grades(&self, passages: &[PassageRecord]) -> Vec<i32> {
        let mut grades = Vec::with_capacity(self.candidates.len());
        for &index in &self.candidates {
            // Below 0 is irrelevant, as 0 is.
            grades.push(self.grade(&passages[index]).unwrap_or(0).max(0));
        }
        grades
    }

    /// Returns true if the candidates differ in grade and stand in the order of their grades, best first.
    fn is_sorted_by_grade(&self, passages: &[PassageRecord]) -> bool {
        let grades = self.candidate_grades(passages);
        grades.first() != grades.last() && grades.is_sorted_by(|one, next| one >= next)
    }
}

impl Collection {
    /// The queries with candidates: a model can be asked about no other.
    pub fn askable(&self) -> impl Iterator<Item = &JudgedQuery> {
        self.queries.iter().filter(|query| !query.candidates.is_empty())
    }

    /// The number of queries for which every order of the candidates has the same value, because all candidates have
    /// the same grade. They cannot tell one reranker from another.
    #[must_use]
    pub fn undecidable_queries(&self) -> usize {
        self.askable().filter(|query| self.common_grade(query).is_some()).count()
    }

    /// Returns true if no candidate of any query is relevant: every metric of every order is 0.
    #[must_use]
    pub fn holds_negatives_only(&self) -> bool {
        self.askable().all(|query| self.common_grade(query) == Some(0))
    }

    /// Returns true if all candidates of all queries are relevant, and equally so: no order of them is better than
    /// another, so there is nothing to measure.
    #[must_use]
    pub fn holds_positives_only(&self) -> bool {
        self.askable().all(|query| self.common_grade(query).is_some_and(|grade| grade > 0))
    }

    /// The grade that all candidates of the query have, 0 if they are irrelevant or not judged; `None` if they differ.
    fn common_grade(&self, query: &JudgedQuery) -> Option<i32> {
        let mut common = None;
        for grade in query.candidate_grades(&self.passages) {
            if *common.get_or_insert(grade) != grade {
                return None;
            }
        }
        Some(common.unwrap_or(0))
    }
}

/// Reads a collection and chooses candidates.
///
/// # Errors
/// The first file that cannot be used, with the line or row and the reason.
pub fn load(source: &Source) -> Result<Collection, CollectionError> {
    let mut draft = input::read(source)?;
    candidates::choose(&mut draft, source)?;
    Ok(draft.finish())
}

#[cfg(test)]
mod tests;
