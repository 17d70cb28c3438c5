//! The passages of a plan: the score of each, made of the scores of its pieces.

use std::ops::Range;

use super::Plan;
use crate::cache::key::PairKey;
use crate::rerank::pieces::Pieces;
use crate::types::index::{ListIndex, PieceIndex, SlotIndex};
use crate::types::passages::Passages;
use crate::types::response::{RankedPassage, ScoreSource};

/// The part of a passage that its score was computed for.
#[derive(Clone, Debug)]
pub struct ScoredPart {
    /// Bytes of the passage's text.
    pub range: Range<usize>,
    /// Index of this part among those that the passage is cut into, from 0.
    pub chunk: usize,
    /// Number of those parts.
    pub chunks: usize,
}

impl Plan {
    /// The keys of each passage: one for each piece that it is cut into.
    #[must_use]
    pub fn keys_of_passages(&self) -> Vec<Vec<PairKey>> {
        let count = self.passage_count();
        let mut keys = Vec::with_capacity(count);
        for position in 0..count {
            keys.push(self.slots_of_passage(position).iter().map(|slot| self.folded.keys[*slot]).collect());
        }
        keys
    }

    /// Returns true if the model scored at least one passage.
    #[must_use]
    pub fn has_scores(&self) -> bool {
        for position in 0..self.passage_count() {
            let passage = self.passage(position);
            if passage.score.is_some() && passage.source != ScoreSource::Blank {
                return true;
            }
        }
        false
    }

    /// Every position of the request, exactly once, with its score so far.
    #[must_use]
    pub fn passages(&self) -> Vec<RankedPassage> {
        (0..self.passage_count()).map(|position| self.passage(position)).collect()
    }

    /// Number of passages of the request.
    pub(super) fn passage_count(&self) -> usize {
        match &*self.pieces {
            Pieces::Whole => self.folded.slots.len(),
            Pieces::Cut { ends, .. } => ends.len(),
        }
    }

    /// The slots of a passage's pieces, at least one. Equal pieces of one passage name their slot several times.
    fn slots_of_passage(&self, position: usize) -> &[SlotIndex] {
        self.folded.slots.slice(self.pieces.of(position))
    }

    /// A passage has the score of its best piece, once all of its pieces are scored.
    fn passage(&self, position: usize) -> RankedPassage {
        let slots = self.slots_of_passage(position);
        let Some(slot) = slots.get(self.representative(slots)) else {
            // Not reached: a passage has a piece.
            return RankedPassage { position, score: None, source: ScoreSource::Unscored };
        };
        let representative = &self.pairs[*slot];
        RankedPassage { position, score: representative.score, source: representative.source }
    }

    /// Index of the slot, among those of one passage, whose score the passage has.
    fn representative(&self, slots: &[SlotIndex]) -> usize {
        let mut representative = 0;
        for (index, slot) in slots.iter().enumerate().skip(1) {
            if self.pairs[*slot].replaces(&self.pairs[slots[representative]]) {
                representative = index;
            }
        }
        representative
    }

    /// The part of the passage at `position` that its score was computed for.
    #[must_use]
    pub fn scored_part(&self, passages: &Passages, position: usize) -> ScoredPart {
        let pieces = self.pieces.of(position);
        let chunks = pieces.end.number() - pieces.start.number();
        let chunk = self.representative(self.slots_of_passage(position));
        let piece = PieceIndex::of(pieces.start.number() + chunk);
        ScoredPart { range: self.pieces.range(passages, piece), chunk, chunks }
    }
}
