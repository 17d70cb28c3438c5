//! rerankd's own shape, a superset of Cohere's: what the plain paths speak unless the body says otherwise.

use super::echo::DocumentForm;
use super::superset::{Cut, Superset};

/// `POST /rerank`. Clients of Infinity take nothing but `rerank` for the object here.
pub static BARE: Superset = Superset {
    name: "native",
    object: "rerank",
    has_data: true,
    document: DocumentForm::WithText,
    cut: Cut::TopN,
    echoes: false,
    api_version: None,
};

/// `POST /v1/rerank`. Clients of Voyage take nothing but `list` for the object here.
pub static VERSIONED: Superset = Superset { object: "list", ..BARE };
