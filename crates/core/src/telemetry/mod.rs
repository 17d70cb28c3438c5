//! Metrics for operators. They never hold a query, a passage or a key, and cannot fail a request.

mod buckets;
mod labels;
pub mod log_lines;
pub mod metrics;
pub mod shadow_metrics;
