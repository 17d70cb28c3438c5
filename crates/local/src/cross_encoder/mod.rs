//! A cross-encoder of the BERT kind: it reads a query and a passage together and gives one relevance score.
//!
//! ```text
//!  directory (`model.onnx`, `tokenizer.json`) ─▶ model (one pair: tokens ─▶ graph ─▶ raw score) ─▶ calibration
//! ```
//!
//! Such a model is trained to tell whether a passage answers a query, for example `ms-marco-MiniLM-L-12-v2` (Reimers
//! and Gurevych, 2019; Nogueira and Cho, "Passage Re-ranking with BERT", 2019). rerankd ships no weights;
//! `rerankd model fetch` downloads them.

#[cfg(feature = "cross-encoder")]
pub mod calibration;
pub mod directory;
#[cfg_attr(not(feature = "cross-encoder"), path = "model_absent.rs")]
mod model;
#[cfg(feature = "cross-encoder")]
mod operators;

use std::io;
use std::sync::Arc;

use rerankd_core::embedded::{PairModel, PairScorer, SCORES_REVISION};
use url::Url;

pub use self::directory::ModelDirectory;
use self::model::CrossEncoder;

/// A cross-encoder that is not loaded yet.
#[derive(Clone, Debug)]
pub struct CrossEncoderFiles {
    /// The directory of the weights.
    pub directory: ModelDirectory,
    /// Longest pair in tokens of the model; the longer text of the two is cut first.
    pub max_tokens: usize,
}

impl CrossEncoderFiles {
    /// Loads the model and scores a pair, for `rerankd check`. The server loads it on first use.
    ///
    /// # Errors
    /// A sentence that names the broken file.
    pub fn check(&self) -> Result<(), String> {
        model::check(&self.directory, self.max_tokens)
            .map_err(|reason| format!("{}/{reason}", self.directory.path().display()))
    }
}

impl PairModel for CrossEncoderFiles {
    fn load(&self) -> Result<Arc<dyn PairScorer>, String> {
        Ok(Arc::new(CrossEncoder::load(&self.directory, self.max_tokens)?))
    }

    fn address(&self) -> String {
        let path = self.directory.path();
        match Url::from_directory_path(path) {
            Ok(mut url) => {
                // The scores depend on the length at which pairs are cut.
                url.query_pairs_mut()
                    .append_pair("max_tokens", &self.max_tokens.to_string())
                    .append_pair("scores", SCORES_REVISION);
                url.into()
            }
            // Only of a path that is not absolute.
            Err(()) => format!("{}?max_tokens={}&scores={SCORES_REVISION}", path.display(), self.max_tokens),
        }
    }

    fn digest(&self) -> io::Result<String> {
        self.directory.digest()
    }
}

#[cfg(feature = "cross-encoder")]
#[cfg(test)]
mod tests {
    use std::path::Path;

    use rerankd_core::types::logistic::probability;

    use super::*;

    /// A model of ten words: see `tests/golden/local/make-tiny.py`.
    fn tiny(max_tokens: usize) -> CrossEncoderFiles {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/local/tiny");
        CrossEncoderFiles { directory: ModelDirectory::at(&path).unwrap(), max_tokens }
    }

    #[test]
    fn a_pairs_score_is_the_probability_of_its_logit() {
        let scorer = tiny(64).load().unwrap();
        assert!((scorer.score("q", "good").unwrap() - probability(1.0)).abs() < 1e-6);
        assert!((scorer.score("q", "bad").unwrap() - probability(-3.0)).abs() < 1e-6);
    }

    #[test]
    fn a_pair_is_cut_to_the_models_length_and_a_blank_one_is_scored() {
        let scorer = tiny(16).load().unwrap();
        // [CLS] q [SEP] and the last [SEP] leave room for twelve words of the passage.
        let long = scorer.score("q", &"fair ".repeat(1_000)).unwrap();
        assert!((long - probability(12.0 * 0.5 - 1.0)).abs() < 1e-6, "{long}");
        let blank = scorer.score("q", "").unwrap();
        assert!((blank - probability(-1.0)).abs() < 1e-6, "{blank}");
    }

    #[test]
    fn the_bytes_that_are_read_end_with_the_last_token_that_is_kept() {
        let scorer = tiny(16).load().unwrap();
        assert_eq!(scorer.bytes_read("q", "fair good ").unwrap(), 10, "all of it");
        assert_eq!(scorer.bytes_read("q", "").unwrap(), 0);
        // Twelve words, as above.
        assert_eq!(scorer.bytes_read("q", &"fair ".repeat(1_000)).unwrap(), 12 * 5 - 1);
        assert_eq!(scorer.bytes_read("q", &"fair ".repeat(12)).unwrap(), 60, "blanks at the end are nothing");
        assert_eq!(scorer.bytes_read(&"q ".repeat(40), "fair good").unwrap(), 9, "the query is cut");
        let blanks = " ".repeat(10_000);
        assert_eq!(scorer.bytes_read("q", &format!("{blanks}{}", "fair ".repeat(20))).unwrap(), 10_000 + 12 * 5 - 1);
    }

    #[test]
    fn threads_are_kept_for_the_next_pair() {
        let files = tiny(64);
        let model = CrossEncoder::load(&files.directory, files.max_tokens).unwrap();
        for _ in 0..3 {
            model.score("q", "good").unwrap();
        }
        assert_eq!(model.idle_threads(), 1);
    }

    #[test]
    fn the_address_tells_directories_and_lengths_apart() {
        let address = tiny(64).address();
        assert!(address.starts_with("file:///") && address.ends_with("/tiny/?max_tokens=64&scores=2"), "{address}");
        assert_ne!(address, tiny(16).address());
    }
}
