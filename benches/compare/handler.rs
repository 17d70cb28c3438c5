//! A handler that does nothing but the obvious: parse the body with serde, give every document the score that the rig
//! expects, sort, answer. No upstream, no cache, no validation.

use std::fmt::Write;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use serde::Deserialize;

#[derive(Deserialize)]
struct Body {
    query: String,
    documents: Vec<String>,
    top_n: Option<usize>,
}

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// The rig's hash of a text; it says which score a pair must have.
fn hash(seed: u64, text: &str) -> u64 {
    let step = |hash: u64, word: [u8; 8]| {
        let hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
        hash ^ (hash >> 32)
    };
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let mut hash = seed ^ (text.len() as u64).wrapping_mul(MULTIPLIER);
    hash = words.iter().fold(hash, |hash, word| step(hash, *word));
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = step(hash, word);
    }
    let hash = hash.wrapping_add(MULTIPLIER);
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

/// The score of a pair, in millionths.
pub(crate) fn score(query: &str, document: &str) -> u64 {
    ((hash(hash(1, query), document) >> 32) * 1_000_000) >> 32
}

async fn rerank(body: String) -> String {
    let body: Body = serde_json::from_str(&body).unwrap();
    let mut ranked: Vec<(u64, usize)> = Vec::with_capacity(body.documents.len());
    for (index, document) in body.documents.iter().enumerate() {
        ranked.push((score(&body.query, document), index));
    }
    ranked.sort_unstable_by_key(|&(score, index)| (std::cmp::Reverse(score), index));
    let mut answer = String::from("{\"results\":[");
    for (at, (score, index)) in ranked.into_iter().take(body.top_n.unwrap_or(usize::MAX)).enumerate() {
        let comma = if at > 0 { "," } else { "" };
        write!(answer, "{comma}{{\"index\":{index},\"relevance_score\":0.{score:06}}}").unwrap();
    }
    answer + "]}"
}

/// The routes of the service.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/v2/rerank", post(rerank))
        .route("/healthz", get(|| async { "ok" }))
        .layer(DefaultBodyLimit::disable())
}
