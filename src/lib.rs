//! rerankd: the reranking sidecar for RAG applications.
//!
//! The path of one request, and the modules from the top to the ground floor; each imports only modules below it:
//!
//! ```text
//!  bytes ─▶ http (limits, keys, request id) ─▶ dialect::decode ─▶ RerankRequest ─▶ route: model to targets
//!         ─▶ rerank:  validate ─▶ for the first target that answers:
//!              plan         (fold equal passages, look up known scores)   ◀── cache
//!              score        (lead unknown pairs, follow those in flight)  ◀─▶ coalesce
//!              flight_task  (led pairs, cut into calls)                   ──▶ upstream stack ─▶ provider ─▶ HTTPS
//!              check        (every position once, every score finite)     ──▶ cache
//!              rank         (best first, ties in input order) ─▶ top_n
//!  ◀─ dialect::encode ◀─ RerankResponse
//! ```
//!
//! Many dialects, one request type, many providers: an hourglass. Start reading at [`rerank`].

pub mod cli;
pub mod server;

pub mod assemble;
pub mod config;
pub mod eval;

pub mod http;

pub mod dialect;
pub mod rerank;

pub mod coalesce;
pub mod route;
pub mod upstream;

pub mod cache;
pub mod embedded;
pub mod local;
pub mod provider;
pub mod telemetry;

pub mod agreement;
pub mod blocking;
pub mod error;
mod suggestion;
pub mod text;
pub mod types;
