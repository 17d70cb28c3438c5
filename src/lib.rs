//! rerankd: the reranking sidecar for RAG applications.
//!
//! The path of a request, and the modules in that order:
//!
//! ```text
//!  bytes ─▶ http (limits, keys, request id) ─▶ dialect::decode ─▶ RerankRequest
//!         ─▶ rerank: validate ─▶ route: model to targets ─▶ for the first target that answers:
//!              plan   (fold equal passages, look up known scores)   ◀── cache
//!              score  (lead unknown pairs, follow those in flight)  ◀─▶ coalesce
//!              fill   (led pairs, cut into calls)                   ──▶ upstream stack ─▶ provider ─▶ HTTPS
//!              merge  (every position once, every score finite)     ──▶ cache
//!              rank   (best first, ties in input order) ─▶ top_n
//!  ◀─ dialect::encode ◀─ RerankResponse
//! ```
//!
//! Many dialects, one request type, many providers: an hourglass. Start reading at [`rerank`].

pub mod server;

pub mod http;

pub mod dialect;

pub mod rerank;

pub mod route;

pub mod cache;

pub mod coalesce;

pub mod upstream;

pub mod provider;

pub mod local;

pub mod error;

pub mod text;

pub mod config;

pub mod telemetry;

pub mod eval;

mod suggestion;

pub mod cli;
