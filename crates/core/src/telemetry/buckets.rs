//! Histograms with the upper bounds of their buckets.

use prometheus_client::metrics::histogram::Histogram;

/// Bounds in seconds, from a warm cache to a slow provider.
const LATENCY: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Bounds of coefficients from -1 to 1, closer together near 1, where rerankers that agree lie.
const AGREEMENT: [f64; 12] = [-0.5, 0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0];

/// A histogram of durations in seconds.
pub(super) fn latency() -> Histogram {
    Histogram::new(LATENCY)
}

/// A histogram of coefficients of agreement, -1 to 1.
pub(super) fn agreement() -> Histogram {
    Histogram::new(AGREEMENT)
}
