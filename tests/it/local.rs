//! The embedded scorer: deterministic, marked, and as good as it is said to be.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use rerankd::local::lexical::score;
use serde_json::{Value, json};

use crate::support::{Gateway, provenance};

#[tokio::test]
async fn it_answers_without_any_configuration_and_says_who_answered() {
    let gateway = Gateway::start("").await;
    let body = json!({"query": "fast charging of batteries", "documents": ["A cake recipe", "Batteries that charge fast"], "instruction": "i"});
    let cold = gateway.rerank_with(body.clone()).await;
    assert_eq!(cold["results"][0]["index"], 1);
    assert_eq!(provenance(&cold)["upstream"], "local");
    assert_eq!(provenance(&cold)["upstream_model"], "lexical");
    assert_eq!(provenance(&cold)["score_scale"], "lexical");
    assert_eq!(provenance(&cold)["cost_usd"], 0.0);
    assert_eq!(provenance(&cold)["warnings"], json!(["local/lexical takes no instruction; it was ignored"]));
    let warm = gateway.rerank_with(body).await;
    assert_eq!(warm["results"], cold["results"], "law 7");
    assert_eq!(provenance(&warm)["pairs"]["hit"], 2);
}

/// The figures of `docs/local-scorer.md`, where the judged collections are at hand (`RERANKD_TEST_DATA`).
#[test]
fn ranking_quality_is_what_it_is_said_to_be() {
    let Some(data) = std::env::var_os("RERANKD_TEST_DATA").map(PathBuf::from) else { return };
    for (name, least) in [("scifact", 0.655), ("noveleval", 0.66), ("jsquad-dev300", 0.92)] {
        let found = ndcg_at_10(&data.join(name));
        assert!(found >= least, "{name}: nDCG@10 is {found:.4}, must be at least {least}");
    }
}

fn ndcg_at_10(folder: &Path) -> f64 {
    let documents: HashMap<String, String> = json_lines(&folder.join("corpus.jsonl"))
        .into_iter()
        .map(|line| (text(&line, "_id"), format!("{} {}", text(&line, "title"), text(&line, "text")).trim().to_owned()))
        .collect();
    let mut judged: HashMap<String, HashMap<String, f64>> = HashMap::new();
    for [query, document, grade] in table(&folder.join("qrels/test.tsv"), 1) {
        judged.entry(query).or_default().insert(document, grade.parse().unwrap());
    }
    let mut candidates: HashMap<String, Vec<String>> = HashMap::new();
    for [query, document, _] in table(&folder.join("bm25.top50.tsv"), 0) {
        candidates.entry(query).or_default().push(document);
    }
    let (mut sum, mut count) = (0.0, 0.0);
    for query in json_lines(&folder.join("queries.jsonl")) {
        let Some(grades) = judged.get(&text(&query, "_id")) else { continue };
        count += 1.0;
        let Some(candidates) = candidates.get_mut(&text(&query, "_id")) else { continue };
        // The first stage's order must not help: ties keep the input order.
        candidates.sort_by_key(|id| blake3::hash(id.as_bytes()).to_hex().to_string());
        let passages: Vec<&str> = candidates.iter().map(|id| documents[id].as_str()).collect();
        let scores = score(&text(&query, "text"), &passages);
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.sort_by(|&left, &right| scores[right].total_cmp(&scores[left]));
        let gains = order.iter().map(|&at| grades.get(&candidates[at]).copied().unwrap_or(0.0));
        let mut best: Vec<f64> = grades.values().copied().collect();
        best.sort_by(|left, right| right.total_cmp(left));
        let ideal = discounted(best.into_iter());
        sum += if ideal > 0.0 { discounted(gains) / ideal } else { 0.0 };
    }
    sum / count
}

fn discounted(gains: impl Iterator<Item = f64>) -> f64 {
    (2u32..).zip(gains.take(10)).map(|(place, gain)| gain / f64::from(place).log2()).sum()
}

fn json_lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn table(path: &Path, skip: usize) -> Vec<[String; 3]> {
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().skip(skip).map(|line| {
        let mut fields = line.split('\t').map(str::to_owned);
        std::array::from_fn(|_| fields.next().unwrap())
    });
    rows.collect()
}

fn text(line: &Value, key: &str) -> String {
    line[key].as_str().unwrap_or_default().to_owned()
}
