//! Checksums of a collection, by which two evaluations can tell whether they were over the same data.

use serde::{Deserialize, Serialize};

use super::Collection;
use crate::field_hash::FieldHash;

/// BLAKE3 hashes of the parts of a collection, in hexadecimal digits. They are of the contents that were read, not of
/// the files: another format of the same data has the same checksums.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checksums {
    /// Ids and texts of all passages, in their order.
    pub passages: String,
    /// Ids and texts of the evaluated queries, in their order.
    pub queries: String,
    /// Judgments of the evaluated queries.
    pub judgments: String,
    /// Ids of the candidates of each query, in their order.
    pub candidates: String,
}

impl Checksums {
    /// The checksums of `collection`.
    #[must_use]
    pub fn of(collection: &Collection) -> Self {
        let mut passages = FieldHash::default();
        for passage in &collection.passages {
            passages.field(passage.id.as_bytes());
            passages.field(passage.text.as_bytes());
        }
        let mut queries = FieldHash::default();
        let mut judgments = FieldHash::default();
        let mut candidates = FieldHash::default();
        for query in &collection.queries {
            queries.field(query.id.as_bytes());
            queries.field(query.text.as_bytes());
            judgments.field(query.id.as_bytes());
            for (passage, grade) in &query.judgments {
                judgments.field(passage.as_bytes());
                judgments.field(&grade.to_le_bytes());
            }
            candidates.field(query.id.as_bytes());
            for &index in &query.candidates {
                candidates.field(collection.passages[index].id.as_bytes());
            }
        }
        Self {
            passages: passages.hex(),
            queries: queries.hex(),
            judgments: judgments.hex(),
            candidates: candidates.hex(),
        }
    }

    /// The parts with their checksums, by the names that a report gives them.
    #[must_use]
    pub fn parts(&self) -> [(&'static str, &str); 4] {
        [
            ("passages", &self.passages),
            ("queries", &self.queries),
            ("judgments", &self.judgments),
            ("candidates", &self.candidates),
        ]
    }
}
