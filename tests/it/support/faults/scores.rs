//! Good answers made bad, in the shapes of all providers: a list of results under `results`, under `data`, or alone.

use bytes::Bytes;
use fastrand::Rng;
use serde_json::{Value, json};

use super::fault::ScoreFault;

/// Stands for a score that JSON values cannot hold until the text is written.
const PLACEHOLDER: &str = "a score that is no number";

/// The body with its scores changed. What is no list of results stays as it is.
pub(super) fn spoil(body: &Bytes, fault: ScoreFault, chance: &mut Rng) -> Bytes {
    let changed = serde_json::from_slice(body).ok().and_then(|mut answer: Value| {
        change(results(&mut answer)?, fault, chance);
        Some(answer.to_string())
    });
    let literal = match fault {
        ScoreFault::NotANumber => "NaN",
        ScoreFault::Infinite => "1e999",
        _ => return changed.map_or_else(|| body.clone(), Bytes::from),
    };
    changed.map_or_else(|| body.clone(), |text| text.replace(&format!("\"{PLACEHOLDER}\""), literal).into())
}

fn results(answer: &mut Value) -> Option<&mut Vec<Value>> {
    let key = ["results", "data"].into_iter().find(|key| answer.get(key).is_some());
    let list = match key {
        Some(key) => &mut answer[key],
        None => answer,
    };
    list.as_array_mut().filter(|results| results.first().is_some_and(|result| result["index"].is_number()))
}

/// `results` are not empty.
fn change(results: &mut Vec<Value>, fault: ScoreFault, chance: &mut Rng) {
    let unlucky = chance.usize(..results.len());
    match fault {
        ScoreFault::NotANumber | ScoreFault::Infinite => set_score(&mut results[unlucky], json!(PLACEHOLDER)),
        ScoreFault::NegativeIndex => results[unlucky]["index"] = json!(-1),
        ScoreFault::DuplicateIndex if results.len() == 1 => results.push(results[0].clone()),
        ScoreFault::DuplicateIndex => {
            let other = (unlucky + 1) % results.len();
            results[unlucky]["index"] = results[other]["index"].clone();
        }
        ScoreFault::TooFew => drop(results.remove(unlucky)),
        ScoreFault::Unsorted => {
            let before = results.clone();
            chance.shuffle(results);
            if *results == before {
                results.rotate_left(1); // chance may well leave two results where they were
            }
        }
        ScoreFault::Shifted(by) => {
            for result in results {
                let score = result[score_key(result)].as_f64().unwrap_or_default();
                set_score(result, json!(score + by));
            }
        }
    }
}

fn set_score(result: &mut Value, score: Value) {
    let key = score_key(result);
    result[key] = score;
}

fn score_key(result: &Value) -> &'static str {
    if result.get("relevance_score").is_some() { "relevance_score" } else { "score" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn score_faults_change_every_reply_shape_and_nothing_else() {
        let spoiled = |body: &str, fault| {
            String::from_utf8(spoil(&Bytes::from(body.to_owned()), fault, &mut Rng::with_seed(1)).to_vec()).unwrap()
        };
        for (shape, fault, expected) in [
            (r#"{"results":[{"index":0,"relevance_score":0.5}]}"#, ScoreFault::NotANumber, "\"relevance_score\":NaN"),
            (r#"{"data":[{"index":0,"relevance_score":0.5}]}"#, ScoreFault::Infinite, "\"relevance_score\":1e999"),
            (r#"{"data":[{"index":0,"score":0.5}]}"#, ScoreFault::Shifted(0.25), "\"score\":0.75"),
            (r#"[{"index":0,"score":0.5}]"#, ScoreFault::NegativeIndex, "\"index\":-1"),
        ] {
            let text = spoiled(shape, fault);
            assert!(text.contains(expected), "{text}");
        }
        let two = r#"[{"index":1,"score":0.5},{"index":0,"score":0.25}]"#;
        assert_eq!(spoiled(two, ScoreFault::Unsorted), r#"[{"index":0,"score":0.25},{"index":1,"score":0.5}]"#);
        let fewer: Value = serde_json::from_str(&spoiled(two, ScoreFault::TooFew)).unwrap();
        assert_eq!(fewer.as_array().unwrap().len(), 1);
        let twice: Value = serde_json::from_str(&spoiled(two, ScoreFault::DuplicateIndex)).unwrap();
        assert_eq!(twice[0]["index"], twice[1]["index"]);
        for other in ["", "[]", "{}", "null", r#"{"results":[]}"#, r#"{"message":"no"}"#, "<html>"] {
            assert_eq!(spoiled(other, ScoreFault::TooFew), other);
        }
    }
}
