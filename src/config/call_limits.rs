//! Limits of calls and of their texts: of a provider, and of an upstream in its stead.

use std::ops::RangeInclusive;

use rerankd_core::provider::ProviderFacts;

use super::reader::{Section, count};

/// Range of `max_passages`.
pub(super) const MAX_PASSAGES: RangeInclusive<usize> = 1..=100_000;
/// Range of limits in characters.
const CHARACTERS: RangeInclusive<usize> = 1..=1_000_000_000;

/// Limits of a section in characters; `None` where there is none.
pub(super) struct CharacterLimits {
    pub(super) call: Option<usize>,
    pub(super) passage: Option<usize>,
    pub(super) query: Option<usize>,
}

impl CharacterLimits {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            call: section.read("max_call_characters", count(CHARACTERS)),
            passage: section.read("max_passage_characters", count(CHARACTERS)),
            query: section.read("max_query_characters", count(CHARACTERS)),
        }
    }
}

/// Limits of one upstream, which win over those of its provider and of its models.
pub(super) struct UpstreamLimits {
    passages: Option<usize>,
    characters: CharacterLimits,
}

impl UpstreamLimits {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self { passages: section.read("max_passages", count(MAX_PASSAGES)), characters: CharacterLimits::read(section) }
    }

    /// Writes the limits that are given over those of `facts`.
    pub(super) fn override_in(&self, facts: &mut ProviderFacts) {
        if let Some(passages) = self.passages {
            facts.max_passages = passages;
            facts.other_models.max_passages = None;
            for model in facts.models.values_mut() {
                model.max_passages = None;
            }
        }
        let CharacterLimits { call, passage, query } = self.characters;
        facts.max_call_characters = call.or(facts.max_call_characters);
        facts.max_passage_characters = passage.or(facts.max_passage_characters);
        facts.max_query_characters = query.or(facts.max_query_characters);
    }
}
