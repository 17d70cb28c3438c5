//! Infinity (`POST /rerank`, its API document 0.0.77). A document is a text, and `object` is `rerank`: its client refuses anything else.

use super::echo::DocumentForm;
use super::superset::{Cut, Superset};

/// Documents are texts.
pub static INFINITY: Superset = Superset {
    name: "infinity",
    object: "rerank",
    has_data: false,
    document: DocumentForm::Text,
    cut: Cut::TopN,
    echoes: false,
    api_version: None,
};
