//! The distinct pairs of a request, and the scores that the cache has for them.
//!
//! ```text
//!  position    0     1      2    3     passages of the request
//!  piece       0    1  2    3    4     texts to score: a passage, or the parts of a long one (see `pieces`)
//!  slot        0    1  2    0    3     distinct texts, in the order of their first piece
//!
//!  score      0.7   –  –       blank   slot 0 was cached, slot 3 is not sent
//!  unknown          1  2               exactly these slots are sent
//! ```
//! For a pointwise model equal pieces share a slot. For a listwise model or a selector every passage has a slot of its
//! own, under a key made of the whole ordered list, and all are unknown unless all are known.

mod passages;
mod versions;

use std::sync::Arc;

pub use self::passages::ScoredPart;
use self::versions::PlanVersions;
use super::fold::Folded;
use super::pieces::Pieces;
use super::plan_context::PlanContext;
use crate::cache::ScoreCache;
use crate::cache::age::{Age, CachedScore};
use crate::cache::key::{PairKey, QueryKey};
use crate::error::{Error, ErrorKind};
use crate::provider::Scoring;
use crate::types::index::{IndexVec, ListIndex, PieceIndex, SlotIndex};
use crate::types::model_version::ModelVersion;
use crate::types::passages::Passages;
use crate::types::request::RerankRequest;
use crate::types::response::{PairCounts, ScoreSource};

/// The pairs of one request against one target.
#[derive(Debug)]
pub struct Plan {
    query: QueryKey,
    versions: PlanVersions,
    pieces: Arc<Pieces>,
    /// Slots of the pieces, and their keys. The text of a slot's first piece is the one that is sent.
    folded: Folded,
    pairs: IndexVec<SlotIndex, Pair>,
    /// Slots to be scored, ascending, as of the look-up: slots that are learnt later stay.
    unknown: Vec<SlotIndex>,
    /// Slots with a cached score that should be refreshed, ascending.
    due: Vec<SlotIndex>,
    /// Expired scores from the cache by slot, ascending: used only if the target fails.
    stale: Vec<(SlotIndex, f64)>,
}

/// The score of one distinct pair.
#[derive(Clone, Copy, Debug)]
struct Pair {
    /// The score, or none as `source` explains. Both change together, by [`Self::settle`].
    score: Option<f64>,
    source: ScoreSource,
}

impl Plan {
    /// Cuts and keys every passage, folds equal pieces, and reads the cache in one pass. Every slot is then settled or
    /// in [`Self::unknown`].
    #[must_use]
    pub fn new(request: &RerankRequest, context: &PlanContext, cache: &ScoreCache) -> Self {
        let query = QueryKey::new(context.scope, &context.space, &request.options, &request.query);
        let query = query.of_version(context.version);
        let mut plan = match context.scoring {
            Scoring::Pointwise => {
                let pieces = Pieces::new(&request.passages, context.long_passages);
                Self::pointwise(query, &request.passages, pieces)
            }
            Scoring::Listwise | Scoring::Selector => {
                Self::listwise(query.of_list(&request.passages), &request.passages)
            }
        };
        plan.versions = PlanVersions::of(context.version);
        // Blank passages are settled first: the look-up leaves settled pairs alone.
        if context.rejects_blanks {
            plan.settle_blanks(&request.passages, context.space.scale.floor());
        }
        if context.control.read {
            plan.look_up(cache, context.scoring);
        }
        plan.unknown = plan.unscored();
        plan
    }

    /// A plan in which equal pieces share a slot, before the look-up.
    fn pointwise(query: QueryKey, passages: &Passages, pieces: Pieces) -> Self {
        let count = pieces.count(passages);
        let keys = query.pairs((0..count).map(|piece| pieces.text(passages, PieceIndex::of(piece))));
        Self::of_unscored(query, pieces, Folded::of_equal(keys))
    }

    /// A plan in which every passage is one piece with a slot of its own, before the look-up. `list` is the key of the
    /// whole list.
    fn listwise(list: QueryKey, passages: &Passages) -> Self {
        let keys = (0..passages.len()).map(|position| list.at_position(position)).collect();
        Self::of_unscored(list, Pieces::Whole, Folded::of_distinct(keys))
    }

    fn of_unscored(query: QueryKey, pieces: Pieces, folded: Folded) -> Self {
        let unscored = Pair { score: None, source: ScoreSource::Unscored };
        let pairs = vec![unscored; folded.keys.len()].into();
        let pieces = Arc::new(pieces);
        let versions = PlanVersions::of(ModelVersion::NONE);
        Self { query, versions, pieces, folded, pairs, unknown: Vec::new(), due: Vec::new(), stale: Vec::new() }
    }

    /// Gives blank pieces `score` for good: the look-up leaves them alone, and they are not sent.
    fn settle_blanks(&mut self, passages: &Passages, score: Option<f64>) {
        for (pair, first_piece) in self.pairs.iter_mut().zip(&self.folded.first_pieces) {
            if self.pieces.text(passages, *first_piece).trim_start().is_empty() {
                pair.settle(score, ScoreSource::Blank);
            }
        }
    }

    /// Settles the pairs that the cache has a usable score for, and notes stale and due ones.
    fn look_up(&mut self, cache: &ScoreCache, scoring: Scoring) {
        let mut hits = cache.get_many(&self.query, self.folded.keys.as_slice());
        if scoring.is_of_list() {
            // Law 3 (`docs/guarantees.md`): the scores of a list are used, refreshed and kept as stale ones together,
            // or not at all.
            let Some(age_of_list) = self.age_of_list(&hits) else { return };
            for hit in hits.iter_mut().flatten() {
                hit.age = age_of_list;
            }
        }
        for (slot, hit) in self.pairs.indices().zip(hits) {
            let pair = &mut self.pairs[slot];
            let Some(CachedScore { score, age }) = hit else { continue };
            if pair.source != ScoreSource::Unscored {
                continue; // blank
            }
            if age == Age::Stale {
                self.stale.push((slot, score));
                continue;
            }
            pair.settle(Some(score), ScoreSource::Cache);
            if age == Age::Due {
                self.due.push(slot);
            }
        }
    }

    /// The age of the oldest hit. `None` if a pair that is not blank has none: the list must be scored anew.
    fn age_of_list(&self, hits: &[Option<CachedScore>]) -> Option<Age> {
        let mut oldest = Age::Fresh;
        for (pair, hit) in self.pairs.iter().zip(hits) {
            if pair.source != ScoreSource::Blank {
                oldest = oldest.max(hit.as_ref()?.age);
            }
        }
        Some(oldest)
    }

    /// The slots that had no usable score at the look-up, in input order. Slots that are learnt later stay in it.
    #[must_use]
    pub fn unknown(&self) -> &[SlotIndex] {
        &self.unknown
    }

    /// The slots whose scores are known, but should be computed afresh soon.
    #[must_use]
    pub fn due(&self) -> &[SlotIndex] {
        &self.due
    }

    /// The key under which the cache holds the pairs: the query's, or the whole list's for a listwise model.
    #[must_use]
    pub const fn query(&self) -> &QueryKey {
        &self.query
    }

    /// The keys of all slots.
    #[must_use]
    pub const fn keys(&self) -> &IndexVec<SlotIndex, PairKey> {
        &self.folded.keys
    }

    /// The pieces of the request's passages.
    #[must_use]
    pub const fn pieces(&self) -> &Arc<Pieces> {
        &self.pieces
    }

    /// The piece whose text is sent for each of `slots`.
    #[must_use]
    pub fn pieces_of(&self, slots: impl IntoIterator<Item = SlotIndex>) -> Vec<PieceIndex> {
        slots.into_iter().map(|slot| self.folded.first_pieces[slot]).collect()
    }

    /// Records the outcome of one slot.
    pub fn learn(&mut self, slot: SlotIndex, score: Option<f64>, source: ScoreSource) {
        self.pairs[slot].settle(score, source);
    }

    /// Records the scores of a whole list, one for each passage in order. Returns them by key, for the cache. Blank
    /// passages that are settled keep their score.
    ///
    /// Scores go to passages by position here, which is right only while every passage has a slot of its own and all
    /// other slots are unknown. So it is for a listwise model; anything else is an error, for it would give a passage
    /// the score of another.
    ///
    /// # Errors
    /// A defect in rerankd: slots that are shared or known, or another number of scores.
    pub fn learn_list(&mut self, scores: &[f64]) -> Result<Vec<(PairKey, f64)>, Error> {
        let count = self.passage_count();
        let blanks = self.pairs.iter().filter(|pair| pair.source == ScoreSource::Blank).count();
        if [self.folded.slots.len(), self.pairs.len(), self.unknown.len() + blanks, scores.len()] != [count; 4] {
            return Err(Error::new(ErrorKind::Internal, "scores of a list do not fit its passages"));
        }
        let mut by_key = Vec::with_capacity(count);
        for ((pair, key), score) in self.pairs.iter_mut().zip(&self.folded.keys).zip(scores) {
            if pair.source == ScoreSource::Blank {
                continue;
            }
            pair.settle(Some(*score), ScoreSource::Scored);
            by_key.push((*key, *score));
        }
        Ok(by_key)
    }

    /// Returns true if every pair without a score has at least an expired one.
    #[must_use]
    pub fn can_fall_back_to_stale(&self) -> bool {
        for (slot, pair) in self.pairs.enumerate() {
            if pair.wants_score() && self.stale.binary_search_by_key(&slot, |(slot, _)| *slot).is_err() {
                return false;
            }
        }
        true
    }

    /// Uses expired scores where there are no others. Returns true if every pair then has one; if not, nothing changes.
    pub fn fall_back_to_stale(&mut self) -> bool {
        if !self.can_fall_back_to_stale() {
            return false;
        }
        for (slot, score) in &self.stale {
            let pair = &mut self.pairs[*slot];
            if pair.wants_score() {
                pair.settle(Some(*score), ScoreSource::Stale);
            }
        }
        true
    }

    /// Numbers of pairs by the source of their scores.
    #[must_use]
    pub fn counts(&self) -> PairCounts {
        let mut counts = PairCounts { total: self.pairs.len(), ..PairCounts::default() };
        for pair in &self.pairs {
            counts.count(pair.source);
        }
        counts
    }

    /// The pairs in the order of their slots: the source of each score, and the text of the passage.
    pub fn sourced_texts<'a>(&'a self, passages: &'a Passages) -> impl Iterator<Item = (ScoreSource, &'a str)> {
        let pairs = self.pairs.iter().zip(&self.folded.first_pieces);
        pairs.map(|(pair, piece)| (pair.source, self.pieces.text(passages, *piece)))
    }

    /// Slots without a score or a reason to have none, ascending.
    fn unscored(&self) -> Vec<SlotIndex> {
        let count = self.pairs.iter().filter(|pair| pair.source == ScoreSource::Unscored).count();
        let mut unscored = Vec::with_capacity(count);
        for (slot, pair) in self.pairs.enumerate() {
            if pair.source == ScoreSource::Unscored {
                unscored.push(slot);
            }
        }
        unscored
    }
}

impl Pair {
    /// Returns true if the pair has no score though a model could have given one. Blank pairs are settled for good.
    fn wants_score(&self) -> bool {
        matches!(self.source, ScoreSource::Unscored | ScoreSource::Refused)
    }

    fn settle(&mut self, score: Option<f64>, source: ScoreSource) {
        self.score = score;
        self.source = source;
    }

    /// Returns true if this piece represents its passage rather than `current`, an earlier piece.
    fn replaces(&self, current: &Self) -> bool {
        match (self.score, current.score) {
            (Some(own), Some(other)) => own > other,
            // The missing piece might be the best one, so the passage has no score yet. No later piece replaces it.
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use faststr::FastStr;
    use proptest::prelude::*;

    use super::*;
    use crate::cache::control::CacheControl;
    use crate::cache::key::{CacheScope, ScoreSpace};
    use crate::provider::ScoreScale;
    use crate::rerank::rank::rank;
    use crate::upstream::settings::LongPassages;

    fn context(scoring: Scoring) -> PlanContext {
        PlanContext {
            space: ScoreSpace {
                upstream: "u".into(),
                model: "m".into(),
                revision: String::new(),
                scale: ScoreScale::Probability,
            },
            version: ModelVersion::NONE,
            scoring,
            rejects_blanks: false,
            long_passages: LongPassages::Provider,
            scope: CacheScope::SHARED,
            control: CacheControl::default(),
        }
    }

    fn request(query: &str, passages: &[&str]) -> RerankRequest {
        RerankRequest {
            query: FastStr::new(query),
            passages: passages.iter().copied().collect(),
            ..RerankRequest::default()
        }
    }

    fn cache() -> ScoreCache {
        ScoreCache::in_memory(1 << 20, Duration::from_mins(1))
    }

    fn score_of(query: &str, passage: &str) -> f64 {
        f64::from(blake3::hash(format!("{query}|{passage}").as_bytes()).as_bytes()[0]) / 16.0
    }

    /// Plans and scores what is unknown; returns what would have been sent.
    fn run(request: &RerankRequest, context: &PlanContext, cache: &ScoreCache) -> (Plan, Vec<String>) {
        let mut plan = Plan::new(request, context, cache);
        let slots = plan.unknown().to_vec();
        let mut sent = Vec::new();
        for piece in plan.pieces_of(slots.iter().copied()) {
            sent.push(plan.pieces().text(&request.passages, piece).to_owned());
        }
        let mut stored = Vec::new();
        for (slot, text) in slots.iter().zip(&sent) {
            let score = score_of(&request.query, text);
            plan.learn(*slot, Some(score), ScoreSource::Scored);
            stored.push((plan.keys()[*slot], score));
        }
        if context.control.store {
            cache.put_many(plan.query(), &stored);
        }
        (plan, sent)
    }

    fn scores(plan: &Plan) -> Vec<f64> {
        plan.passages().iter().map(|passage| passage.score.unwrap()).collect()
    }

    #[tokio::test]
    async fn only_unknown_distinct_passages_are_sent() {
        let cache = cache();
        let context = context(Scoring::Pointwise);
        let first = request("q", &["a", "b", "a"]);
        let (plan, sent) = run(&first, &context, &cache);
        assert_eq!(sent, ["a", "b"]);
        assert_eq!(plan.counts(), PairCounts { total: 2, scored: 2, ..PairCounts::default() });
        let second = request("q", &["c", "b", "a", "c"]);
        let (plan, sent) = run(&second, &context, &cache);
        assert_eq!(sent, ["c"]);
        assert_eq!(plan.counts(), PairCounts { total: 3, hit: 2, scored: 1, ..PairCounts::default() });
        let other = request("q2", &["a"]);
        assert_eq!(run(&other, &context, &cache).1, ["a"], "another query shares nothing");
    }

    #[tokio::test]
    async fn the_scores_of_a_list_are_learnt_only_where_each_fits_its_passage() {
        let cache = cache();
        let list = request("q", &["a", "", "a"]);
        let listwise = context(Scoring::Listwise);
        let mut plan = Plan::new(&list, &listwise, &cache);
        assert!(plan.learn_list(&[0.1, 0.2]).is_err(), "too few scores");
        let by_key = plan.learn_list(&[0.1, 0.2, 0.3]).unwrap();
        assert_eq!(scores(&plan), [0.1, 0.2, 0.3]);
        assert_eq!(by_key.iter().map(|(_, score)| *score).collect::<Vec<_>>(), [0.1, 0.2, 0.3]);
        let without_blanks = PlanContext { rejects_blanks: true, ..listwise };
        let mut plan = Plan::new(&list, &without_blanks, &cache);
        assert_eq!(plan.learn_list(&[0.1, 0.2, 0.3]).unwrap().len(), 2, "a blank is settled");
        assert_eq!(scores(&plan), [0.1, 0.0, 0.3]);
        let pointwise = context(Scoring::Pointwise);
        assert!(Plan::new(&list, &pointwise, &cache).learn_list(&[0.1, 0.2, 0.3]).is_err(), "a slot is shared");
    }

    /// Law 3: a listwise model's scores hold for the whole ordered list and for nothing else.
    #[tokio::test]
    async fn law_3_listwise_lists_are_all_or_nothing() {
        let cache = cache();
        let context = context(Scoring::Listwise);
        let list = request("q", &["a", "b", "a"]);
        assert_eq!(run(&list, &context, &cache).1, ["a", "b", "a"], "duplicates are part of the list");
        assert!(run(&list, &context, &cache).1.is_empty(), "the same list is known");
        for other in [&["b", "a", "a"][..], &["a", "b"], &["a", "b", "a", "c"]] {
            assert_eq!(run(&request("q", other), &context, &cache).1, other);
        }
    }

    /// Law 3: what a selector picks holds for the whole ordered list, too. Blank passages have no score and are last.
    #[tokio::test]
    async fn law_3_selections_are_all_or_nothing() {
        let cache = cache();
        let plain = context(Scoring::Selector);
        let space = ScoreSpace { scale: ScoreScale::None, ..plain.space.clone() };
        let context = PlanContext { space, rejects_blanks: true, ..plain };
        let list = request("q", &["a", " ", "b", "a"]);
        assert_eq!(run(&list, &context, &cache).1, ["a", "b", "a"], "equal passages are part of the list");
        let (known, sent) = run(&list, &context, &cache);
        assert!(sent.is_empty(), "the same list is known");
        assert_eq!(known.passages()[1].score, None);
        assert_eq!(rank(&known.passages(), None)[3].position, 1);
        for other in [&["b", " ", "a", "a"][..], &["a", " ", "b"], &["a", "b", "a"]] {
            assert!(!run(&request("q", other), &context, &cache).1.is_empty());
        }
    }

    /// Law 2: scores of two versions of a model never meet in one plan, and neither are known to the other.
    #[tokio::test]
    async fn law_2_a_plan_takes_scores_of_one_version() {
        let cache = cache();
        let [one, two] = ["1", "2"].map(|name| ModelVersion::of(Some(name)));
        let of = |version| PlanContext { version, ..context(Scoring::Pointwise) };
        let list = request("q", &["a", "b"]);
        run(&request("q", &["a"]), &of(one), &cache);
        assert_eq!(run(&list, &of(two), &cache).1, ["a", "b"], "scores of the other version are not known");

        let mut fresh = Plan::new(&list, &of(one), &ScoreCache::off());
        fresh.stale.push((SlotIndex::of(0), 0.5));
        assert!(fresh.admit_version(Some(two)), "without scores a plan takes another version");
        assert!(fresh.stale.is_empty(), "but no expired scores beside it");
        fresh.learn(SlotIndex::of(0), Some(0.5), ScoreSource::Scored);
        assert!(fresh.admit_version(Some(two)) && !fresh.mixes_versions());
        assert!(!fresh.admit_version(None) && fresh.mixes_versions());

        let mut half_known = Plan::new(&list, &of(one), &cache);
        assert!(half_known.admit_version(None) && half_known.admit_version(Some(one)));
        assert!(!half_known.admit_version(Some(two)) && half_known.mixes_versions());
    }

    /// Law 3: half of a list may be known, since the cache drops what it has no room for; it is not used.
    #[tokio::test]
    async fn law_3_half_a_known_list_is_not_used() {
        let cache = cache();
        let context = context(Scoring::Listwise);
        let list = request("q", &["a", "b", "c"]);
        let plan = Plan::new(&list, &context, &cache);
        let half = [0, 2].map(|slot| (plan.keys()[SlotIndex::of(slot)], 0.5));
        cache.put_many(plan.query(), &half);
        let plan = Plan::new(&list, &context, &cache);
        assert_eq!(plan.unknown(), [0, 1, 2].map(SlotIndex::of));
        assert!(!plan.has_scores() && !plan.can_fall_back_to_stale(), "not as stale scores either");
        assert_eq!(run(&list, &context, &cache).1, ["a", "b", "c"]);
        assert!(run(&list, &context, &cache).1.is_empty(), "the whole list is");
    }

    #[tokio::test]
    async fn cache_control_is_obeyed() {
        let cache = cache();
        let plain = context(Scoring::Pointwise);
        let no_store =
            PlanContext { control: CacheControl { store: false, ..CacheControl::default() }, ..plain.clone() };
        let no_cache =
            PlanContext { control: CacheControl { read: false, ..CacheControl::default() }, ..plain.clone() };
        let request = request("q", &["a"]);
        assert_eq!(run(&request, &no_store, &cache).1, ["a"]);
        assert_eq!(run(&request, &no_cache, &cache).1, ["a"], "nothing was stored");
        assert!(run(&request, &no_store, &cache).1.is_empty(), "no-cache stored it, no-store may read it");
        assert_eq!(run(&request, &no_cache, &cache).1, ["a"], "no-cache scores afresh");
    }

    #[tokio::test]
    async fn law_5_blank_passages_keep_their_place_and_are_not_sent() {
        let context = PlanContext { rejects_blanks: true, ..context(Scoring::Pointwise) };
        let request = request("q", &["", "a", " \t"]);
        let (plan, sent) = run(&request, &context, &cache());
        assert_eq!(sent, ["a"]);
        assert_eq!(plan.counts(), PairCounts { total: 3, scored: 1, unscored: 2, ..PairCounts::default() });
        assert_eq!(plan.passages().len(), 3);
    }

    /// A passage whose pieces were not all heard has no score, wherever the missing piece stands.
    #[tokio::test]
    async fn law_5_a_passage_is_scored_when_all_of_its_pieces_are() {
        let context = PlanContext { long_passages: LongPassages::ChunkMax(2), ..context(Scoring::Pointwise) };
        let request = request("q", &["one two three four five"]);
        let count = Plan::new(&request, &context, &cache()).unknown().len();
        assert!(count > 1);
        for missing in (0..count).map(SlotIndex::of) {
            let mut plan = Plan::new(&request, &context, &cache());
            for slot in (0..count).map(SlotIndex::of).filter(|slot| *slot != missing) {
                plan.learn(slot, Some(0.5), ScoreSource::Scored);
            }
            assert_eq!(plan.passages()[0].score, None, "{missing:?} of {count}");
            plan.learn(missing, Some(0.7), ScoreSource::Scored);
            assert_eq!(plan.passages()[0].score, Some(0.7));
        }
    }

    #[tokio::test]
    async fn blank_passages_are_no_scores_and_stale_ones_are_used_all_or_not_at_all() {
        let context = PlanContext { rejects_blanks: true, ..context(Scoring::Pointwise) };
        let mut plan = Plan::new(&request("q", &["", "a", "b"]), &context, &cache());
        assert!(!plan.has_scores(), "a blank one's is none of the model's");
        plan.stale.push((SlotIndex::of(1), 0.5));
        assert!(!plan.fall_back_to_stale());
        assert!(!plan.has_scores(), "nothing changed");
        plan.stale.push((SlotIndex::of(2), 0.5));
        assert!(plan.fall_back_to_stale() && plan.has_scores());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Law 7: cold, warm and mixed caches give the same scores and the same ranking.
        #[test]
        fn law_7_cold_warm_and_mixed_agree(
            warm in proptest::collection::vec("[abc]{0,2}", 0..12),
            list in proptest::collection::vec("[abc]{0,2}", 0..12),
            listwise in any::<bool>(),
            blanks in any::<bool>(),
        ) {
            let scoring = if listwise { Scoring::Listwise } else { Scoring::Pointwise };
            let context = PlanContext { rejects_blanks: blanks, ..context(scoring) };
            let list = request("q", &list.iter().map(String::as_str).collect::<Vec<_>>());
            let warm = request("q", &warm.iter().map(String::as_str).collect::<Vec<_>>());
            let cold = run(&list, &context, &ScoreCache::off()).0;
            let cache = cache();
            run(&warm, &context, &cache);
            let mixed = run(&list, &context, &cache).0;
            let (known, sent) = run(&list, &context, &cache);
            prop_assert!(sent.is_empty());
            prop_assert_eq!(scores(&cold), scores(&mixed));
            prop_assert_eq!(scores(&cold), scores(&known));
            let order = |plan: &Plan| rank(&plan.passages(), None).iter().map(|p| p.position).collect::<Vec<_>>();
            prop_assert_eq!(order(&cold), order(&mixed));
            for (passage, position) in cold.passages().iter().zip(0..) {
                prop_assert_eq!(passage.position, position);
            }
        }
    }
}
