//! Metrics and logs for operators. Neither ever holds a query, a passage or a key, and neither can fail a request.

mod buckets;
mod labels;
mod log_queue;
pub mod logging;
pub mod metrics;
pub mod refusal_log;
pub mod settings;
pub mod shadow_metrics;
