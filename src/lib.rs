//! rerankd: the reranking sidecar for RAG applications.
//!
//! Many dialects, one request type, many providers: an hourglass. This crate has the outer end of it: bytes of HTTP to
//! a request, and an answer back to bytes. The pipeline and the providers are [`rerankd_core`], the embedded scorers
//! are [`rerankd_local`], the evaluation is [`rerankd_eval`].
//!
//! ```text
//!  bytes ─▶ http (limits, keys, request id) ─▶ dialect::decode ─▶ RerankRequest ─▶ rerankd_core: route, rerank
//!  bytes ◀─ http ◀───────────────────────────── dialect::encode ◀─ RerankResponse ◀─────┘
//! ```
//!
//! The modules, from the top to the ground floor; each imports only modules below it.

pub mod cli;
pub mod server;

pub mod assemble;
pub mod config;

pub mod http;

pub mod dialect;
pub mod logging;

#[cfg(test)]
mod simulation;
