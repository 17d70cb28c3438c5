//! `rerankd eval`: which reranker is best, by a judged collection.
//!
//! ```text
//!  collection (queries, candidates, judgments) ─▶ contest (ask every contestant, through the pipeline that serves) ─▶ ledger
//!                                                                                                                     │
//!     report (table, HTML), runs (TREC), results.json  ◀── results ◀── judge (metrics, statistics, choice) ◀───────────┘
//! ```

pub mod agreement;
pub mod autorag;
pub mod bm25;
pub mod choice;
pub mod collection;
pub mod contest;
pub mod judge;
pub mod metrics;
pub mod report;
pub mod results;
pub mod runs;
pub mod statistics;
pub mod trec;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The contestant that always takes part: the order of the first stage.
pub const NONE: &str = "none";

/// Everything that the name of a model may hold and the name of a file had better not.
const NOT_IN_FILE_NAMES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
/// Bytes of a file's name without its ending. File systems take 255.
const LONGEST_FILE_NAME: usize = 200;

/// The name of the files of a contestant, without their ending.
fn file_name(contestant: &str) -> String {
    let encoded = utf8_percent_encode(contestant, NOT_IN_FILE_NAMES).to_string();
    if encoded.len() <= LONGEST_FILE_NAME {
        return encoded;
    }
    let hash = blake3::hash(contestant.as_bytes()).to_hex();
    format!("{}-{}", &encoded[..LONGEST_FILE_NAME - 17], &hash[..16])
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts of queries, passages and ranks are far below 2^52")]
fn exact(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn names_of_models_become_names_of_files_that_any_disk_takes() {
        assert_eq!(file_name("cohere/rerank-v3.5"), "cohere%2Frerank-v3.5");
        let long = |end: &str| file_name(&format!("up/{}{end}", "재정렬".repeat(30)));
        assert!(long("a").len() == 200 && long("a") != long("b") && long("a").starts_with("up%2F%EC%9E%AC"));
    }
}
