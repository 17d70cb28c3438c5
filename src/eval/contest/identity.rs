//! What an answer depends on: who is asked, and what.

use crate::config::settings::{LocalSettings, LongPassages};
use crate::eval::collection::{Collection, JudgedQuery};
use crate::route::Route;

/// Hash of who answers: the models behind a name, and what is configured that changes their scores.
pub(super) fn asked_of(route: &Route) -> String {
    let mut hash = Hash::default();
    for target in &route.targets {
        hash.field(format!("{:?} {:?}", target.space, target.facts.scoring).as_bytes());
        if let Some(LocalSettings { cross_encoder, mix, scripts }) = target.parts.as_ref().map(|parts| &parts.settings)
        {
            let read = cross_encoder.as_ref().map(|settings| (&settings.directory, settings.max_tokens));
            hash.field(format!("{mix:?} {scripts:?} {read:?}").as_bytes());
        }
        let cut = target.long_passages();
        if cut != LongPassages::Provider {
            hash.field(format!("{cut:?}").as_bytes());
        }
    }
    hash.hex()
}

/// Hash of what is asked: the text of a query, and its candidates in their order.
pub(super) fn question(collection: &Collection, query: &JudgedQuery) -> String {
    let mut hash = Hash::default();
    hash.field(query.text.as_bytes());
    for &place in &query.candidates {
        let passage = &collection.passages[place];
        hash.field(passage.id.as_bytes());
        hash.field(passage.text.as_bytes());
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

    fn hex(self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}
