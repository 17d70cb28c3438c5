//! Two runs side by side, and what makes a run one that can be cited.

use std::fs;

use serde_json::{Value, json};

use super::{Desk, contestant, err, rerankd, run, succeed};

#[tokio::test]
async fn two_runs_are_compared_by_model_and_metric() {
    let desk = Desk::new(4, &[], "");
    succeed(&mut desk.eval("local/lexical", "one", &[])).await;
    let text = fs::read_to_string(desk.path("collection.jsonl")).unwrap();
    fs::write(desk.path("collection.jsonl"), text.replace("passage 3 of 1", "query number 1")).unwrap();
    succeed(&mut desk.eval("local/lexical,local", "two", &["--k", "3"])).await;
    let said = succeed(rerankd().arg("--compare").arg(desk.path("one")).arg(desk.path("two"))).await;
    assert!(said.lines().next().unwrap().contains("DIFFERENCE"), "{said}");
    assert!(said.lines().any(|line| line.trim_start().starts_with("local/lexical  map ")), "{said}");
    assert!(!said.contains("ndcg"), "only metrics that both have: {said}");
    assert!(said.contains("Differences are RUN2 less RUN1, over 4 queries;"), "{said}");
    assert!(said.contains("Only in RUN2: local."), "{said}");
    assert!(said.contains("! The collections differ by their checksums, in their passages:"), "{said}");
    let same = succeed(rerankd().arg("--compare").arg(desk.path("one")).arg(desk.path("one/results.json"))).await;
    assert!(same.contains("Both runs had the same collection, by its checksums."), "{same}");
}

#[tokio::test]
async fn what_is_no_run_is_not_compared() {
    let desk = Desk::new(1, &[], "");
    fs::create_dir(desk.path("other")).unwrap();
    fs::write(desk.path("other/results.json"), "{\"a\": \"a secret\"}").unwrap();
    for (folder, sentence) in
        [("nowhere", "--compare takes two run folders"), ("other", "results.json, line 1: is no results.json of")]
    {
        let output = run(rerankd().arg("--compare").arg(desk.path(folder)).arg(desk.path(folder))).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(err(&output).contains(sentence) && !err(&output).contains("secret"), "{}", err(&output));
    }
    let output = run(rerankd().args(["--data", "x", "--compare", "a", "b"])).await;
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn a_run_can_be_cited() {
    let desk = Desk::new(3, &[], "");
    succeed(&mut desk.eval("local/lexical", "out", &[])).await;
    let results = desk.results("out");
    let record = &results["run"];
    let date = record["date"].as_str().unwrap();
    assert!(date.len() == 20 && date.starts_with("20") && date.ends_with('Z'), "{date}");
    let command = record["command"].as_str().unwrap();
    assert!(command.starts_with("rerankd eval --data ") && command.ends_with(" --models local/lexical"), "{command}");
    assert!(record["machine"]["cores"].as_u64().unwrap() > 0 && record["machine"]["cpu"] != "");
    assert_eq!((&record["answers_kept"], &record["answers_new"]), (&json!(0), &json!(3)));
    assert_eq!(
        record["settings"],
        json!({"k": "10", "concurrency": "1", "candidates": "the collection's own, else bm25:50"})
    );
    for part in ["passages", "queries", "judgments", "candidates"] {
        assert_eq!(record["checksums"][part].as_str().unwrap().len(), 64, "{part}");
    }
    assert_eq!(record["models"]["local/lexical"].as_str().unwrap().len(), 64);
    let page = fs::read_to_string(desk.path("out/report.html")).unwrap();
    assert!(page.contains(date) && page.contains("<section id=\"citation\""), "{page}");
    let csv = fs::read_to_string(desk.path("out/results.csv")).unwrap();
    let ndcg: &Value = &contestant(&results, "local/lexical")["metrics"]["ndcg@10"];
    assert!(csv.contains(&format!("local/lexical,ndcg@10,3,{},", ndcg["mean"])), "{csv}");
    assert_eq!(fs::read_to_string(desk.path("out/per_query.csv")).unwrap().lines().count(), 1 + 2 * 3);
}
