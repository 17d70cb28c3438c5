//! Judged collections: queries, their candidate passages in first-stage order, and judgments.
//!
//! Four kinds of input become one type. An input is read into a `Draft` (`beir.rs`, `jsonl.rs`, `autorag.rs`), then candidates are
//! chosen (`candidates.rs`), then what cannot be evaluated is left out, and counted.

mod autorag;
mod beir;
mod candidates;
mod draft;
mod error;
mod input;
mod json;
mod jsonl;
mod lines;
mod prepare;
mod qrels;
mod run;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytestring::ByteString;
use serde::Serialize;

pub use self::autorag::READER;
pub use self::candidates::{Candidates, DEFAULT_DEPTH, OWN_FILES};
pub use self::error::CollectionError;
pub use self::input::folder_of;
pub use self::prepare::prepare;

/// A judged collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Collection {
    /// The name of its folder, or of its one file without the ending.
    pub name: String,
    /// Every passage of the corpus, in its order.
    pub passages: Vec<PassageRecord>,
    /// What can be evaluated: queries with at least one judgment and one candidate, in the order of the input.
    pub queries: Vec<JudgedQuery>,
    /// The file that the judgments are from, where that is one of its own, in words for a report.
    pub judgments: Option<String>,
    /// How the candidates came to be, in words for a report.
    pub first_stage: String,
    /// What cannot be evaluated.
    pub left_out: LeftOut,
}

/// A passage of the corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassageRecord {
    /// Its id, of which there is one.
    pub id: ByteString,
    /// What a model is shown.
    pub text: ByteString,
}

/// A query with its candidates and judgments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JudgedQuery {
    /// Its id, of which there is one.
    pub id: String,
    /// The query; never blank.
    pub text: ByteString,
    /// Places in [`Collection::passages`], best first; none twice.
    pub candidates: Vec<usize>,
    /// Grades by the id of the passage: above 0 is relevant, the more the better. Passages that the corpus does not hold are
    /// among them, because no first stage can find them and every measure of recall must know.
    pub judgments: BTreeMap<String, i32>,
    /// Ids of passages, of which one of each group is needed (`AutoRAG`'s `retrieval_gt`). Where the input says nothing of groups,
    /// each relevant passage is a group of its own.
    pub groups: Vec<Vec<String>>,
    /// What the input says of the query, such as its language: the short values of its `metadata`.
    pub labels: BTreeMap<String, String>,
}

/// What an input held that cannot be evaluated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Queries without a judgment.
    pub unjudged_queries: usize,
    /// Queries with judgments, but without a candidate.
    pub queries_without_candidates: usize,
    /// Judgments of passages that the corpus does not hold. They count all the same, see [`JudgedQuery::judgments`].
    pub judgments_of_unknown_passages: Strangers,
    /// Judgments for queries that the input does not hold.
    pub judgments_of_unknown_queries: Strangers,
    /// Lines of a run for queries that the input does not hold.
    pub run_lines_of_unknown_queries: Strangers,
    /// Lines in which half of a surrogate pair, which is no character, was read as U+FFFD. They count all the same.
    pub lines_with_half_pairs: usize,
}

/// Ids that nothing has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Strangers {
    /// How often one was named.
    pub count: usize,
    /// The first of them.
    pub first: Option<String>,
}

impl Strangers {
    fn note(&mut self, id: &str) {
        self.count += 1;
        self.first.get_or_insert_with(|| id.to_owned());
    }
}

/// Where a collection comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// A BEIR or `AutoRAG` folder, a JSONL file, or a folder with one. A file of a folder stands for the folder, which chooses where
    /// there is a choice: `DIR/corpus.jsonl`, `DIR/qa_test.parquet`.
    pub data: PathBuf,
    /// The judgments of a BEIR folder, where it holds several: a file in the working directory, in the folder or in its `qrels`, or such a file's name
    /// without `.tsv`.
    pub qrels: Option<PathBuf>,
    /// Where candidates come from. Without it: `candidates.tsv` or `candidates.run` in the folder, or those that the input itself
    /// holds, or else the best 50 by BM25.
    pub candidates: Option<Candidates>,
}

impl JudgedQuery {
    /// The grade of a passage, if it was judged.
    #[must_use]
    pub fn grade(&self, passage: &PassageRecord) -> Option<i32> {
        self.judgments.get(&*passage.id).copied()
    }
}

/// Reads a collection and chooses candidates.
///
/// # Errors
/// What is wrong with the first file that cannot be used, with its line.
pub fn load(source: &Source) -> Result<Collection, CollectionError> {
    let mut draft = input::read(source)?;
    candidates::choose(&mut draft, source)?;
    Ok(draft.finish())
}

#[cfg(test)]
mod tests;
