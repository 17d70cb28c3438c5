//! Identity of an answer: hashes of the models and of the texts that it depends on.

use std::collections::HashMap;
use std::sync::Arc;

use rerankd_core::cache::key::ScoreSpace;
use rerankd_core::embedded::hybrid::HybridSettings;
use rerankd_core::route::{HybridParts, Route, Target};
use rerankd_core::upstream::settings::LongPassages;
use rerankd_core::upstream::{Backend, ScorerIdentity};

use crate::collection::{Collection, JudgedQuery};

/// Hash of the models behind a name, and of the settings that change their scores.
pub(super) fn models_fingerprint(route: &Route) -> String {
    let mut hash = Hash::default();
    for target in &route.targets {
        hash.target(target);
    }
    hash.hex()
}

/// Fingerprints of a collection's queries, by query id. Queries with the same texts have the same fingerprint.
///
/// Clones share one map.
#[derive(Clone, Debug, Default)]
pub struct QueryFingerprints(Arc<HashMap<String, String>>);

impl QueryFingerprints {
    /// The fingerprints of all queries of `collection`.
    #[must_use]
    pub fn of(collection: &Collection) -> Self {
        let mut fingerprints = HashMap::with_capacity(collection.queries.len());
        for query in &collection.queries {
            fingerprints.insert(query.id.clone(), fingerprint(collection, query));
        }
        Self(Arc::new(fingerprints))
    }

    /// The fingerprint of the query `id`; `None` if the collection has no such query.
    pub(super) fn get(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    /// All ids with their fingerprints.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(id, fingerprint)| (&**id, &**fingerprint))
    }
}

/// Hash of the texts of a query and of its candidates, in their order. Ids are left out: no model sees them, and they
/// may be line numbers.
fn fingerprint(collection: &Collection, query: &JudgedQuery) -> String {
    let mut hash = Hash::default();
    hash.field(query.text.as_bytes());
    for &index in &query.candidates {
        hash.field(collection.passages[index].text.as_bytes());
    }
    hash.hex()
}

/// A hash of fields. Each is preceded by its length, so different lists of fields never hash the same bytes.
///
/// Hashes are kept in answer logs: another field, order or text here makes all paid answers unused.
#[derive(Default)]
struct Hash(blake3::Hasher);

impl Hash {
    fn field(&mut self, bytes: &[u8]) {
        self.0.update(&bytes.len().to_le_bytes()).update(bytes);
    }

    /// Adds all settings of a target on which its scores depend.
    fn target(&mut self, target: &Target) {
        let ScoreSpace { upstream, model, revision, scale } = &target.space;
        let cut = match target.long_passages() {
            LongPassages::Provider => String::new(),
            LongPassages::Truncate(tokens) => format!("truncate {tokens}"),
            LongPassages::ChunkMax(tokens) => format!("chunk-max {tokens}"),
        };
        for word in [upstream, model, revision, scale.name(), target.facts.scoring.name(), &cut] {
            self.field(word.as_bytes());
        }
        match &target.upstream.backend {
            Backend::Stack(stack) => match &stack.identity {
                ScorerIdentity::Address(url) => {
                    self.field(url.as_str().as_bytes());
                    self.field(b""); // where a model in this process has its digest
                }
                ScorerIdentity::Model(model) => {
                    self.field(model.address().as_bytes());
                    // The address alone is not enough, because the directory may hold another model tomorrow. A model
                    // that cannot be read has no digest, and no answers either.
                    self.field(model.digest().unwrap_or_default().as_bytes());
                }
            },
            // The embedded scorer has no file of its own; it changes with the version.
            Backend::Local(_) => self.field(env!("CARGO_PKG_VERSION").as_bytes()),
        }
        if let Some(HybridParts { settings: HybridSettings { mix, scripts }, cross_encoder, .. }) = &target.hybrid {
            self.field(format!("{} {} {}", mix.head, mix.lexical_share, scripts.name()).as_bytes());
            self.target(cross_encoder);
        }
    }

    fn hex(self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}
