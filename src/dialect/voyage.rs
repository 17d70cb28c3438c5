//! Voyage AI (`POST /v1/rerank`, its API document of 2025-03 and client 0.5.0): results in `data`, documents as texts, the cut is `top_k`.
//!
//! `results` is there too: a body with `top_k` alone may come from anybody.

use super::echo::DocumentForm;
use super::superset::{Cut, Superset};

/// Results in `data`.
pub static VOYAGE: Superset = Superset {
    name: "voyage",
    object: "list",
    has_data: true,
    document: DocumentForm::WithText,
    cut: Cut::TopK,
    echoes: false,
    api_version: None,
};
