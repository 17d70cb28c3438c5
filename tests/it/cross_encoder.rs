//! The embedded cross-encoder, on a model of ten words (`tests/golden/local/tiny`) whose raw score is the sum of the
//! passage's words: good 2, fair 0.5, bad -2, heat 0.25, pump 0.25, ##s 0.125, and -1 for the end.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use http::StatusCode;
use rerankd::config::{Environment, Sources, load};
use rerankd_local::cross_encoder::calibration::Calibration;
use serde_json::{Value, json};

use crate::contract::repository;
use crate::support::{Gateway, order, provenance, scores};

fn with_model(more: &str) -> String {
    format!("[local]\nmodel_dir = '{}'\n{more}", repository("tests/golden/local/tiny").display())
}

fn probability(raw: f64) -> f64 {
    1.0 / (1.0 + (-raw).exp())
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-6
}

async fn ask(gateway: &Gateway, model: &str, query: &str, documents: &[&str]) -> Value {
    gateway.rerank_with(json!({"model": model, "query": query, "documents": documents})).await
}

#[tokio::test]
async fn cross_encoder_pair_gets_the_model_score_and_is_cached() {
    let gateway = Gateway::start(&with_model("")).await;
    let cold = ask(&gateway, "local/cross-encoder", "heat pumps", &["bad", "good heat pumps", "fair"]).await;
    assert_eq!(order(&cold), [1, 2, 0]);
    let [best, second, last] = [(1, 1.625), (2, -0.5), (0, -3.0)];
    for (found, (index, raw)) in scores(&cold).into_iter().zip([best, second, last]) {
        assert!(found.0 == index && close(found.1, probability(raw)), "{found:?} {raw}");
    }
    assert_eq!(provenance(&cold)["score_scale"], "probability");
    assert_eq!(provenance(&cold)["cost"]["spent_usd"], 0.0);
    assert_eq!(provenance(&cold)["pairs"]["scored"], 3);
    let mixed = ask(&gateway, "local/cross-encoder", "heat pumps", &["fair", "good", "bad"]).await;
    assert_eq!(
        provenance(&mixed)["pairs"],
        json!({"total": 3, "hit": 2, "coalesced": 0, "scored": 1, "stale": 0, "unscored": 0})
    );
}

/// Two hundred words of raw score 2 make a probability of exactly 1: the mixed score must still be a number.
#[tokio::test]
async fn saturated_cross_encoder_score_keeps_hybrid_scores_between_0_and_1() {
    let gateway = Gateway::start(&with_model("")).await;
    let sure = "good ".repeat(200);
    let answer = ask(&gateway, "local/hybrid", "good q", &["bad", &sure, "fair", "good"]).await;
    assert_eq!(order(&answer)[0], 1);
    assert!(scores(&answer).iter().all(|(_, score)| (0.0..=1.0).contains(score)), "{answer}");
}

/// Laws 1 and 3: a pair has the same score to the last bit, whatever other passages are in the list.
#[tokio::test]
async fn cross_encoder_score_is_identical_beside_other_passages() {
    let gateway = Gateway::start(&with_model("")).await;
    let passage = "fair heat pump";
    let mut seen = Vec::new();
    for others in [
        &[][..],
        &["good"],
        &["bad", "a very long passage of words that it does not know at all, again and again", "fair"],
    ] {
        let documents: Vec<&str> = others.iter().copied().chain([passage]).collect();
        let body = json!({"model": "local/cross-encoder", "query": "q", "documents": documents});
        let request = gateway.post("/rerank").header("cache-control", "no-cache, no-store").body(body.to_string());
        let answer = gateway.send(request).await.body;
        let own = scores(&answer).into_iter().find(|(index, _)| *index == others.len() as u64);
        seen.push(own.unwrap().1.to_bits());
    }
    assert!(seen.iter().all(|bits| *bits == seen[0]), "{seen:?}");
}

/// The tiny model gives an empty text -1 and "bad" -3, so a blank passage would win.
#[tokio::test]
async fn law_5_blank_passages_are_last_and_not_read_by_the_cross_encoder() {
    let gateway = Gateway::start(&with_model("head = 2")).await;
    // A pointwise model has one pair for equal texts.
    for (model, unscored) in [("local/cross-encoder", 2), ("local/hybrid", 3)] {
        let documents = json!(["", "bad", null, " \n", "bad bad", "heat"]);
        let answer = gateway.rerank_with(json!({"model": model, "query": "heat", "documents": documents})).await;
        assert_eq!(order(&answer), [5, 1, 4, 0, 2, 3], "{model}: {answer}");
        let scores = scores(&answer);
        assert!(scores[..2].iter().all(|(_, score)| *score > 0.0), "{model}: {answer}");
        assert!(scores[3..].iter().all(|(_, score)| *score == 0.0), "{model}: {answer}");
        assert_eq!(provenance(&answer)["pairs"]["unscored"], unscored, "{model}");
        let again = gateway.rerank_with(json!({"model": model, "query": "heat", "documents": documents})).await;
        assert_eq!(again["results"], answer["results"], "law 7: {model}");
        assert_eq!(provenance(&again)["pairs"]["hit"], 3, "{model}");
        let nothing = gateway.rerank_with(json!({"model": model, "query": "heat", "documents": ["", null]})).await;
        assert_eq!(order(&nothing), [0, 1], "{model}");
    }
}

#[tokio::test]
async fn hybrid_scores_lexical_head_and_ranks_the_rest_below() {
    let gateway = Gateway::start(&with_model("head = 2\nlexical_share = 0.2")).await;
    let documents =
        ["nothing in common but good good good", "heat pump bad", "heat good", "the heat of a long summer by the sea"];
    let answer = ask(&gateway, "local", "heat pump", &documents).await;
    assert_eq!(provenance(&answer)["upstream_model"], "hybrid");
    assert_eq!(provenance(&answer)["score_scale"], "probability");
    // The two with most words of the query are read; "good" is not among their words, so the first is not.
    assert_eq!(order(&answer), [2, 1, 3, 0]);
    let scores = scores(&answer);
    assert!(scores[2].1 <= scores[1].1 / 2.0 && scores[3].1 == 0.0, "{scores:?}");
    let again = ask(&gateway, "local", "heat pump", &documents).await;
    assert_eq!(again["results"], answer["results"], "law 7");
    assert_eq!(provenance(&again)["pairs"]["hit"], 4, "the whole list is known");
    // Another list, the same head: its pairs are known.
    let calls = async || gateway.metric("rerank_upstream_attempts_total{upstream=\"local\",outcome=\"ok\"}").await;
    let before = calls().await;
    ask(&gateway, "local", "heat pump", &documents[1..3]).await;
    assert_eq!(calls().await, before);
}

#[tokio::test]
async fn queries_in_other_scripts_get_the_lexical_scorer_unless_any_script_is_allowed() {
    let documents = ["열 펌프는 추위에도 돈다", "good good"];
    let gateway = Gateway::start(&with_model("")).await;
    let answer = ask(&gateway, "local", "열 펌프", &documents).await;
    assert_eq!(provenance(&answer)["upstream_model"], "lexical");
    assert_eq!(provenance(&answer)["fallbacks"], 0);
    assert_eq!(order(&answer), [0, 1]);
    let gateway = Gateway::start(&with_model("scripts = \"any\"")).await;
    let answer = ask(&gateway, "local", "열 펌프", &documents).await;
    assert_eq!(provenance(&answer)["upstream_model"], "hybrid");
    assert_eq!(order(&answer), [1, 0]);
}

/// `local` has two scales, one a query; `/v1/models` can name only one, an answer must name its own.
#[tokio::test]
async fn answer_of_local_names_the_scale_of_its_own_scores() {
    let gateway = Gateway::start(&with_model("")).await;
    let listed: Value = serde_json::from_str(&gateway.get_text("/v1/models/local").await).unwrap();
    assert_eq!(listed["score_scale"], "probability");
    let (japanese, documents) = ("日本の首都", ["good", "日本の首都は東京です"]);
    let by_itself = ask(&gateway, "local/lexical", japanese, &documents).await;
    for _cold_and_warm in 0..2 {
        let answer = ask(&gateway, "local", japanese, &documents).await;
        assert_eq!(provenance(&answer)["score_scale"], "lexical");
        assert_eq!((order(&answer), scores(&answer)), (vec![1, 0], scores(&by_itself)));
        let answer = ask(&gateway, "local", "good heat", &documents).await;
        assert_eq!(provenance(&answer)["score_scale"], "probability");
    }
}

#[tokio::test]
async fn missing_model_makes_local_lexical_and_cross_encoder_return_404() {
    let gateway = Gateway::start("").await;
    let answer = gateway.try_rerank(json!({"model": "local/cross-encoder", "query": "q", "documents": ["d"]})).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(
        answer.body["message"],
        "local/cross-encoder needs a cross-encoder, and there is none; `rerankd model fetch` gets one, local.model_dir says where it is"
    );
    assert_eq!(provenance(&ask(&gateway, "local", "q", &["d"]).await)["upstream_model"], "lexical");
}

/// Runs `rerankd check` on the tiny model after `spoil` has changed its files.
fn check(spoil: impl Fn(&Path)) -> Output {
    let directory = tempfile::tempdir().unwrap();
    for file in ["model.onnx", "tokenizer.json"] {
        fs::copy(repository("tests/golden/local/tiny").join(file), directory.path().join(file)).unwrap();
    }
    spoil(directory.path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_rerankd"));
    command.arg("check").env_clear().env("RERANKD__LOCAL__MODEL_DIR", directory.path()).output().unwrap()
}

#[test]
fn check_names_the_unreadable_model_file() {
    let whole = check(|_| ());
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let cut = |file: &'static str, bytes: usize| {
        move |directory: &Path| {
            let whole = fs::read(directory.join(file)).unwrap();
            fs::write(directory.join(file), &whole[..bytes]).unwrap();
        }
    };
    let no_json = |directory: &Path| fs::write(directory.join("tokenizer.json"), "<html>").unwrap();
    let no_tokenizer = |directory: &Path| fs::write(directory.join("tokenizer.json"), "{}").unwrap();
    let failures = [
        ("model.onnx", check(cut("model.onnx", 0))),
        ("model.onnx", check(cut("model.onnx", 200))),
        ("model.onnx", check(cut("model.onnx", 400))),
        ("tokenizer.json", check(cut("tokenizer.json", 0))),
        ("tokenizer.json", check(cut("tokenizer.json", 900))),
        ("tokenizer.json", check(no_json)),
        ("tokenizer.json", check(no_tokenizer)),
    ];
    for (file, output) in failures {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{said}");
        assert!(
            said.starts_with("rerankd: local.model_dir: /") && said.contains(&format!("/{file} cannot be used: ")),
            "{said}"
        );
        assert!(
            said.ends_with("; `rerankd model fetch` gets a model that can\n") && said.lines().count() == 1,
            "{said}"
        );
    }
}

/// The weights are read on first use, so broken ones affect nothing else, and the next target takes over. The hybrid
/// falls back to its lexical part, because the last target must not fail when every provider is down.
#[tokio::test]
async fn unreadable_model_fails_only_cross_encoder_requests() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("model.onnx"), "no graph").unwrap();
    fs::copy(repository("tests/golden/local/tiny/tokenizer.json"), directory.path().join("tokenizer.json")).unwrap();
    let targets = r#"[models.safe]
        targets = [{ upstream = "local", model = "cross-encoder" }, { upstream = "local", model = "lexical" }]"#;
    let gateway = Gateway::start(&format!("[local]\nmodel_dir = {:?}\n{targets}", directory.path())).await;
    assert_eq!(order(&ask(&gateway, "local/lexical", "heat", &["cold", "heat"]).await), [1, 0]);
    let failed = gateway.try_rerank(json!({"model": "local/cross-encoder", "query": "q", "documents": ["d"]})).await;
    assert_eq!(failed.status, StatusCode::BAD_GATEWAY);
    let message = failed.body["message"].as_str().unwrap();
    assert!(message.starts_with("local cannot score: model.onnx cannot be used: "), "no path is told: {message}");
    let by_words = ask(&gateway, "local", "heat", &["cold", "heat"]).await;
    let told = provenance(&by_words);
    assert_eq!((order(&by_words), &told["upstream_model"]), (vec![1, 0], &json!("lexical")));
    assert_eq!(
        (&told["fallbacks"], &told["score_scale"], &told["degraded"]),
        (&json!(1), &json!("lexical"), &json!([]))
    );
    assert!(told["warnings"][0].as_str().unwrap().starts_with("local/hybrid was given up: "), "{told}");
    let body = json!({"model": "local", "query": "unknown", "documents": ["cold", "heat"]}).to_string();
    let answer = gateway.send(gateway.post("/rerank").header("cache-control", "only-if-cached").body(body)).await;
    assert!(!answer.body["message"].as_str().unwrap().contains("; then "), "{}", answer.body);
    // What the cross-encoder is not asked about does not need it.
    let other = ask(&gateway, "local", "首都", &["日本の首都は東京", "犬"]).await;
    assert_eq!((order(&other), &provenance(&other)["upstream_model"]), (vec![0, 1], &json!("lexical")));
    let safe = ask(&gateway, "safe", "heat", &["cold", "heat"]).await;
    assert_eq!((order(&safe), &provenance(&safe)["fallbacks"]), (vec![1, 0], &json!(1)));
}

/// Scores that a snapshot or a shared cache has kept from another version must not stand beside new ones.
#[test]
fn score_spaces_of_embedded_models_name_the_revision_of_their_scores() {
    let model_dir = repository("tests/golden/local/tiny").display().to_string();
    let environment = Environment::from([("RERANKD__LOCAL__MODEL_DIR".to_owned(), model_dir)]);
    let settings = load(&Sources { environment, ..Sources::default() }).unwrap().settings;
    let routes = rerankd::assemble::assemble(&settings).unwrap().routes;
    for model in ["local", "local/lexical", "local/cross-encoder", "local/hybrid"] {
        let route = routes.resolve(Some(model)).map_err(|error| error.message).unwrap();
        assert_eq!(route.targets[0].space.revision.trim(), rerankd_core::embedded::SCORES_REVISION, "{model}");
    }
}

#[test]
fn the_configuration_says_which_model_is_missing() {
    let faults = |toml: &str| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("rerankd.toml");
        fs::write(&file, toml).unwrap();
        let sources = Sources { file: Some(file), environment: Environment::new(), listen: None };
        load(&sources).unwrap_err().to_string()
    };
    let missing = faults("[local]\nmodel_dir = \"/nowhere\"");
    assert!(
        missing.contains(
            "local.model_dir: /nowhere holds no model.onnx; a model is model.onnx and tokenizer.json, and `rerankd model fetch` gets \
             one"
        ),
        "{missing}"
    );
    let needs = faults("[models.m]\ntargets = [{ upstream = \"local\", model = \"hybrid\" }]");
    assert!(
        needs.contains(
            "needs a cross-encoder, and there is none; `rerankd model fetch` gets one, local.model_dir says where it is"
        ),
        "{needs}"
    );
    assert!(faults("[local]\nlexical_share = 1.0").contains("local/lexical is the lexical scorer by itself"));
}

#[test]
fn model_in_default_directory_is_found_unless_model_dir_is_none() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join(".local/share/rerankd/model");
    fs::create_dir_all(&place).unwrap();
    for file in ["model.onnx", "tokenizer.json"] {
        fs::copy(repository("tests/golden/local/tiny").join(file), place.join(file)).unwrap();
    }
    let environment: Environment = Environment::from([("HOME".to_owned(), home.path().display().to_string())]);
    let settings = load(&Sources { environment: environment.clone(), ..Sources::default() }).unwrap().settings;
    assert_eq!(settings.local.cross_encoder.unwrap().files.directory.path(), place);
    assert_eq!(settings.models[0].targets[0].model, "hybrid");
    let mut environment = environment;
    environment.set("RERANKD__LOCAL__MODEL_DIR", "none");
    let settings = load(&Sources { environment, ..Sources::default() }).unwrap().settings;
    assert!(settings.local.cross_encoder.is_none() && settings.models[0].targets[0].model == "lexical");
}

/// The real model (`RERANKD_TEST_MODEL` is its directory) against ONNX Runtime and Hugging Face's tokenizer: see
/// `tests/golden/local/make-reference.py`. Activations are quantised while the graph runs, and the two runtimes round
/// differently.
#[tokio::test]
async fn the_real_model_scores_as_its_reference_does() {
    let Some(model) = std::env::var_os("RERANKD_TEST_MODEL") else { return };
    let gateway = Gateway::start(&format!("[local]\nmodel_dir = {model:?}")).await;
    let reference: Vec<Value> = serde_json::from_str(
        &fs::read_to_string(repository("tests/golden/local/ms-marco-MiniLM-L-12-v2.json")).unwrap(),
    )
    .unwrap();
    let mut both = Vec::new();
    for pairs in reference.chunk_by(|left, right| left["query"] == right["query"]) {
        let documents: Vec<&str> = pairs.iter().map(|pair| pair["passage"].as_str().unwrap()).collect();
        let answer = ask(&gateway, "local/cross-encoder", pairs[0]["query"].as_str().unwrap(), &documents).await;
        for (index, score) in scores(&answer) {
            let expected = pairs[usize::try_from(index).unwrap()]["logit"].as_f64().unwrap();
            both.push((Calibration::MINILM.raw(score), expected));
        }
    }
    let farthest = both.iter().map(|(own, expected)| (own - expected).abs()).fold(0.0, f64::max);
    let (own, expected): (Vec<f64>, Vec<f64>) = both.into_iter().unzip();
    let agreement = rerankd_core::agreement::kendall_tau(&own, &expected).unwrap();
    assert!(farthest <= 0.7, "{farthest}");
    assert!(agreement >= 0.95, "{agreement}");
}
