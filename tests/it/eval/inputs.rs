//! Inputs of an evaluation: collections, candidates, model names, and the errors for wrong ones.

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
    assert!(said.contains("97 queries over 198 passages") && said.contains("all judged passages"), "{said}");
    for file in
        ["report.html", "results.json", "runs/none.run", "runs/local%2Flexical.run", "answers/local%2Flexical.jsonl"]
    {
        assert!(out.path().join(file).is_file(), "{file}");
    }
    let run = fs::read_to_string(out.path().join("runs/none.run")).unwrap();
    assert_eq!(run.lines().count(), 1067);
    assert_eq!(run.lines().next().unwrap().split(' ').count(), 6);
}

/// The collection of a newcomer: 15 passages, and 10 queries of which 7 share no word with any passage.
#[tokio::test]
async fn a_small_collection_tells_the_truth_about_its_first_stage() {
    let out = tempfile::tempdir().unwrap();
    let mut command = rerankd();
    command.args(["--data", "tests/golden/eval/small", "--models", "local/lexical", "--out"]).arg(out.path());
    let said = succeed(&mut command).await;
    let results = fs::read_to_string(out.path().join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    let collection = &results["collection"];
    assert_eq!((&collection["queries"], &collection["candidates_per_query"]), (&10.into(), &15.0.into()));
    assert_eq!(collection["recall_ceiling"], 1.0);
    // Three queries at 1, and seven that nothing but luck ranks: far from the 1.0 of the three alone.
    let none = super::contestant(&results, "none")["metrics"]["ndcg@10"]["mean"].as_f64().unwrap();
    assert!((0.3..0.6).contains(&none), "{none}");
    assert!(
        said.contains("10 queries over 15 passages") && said.contains("candidates: the whole corpus, by BM25"),
        "{said}"
    );
    assert!(said.contains("! 7 queries share no word with any passage: there the first stage is"), "{said}");
}

#[tokio::test]
async fn positives_alone_are_refused_because_nothing_can_be_measured() {
    let out = tempfile::tempdir().unwrap();
    let mut command = rerankd();
    command.args(["--data", "tests/golden/eval/small", "--candidates", "judged", "--models", "local/lexical", "--out"]);
    let output = run(command.arg(out.path().join("run"))).await;
    assert_eq!(output.status.code(), Some(1));
    let said = err(&output);
    assert!(said.contains("nothing can be measured") && said.contains("--candidates bm25:50"), "{said}");
    assert!(!out.path().join("run").exists(), "nothing was begun");
}

/// Judgments that name no passage of the collection leave every figure at 0.
#[tokio::test]
async fn judgments_without_a_relevant_candidate_are_refused_before_anybody_is_asked() {
    let desk = Desk::new(0, &[], "");
    let unmatched =
        "{\"query\": \"ferries\", \"passages\": [{\"id\": \"a\", \"text\": \"ferries\"}], \"relevant\": [\"x\"]}";
    let irrelevant = "{\"query\": \"ferries\", \"passages\": [\"ferries\", \"trains\"], \"relevant\": {\"0\": 0}}";
    for (line, reason) in [
        (unmatched, "1 judgment names a passage that the collection does not hold, such as x (check the ids)"),
        (irrelevant, "no candidate of any query (the passages of each line, in their order) is relevant"),
    ] {
        fs::write(desk.path("collection.jsonl"), line).unwrap();
        let output = run(&mut desk.eval("local/lexical", "out", &[])).await;
        assert_eq!(output.status.code(), Some(1));
        let said = err(&output);
        assert!(said.contains("nothing can be measured") && said.contains(reason), "{said}");
    }
    assert!(!desk.path("out").exists(), "nothing was begun");
    let folder = beir();
    fs::write(folder.path().join("unknown.tsv"), "q\tx\t1\nq\ty\t1\n").unwrap();
    let mut command = rerankd();
    command.args(["--models", "local/lexical", "--qrels", "unknown.tsv", "--data"]).arg(folder.path());
    let output = run(&mut command).await;
    assert!(output.status.code() == Some(1) && err(&output).contains("2 judgments name passages"), "{}", err(&output));
}

/// A file written by hand, with the relevant passage of each query first.
#[tokio::test]
async fn passages_in_the_order_of_their_judgments_are_told_from_a_search() {
    let desk = Desk::new(0, &[], "");
    let line = |subject: &str| {
        format!(
            "{{\"query\": \"{subject} fares\", \"passages\": [\"{subject} cost 5\", \"fares of {subject} rise\"], \"relevant\": [0]}}\n"
        )
    };
    let lines = ["ferries", "trains", "trams"].map(line);
    let hint = "which looks like the order of the judgments and not of a search";
    fs::write(desk.path("collection.jsonl"), lines.concat()).unwrap();
    let said = succeed(&mut desk.eval("local/lexical", "out", &[])).await;
    assert!(said.contains(hint) && said.contains("--candidates bm25:50"), "{said}");
    assert!(said.contains(" sorted by grade") && !said.contains("best"), "{said}");
    assert!(fs::read_to_string(desk.path("out/report.html")).unwrap().contains(hint));
    let said = succeed(&mut desk.eval("local/lexical", "searched", &["--candidates", "bm25:50"])).await;
    assert!(!said.contains(hint), "{said}");
    // Two queries may be sorted by chance.
    fs::write(desk.path("collection.jsonl"), lines[..2].concat()).unwrap();
    let said = succeed(&mut desk.eval("local/lexical", "two", &[])).await;
    assert!(!said.contains(hint), "{said}");
    assert!(said.contains("2 queries are too few to tell whether a reranker is better"), "{said}");
    assert!(said.contains("highest mean; too few queries to tell"), "{said}");
}

/// As with `-c` of `trec_eval`: a first stage that finds nothing is not better for it.
#[tokio::test]
async fn a_query_without_candidates_counts_as_0_and_nobody_is_asked() {
    let folder = beir();
    fs::write(
        folder.path().join("queries.jsonl"),
        "{\"_id\":\"q\",\"text\":\"ferries\"}\n{\"_id\":\"r\",\"text\":\"x\"}\n",
    )
    .unwrap();
    fs::write(folder.path().join("qrels/one.tsv"), "q\ta\t1\nr\tb\t1\n").unwrap();
    let mut command = rerankd();
    command.args(["--models", "local/lexical", "--qrels", "qrels/one.tsv", "--candidates", "mine.run", "--data"]);
    let said = succeed(command.arg(folder.path()).arg("--out").arg(folder.path().join("out"))).await;
    let results = fs::read_to_string(folder.path().join("out/results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    let lexical = super::contestant(&results, "local/lexical");
    assert_eq!(lexical["metrics"]["ndcg@10"]["mean"], 0.5);
    assert_eq!((&lexical["rankings"][1], &lexical["failures"]), (&serde_json::json!([]), &serde_json::json!({})));
    assert_eq!(results["collection"]["recall_ceiling"], 0.5);
    assert!(said.contains("(1 query without candidates counted as 0).") && said.contains("1 asked for now"), "{said}");
}

#[tokio::test]
async fn autorag_project_yields_autorag_metrics() {
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
async fn prepared_candidates_are_used_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("qrels")).unwrap();
    for file in ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"] {
        fs::copy(repository("examples/eval").join(file), data.join(file)).unwrap();
    }
    let mut prepare = rerankd();
    prepare.args(["--prepare", "--candidates", "bm25:7", "--data"]).arg(&data);
    assert!(succeed(&mut prepare).await.contains("candidates.tsv: "));
    let again = run(&mut prepare).await;
    assert!(again.status.code() == Some(1) && err(&again).contains("is there already"), "{}", err(&again));
    let mut command = rerankd();
    command.args(["--models", "local/lexical", "--data"]).arg(&data).arg("--out").arg(folder.path().join("out"));
    let said = succeed(&mut command).await;
    assert!(said.contains("the run candidates.tsv, 7 a query"), "{said}");
}

#[tokio::test]
async fn invalid_eval_input_is_reported_by_place_and_never_quoted() {
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
async fn collection_without_judged_queries_is_refused() {
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

/// A folder as BEIR has it: three passages, and two files of judgments for its one query.
fn beir() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let corpus = "{\"_id\":\"a\",\"text\":\"ferries\"}\n{\"_id\":\"b\",\"text\":\"boats and ferries\"}\n{\"_id\":\"c\",\"text\":\"trains\"}\n";
    fs::create_dir(folder.path().join("qrels")).unwrap();
    for (file, text) in [
        ("corpus.jsonl", corpus),
        ("queries.jsonl", "{\"_id\":\"q\",\"text\":\"ferries\"}\n"),
        ("qrels/one.tsv", "query-id\tcorpus-id\tscore\nq\ta\t1\n"),
        ("qrels/two.tsv", "query-id\tcorpus-id\tscore\nq\tb\t1\nq\tc\t0\n"),
        ("mine.run", "q Q0 c 1 9.0 x\nq Q0 a 2 8.0 x\n"),
        ("elsewhere.tsv", "query-id\tcorpus-id\tscore\nother\tb\t1\n"),
    ] {
        fs::write(folder.path().join(file), text).unwrap();
    }
    folder
}

#[tokio::test]
async fn qrels_and_candidates_options_select_their_files() {
    let folder = beir();
    let eval = |out: &str, more: &[&str]| {
        let mut command = rerankd();
        command.args(["--models", "local/lexical", "--data"]).arg(folder.path());
        command.arg("--out").arg(folder.path().join(out)).args(more);
        command
    };
    let unclear = run(&mut eval("out", &[])).await;
    assert_eq!(unclear.status.code(), Some(1));
    assert!(
        err(&unclear).contains("choose one with --qrels: ") && err(&unclear).contains("two.tsv"),
        "{}",
        err(&unclear)
    );
    let candidates = async |out: &str, more: &[&str]| {
        succeed(&mut eval(out, more)).await;
        let results = fs::read_to_string(folder.path().join(out).join("results.json")).unwrap();
        let results: serde_json::Value = serde_json::from_str(&results).unwrap();
        let candidates = results["queries"][0]["candidates"].as_array().unwrap().iter();
        let ids: String = candidates.map(|candidate| candidate["id"].as_str().unwrap()).collect();
        (ids, results["collection"]["first_stage"].as_str().unwrap().to_owned())
    };
    let (ids, from) = candidates("run", &["--qrels", "qrels/one.tsv", "--candidates", "mine.run"]).await;
    assert_eq!((ids.as_str(), from.as_str()), ("ca", "the run mine.run"));
    let (ids, from) = candidates("judged", &["--qrels", "qrels/two.tsv", "--candidates", "judged"]).await;
    assert_eq!(ids, "bc");
    assert!(from.starts_with("all judged passages"), "{from}");
    let (ids, from) = candidates("bm25", &["--qrels", "qrels/two.tsv", "--candidates", "bm25:2"]).await;
    assert_eq!(ids, "ab");
    assert!(from.starts_with("the best 2 by BM25"), "{from}");
    // Judgments of other queries leave nothing to evaluate.
    let empty = run(&mut eval("empty", &["--qrels", "elsewhere.tsv"])).await;
    assert_eq!(empty.status.code(), Some(1));
    assert!(
        err(&empty).contains(
            "holds nothing to evaluate, judged by elsewhere.tsv (--qrels takes others); queries without a judgment: 1;"
        ),
        "{}",
        err(&empty)
    );
    assert!(!folder.path().join("empty").exists());
}

#[tokio::test]
async fn prepare_is_refused_for_data_that_would_not_use_candidates() {
    let desk = Desk::new(2, &[], "");
    for (data, more, sentence) in [
        (desk.path("collection.jsonl"), &[][..], "collection.jsonl: holds candidates itself"),
        (beir().path().to_owned(), &["--candidates", "judged"], "--prepare writes bm25:N, not judged"),
    ] {
        let output = run(rerankd().arg("--prepare").arg("--data").arg(data).args(more)).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(err(&output).contains(sentence), "{}", err(&output));
    }
    assert!(!desk.path("candidates.tsv").exists());
    assert_eq!(run(&mut rerankd()).await.status.code(), Some(2), "--data is missing");
}

/// The files of a run say the same as its answers.
#[tokio::test]
async fn a_jsonl_file_is_ranked_by_the_embedded_scorer() {
    let desk = Desk::new(0, &[], "");
    let line = "{\"query\": \"ferries to the islands\", \"passages\": [\"trains\", \"ferries to the islands leave at noon\"], \"relevant\": [1]}\n";
    fs::write(desk.path("collection.jsonl"), line).unwrap();
    let said = succeed(&mut desk.eval("local/lexical", "out", &[])).await;
    assert!(!said.contains("p=") && !said.contains("95 %") && !said.contains('['), "one query has no interval: {said}");
    let results = desk.results("out");
    let contestant = super::contestant(&results, "local/lexical");
    assert_eq!(contestant["rankings"], serde_json::json!([[1, 0]]));
    assert_eq!(contestant["metrics"]["ndcg@10"]["mean"], 1.0);
    assert_eq!(super::contestant(&results, "none")["rankings"], serde_json::json!([[0, 1]]));
    let run = fs::read_to_string(desk.path("out/runs/local%2Flexical.run")).unwrap();
    assert!(run.starts_with("1 Q0 1:1 1 ") && run.lines().nth(1).unwrap().starts_with("1 Q0 1:0 2 "), "{run}");
}
