//! The embedded scorers: pure computation, without a network and, but for the weights, without files.
//!
//! `lexical` is BM25 over a word list and ranks every language. `cross_encoder` reads a query and a passage together.
//! The pipeline knows them by the traits of [`rerankd_core::embedded`].

pub mod cross_encoder;
pub mod lexical;
pub mod settings;

use std::sync::Arc;

use rerankd_core::embedded::hybrid::HybridSettings;
use rerankd_core::embedded::{CrossEncoderParts, EmbeddedScorers};

use self::lexical::Lexical;
use self::settings::LocalSettings;

/// The scorers that `settings` ask for. Loads nothing yet.
#[must_use]
pub fn scorers(settings: &LocalSettings) -> EmbeddedScorers {
    let cross_encoder = settings.cross_encoder.as_ref().map(|cross_encoder| CrossEncoderParts {
        model: Arc::new(cross_encoder.files.clone()),
        threads: cross_encoder.threads,
        max_queue: cross_encoder.max_queue,
    });
    EmbeddedScorers {
        lexical: Arc::new(Lexical),
        cross_encoder,
        is_declined: settings.is_declined,
        hybrid: HybridSettings { mix: settings.mix, scripts: settings.scripts },
    }
}
