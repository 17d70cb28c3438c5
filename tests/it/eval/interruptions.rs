//! No pair is sent twice, whatever ends a run.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::process::Child;

use super::{Desk, PASSAGES, all_pairs, contestant, err, interrupt, only_file, pairs_sent, query, run, succeed};
use crate::contract::repository;
use crate::support::gateway::targets;
use crate::support::{FakeUpstream, Reply};

const QUERIES: usize = 9;
const MODEL: &str = "up/rerank-v3.5";

/// Reads standard error until it holds `text`.
async fn wait_for_stderr(child: &mut Child, text: &str) -> String {
    let (mut heard, mut buffer) = (String::new(), [0; 1024]);
    let stderr = child.stderr.as_mut().unwrap();
    let hearing = async {
        while !heard.contains(text) {
            let length = stderr.read(&mut buffer).await.unwrap();
            assert!(length > 0, "ended after {heard:?}");
            heard.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(30), hearing).await.expect("heard in time");
    heard
}

/// Rankings and figures, without what time does to them.
fn without_times(mut results: Value) -> Value {
    for contestant in results["contestants"].as_array_mut().unwrap() {
        contestant["latency"] = Value::Null;
        contestant["on_pareto_front"] = Value::Null;
    }
    results["choice"] = Value::Null;
    without_record(results)
}

/// Results without the circumstances of the run: its time, its command, the answers that it found.
fn without_record(mut results: Value) -> Value {
    results["run"] = Value::Null;
    results
}

/// Every pair is sent once, over an interruption and the run after it.
#[tokio::test]
async fn an_interrupted_run_goes_on_and_no_pair_is_sent_twice() {
    for concurrency in ["1", "4"] {
        let fake = FakeUpstream::start("cohere").await;
        let desk = Desk::new(QUERIES, &[("up", "cohere", &fake)], "");
        let options = ["--concurrency", concurrency];
        fake.hold();
        let mut child = desk.eval(MODEL, "out", &options).spawn().unwrap();
        let under_way = concurrency.parse().unwrap();
        fake.wait_for_arrivals(under_way).await;
        interrupt(&child);
        wait_for_stderr(&mut child, "finishing what is under way").await;
        fake.release();
        let output = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = err(&output);
        assert!(said.contains(&format!("stopped; {under_way} of {QUERIES} answers are kept in ")), "{said}");
        assert!(said.contains("the same command goes on from there"), "{said}");
        assert_eq!(pairs_sent(&fake).len(), under_way * PASSAGES, "nothing was begun after the signal");

        succeed(&mut desk.eval(MODEL, "out", &options)).await;
        assert_eq!(pairs_sent(&fake), all_pairs(QUERIES), "every pair once");
        succeed(&mut desk.eval(MODEL, "straight", &options)).await;
        assert_eq!(without_times(desk.results("out")), without_times(desk.results("straight")));
    }
}

#[tokio::test]
async fn killed_run_repeats_only_the_query_in_progress() {
    let fake = FakeUpstream::start("cohere").await;
    let desk = Desk::new(QUERIES, &[("up", "cohere", &fake)], "");
    fake.hold();
    let mut child = desk.eval(MODEL, "out", &[]).spawn().unwrap();
    fake.wait_for_arrivals(1).await;
    child.kill().await.unwrap();
    fake.release();
    succeed(&mut desk.eval(MODEL, "out", &[])).await;
    let mut expected = all_pairs(QUERIES);
    expected.extend(all_pairs(1));
    expected.sort();
    assert_eq!(pairs_sent(&fake), expected, "the first query twice, all others once");
}

#[tokio::test]
async fn second_run_makes_no_calls_and_writes_the_same_results() {
    let fake = FakeUpstream::start("cohere").await;
    let desk = Desk::new(QUERIES, &[("up", "cohere", &fake)], "");
    let first = succeed(&mut desk.eval(MODEL, "out", &[])).await;
    let files = ["results.csv", "per_query.csv"].map(|name| fs::read(desk.path("out").join(name)).unwrap());
    let page = || {
        let page = fs::read_to_string(desk.path("out/report.html")).unwrap();
        page.split_once("<section id=\"citation\"").unwrap().0.to_owned()
    };
    let (results, report) = (without_record(desk.results("out")), page());
    let calls = fake.calls().len();
    let second = succeed(&mut desk.eval(MODEL, "out", &[])).await;
    let told = |kept: usize| format!("answers {kept} kept from before, {} asked for now\n", QUERIES - kept);
    assert!(first.contains(&told(0)), "{first}");
    assert_eq!(second, first.replace(&told(0), &told(QUERIES)));
    assert_eq!(fake.calls().len(), calls);
    assert_eq!(["results.csv", "per_query.csv"].map(|name| fs::read(desk.path("out").join(name)).unwrap()), files);
    assert_eq!((without_record(desk.results("out")), page()), (results, report));
}

#[tokio::test]
async fn truncated_last_answer_line_is_asked_again() {
    let fake = FakeUpstream::start("cohere").await;
    let desk = Desk::new(QUERIES, &[("up", "cohere", &fake)], "");
    succeed(&mut desk.eval(MODEL, "out", &[])).await;
    let whole = desk.results("out");
    let answer_log = only_file(&desk.path("out/answers"));
    let text = fs::read_to_string(&answer_log).unwrap();
    fs::write(&answer_log, &text[..text.len() - 20]).unwrap();
    succeed(&mut desk.eval(MODEL, "out", &[])).await;
    assert_eq!(fake.calls().len(), QUERIES + 1);
    assert_eq!(without_times(desk.results("out")), without_times(whole));
    assert_eq!(fs::read_to_string(&answer_log).unwrap().lines().count(), QUERIES, "the torn line was overwritten");
}

/// Some editors remove the last line break of a file.
#[tokio::test]
async fn last_answer_line_without_newline_is_kept() {
    let fake = FakeUpstream::start("cohere").await;
    let desk = Desk::new(2, &[("up", "cohere", &fake)], "");
    succeed(&mut desk.eval(MODEL, "out", &[])).await;
    let answer_log = only_file(&desk.path("out/answers"));
    let text = fs::read_to_string(&answer_log).unwrap();
    fs::write(&answer_log, text.trim_end()).unwrap();
    succeed(&mut desk.eval(MODEL, "out", &[])).await;
    assert_eq!((fake.calls().len(), fs::read_to_string(&answer_log).unwrap()), (2, text));
}

/// A query of three calls, of which the second fails: what the others were charged for is kept.
#[tokio::test]
async fn scores_of_a_failed_query_are_kept_for_the_next_run() {
    let fake = FakeUpstream::start("cohere").await;
    let small_calls =
        "[upstreams.up]\nprovider = 'cohere'\napi_key = 'env:KEY'\nmax_passages = 2\nmax_concurrency = 1\n";
    let desk = Desk::new(2, &[], &format!("{small_calls}base_url = '{}'\n", fake.url()));
    let scored = |places: &[usize]| {
        let result = |(index, place): (usize, &usize)| serde_json::json!({"index": index, "relevance_score": 0.1 * f64::from(u32::try_from(*place).unwrap())});
        let results: Vec<_> = places.iter().enumerate().map(result).collect();
        Reply::body(serde_json::json!({"id": "u", "results": results, "meta": {}}).to_string())
    };
    fake.then([scored(&[0, 1]), Reply::rejected()]);
    let said = succeed(&mut desk.eval(MODEL, "out", &[])).await;
    assert!(said.contains("1 query without an answer (1 upstream_rejected)"), "{said}");
    let results = desk.results("out");
    let failed = contestant(&results, MODEL);
    assert_eq!(failed["failures"], serde_json::json!({"upstream_rejected": 1}));
    assert_eq!(failed["rankings"][0], serde_json::json!([0, 1, 2, 3, 4]), "the order of the first stage");
    let before = pairs_sent(&fake).len();
    succeed(&mut desk.eval(MODEL, "out", &[])).await;
    let first: Vec<_> = pairs_sent(&fake).into_iter().filter(|(asked, _)| *asked == query(0)).collect();
    let times = |place: usize| first.iter().filter(|(_, passage)| *passage == format!("passage {place} of 0")).count();
    assert_eq!([times(0), times(1)], [1, 1], "paid for before the failure");
    assert!([2, 3].map(times) == [2, 2] && times(4) >= 1, "{first:?}");
    assert!(pairs_sent(&fake).len() - before <= PASSAGES - 2);
    assert_eq!(contestant(&desk.results("out"), MODEL)["failures"], serde_json::json!({}));
}

/// Only changed queries are asked again; answers to a query that is restored are still there.
#[tokio::test]
async fn changed_query_alone_is_asked_again() {
    let fake = FakeUpstream::start("cohere").await;
    let desk = Desk::new(3, &[("up", "cohere", &fake)], "");
    succeed(&mut desk.eval(MODEL, "out", &[])).await;
    let collection = fs::read_to_string(desk.path("collection.jsonl")).unwrap();
    fs::write(desk.path("collection.jsonl"), collection.replace("passage 3 of 1", "another passage")).unwrap();
    let again = run(&mut desk.eval(MODEL, "out", &[])).await;
    assert!(again.status.success());
    let said = err(&again);
    assert!(said.contains("1 kept answer of a query that has changed, or of other candidates; asking again"), "{said}");
    let asked = fake.calls().split_off(3);
    assert_eq!(asked.len(), 1, "the changed query alone");
    assert_eq!(asked[0].passages()[3], "another passage");
    fs::write(desk.path("collection.jsonl"), collection).unwrap();
    let back = run(&mut desk.eval(MODEL, "out", &[])).await;
    assert_eq!((back.status.code(), err(&back).as_str(), fake.calls().len()), (Some(0), "", 4));
}

#[tokio::test]
async fn added_query_is_the_only_one_asked() {
    let fake = FakeUpstream::start("cohere").await;
    let desk = Desk::new(2, &[("up", "cohere", &fake)], "");
    succeed(&mut desk.eval(MODEL, "out", &[])).await;
    let larger = Desk::new(3, &[("up", "cohere", &fake)], "");
    fs::copy(larger.path("collection.jsonl"), desk.path("collection.jsonl")).unwrap();
    succeed(&mut desk.eval(MODEL, "out", &[])).await;
    assert_eq!(pairs_sent(&fake), all_pairs(3));
}

/// Lines without ids are identified by their content, since a line inserted above changes their numbers.
#[tokio::test]
async fn query_inserted_before_others_is_the_only_one_asked() {
    let fake = FakeUpstream::start("cohere").await;
    let desk = Desk::new(0, &[("up", "cohere", &fake)], "");
    let line = |number: usize| {
        let passages: Vec<_> = (0..PASSAGES).map(|place| format!("passage {place} of {number}")).collect();
        serde_json::json!({"query": query(number), "passages": passages, "relevant": [number]}).to_string()
    };
    fs::write(desk.path("collection.jsonl"), [line(0), line(1)].join("\n")).unwrap();
    succeed(&mut desk.eval(MODEL, "out", &[])).await;
    let before = contestant(&desk.results("out"), MODEL)["rankings"].clone();
    fs::write(desk.path("collection.jsonl"), [line(2), line(0), line(1)].join("\n")).unwrap();
    let output = run(&mut desk.eval(MODEL, "out", &[])).await;
    let bill = "rerankd: up/rerank-v3.5: about $0.0020: 1 query × 5 passages, 1 search unit at $0.0020\n";
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), bill));
    assert_eq!(pairs_sent(&fake), all_pairs(3));
    let after = contestant(&desk.results("out"), MODEL)["rankings"].clone();
    assert_eq!((&after[1], &after[2]), (&before[0], &before[1]));
    let qrels = fs::read_to_string(desk.path("out/judgments.qrels")).unwrap();
    assert_eq!(qrels, "1 0 1:2 1\n2 0 2:0 1\n3 0 3:1 1\n");
}

#[tokio::test]
async fn foreign_answer_file_is_refused_and_left_unchanged() {
    let fake = FakeUpstream::start("cohere").await;
    let desk = Desk::new(2, &[("up", "cohere", &fake)], "");
    succeed(&mut desk.eval(MODEL, "out", &[])).await;
    let answer_log = only_file(&desk.path("out/answers"));
    fs::write(&answer_log, "somebody's diary\n").unwrap();
    let refused = run(&mut desk.eval(MODEL, "out", &[])).await;
    let said = err(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let expected = format!("{}, line 1: is no answer; remove the line, or give another --out", answer_log.display());
    assert!(said.contains(&expected), "{said}");
    assert_eq!((fs::read_to_string(&answer_log).unwrap().as_str(), fake.calls().len()), ("somebody's diary\n", 2));
}

/// A provider that limits the rate is waited for: what a service would turn away, an evaluation has time for.
#[tokio::test]
async fn rate_limited_query_is_retried_after_its_retry_after() {
    let fake = FakeUpstream::start("cohere").await;
    fake.then([Reply::status_after(429, "retry-after", "1")]);
    let once = format!(
        "[upstreams.up]\nprovider = 'cohere'\napi_key = 'env:KEY'\nmax_attempts = 1\nbase_url = '{}'\n",
        fake.url()
    );
    let desk = Desk::new(2, &[], &once);
    succeed(&mut desk.eval(MODEL, "out", &[])).await;
    assert_eq!(contestant(&desk.results("out"), MODEL)["failures"], serde_json::json!({}));
    assert_eq!(fake.calls().len(), 3);
}

#[tokio::test]
async fn concurrent_run_in_same_folder_is_refused() {
    let fake = FakeUpstream::start("cohere").await;
    let desk = Desk::new(2, &[("up", "cohere", &fake)], "");
    fake.hold();
    let mut first = desk.eval(MODEL, "out", &[]).spawn().unwrap();
    fake.wait_for_arrivals(1).await;
    let second = run(&mut desk.eval(MODEL, "out", &[])).await;
    assert_eq!(second.status.code(), Some(1));
    assert!(err(&second).contains("is being written by another rerankd eval"), "{}", err(&second));
    fake.release();
    assert!(first.wait().await.unwrap().success());
}

/// Repeated interruptions: each run adds one answer, and no pair is sent twice. Two names of one model share its
/// answers across runs.
#[tokio::test]
async fn names_of_one_model_share_pairs_across_interrupted_runs() {
    let fake = FakeUpstream::start("cohere").await;
    let name = "[models.default]\ntargets = [{ upstream = 'up', model = 'rerank-v3.5' }]";
    let desk = Desk::new(QUERIES, &[("up", "cohere", &fake)], name);
    let both = format!("default,{MODEL}");
    for kept in 1..=3 {
        fake.hold();
        let mut child = desk.eval(&both, "out", &[]).spawn().unwrap();
        fake.wait_for_arrivals(kept).await;
        interrupt(&child);
        let mut heard = wait_for_stderr(&mut child, "at once\n").await;
        fake.release();
        let output = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await.unwrap().unwrap();
        heard.push_str(&err(&output));
        assert_eq!(output.status.code(), Some(1));
        assert!(heard.contains(&format!("stopped; {kept} of {} answers are kept", 2 * QUERIES)), "{heard}");
        assert!(heard.lines().all(|line| line.starts_with("rerankd: ")), "sentences alone: {heard:?}");
        assert!(output.stdout.is_empty(), "no table of a part");
    }
    succeed(&mut desk.eval(&both, "out", &[])).await;
    assert_eq!(pairs_sent(&fake), all_pairs(QUERIES), "every pair once");
    let results = desk.results("out");
    assert_eq!(contestant(&results, "default")["rankings"], contestant(&results, MODEL)["rankings"]);
}

#[tokio::test]
async fn killed_run_keeps_its_finished_answers() {
    let fake = FakeUpstream::scripted("cohere", [Reply::Score, Reply::Score, Reply::Score, Reply::Hang]).await;
    let desk = Desk::new(QUERIES, &[("up", "cohere", &fake)], "");
    let mut child = desk.eval(MODEL, "out", &[]).spawn().unwrap();
    fake.wait_for_arrivals(4).await;
    child.kill().await.unwrap();
    succeed(&mut desk.eval(MODEL, "out", &[])).await;
    let again: Vec<_> = all_pairs(QUERIES).into_iter().filter(|(asked, _)| *asked == query(3)).collect();
    let mut expected = [all_pairs(QUERIES), again].concat();
    expected.sort();
    assert_eq!(pairs_sent(&fake), expected, "the fourth query twice, all others once");
}

/// Another model behind a name, or another cut of long passages, gives other scores. A restored configuration finds its
/// first answers again.
#[tokio::test]
async fn answers_of_another_configuration_are_kept_and_not_used() {
    let (fake, moved) = (FakeUpstream::start("cohere").await, FakeUpstream::start("cohere").await);
    let (old_home, new_home) = (format!("base_url = '{}'", fake.url()), format!("base_url = '{}'", moved.url()));
    for change in [
        (old_home.as_str(), new_home.as_str()),
        ("model = 'rerank-v3.5'", "model = 'rerank-v3.5', revision = '2'"),
        ("# limits", "max_passage_tokens = 512\nlong_passages = 'truncate'"),
    ] {
        let config = format!(
            "[upstreams.two]\nprovider = 'cohere'\napi_key = 'env:KEY'\nbase_url = '{}'\n# limits\n\
             [models.second]\ntargets = [{{ upstream = 'two', model = 'rerank-v3.5' }}]\n",
            fake.url()
        );
        let desk = Desk::new(2, &[], &config);
        succeed(&mut desk.eval("second", "out", &[])).await;
        let all_calls = || fake.calls().len() + moved.calls().len();
        let calls = all_calls();
        let text = fs::read_to_string(desk.path("rerankd.toml")).unwrap();
        assert!(text.contains(change.0), "{text}");
        fs::write(desk.path("rerankd.toml"), text.replace(change.0, change.1)).unwrap();
        let changed = run(&mut desk.eval("second", "out", &[])).await;
        let said = "rerankd: second: 2 kept answers by two/rerank-v3.5 came from another model or configuration than now; asking again\n\
             rerankd: second: about $0.0040: 2 queries × 5 passages, 2 search units at $0.0020\n";
        assert_eq!((changed.status.code(), err(&changed).as_str()), (Some(0), said));
        assert_eq!(all_calls(), calls + 2, "both are asked again");
        fs::write(desk.path("rerankd.toml"), text).unwrap();
        let back = run(&mut desk.eval("second", "out", &[])).await;
        assert_eq!((back.status.code(), err(&back).as_str()), (Some(0), ""));
        assert_eq!(all_calls(), calls + 2);
    }
}

/// The cross-encoder reads less of each pair, so its scores are others; the hybrid's are, too.
#[tokio::test]
async fn changed_local_settings_ask_only_cross_encoder_and_hybrid_again() {
    let model = repository("tests/golden/local/tiny");
    let settings = |more: &str| format!("[local]\nmodel_dir = '{}'\n{more}", model.display());
    let desk = Desk::new(2, &[], &settings(""));
    let models = "local/cross-encoder,local/hybrid,local/lexical";
    succeed(&mut desk.eval(models, "out", &[])).await;
    fs::write(desk.path("rerankd.toml"), settings("max_tokens = 16\n")).unwrap();
    let changed = err(&run(&mut desk.eval(models, "out", &[])).await);
    let asked_again: Vec<_> = changed.lines().map(|line| line.split(": ").nth(1).unwrap()).collect();
    assert_eq!(asked_again, ["local/cross-encoder", "local/hybrid"], "{changed}");
}

/// Another model in the same place is another model.
#[tokio::test]
async fn changed_model_files_invalidate_kept_answers() {
    let directory = tempfile::tempdir().unwrap();
    for file in ["model.onnx", "tokenizer.json"] {
        fs::copy(repository("tests/golden/local/tiny").join(file), directory.path().join(file)).unwrap();
    }
    let desk = Desk::new(2, &[], &format!("[local]\nmodel_dir = {:?}\n", directory.path()));
    for expected in ["", "rerankd: local/cross-encoder: 2 kept answers by local/cross-encoder came from another model"]
    {
        let output = run(&mut desk.eval("local/cross-encoder", "out", &[])).await;
        assert!(output.status.success() && err(&output).starts_with(expected), "{}", err(&output));
        let tokenizer = directory.path().join("tokenizer.json");
        fs::write(&tokenizer, fs::read_to_string(&tokenizer).unwrap() + " ").unwrap();
    }
}

/// Passages that are cut into pieces have one score in the answer log, which is as good as those of the pieces.
#[tokio::test]
async fn chunked_passages_are_not_sent_again() {
    let fake = FakeUpstream::start("cohere").await;
    let config = format!(
        "[upstreams.up]\nprovider = 'cohere'\napi_key = 'env:KEY'\nbase_url = '{}'\nlong_passages = 'chunk_max'\nmax_passage_tokens = 40\n{}",
        fake.url(),
        targets("m", &[("up", "rerank-v3.5")])
    );
    let desk = Desk::new(0, &[], &config);
    let long = |word: &str| format!("{word} ").repeat(60);
    let line = serde_json::json!({"query": "q", "passages": [long("one"), long("two"), "short"], "relevant": [0]});
    fs::write(desk.path("collection.jsonl"), line.to_string()).unwrap();
    succeed(&mut desk.eval("m", "out", &[])).await;
    let (calls, first) = (fake.calls().len(), desk.results("out"));
    assert!(pairs_sent(&fake).len() > 3, "they were cut");
    succeed(&mut desk.eval("m,up/rerank-v3.5", "out", &[])).await;
    assert_eq!(fake.calls().len(), calls);
    assert_eq!(contestant(&desk.results("out"), MODEL)["rankings"], contestant(&first, "m")["rankings"]);
}
