//! Types shared by all parts of rerankd: a request, its response, the facts about models, and the outcomes that are
//! counted. They are plain data, without a wire format.

pub mod date;
pub mod error_rule;
pub mod facts;
pub mod index;
pub mod lifecycle;
pub mod logistic;
pub mod model_version;
pub mod outcomes;
pub mod passages;
pub mod request;
pub mod response;

/// A count of queries, passages, ranks or terms as a floating-point number, for means and shares.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "such counts are far below 2^52, where the first integer is rounded")]
pub const fn as_f64(count: usize) -> f64 {
    count as f64
}
