//! `rerankd eval`: a comparison of rerankers on a judged collection.
//!
//! ```text
//!  collection (queries, candidates, judgments)
//!    ─▶ answers (asks every contestant through the real pipeline) ─▶ answer log
//!    ─▶ judge (metrics, statistics, choice) ─▶ results
//!    ─▶ report (table, HTML), runs (TREC), results.json
//! ```

pub mod judge;
pub mod report;

pub mod choice;
pub mod compare_runs;
pub mod csv;
pub mod results;
pub mod runs;
pub mod trec;

pub mod answers;
pub mod autorag_metrics;
pub mod ranking_metrics;
pub mod statistics;

pub mod collection;

pub mod bm25;
mod field_hash;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Name of the contestant that always takes part: it leaves the candidates in the order of the first stage.
pub const FIRST_STAGE: &str = "none";

/// Characters of a contestant's name that are percent-encoded in the name of a file.
const NOT_IN_FILE_NAMES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
/// Longest name of a file without its ending, in bytes. File systems take 255.
const MAX_FILE_NAME_BYTES: usize = 200;

/// The name of a contestant's files, without their ending.
fn file_name(contestant: &str) -> String {
    let encoded = utf8_percent_encode(contestant, NOT_IN_FILE_NAMES).to_string();
    if encoded.len() <= MAX_FILE_NAME_BYTES {
        return encoded;
    }
    // Names that differ beyond the cut stay different by their hash: a hyphen and 16 digits. The encoded name is ASCII,
    // so it can be cut anywhere.
    let hash = blake3::hash(contestant.as_bytes()).to_hex();
    format!("{}-{}", &encoded[..MAX_FILE_NAME_BYTES - 17], &hash[..16])
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
