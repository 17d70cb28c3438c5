//! Upper bounds of what histograms tell apart.

/// Seconds, from a warm cache to a slow provider.
pub(super) const LATENCY: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// What lies between -1 and 1, finer where rerankers that agree lie.
pub(super) const AGREEMENT: [f64; 12] = [-0.5, 0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0];
