//! Which pairs a request is made of, and which of them are known.
//!
//! ```text
//!  positions  0  1  2  3  4         slots are the distinct pairs, in the order of their first passage
//!             │  │  │  │  │
//!  slots      0  1  0  2  3         known: 0.7  –  –  blank
//!                                   unknown slots 1 and 2 are what is sent upstream, exactly
//! ```
//! For a pointwise model equal passages share a slot. For a listwise model every position is a slot of its own, under a key made
//! of the whole ordered list, and all are unknown unless all are known.

use crate::cache::ScoreCache;
use crate::cache::control::CacheControl;
use crate::cache::key::{CacheScope, PairKey, PairMap, QueryKey, ScoreSpace};
use crate::provider::Scoring;
use crate::rerank::request::{Passage, RerankRequest};
use crate::rerank::response::{PairCounts, RankedPassage, ScoreSource};

/// What a plan depends on beside the request.
#[derive(Clone, Debug)]
pub struct PlanContext {
    /// Where the scores will come from.
    pub space: ScoreSpace,
    /// Whether scores depend on the list.
    pub scoring: Scoring,
    /// Whether the upstream must not see blank passages: then they get the floor of the scale, or no score if it has none.
    pub rejects_blanks: bool,
    /// Whose scores may be used.
    pub scope: CacheScope,
    /// What the client allows.
    pub control: CacheControl,
}

/// The pairs of one request against one target.
#[derive(Debug)]
pub struct Plan {
    query: QueryKey,
    /// Position to slot.
    slots: Vec<u32>,
    pairs: Vec<Pair>,
    unknown: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    key: PairKey,
    first_position: u32,
    score: Option<f64>,
    source: ScoreSource,
}

impl Plan {
    /// Keys every passage, folds equal ones, and looks up what is known: one look-up pass.
    #[must_use]
    pub fn new(request: &RerankRequest, context: &PlanContext, cache: &ScoreCache) -> Self {
        let query = QueryKey::new(context.scope, &context.space, &request.options, &request.query);
        let mut plan = match context.scoring {
            Scoring::Pointwise => Self::pointwise(query, &request.passages),
            Scoring::Listwise => Self::listwise(query.of_list(&request.passages), &request.passages),
        };
        if context.rejects_blanks {
            plan.settle_blanks(&request.passages, context.space.scale.floor());
        }
        if context.control.read {
            plan.look_up(cache, context.scoring);
        }
        let unknown = plan.pairs.iter().enumerate().filter(|(_, pair)| pair.source == ScoreSource::Unscored);
        plan.unknown = unknown.map(|(slot, _)| small(slot)).collect();
        plan
    }

    fn pointwise(query: QueryKey, passages: &[Passage]) -> Self {
        let mut slot_of = PairMap::with_capacity_and_hasher(passages.len(), std::hash::BuildHasherDefault::default());
        let mut pairs = Vec::with_capacity(passages.len());
        let keys = query.pairs(passages.iter().map(|passage| &*passage.text));
        let slots = keys.into_iter().enumerate().map(|(position, key)| {
            *slot_of.entry(key).or_insert_with(|| {
                pairs.push(Pair::unknown(key, position));
                small(pairs.len() - 1)
            })
        });
        let slots = slots.collect();
        Self { query, slots, pairs, unknown: Vec::new() }
    }

    fn listwise(list: QueryKey, passages: &[Passage]) -> Self {
        let pairs = (0..passages.len()).map(|position| Pair::unknown(list.place(position), position)).collect();
        Self { query: list, slots: (0..small(passages.len())).collect(), pairs, unknown: Vec::new() }
    }

    fn settle_blanks(&mut self, passages: &[Passage], score: Option<f64>) {
        for pair in &mut self.pairs {
            if passages[pair.first_position as usize].text.trim().is_empty() {
                pair.settle(score, ScoreSource::Blank);
            }
        }
    }

    fn look_up(&mut self, cache: &ScoreCache, scoring: Scoring) {
        let keys: Vec<_> = self.pairs.iter().map(|pair| pair.key).collect();
        let known = cache.get_many(&self.query, &keys);
        let is_known = |(pair, known): (&Pair, &Option<f64>)| pair.source == ScoreSource::Blank || known.is_some();
        let complete = self.pairs.iter().zip(&known).all(is_known);
        if scoring == Scoring::Listwise && !complete {
            return;
        }
        for (pair, known) in self.pairs.iter_mut().zip(known) {
            if known.is_some() && pair.source == ScoreSource::Unscored {
                pair.settle(known, ScoreSource::Cache);
            }
        }
    }

    /// The slots that must be scored, in input order.
    #[must_use]
    pub fn unknown(&self) -> &[u32] {
        &self.unknown
    }

    /// The positions of the passages that stand for the unknown slots, in the same order.
    #[must_use]
    pub fn unknown_positions(&self) -> Vec<usize> {
        self.unknown.iter().map(|slot| self.pairs[*slot as usize].first_position as usize).collect()
    }

    /// Takes in the scores of `slots`, in the same order, and hands them to the cache.
    pub fn learn(&mut self, slots: &[u32], scores: &[f64], cache: Option<&ScoreCache>) {
        debug_assert_eq!(slots.len(), scores.len());
        let mut learnt = Vec::with_capacity(slots.len());
        for (&slot, &score) in slots.iter().zip(scores) {
            let pair = &mut self.pairs[slot as usize];
            pair.settle(Some(score), ScoreSource::Scored);
            learnt.push((pair.key, score));
        }
        if let Some(cache) = cache {
            cache.put_many(&self.query, &learnt);
        }
    }

    /// Every position of the request, exactly once, with what is known of it.
    #[must_use]
    pub fn passages(&self) -> Vec<RankedPassage> {
        let passage = |(position, &slot): (usize, &u32)| {
            let pair = &self.pairs[slot as usize];
            RankedPassage { position, score: pair.score, source: pair.source }
        };
        self.slots.iter().enumerate().map(passage).collect()
    }

    /// How the pairs became known.
    #[must_use]
    pub fn counts(&self) -> PairCounts {
        let count = |source| self.pairs.iter().filter(|pair| pair.source == source).count();
        PairCounts {
            total: self.pairs.len(),
            hit: count(ScoreSource::Cache),
            coalesced: 0,
            scored: count(ScoreSource::Scored),
            unscored: count(ScoreSource::Blank) + count(ScoreSource::Unscored),
        }
    }
}

impl Pair {
    fn unknown(key: PairKey, position: usize) -> Self {
        Self { key, first_position: small(position), score: None, source: ScoreSource::Unscored }
    }

    fn settle(&mut self, score: Option<f64>, source: ScoreSource) {
        self.score = score;
        self.source = source;
    }
}

/// A place in a list of passages. The body limit keeps lists far below 2^32.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::provider::ScoreScale;
    use crate::rerank::rank::rank;

    fn context(scoring: Scoring) -> PlanContext {
        PlanContext {
            space: ScoreSpace {
                upstream: "u".into(),
                model: "m".into(),
                revision: String::new(),
                scale: ScoreScale::Probability,
            },
            scoring,
            rejects_blanks: false,
            scope: CacheScope::SHARED,
            control: CacheControl::default(),
        }
    }

    fn request(query: &str, passages: &[&str]) -> RerankRequest {
        RerankRequest {
            query: query.into(),
            passages: passages.iter().copied().map(Passage::from).collect(),
            ..RerankRequest::default()
        }
    }

    fn cache() -> ScoreCache {
        ScoreCache::in_memory(1 << 20, Duration::from_secs(60))
    }

    fn score_of(query: &str, passage: &str) -> f64 {
        f64::from(blake3::hash(format!("{query}|{passage}").as_bytes()).as_bytes()[0]) / 16.0
    }

    /// Plans and scores what is unknown; returns what would have been sent.
    fn run<'a>(request: &'a RerankRequest, context: &PlanContext, cache: &ScoreCache) -> (Plan, Vec<&'a str>) {
        let mut plan = Plan::new(request, context, cache);
        let slots = plan.unknown().to_vec();
        let sent: Vec<&str> =
            plan.unknown_positions().iter().map(|position| &*request.passages[*position].text).collect();
        let scores: Vec<_> = sent.iter().map(|passage| score_of(&request.query, passage)).collect();
        plan.learn(&slots, &scores, context.control.store.then_some(cache));
        (plan, sent)
    }

    fn scores(plan: &Plan) -> Vec<f64> {
        plan.passages().iter().map(|passage| passage.score.unwrap()).collect()
    }

    #[tokio::test]
    async fn only_unknown_distinct_passages_are_sent() {
        let (cache, context) = (cache(), context(Scoring::Pointwise));
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

    /// Law 3: a listwise model's scores hold for the whole ordered list and for nothing else.
    #[tokio::test]
    async fn law_3_listwise_lists_are_all_or_nothing() {
        let (cache, context) = (cache(), context(Scoring::Listwise));
        let list = request("q", &["a", "b", "a"]);
        assert_eq!(run(&list, &context, &cache).1, ["a", "b", "a"], "duplicates are part of the list");
        assert!(run(&list, &context, &cache).1.is_empty(), "the same list is known");
        for other in [&["b", "a", "a"][..], &["a", "b"], &["a", "b", "a", "c"]] {
            assert_eq!(run(&request("q", other), &context, &cache).1, other);
        }
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Law 7: cold, warm and mixed caches give the same scores and the same ranking.
        #[test]
        fn law_7_cold_warm_and_mixed_agree(
            warm in proptest::collection::vec("[abc]{0,2}", 0..12), list in proptest::collection::vec("[abc]{0,2}", 0..12),
            listwise in any::<bool>(), blanks in any::<bool>(),
        ) {
            let scoring = if listwise { Scoring::Listwise } else { Scoring::Pointwise };
            let context = PlanContext { rejects_blanks: blanks, ..context(scoring) };
            let texts = |list: &[String]| request("q", &list.iter().map(String::as_str).collect::<Vec<_>>());
            let (list, warm) = (texts(&list), texts(&warm));
            let cold = run(&list, &context, &ScoreCache::off()).0;
            let cache = cache();
            run(&warm, &context, &cache);
            let mixed = run(&list, &context, &cache).0;
            let (known, sent) = run(&list, &context, &cache);
            prop_assert!(sent.is_empty());
            prop_assert_eq!(scores(&cold), scores(&mixed));
            prop_assert_eq!(scores(&cold), scores(&known));
            let order = |plan: &Plan| rank(plan.passages(), None).iter().map(|p| p.position).collect::<Vec<_>>();
            prop_assert_eq!(order(&cold), order(&mixed));
            for (passage, position) in cold.passages().iter().zip(0..) {
                prop_assert_eq!(passage.position, position);
            }
        }
    }
}
