//! Replies that tell another version of the model than the one that a flight was planned for.
//!
//! ```text
//!  first reply of the flight  ─▶ its requests take the new version, unless they have scores of the old one
//!  a later reply              ─▶ its requests are planned anew (law 2: no answer mixes the scores of two versions)
//!  either way                 ─▶ its scores are cached under the version that the reply tells
//! ```

use super::calls::FlightTexts;
use super::flight_task::{FlightInProgress, FlightTask};
use super::model_log::tell_version_changed;
use crate::blocking::offload::{OFFLOAD_SEARCH_BYTES, offload};
use crate::cache::key::{CacheScope, PairKey, QueryKey};
use crate::coalesce::Lead;
use crate::route::StackTarget;
use crate::types::index::{FlightIndex, ListIndex};
use crate::types::model_version::ModelVersion;
use crate::upstream::call::Scores;

/// The version in log lines of a model whose upstream stopped telling one.
const NOT_TOLD: &str = "not told";

impl FlightTask {
    /// Stores the `scores` of `places` under `version`, which is not the one of the flight's keys.
    pub(super) fn store_other_version(
        &self,
        lead: &Lead,
        version: ModelVersion,
        places: &[FlightIndex],
        scores: &[f64],
    ) {
        let (query, keys) = self.keys_of_version(lead, version, places);
        self.cache.put_many(&query, &lead.storable_as(&keys, places, scores));
    }

    /// The keys that a plan for `version` has for the pairs at `places`, in their order.
    fn keys_of_version(&self, lead: &Lead, version: ModelVersion, places: &[FlightIndex]) -> (QueryKey, Vec<PairKey>) {
        let request = &self.texts.request;
        let scope = lead.waiters().scope();
        let query = QueryKey::new(scope, &self.target.space, &request.options, &request.query).of_version(version);
        let mut keys = Vec::with_capacity(places.len());
        if self.target.facts.scoring.is_of_list() {
            let list = query.of_list(&request.passages);
            for place in places {
                // A passage of such a list is one piece, so that their numbers are the same.
                keys.push(list.at_position(self.texts.pieces_of_places[*place].number()));
            }
            return (list, keys);
        }
        for place in places {
            keys.push(query.pair(self.texts.text(*place)));
        }
        (query, keys)
    }
}

impl FlightInProgress<'_> {
    /// Stores the `scores` of `places` and hands them out. Waiters go on as soon as their scores land, so the cost and
    /// the cache entry must be there before.
    pub(super) fn land(&mut self, places: &[FlightIndex], scores: &Scores) {
        let Self { task, lead, .. } = *self;
        let told = ModelVersion::of(scores.model_version.as_deref());
        if told == task.version {
            task.cache.put_many(lead.query(), &lead.storable(places, &scores.scores));
        } else {
            task.store_other_version(lead, told, places, &scores.scores);
        }
        match self.version {
            None if told != task.version => lead.land_under(told),
            Some(earlier) if told != earlier => return lead.outdate(places),
            _ => {}
        }
        self.version = Some(told);
        lead.land(places, &scores.scores);
    }
}

/// Remembers the version that a reply of `target` to `caller` tells, and logs it if it is another one than before.
pub(super) async fn learn_version(target: &StackTarget, texts: &FlightTexts, caller: CacheScope, scores: &Scores) {
    let version = ModelVersion::of(scores.model_version.as_deref());
    let before = target.version.replace(caller, version);
    if before == version {
        return;
    }
    let shown = shown_name(target, texts, scores.model_version.as_deref()).await;
    if let Some(old) = target.version.note(before, version, &shown) {
        tell_version_changed(target, &old, &shown);
    }
}

/// The name of a version as a log line may show it: a hash in its place if it quotes the request or a key.
async fn shown_name(target: &StackTarget, texts: &FlightTexts, name: Option<&str>) -> String {
    let Some(name) = name else { return NOT_TOLD.to_owned() };
    let name = name.to_owned();
    let target = target.clone();
    let flight = texts.clone();
    offload(texts.request.text_bytes(), OFFLOAD_SEARCH_BYTES, move || {
        let passages = flight.request.passages.iter().map(|passage| passage.text);
        let texts = passages.chain([&*flight.request.query]).chain(flight.request.options.instruction.as_deref());
        target.stack().shown_version(&name, &texts)
    })
    .await
}
