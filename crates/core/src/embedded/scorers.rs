//! The traits that scorers in this process implement.

use std::fmt::Debug;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::HybridSettings;

/// A scorer that ranks a list as a whole, fast enough to need no queue.
pub trait ListScorer: Debug + Send + Sync {
    /// Bytes of a query or a passage that are read; the rest of a longer one is ignored.
    fn max_text_bytes(&self) -> usize;

    /// The relevance of each passage for `query`, 0 to 1, in the order of the passages; `None` as soon as `is_wanted`
    /// returns false. `is_wanted` is called at least once a passage.
    fn score_while(&self, query: &str, passages: &[&str], is_wanted: &dyn Fn() -> bool) -> Option<Vec<f64>>;

    /// The words of `query` that [`Self::score_while`] finds in each passage, normalised, each once, in the query's
    /// order; `None` as soon as `is_wanted` returns false.
    fn matched_words(&self, query: &str, passages: &[&str], is_wanted: &dyn Fn() -> bool) -> Option<Vec<Vec<String>>>;
}

/// A loaded model that scores pairs one by one, on a blocking thread. It may be asked by several threads at once.
pub trait PairScorer: Send + Sync {
    /// The relevance of `passage` for `query`, 0 to 1.
    ///
    /// # Errors
    /// A sentence that quotes neither text.
    fn score(&self, query: &str, passage: &str) -> Result<f64, String>;

    /// Bytes of `passage`, from its start, that its score for `query` depends on: all of them, unless the pair is cut.
    ///
    /// # Errors
    /// A sentence that quotes neither text.
    fn bytes_read(&self, query: &str, passage: &str) -> Result<usize, String>;
}

/// A model of pairs that is not loaded yet.
pub trait PairModel: Debug + Send + Sync {
    /// Loads the model. Blocks for a fraction of a second.
    ///
    /// # Errors
    /// A sentence that names the broken file.
    fn load(&self) -> Result<Arc<dyn PairScorer>, String>;

    /// Location of the model, with the settings that its scores depend on, as a URL.
    fn address(&self) -> String;

    /// Hash of the model's files. It changes with every byte of them.
    ///
    /// # Errors
    /// The error of reading a file.
    fn digest(&self) -> io::Result<String>;
}

/// The cross-encoder, and the limits of the calls to it.
#[derive(Clone, Debug)]
pub struct CrossEncoderParts {
    /// The model.
    pub model: Arc<dyn PairModel>,
    /// Pairs that are scored at once, each on a thread; `None` for as many as there are processors.
    pub threads: Option<NonZeroUsize>,
    /// Most calls that may wait for a thread.
    pub max_queue: usize,
}

/// The scorers of this process.
#[derive(Clone, Debug)]
pub struct EmbeddedScorers {
    /// The scorer of lists.
    pub lexical: Arc<dyn ListScorer>,
    /// The scorer of pairs; `None` without weights.
    pub cross_encoder: Option<CrossEncoderParts>,
    /// True if the operator wants no cross-encoder, so that nobody need be told about it.
    pub is_declined: bool,
    /// The way in which the two are put together.
    pub hybrid: HybridSettings,
}
