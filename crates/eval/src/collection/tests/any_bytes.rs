//! Broken files: read, or refused by name; never a panic.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::{CORPUS, QRELS, QUERIES, beir, folder, of};
use crate::collection::load;

/// Bytes that are nearly a file: a stretch of `valid` replaced, or anything.
fn nearly(valid: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let edit = (0..=valid.len(), 0_usize..8, proptest::collection::vec(any::<u8>(), 0..6));
    let edited = edit.prop_map(|(at, length, bytes)| {
        let end = (at + length).min(valid.len());
        [&valid[..at], &bytes, &valid[end..]].concat()
    });
    prop_oneof![4 => edited, 1 => proptest::collection::vec(any::<u8>(), 0..80)]
}

const LINES: &str = concat!(
    r#"{"id": "c", "query": "secret", "passages": ["secret", {"text": "secret", "id": "p"}], "#,
    r#""relevant": {"0": 3, "p": 0}}"#
);
const RUN: &str = "q1\td3\t2\t1.5\nq1 Q0 2 1 1.5 x\n";
const CORPUS_TABLE: &[u8] = include_bytes!("../../../../../tests/golden/eval/autorag/corpus.parquet");
const QA_TABLE: &[u8] = include_bytes!("../../../../../tests/golden/eval/autorag/qa.parquet");

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_by_the_name_of_their_file(
        (name, bytes) in prop_oneof![
            nearly(CORPUS.as_bytes()).prop_map(|bytes| ("corpus.jsonl", bytes)),
            nearly(QUERIES.as_bytes()).prop_map(|bytes| ("queries.jsonl", bytes)),
            nearly(QRELS.as_bytes()).prop_map(|bytes| ("qrels/test.tsv", bytes)),
            nearly(RUN.as_bytes()).prop_map(|bytes| ("candidates.run", bytes)),
            nearly(LINES.as_bytes()).prop_map(|bytes| ("set.jsonl", bytes)),
        ],
    ) {
        let folder = if name == "set.jsonl" { folder(&[]) } else { beir(&[]) };
        fs::write(folder.path().join(name), bytes).unwrap();
        if let Err(error) = load(&of(folder.path())) {
            let error = error.to_string();
            // A passage or query that is gone is missed by the file that names it.
            let named = [name, "candidates.run"].iter().any(|name| error.contains(name));
            prop_assert!(named && !error.contains("secret"), "{}: {}", name, error);
        }
    }

    #[test]
    fn any_bytes_as_tables_are_read_or_refused(
        (name, bytes) in prop_oneof![
            nearly(CORPUS_TABLE).prop_map(|bytes| ("corpus.parquet", bytes)),
            nearly(QA_TABLE).prop_map(|bytes| ("qa.parquet", bytes)),
        ],
    ) {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/eval/autorag");
        let folder = TempDir::new().unwrap();
        for own in ["corpus.parquet", "qa.parquet"] {
            fs::copy(golden.join(own), folder.path().join(own)).unwrap();
        }
        fs::write(folder.path().join(name), bytes).unwrap();
        if let Err(error) = load(&of(folder.path())) {
            prop_assert!(error.to_string().contains(name), "{}: {}", name, error);
        }
    }
}
