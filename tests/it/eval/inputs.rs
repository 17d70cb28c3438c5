//! What is evaluated: collections, candidates, names of models, and what is said of wrong ones.

use std::fs;

use super::{Desk, err, rerankd, run, succeed};
use crate::contract::repository;

#[tokio::test]
async fn the_shipped_collection_is_evaluated_as_the_readme_says() {
    let out = tempfile::tempdir().unwrap();
    let mut command = rerankd();
    command
        .args(["--data", "examples/eval", "--candidates", "judged", "--models", "local/lexical", "--out"])
        .arg(out.path());
    let said = succeed(&mut command).await;
    assert!(said.contains("48 queries over 238 passages") && said.contains("all judged passages"), "{said}");
    for file in
        ["report.html", "results.json", "runs/none.run", "runs/local%2Flexical.run", "answers/local%2Flexical.jsonl"]
    {
        assert!(out.path().join(file).is_file(), "{file}");
    }
    let run = fs::read_to_string(out.path().join("runs/none.run")).unwrap();
    assert_eq!(run.lines().count(), 952);
    assert_eq!(run.lines().next().unwrap().split(' ').count(), 6);
}

#[tokio::test]
async fn an_autorag_project_is_read_and_measured_as_autorag_does() {
    let out = tempfile::tempdir().unwrap();
    let mut command = rerankd();
    command
        .args(["--data", "tests/golden/eval/autorag/qa.parquet", "--models", "local/lexical", "--autorag", "--out"])
        .arg(out.path());
    succeed(&mut command).await;
    let results = fs::read_to_string(out.path().join("results.json")).unwrap();
    assert!(results.contains("autorag_retrieval_ndcg") && results.contains("autorag_retrieval_map"));
}

#[tokio::test]
async fn candidates_are_prepared_once_and_used_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("qrels")).unwrap();
    for file in ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"] {
        fs::copy(repository("examples/eval").join(file), data.join(file)).unwrap();
    }
    let mut prepare = rerankd();
    prepare.args(["--prepare", "--candidates", "bm25:7", "--data"]).arg(&data);
    assert!(succeed(&mut prepare).await.contains("candidates.tsv: "));
    let mut command = rerankd();
    command.args(["--models", "local/lexical", "--data"]).arg(&data).arg("--out").arg(folder.path().join("out"));
    let said = succeed(&mut command).await;
    assert!(said.contains("the run candidates.tsv") && said.contains("7 candidates a query"), "{said}");
}

#[tokio::test]
async fn whatever_is_wrong_is_named_with_its_place_and_never_quoted() {
    let desk = Desk::new(2, &[], "");
    for (models, sentence) in [
        ("local/lexical,local/lexical", "names local/lexical again"),
        ("none", "always takes part"),
        ("local/lexicon", "there is no model local/lexicon"),
    ] {
        let output = run(&mut desk.eval(models, "out", &[])).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(err(&output).starts_with("rerankd: ") && err(&output).contains(sentence), "{}", err(&output));
    }
    let mut text = fs::read_to_string(desk.path("collection.jsonl")).unwrap();
    text.push_str("\n{\"query\": \"a secret\", \"passages\": [\"another secret\"], \"relevant\": [7]}\n");
    fs::write(desk.path("collection.jsonl"), text).unwrap();
    let output = run(&mut desk.eval("local/lexical", "out", &[])).await;
    assert!(
        err(&output).contains("collection.jsonl, line 3: ") && !err(&output).contains("secret"),
        "{}",
        err(&output)
    );
    for usage in
        [&["--k", "0"][..], &["--speed-threshold", "fast"], &["--candidates", "bm25:0"], &["--concurrency", "0"]]
    {
        assert_eq!(run(&mut desk.eval("local/lexical", "out", usage)).await.status.code(), Some(2), "{usage:?}");
    }
}

#[tokio::test]
async fn a_collection_of_which_nothing_can_be_evaluated_is_refused() {
    let desk = Desk::new(1, &[], "");
    let unjudged = "{\"query\": \"q\", \"passages\": [\"p\"], \"relevant\": []}";
    for (text, counts) in [("", "without a judgment: 0"), (unjudged, "without a judgment: 1")] {
        fs::write(desk.path("collection.jsonl"), text).unwrap();
        let output = run(&mut desk.eval("local/lexical", "out", &[])).await;
        assert_eq!(output.status.code(), Some(1));
        let said = err(&output);
        assert!(said.contains("holds nothing to evaluate") && said.contains(counts), "{said}");
    }
    assert!(!desk.path("out").exists(), "nothing was begun");
}
