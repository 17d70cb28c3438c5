//! The core of rerankd: one rerank request, from decoded to ranked.
//!
//! ```text
//!  RerankRequest ─▶ route: model to targets
//!    ─▶ rerank:  validate ─▶ for the first target that answers:
//!         plan         (fold equal passages, look up known scores)   ◀── cache
//!         score        (lead unknown pairs, follow those in flight)  ◀─▶ coalesce
//!         flight_task  (led pairs, cut into calls)                   ──▶ upstream stack ─▶ provider ─▶ HTTPS
//!         check        (every position once, every score finite)     ──▶ cache
//!         rank         (best first, ties in input order) ─▶ top_n
//!    ─▶ RerankResponse
//! ```
//!
//! It knows no HTTP server, no inbound wire shape, no configuration file and no model runtime. The modules stand from
//! the top to the ground floor; each imports only modules below it. Start reading at [`rerank`].

pub mod rerank;

pub mod route;

pub mod coalesce;
pub mod upstream;

pub mod embedded;
pub mod telemetry;

pub mod cache;
pub mod provider;

pub mod agreement;
pub mod blocking;
pub mod suggestion;
pub mod text;

pub mod types;

pub mod error;
