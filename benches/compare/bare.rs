//! What an axum handler costs that does nothing but the obvious: parse the body with serde, give every document the score that the
//! rig expects, sort, answer. No upstream, no cache, no validation. The measure for the cost of everything rerankd does besides.
#![expect(clippy::unwrap_used, reason = "a measuring device fails by panicking")]

use std::fmt::Write;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use serde::Deserialize;

#[derive(Deserialize)]
struct Body {
    query: String,
    documents: Vec<String>,
    top_n: usize,
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

async fn rerank(body: String) -> String {
    let body: Body = serde_json::from_str(&body).unwrap();
    let query = hash(1, &body.query);
    let score = |document: &String| ((hash(query, document) >> 32) * 1_000_000) >> 32;
    let mut ranked: Vec<(u64, usize)> = body.documents.iter().map(score).zip(0..).collect();
    ranked.sort_unstable_by_key(|&(score, index)| (std::cmp::Reverse(score), index));
    let mut answer = String::from("{\"results\":[");
    for (at, (score, index)) in ranked.into_iter().take(body.top_n).enumerate() {
        let comma = if at > 0 { "," } else { "" };
        write!(answer, "{comma}{{\"index\":{index},\"relevance_score\":0.{score:06}}}").unwrap();
    }
    answer + "]}"
}

#[tokio::main]
async fn main() {
    let address = std::env::args().nth(1).unwrap();
    let router = Router::new()
        .route("/v2/rerank", post(rerank))
        .route("/healthz", get(|| async { "ok" }))
        .layer(DefaultBodyLimit::disable());
    axum::serve(tokio::net::TcpListener::bind(address).await.unwrap(), router).await.unwrap();
}
