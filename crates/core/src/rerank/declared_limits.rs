//! The limits that a target declares: those of a call, by which calls are cut, and those of a text, over which no call
//! is spent.
//!
//! A passage that is over its limit is treated like one that the provider refused by itself; a query that is over its
//! own fails the request at this target. Lengths are Unicode scalar values, and no text is read unless one is limited.

use super::batch::CallLimits;
use super::calls::{FlightTexts, instructed_query};
use super::flight_task::FlightTask;
use crate::blocking::offload::{OFFLOAD_WIRE_BYTES, offload};
use crate::coalesce::Lead;
use crate::error::{Error, ErrorKind};
use crate::provider::Scoring;
use crate::route::StackTarget;
use crate::text::{counted, grouped};
use crate::types::index::FlightIndex;

/// The length of a text that is over a limit, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Excess {
    characters: usize,
    limit: usize,
}

/// The texts of a call that are over a limit of the target.
#[derive(Debug, Default, PartialEq, Eq)]
struct OverLimit {
    query: Option<Excess>,
    /// Places of the passages that are too long, ascending.
    places: Vec<FlightIndex>,
    /// The first of them.
    passage: Option<Excess>,
}

/// Limits of one call by the registry and the configuration. A listwise model has none: it gets everything in one call.
pub(super) fn declared_limits(target: &StackTarget) -> CallLimits {
    let facts = &target.stack().facts;
    match target.facts.scoring {
        Scoring::Pointwise => CallLimits {
            passages: target.max_passages(),
            tokens: target.facts.max_call_tokens,
            bytes: facts.max_call_bytes,
            characters: facts.max_call_characters,
        },
        Scoring::Listwise | Scoring::Selector => CallLimits::NONE,
    }
}

impl Excess {
    /// The length of `text`, if it has more than `limit` characters.
    fn of(text: &str, limit: usize) -> Option<Self> {
        // No text has more characters than bytes, so most need not be read.
        if text.len() <= limit {
            return None;
        }
        let characters = text.chars().count();
        (characters > limit).then_some(Self { characters, limit })
    }

    /// The error about a `noun` of this length, whose limit at the upstream is set by `key`.
    fn error(self, upstream: &str, noun: &str, key: &str, way_out: &str) -> Error {
        let Self { characters, limit } = self;
        let limit = counted(limit, "character", "characters");
        let characters = grouped(characters);
        let message = format!(
            "{upstream} takes at most {limit} of a {noun} (upstreams.{upstream}.{key}), and one has {characters}; \
             {way_out}"
        );
        Error::new(ErrorKind::UpstreamRejected, message)
    }
}

impl FlightTexts {
    /// Returns true if a text of a call with `places` is over a limit of `target`.
    pub(super) async fn has_over_limit(&self, target: &StackTarget, places: &[FlightIndex]) -> bool {
        self.over_limit(target, places).await != OverLimit::default()
    }

    /// The texts of a call with `places` that are over a limit of `target`.
    async fn over_limit(&self, target: &StackTarget, places: &[FlightIndex]) -> OverLimit {
        let facts = &target.stack().facts;
        let max_passage = facts.max_passage_characters;
        let max_query = facts.max_query_characters;
        if max_passage.is_none() && max_query.is_none() {
            return OverLimit::default();
        }
        let bytes = if max_passage.is_some() { self.text_bytes(places) } else { 0 };
        let flight = self.clone();
        let target = target.clone();
        let places = places.to_vec();
        offload(bytes, OFFLOAD_WIRE_BYTES, move || {
            let mut over = OverLimit::default();
            if let Some(limit) = max_query {
                over.query = Excess::of(&instructed_query(&flight.request, target.facts.instruction), limit);
            }
            let Some(limit) = max_passage else { return over };
            for place in places {
                if let Some(excess) = Excess::of(flight.text(place), limit) {
                    over.passage.get_or_insert(excess);
                    over.places.push(place);
                }
            }
            over
        })
        .await
    }
}

impl FlightTask {
    /// Settles what is over a declared limit, without a call: the passages that are too long, or all of them where the
    /// query is too long or the model needs the whole list. Returns the places that are left.
    pub(super) async fn refuse_over_limit(&self, lead: &Lead) -> Vec<FlightIndex> {
        let pending = lead.pending();
        let over = self.texts.over_limit(&self.target, &pending).await;
        if over == OverLimit::default() {
            return pending;
        }
        let upstream = &self.target.upstream.name;
        if let Some(excess) = over.query {
            let way_out = "send a shorter one";
            lead.fail(&pending, excess.error(upstream, "query", "max_query_characters", way_out));
        } else if let Some(excess) = over.passage {
            if self.target.may_split() {
                let way_out = "send a shorter one, or have long ones cut (long_passages)";
                let error = excess.error(upstream, "document", "max_passage_characters", way_out);
                lead.refuse(&over.places, error);
            } else {
                let way_out = "send a shorter one: the model needs the whole list";
                let error = excess.error(upstream, "document", "max_passage_characters", way_out);
                lead.fail(&pending, error);
            }
        }
        lead.pending()
    }
}
