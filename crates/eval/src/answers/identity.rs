//! Identity of an answer: hashes of the models and of the texts that it depends on.

use std::collections::HashMap;
use std::sync::Arc;

use rerankd_core::cache::key::ScoreSpace;
use rerankd_core::embedded::hybrid::HybridSettings;
use rerankd_core::route::{HybridParts, Route, Target};
use rerankd_core::upstream::settings::LongPassages;
use rerankd_core::upstream::{Backend, ScorerIdentity};

use crate::collection::{Collection, JudgedQuery};
use crate::field_hash::FieldHash;

/// Hash of the models behind a name, and of the settings that change their scores.
pub(super) fn models_fingerprint(route: &Route) -> String {
    let mut hash = FieldHash::default();
    for target in &route.targets {
        add_target(&mut hash, target);
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
    let mut hash = FieldHash::default();
    hash.field(query.text.as_bytes());
    for &index in &query.candidates {
        hash.field(collection.passages[index].text.as_bytes());
    }
    hash.hex()
}

/// Adds all settings of a target on which its scores depend.
///
/// Another field, order or text here makes all paid answers unused.
fn add_target(hash: &mut FieldHash, target: &Target) {
    let ScoreSpace { upstream, model, revision, scale } = &target.space;
    let cut = match target.long_passages() {
        LongPassages::Provider => String::new(),
        LongPassages::Truncate(tokens) => format!("truncate {tokens}"),
        LongPassages::ChunkMax(tokens) => format!("chunk-max {tokens}"),
    };
    for word in [upstream, model, revision, scale.name(), target.facts.scoring.name(), &cut] {
        hash.field(word.as_bytes());
    }
    match &target.upstream.backend {
        Backend::Stack(stack) => match &stack.identity {
            ScorerIdentity::Address(url) => {
                hash.field(url.as_str().as_bytes());
                hash.field(b""); // where a model in this process has its digest
            }
            ScorerIdentity::Model(model) => {
                hash.field(model.address().as_bytes());
                // The address alone is not enough, because the directory may hold another model tomorrow. A model
                // that cannot be read has no digest, and no answers either.
                hash.field(model.digest().unwrap_or_default().as_bytes());
            }
        },
        // The embedded scorer has no file of its own; it changes with the version.
        Backend::Local(_) => hash.field(env!("CARGO_PKG_VERSION").as_bytes()),
    }
    if let Some(HybridParts { settings: HybridSettings { mix, scripts }, cross_encoder, .. }) = &target.hybrid {
        hash.field(format!("{} {} {}", mix.head, mix.lexical_share, scripts.name()).as_bytes());
        add_target(hash, cross_encoder);
    }
}
