//! Reported results: failures, costs, times, choices, and nothing private.

use std::fs;

use serde_json::{Value, json};

use super::{Desk, contestant, err, query, run, succeed};
use crate::support::gateway::targets;
use crate::support::{FakeUpstream, Reply};

#[tokio::test]
async fn model_failing_every_query_is_abandoned_and_the_others_compared() {
    let (refuses, works) = (FakeUpstream::start("cohere").await, FakeUpstream::start("jina").await);
    refuses.answer_always(Some(Reply::status(401)));
    let desk = Desk::new(
        9,
        &[("no", "cohere", &refuses), ("yes", "jina", &works)],
        "[upstream_defaults.breaker]\nconsecutive_failures = 0",
    );
    let models = "no/rerank-v3.5,yes/jina-reranker-v2-base-multilingual";
    let output = run(&mut desk.eval(models, "out", &[])).await;
    assert!(output.status.success(), "{}", err(&output));
    assert!(
        err(&output).contains("rerankd: no/rerank-v3.5 is given up, the others go on: no answered with status 401"),
        "{}",
        err(&output)
    );
    assert_eq!(refuses.calls().len(), 5, "five in a row are enough");
    let results = desk.results("out");
    let names: Vec<_> = results["contestants"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert!(
        names.len() == 2 && !names.contains(&&json!("no/rerank-v3.5")),
        "who never answered is not compared: {names:?}"
    );
    let unanswered = &results["unanswered"][0];
    assert_eq!(unanswered["name"], "no/rerank-v3.5");
    assert_eq!(unanswered["failures"], json!({"upstream_unauthorized": 5, "not_asked": 4}));
    assert!(unanswered["message"].as_str().unwrap().contains("check upstreams.no.api_key"), "{unanswered}");
    assert!(results["choice"]["by_strategy"].as_object().unwrap().values().all(|chosen| chosen != "no/rerank-v3.5"));
    assert_eq!(contestant(&results, "yes/jina-reranker-v2-base-multilingual")["failures"], json!({}));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.lines().any(|line| line.starts_with(" no/rerank-v3.5") && line.ends_with("no answers")), "{said}");
    let warning = "! no/rerank-v3.5: not a single answer (4 not_asked, 5 upstream_unauthorized), so it is not compared. The first failure: ";
    assert!(said.contains(warning) && said.contains("check upstreams.no.api_key"), "{said}");
    assert!(
        fs::read_to_string(desk.path("out/report.html")).unwrap().contains("<td class=\"verdict\">no answers</td>")
    );
    assert!(!desk.path("out/runs/no%2Frerank-v3.5.run").exists());
}

/// Cohere's list price is two dollars for 1,000 searches; a query with five passages is one search.
#[tokio::test]
async fn costs_and_latencies_come_from_the_answers() {
    let fake = FakeUpstream::start("cohere").await;
    let desk = Desk::new(4, &[("up", "cohere", &fake)], "");
    succeed(&mut desk.eval("up/rerank-v3.5", "out", &[])).await;
    let results = desk.results("out");
    let contestant = contestant(&results, "up/rerank-v3.5");
    assert_eq!(contestant["cost"]["usd_per_1000_queries"], 2.0);
    assert_eq!(contestant["cost"]["search_units_per_query"], 1.0);
    assert_eq!(contestant["cost"]["unit"], "search unit");
    assert_eq!(
        (&contestant["latency"]["cold"]["count"], &contestant["latency"]["warm"]["count"]),
        (&json!(4), &json!(4))
    );
    assert_eq!(fake.calls().len(), 4, "warm answers asked nobody");
    assert_eq!(contestant["answered_by"], json!(["up/rerank-v3.5"]));
}

/// Pairs that one model has paid for cost the next nothing; that model is then not timed.
#[tokio::test]
async fn second_name_of_one_model_sends_no_pair_and_is_not_timed() {
    let fake = FakeUpstream::start("cohere").await;
    let both = "[models.default]\ntargets = [{ upstream = 'up', model = 'rerank-v3.5' }]";
    let desk = Desk::new(3, &[("up", "cohere", &fake)], both);
    succeed(&mut desk.eval("default,up/rerank-v3.5", "out", &[])).await;
    assert_eq!(fake.calls().len(), 3);
    assert_eq!(contestant(&desk.results("out"), "up/rerank-v3.5")["latency"], json!(null));
    // Who was not timed is not fast.
    let hour = succeed(&mut desk.eval("default,up/rerank-v3.5", "out", &["--speed-threshold", "1h"])).await;
    assert!(hour.contains("Not timed, and so left out: up/rerank-v3.5."), "{hour}");
    let results = desk.results("out");
    assert!(results["choice"]["by_strategy"].as_object().unwrap().values().all(|chosen| chosen != "up/rerank-v3.5"));
    assert_eq!(contestant(&results, "up/rerank-v3.5")["on_pareto_front"], false);
    assert!(hour.contains("! default and up/rerank-v3.5 rank every query alike."), "{hour}");
}

/// The first target fails once for each query and then works again: the warm request must find the second target's
/// scores in the cache instead of calling the first.
#[tokio::test]
async fn warm_request_after_fallback_is_served_from_the_cache() {
    let (flaky, good) = (FakeUpstream::start("cohere").await, FakeUpstream::start("voyage").await);
    flaky.then([Reply::rejected(), Reply::rejected()]);
    let model = targets("m", &[("first", "rerank-v3.5"), ("second", "rerank-2.5")]);
    let desk = Desk::new(2, &[("first", "cohere", &flaky), ("second", "voyage", &good)], &model);
    succeed(&mut desk.eval("m", "out", &[])).await;
    assert_eq!((flaky.calls().len(), good.calls().len()), (2, 2));
    assert_eq!(contestant(&desk.results("out"), "m")["latency"]["warm"]["count"], 2);
}

#[tokio::test]
async fn every_metric_is_defined_and_stale_run_files_are_removed() {
    let desk = Desk::new(2, &[], "");
    fs::create_dir_all(desk.path("out/runs")).unwrap();
    fs::write(desk.path("out/runs/mine.run"), "q Q0 p 1 1 x\n").unwrap();
    succeed(&mut desk.eval("local/lexical,local", "out", &[])).await;
    assert!(desk.path("out/runs/local.run").is_file());
    succeed(&mut desk.eval("local/lexical", "out", &["--autorag"])).await;
    let (results, page) = (desk.results("out"), fs::read_to_string(desk.path("out/report.html")).unwrap());
    let metrics = results["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 12);
    for metric in metrics.iter().filter_map(Value::as_str) {
        assert!(results["definitions"][metric].as_str().is_some_and(|text| text.ends_with('.')), "{metric}");
        assert!(page.contains(&format!("<dt>{metric}</dt>")), "{metric}");
    }
    let runs = fs::read_dir(desk.path("out/runs")).unwrap().map(|run| run.unwrap().file_name().into_string().unwrap());
    let runs: std::collections::BTreeSet<_> = runs.collect();
    assert_eq!(
        runs,
        ["local%2Flexical.run", "mine.run", "none.run"].map(str::to_owned).into(),
        "but files that are not ours"
    );
}

/// Real times vary, so the test writes fixed ones into the answer files, which the second run reads.
#[tokio::test]
async fn models_beyond_speed_threshold_are_not_chosen() {
    let fake = FakeUpstream::start("cohere").await;
    let desk = Desk::new(2, &[("up", "cohere", &fake)], "");
    let models = "up/rerank-v3.5,local/lexical";
    succeed(&mut desk.eval(models, "out", &[])).await;
    for (name, milliseconds) in [("up%2Frerank-v3.5", 60.0), ("local%2Flexical", 0.5)] {
        let path = desk.path("out/answers").join(format!("{name}.jsonl"));
        let retimed = |line: &str| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line["answer"]["cold_ms"] = json!(milliseconds);
            format!("{line}\n")
        };
        let text: String = fs::read_to_string(&path).unwrap().lines().map(retimed).collect();
        fs::write(&path, text).unwrap();
    }
    for (threshold, too_slow) in [
        ("60ms", json!([])),
        ("50ms", json!(["up/rerank-v3.5"])),
        // The order of the first stage takes no time, so somebody always keeps within the threshold.
        ("100us", json!(["up/rerank-v3.5", "local/lexical"])),
    ] {
        let said = succeed(&mut desk.eval(models, "out", &["--speed-threshold", threshold])).await;
        let choice = desk.results("out")["choice"].clone();
        let mut named: Vec<_> = choice["too_slow"].as_array().unwrap().iter().collect();
        named.sort_by_key(|name| name.as_str() != Some("up/rerank-v3.5"));
        assert_eq!(json!(named), too_slow, "{threshold}");
        assert_eq!(said.contains("Too slow: "), !named.is_empty(), "{said}");
        let mut chosen = choice["by_strategy"].as_object().unwrap().values();
        assert!(chosen.all(|chosen| !named.contains(&chosen)), "{choice}");
    }
    assert_eq!(desk.results("out")["choice"]["by_strategy"]["mean"], "none");
    assert_eq!(fake.calls().len(), 2, "judged again without asking again");
}

/// Output off a terminal has no progress bars, and texts of queries and passages appear only in the files of the run
/// folder.
#[tokio::test]
async fn eval_output_has_no_escape_codes_and_no_private_text() {
    let fake = FakeUpstream::start("cohere").await;
    fake.then([Reply::rejected()]);
    let desk = Desk::new(3, &[("up", "cohere", &fake)], "");
    let output = run(&mut desk.eval("up/rerank-v3.5", "out", &[])).await;
    assert!(output.status.success());
    let (out, err) = (String::from_utf8(output.stdout.clone()).unwrap(), err(&output));
    assert!(out.contains("report  ") && !out.contains('\u{1b}'), "{out}");
    assert!(!err.contains('\u{1b}') && !err.contains('\r'), "{err:?}");
    for private in [query(0), "passage 1 of 1".to_owned(), "test-key".to_owned()] {
        assert!(!out.contains(&private) && !err.contains(&private), "{private}");
    }
}

/// Voyage charges by the token: the fake tells 10 a passage, at 5 US cents a million. A search of Cohere's is a call
/// here, and there are three a query.
#[tokio::test]
async fn costs_are_list_prices_of_the_usage_reported_by_the_provider() {
    let (cohere, voyage) = (FakeUpstream::start("cohere").await, FakeUpstream::start("voyage").await);
    let small_calls = format!(
        "[upstreams.small]\nprovider = 'cohere'\napi_key = 'env:KEY'\nmax_passages = 2\nbase_url = '{}'\n",
        cohere.url()
    );
    let desk = Desk::new(3, &[("up", "voyage", &voyage)], &small_calls);
    succeed(&mut desk.eval("up/rerank-2.5,small/rerank-v4.0-pro,local/lexical", "out", &[])).await;
    let results = desk.results("out");
    let cost = |name: &str| contestant(&results, name)["cost"].clone();
    let of_tokens = cost("up/rerank-2.5");
    let expected = 1_000.0 * 50.0 * 0.05 / 1e6;
    assert!((of_tokens["usd_per_1000_queries"].as_f64().unwrap() - expected).abs() < 1e-9, "{of_tokens}");
    assert_eq!((&of_tokens["tokens_per_query"], &of_tokens["unit"]), (&json!(50.0), &json!("million tokens")));
    let of_searches = cost("small/rerank-v4.0-pro");
    assert!((of_searches["usd_per_1000_queries"].as_f64().unwrap() - 7.5).abs() < 1e-9, "{of_searches}");
    assert_eq!(of_searches["search_units_per_query"], 3.0);
    assert_eq!(cost("local/lexical")["unit"], "free");
    for name in ["up/rerank-2.5", "small/rerank-v4.0-pro", "local/lexical"] {
        let latency = &contestant(&results, name)["latency"];
        assert_eq!((&latency["cold"]["count"], &latency["warm"]["count"]), (&json!(3), &json!(3)), "{name}");
    }
    assert_eq!((voyage.calls().len(), cohere.calls().len()), (3, 9), "warm answers asked nobody");
}

/// `local` without model files is the lexical scorer, with a warning unless `model_dir` is none.
#[tokio::test]
async fn local_without_model_warns_unless_model_dir_is_none() {
    for (config, is_told) in [("", true), ("[local]\nmodel_dir = 'none'\n", false)] {
        let desk = Desk::new(2, &[], config);
        let output = run(&mut desk.eval("local,local/lexical", "out", &[])).await;
        let said = "rerankd: local: local only counts words; `rerankd model fetch` (23 MB): nDCG@10 0.70 → 0.79\n";
        assert_eq!(err(&output), if is_told { said } else { "" });
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.contains("Here local is local/lexical."), "{told}");
    }
}

#[tokio::test]
async fn successful_eval_writes_nothing_to_standard_error() {
    let desk = Desk::new(2, &[], "");
    let output = run(&mut desk.eval("local/lexical", "out", &["--k", "3"])).await;
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
    let results = desk.results("out");
    assert_eq!(results["metrics"], json!(["ndcg@3", "mrr@3", "map", "p@3", "r@3", "f1@3"]));
    assert_eq!(results["k"], 3);
}
