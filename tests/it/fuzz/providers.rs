//! Replies: whatever a provider sends yields an error or exactly the requested scores, and its message is one line.

use std::fs;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use rerankd::config::PROVIDER_FILES;
use rerankd::config::provider_facts::Providers;
use rerankd_core::provider::check::merge;
use rerankd_core::provider::{Explanation, ScoreScale, WireReply, explain};
use rerankd_core::upstream::redact::shortened;
use serde_json::Value;

use super::mutate::Seed;
use super::{Case, Cases, json_mutator, replay};
use crate::contract::repository;

/// The golden replies and the bodies of golden errors.
fn golden() -> (Vec<Seed>, Vec<Seed>) {
    let (mut replies, mut errors) = (Vec::new(), Vec::new());
    for reader in names() {
        let folder = repository("tests/golden/providers").join(reader);
        replies.push(Seed { reader, text: fs::read(folder.join("reply.json")).unwrap() });
        for entry in fs::read_dir(folder.join("errors")).unwrap() {
            let case: Value = serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
            errors.push(Seed { reader: "", text: case["body"].as_str().unwrap().into() });
        }
    }
    (replies, errors)
}

fn names() -> Vec<&'static str> {
    PROVIDER_FILES.iter().map(|(name, _)| *name).collect()
}

#[test]
fn kept_replies_yield_an_error_or_exact_scores() {
    replay("replies", &names(), check_scores);
    replay("replies", &["explain"], is_one_line);
}

/// Law 6.
#[test]
fn mutated_replies_yield_an_error_or_exact_scores() {
    let cases = Cases { readers: names(), mutator: json_mutator(golden().0, "replies") };
    bolero::check!().with_generator(cases).with_iterations(40_000).for_each(check_scores);
}

/// The wire shapes that are compiled in.
static PROVIDERS: LazyLock<Providers> = LazyLock::new(rerankd::config::providers);

fn check_scores(case: &Case) {
    // One header for all: TEI tells its tokens there.
    let tokens = HeaderValue::from_bytes(&case.bytes[..case.bytes.len().min(20)]).ok();
    let headers: HeaderMap =
        tokens.map(|tokens| (http::HeaderName::from_static("x-compute-tokens"), tokens)).into_iter().collect();
    let reply = WireReply { headers, body: Bytes::copy_from_slice(&case.bytes), passages: 1 };
    let Ok(decoded) = PROVIDERS[case.reader].wire.decode(&reply) else { return };
    let told = decoded.scores.len();
    for sent in [0, 1, 3, told.saturating_sub(1), told, told + 1] {
        let Ok(scores) = merge(&decoded.scores, sent, ScoreScale::Unknown) else { continue };
        assert_eq!(scores.len(), sent);
        for &(index, score) in &decoded.scores {
            let merged = scores[usize::try_from(index).unwrap()];
            assert!(merged.is_finite());
            assert_eq!(merged, score, "index {index}");
        }
    }
}

#[test]
fn provider_message_is_one_short_line() {
    let (replies, errors) = golden();
    let replies = replies.into_iter().map(|reply| Seed { reader: "", ..reply });
    let seeds = errors.into_iter().chain(replies).collect();
    let cases = Cases { readers: vec!["explain"], mutator: json_mutator(seeds, "replies") };
    bolero::check!().with_generator(cases).with_iterations(20_000).for_each(is_one_line);
}

fn is_one_line(case: &Case) {
    let Some(Explanation { message: said, codes, locations }) = explain(&case.bytes) else { return };
    assert!(!said.is_empty() || !codes.is_empty() || !locations.is_empty());
    assert_eq!(said, said.split_whitespace().collect::<Vec<_>>().join(" "));
    let shown = shortened(&said);
    assert!(!shown.contains(char::is_control) && shown.chars().count() <= 301, "{shown:?}");
}
