//! Integration tests: the real server on a free port, in front of a scripted upstream. See `tests/README.md`.

#![expect(clippy::float_cmp, reason = "counters and scores come out exactly as they went in")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

mod absence;
mod answer_headers;
mod attacks;
mod bad_days;
mod balancing;
mod cache;
mod character_limits;
mod cli;
mod coalescing;
mod connections;
mod contract;
#[cfg(feature = "cross-encoder")]
mod cross_encoder;
mod custom_upstream;
mod degradation;
mod dialects;
mod differential;
mod docs;
mod early_answers;
mod edge;
mod encodings;
#[cfg(feature = "eval")]
mod eval;
mod explain;
mod fallback;
mod faults;
mod forgiving;
mod freshness;
mod fuzz;
mod golden;
mod help;
mod home;
mod hostile;
mod input;
mod isolation;
mod lifecycle;
mod local;
#[cfg(all(feature = "cross-encoder", feature = "eval"))]
mod local_quality;
mod log_lines;
mod logs;
mod memory;
mod metrics;
mod money;
mod origins;
mod packaging;
mod pictures;
mod privacy;
mod provider_pages;
mod providers;
mod proxies;
mod replies;
mod retries;
mod selectors;
mod setup;
mod shadow;
mod shedding;
#[cfg(feature = "docs")]
mod site;
mod size_refusals;
mod splitting;
mod time;
mod typed;
mod validation;
