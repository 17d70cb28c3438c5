//! What an answer depends on: who is asked, and what.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cache::key::ScoreSpace;
use crate::config::settings::{LocalSettings, LongPassages};
use crate::eval::collection::{Collection, JudgedQuery};
use crate::local::cross_encoder::ModelDirectory;
use crate::provider::Scoring;
use crate::route::{Parts, Route, Target};
use crate::upstream::Backend;

/// Hash of who answers: the models behind a name, and what is configured that changes their scores.
pub(super) fn asked_of(route: &Route) -> String {
    let mut hash = Hash::default();
    route.targets.iter().for_each(|target| hash.target(target));
    hash.hex()
}

/// The question that each query of a collection is, by the query's id. Queries of the same texts are one question. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Questions(Arc<HashMap<String, String>>);

impl Questions {
    /// Those of `collection`.
    #[must_use]
    pub fn of(collection: &Collection) -> Self {
        let questions = collection.queries.iter().map(|query| (query.id.clone(), question(collection, query)));
        Self(Arc::new(questions.collect()))
    }

    /// The question that the query `id` is.
    pub(super) fn get(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    /// Every query with its question.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(id, question)| (&**id, &**question))
    }
}

/// Hash of what is asked: the texts of a query and of its candidates, in their order. Ids are nothing that a model sees, and may be line numbers.
fn question(collection: &Collection, query: &JudgedQuery) -> String {
    let mut hash = Hash::default();
    hash.field(query.text.as_bytes());
    for &place in &query.candidates {
        hash.field(collection.passages[place].text.as_bytes());
    }
    hash.hex()
}

/// A hash of fields, each with its length, so that no two lists of fields look alike.
#[derive(Default)]
struct Hash(blake3::Hasher);

impl Hash {
    fn field(&mut self, bytes: &[u8]) {
        self.0.update(&bytes.len().to_le_bytes()).update(bytes);
    }

    fn target(&mut self, target: &Target) {
        let ScoreSpace { upstream, model, revision, scale } = &target.space;
        let scoring = match target.facts.scoring {
            Scoring::Pointwise => "pointwise",
            Scoring::Listwise => "listwise",
        };
        let cut = match target.long_passages() {
            LongPassages::Provider => String::new(),
            LongPassages::Truncate(tokens) => format!("truncate {tokens}"),
            LongPassages::ChunkMax(tokens) => format!("chunk-max {tokens}"),
        };
        for word in [upstream, model, revision, scale.name(), scoring, &cut] {
            self.field(word.as_bytes());
        }
        match &target.upstream.backend {
            Backend::Remote(remote) => {
                self.field(remote.address.as_str().as_bytes());
                // The embedded cross-encoder lies in a directory, where another may lie tomorrow.
                let directory = remote.address.to_file_path().ok().and_then(|path| ModelDirectory::at(&path).ok());
                self.field(directory.and_then(|directory| directory.digest().ok()).unwrap_or_default().as_bytes());
            }
            Backend::Local(_) => self.field(env!("CARGO_PKG_VERSION").as_bytes()),
        }
        if let Some(Parts { settings: LocalSettings { mix, scripts, .. }, cross_encoder, .. }) = &target.parts {
            self.field(format!("{} {} {}", mix.head, mix.lexical_share, scripts.name()).as_bytes());
            self.target(cross_encoder);
        }
    }

    fn hex(self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}
