//! `rerankd eval`: which reranker is best, by a judged collection.
//!
//! ```text
//!  collection (queries, candidates, judgments) ─▶ contest (ask every contestant, through the pipeline that serves) ─▶ ledger
//!                                                                                                                     │
//!     report (table, HTML), runs (TREC), results.json  ◀── results ◀── judge (metrics, statistics, choice) ◀───────────┘
//! ```

pub mod agreement;
pub mod autorag;
pub mod bm25;
pub mod choice;
pub mod collection;
pub mod contest;
pub mod judge;
pub mod metrics;
pub mod report;
pub mod results;
pub mod runs;
pub mod statistics;
pub mod trec;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// The contestant that always takes part: the order of the first stage.
pub const NONE: &str = "none";

/// Everything that the name of a model may hold and the name of a file had better not.
const NOT_IN_FILE_NAMES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts of queries, passages and ranks are far below 2^52")]
fn exact(count: usize) -> f64 {
    count as f64
}
