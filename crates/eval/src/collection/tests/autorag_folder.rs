//! Collections of AutoRAG: Parquet files.

use super::*;

#[test]
fn an_autorag_folder_becomes_a_collection() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/eval/autorag");
    let collection = load(&of(&golden)).unwrap();
    assert_eq!(collection.passages.len(), 6);
    let groups = |id: &str| collection.queries.iter().find(|query| query.id == id).unwrap().groups.clone();
    assert_eq!(groups("q-members"), [vec!["newjeans-1", "newjeans-2"], vec!["aespa-1"]]);
    assert_eq!(groups("q-capital"), [["seoul"]]);
    let members = &collection.queries[0];
    assert_eq!(members.judgments.len(), 3);
    assert_eq!(members.labels, [("domain".to_owned(), "music".to_owned())].into());
    assert_eq!(collection.left_out.unjudged_queries, 1, "nothing answers it");
    assert_eq!(collection.name, "autorag");
    assert_eq!(load(&of(golden.join("qa.parquet"))).unwrap(), collection);
    let plain = load(&of(golden.join("qa_plain.parquet"))).unwrap();
    assert_eq!(plain.queries[0].groups, [["seoul"], ["busan"]]);
    assert_eq!((plain.queries.len(), plain.left_out.unjudged_queries), (1, 1), "an empty id is none");
    assert_eq!(load(&of(golden.join("qa_single.parquet"))).unwrap().queries[0].groups, [["busan"]]);
}

/// With this byte the Parquet reader panics.
#[test]
fn a_table_that_the_reader_cannot_bear_is_refused() {
    let mut bytes = include_bytes!("../../../../../tests/golden/eval/autorag/corpus.parquet").to_vec();
    bytes[5] = 2;
    let folder = folder(&[("qa.parquet", "")]);
    fs::write(folder.path().join("corpus.parquet"), bytes).unwrap();
    assert!(wrong(&of(folder.path())).starts_with("corpus.parquet: cannot be read as Parquet"));
}
