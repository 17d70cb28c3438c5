//! Settings of the embedded scorer: `[local]`.

use std::num::NonZeroUsize;

use rerankd_core::embedded::hybrid::{Mix, Scripts};

use super::cross_encoder::CrossEncoderFiles;

/// The table `[local]` of the configuration.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// The cross-encoder, if its weights are at hand.
    pub cross_encoder: Option<CrossEncoderSettings>,
    /// True if none is wanted, even if there are weights.
    pub is_declined: bool,
    /// The mix of its scores with those of the lexical scorer.
    pub mix: Mix,
    /// The scripts of the queries that it is asked about.
    pub scripts: Scripts,
}

/// The keys of `[local]` that matter to the cross-encoder alone.
#[derive(Clone, Debug)]
pub struct CrossEncoderSettings {
    /// The weights, and the length at which pairs are cut.
    pub files: CrossEncoderFiles,
    /// Pairs that are read at once, each by one thread; `None` for as many as there are processors.
    pub threads: Option<NonZeroUsize>,
    /// Most calls, of two pairs each, that may wait for a thread.
    pub max_queue: usize,
}
