//! Requests: a dialect decodes the body as written, quotes nothing that it refuses, and its answers are JSON.

use std::fs;

use faststr::FastStr;
use http::HeaderMap;
use rerankd::dialect::choose::{DialectChoice, PathDialects};
use rerankd::dialect::fields::Fields;
use rerankd::dialect::{self, DIALECTS, Dialect};
use rerankd_core::error::Error;
use rerankd_core::provider::ScoreScale;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::{Provenance, RankedPassage, RerankResponse, ScoreSource, Usage};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::mutate::Seed;
use super::{Case, Cases, FEATHER, json_mutator, replay};
use crate::contract::repository;

/// Scores of every kind that a ranking may hold.
const SCORES: [Option<f64>; 8] =
    [Some(0.5), None, Some(0.0), Some(1.0), Some(-3.25), Some(f64::MAX), Some(f64::MIN_POSITIVE), Some(-1e300)];

#[derive(Deserialize)]
struct Recording {
    exchanges: Vec<Exchange>,
}

#[derive(Deserialize)]
struct Exchange {
    body: Option<Box<RawValue>>,
}

/// The bodies of all recorded requests.
fn golden() -> Vec<Seed> {
    let folders = ["tests/golden/dialects", "tests/golden/clients"].map(repository);
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let bodies = files.flat_map(|path| {
        let recording: Recording = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let reader = dialect::by_name(path.file_stem().unwrap().to_str().unwrap()).map_or("", Dialect::name);
        let bodies = recording.exchanges.into_iter().filter_map(|exchange| exchange.body);
        bodies.map(move |body| Seed { reader, text: body.get().into() })
    });
    bodies.collect()
}

fn names() -> Vec<&'static str> {
    DIALECTS.map(Dialect::name).to_vec()
}

#[test]
fn kept_requests_decode_as_written_or_are_refused() {
    replay("requests", &names(), check_decoding);
}

#[test]
fn mutated_requests_decode_as_written_or_are_refused() {
    let cases = Cases { readers: names(), mutator: json_mutator(golden(), "requests") };
    bolero::check!().with_generator(cases).with_iterations(40_000).for_each(check_decoding);
}

fn check_decoding(case: &Case) {
    let dialect = dialect::by_name(case.reader).unwrap();
    // What is not UTF-8 is refused before.
    let body = FastStr::from(String::from_utf8_lossy(&case.bytes).into_owned());
    let fields = match Fields::read(&body) {
        Ok(fields) => fields,
        Err(error) => return quotes_nothing(dialect, &error),
    };
    let decoded = dialect.decode(&fields);
    agrees_with_serde(dialect, &body, decoded.as_ref());
    match decoded {
        Ok(request) => is_answered_in_json(dialect, &request),
        Err(error) => quotes_nothing(dialect, &error),
    }
    let path = PathDialects { prefix: None, default: dialect };
    let guessed = DialectChoice::before_body(path, &HeaderMap::new(), None).after_body(&fields);
    if let Err(error) = guessed.decode(&fields) {
        quotes_nothing(guessed, &error);
    }
}

/// Law 11.
fn quotes_nothing(dialect: &dyn Dialect, error: &Error) {
    assert!(!error.message.contains(FEATHER), "{}", error.message);
    assert!(!error.message.contains(char::is_control), "{:?}", error.message);
    assert!(error.message.len() < 300, "{}", error.message);
    assert!(error.pointer.as_deref().is_none_or(|pointer| !pointer.contains(FEATHER)), "{:?}", error.pointer);
    let answer: Value = serde_json::from_slice(&dialect.encode_error("id", error).body).unwrap();
    assert_eq!(answer["message"], *error.message);
}

/// Another reader of JSON sees the same texts, where documents are plain.
fn agrees_with_serde(dialect: &dyn Dialect, body: &str, decoded: Result<&RerankRequest, &Error>) {
    let (query, documents) = match dialect.name() {
        "mixedbread" => ("/query", "/input"),
        "tei" => ("/query", "/texts"),
        "nvidia" => ("/query", "/passages"),
        "deepinfra" => ("/queries/0", "/documents"),
        // Of two fields of one name in an inner object it takes the first, serde the last.
        "dashscope" => return,
        _ => ("/query", "/documents"),
    };
    let Ok(body) = serde_json::from_str::<Value>(body) else { return };
    let Some(query) = body.pointer(query).and_then(Value::as_str) else { return };
    let documents = body.pointer(documents).and_then(Value::as_array);
    let Some(texts) = documents.and_then(|items| items.iter().map(Value::as_str).collect::<Option<Vec<_>>>()) else {
        return;
    };
    match decoded {
        Ok(request) => {
            assert_eq!(&*request.query, query);
            assert_eq!(request.passages.iter().map(|passage| passage.text).collect::<Vec<_>>(), texts);
        }
        Err(error) => {
            let has_no_more = body.as_object().is_some_and(|fields| fields.len() == 2);
            assert!(!has_no_more || dialect.name() == "deepinfra", "{error}");
        }
    }
}

fn is_answered_in_json(dialect: &dyn Dialect, request: &RerankRequest) {
    let scales = [
        None,
        Some(ScoreScale::Probability),
        Some(ScoreScale::Logit),
        Some(ScoreScale::Cosine),
        Some(ScoreScale::None),
    ];
    for (turn, scale) in scales.into_iter().enumerate() {
        // With and without documents, whatever was asked.
        let request = RerankRequest { return_documents: turn % 2 == 0, ..request.clone() };
        let answer = dialect.encode("id", &request, &response(request.passages.len(), turn, scale));
        assert!(!answer.is_empty());
        serde_json::from_slice::<IgnoredAny>(&answer).unwrap();
    }
}

fn response(passages: usize, turn: usize, score_scale: Option<ScoreScale>) -> RerankResponse {
    let rank = |position| RankedPassage {
        position,
        score: SCORES[(position + turn) % SCORES.len()],
        source: ScoreSource::Scored,
    };
    RerankResponse {
        model: "m\"\u{0}".into(),
        ranking: (0..passages).rev().map(rank).collect(),
        explanations: Vec::new(),
        usage: Usage::default(),
        provenance: Provenance { score_scale, reranked: true, ..Provenance::default() },
    }
}
