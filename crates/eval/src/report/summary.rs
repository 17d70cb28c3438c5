//! The results of an evaluation in plain sentences.

use std::collections::BTreeMap;

use rerankd_core::text::{counted, grouped, printable};

use super::super::results::{Comparison, Contestant, Estimate, Kind, Results};
use super::advantages::advantages;
use super::figures::{fixed, milliseconds, percent, probability, score, signed};
use super::plain_text::listed;
use super::standings::{FEW_QUERIES, Standing};

/// The main finding in one sentence, without its full stop, with what it leaves out.
pub(super) fn headline(results: &Results) -> String {
    let outcome = outcome(results);
    match left_out(results) {
        Some(left_out) => format!("{outcome} ({left_out})"),
        None => outcome,
    }
}

/// Omissions of the main finding, in words; `None` if there are none.
pub(super) fn left_out(results: &Results) -> Option<String> {
    let left_out = &results.collection.left_out;
    let mut parts = Vec::new();
    if left_out.unjudged_queries > 0 {
        let queries = counted(left_out.unjudged_queries, "query", "queries");
        parts.push(format!("{queries} without a judgment left out"));
    }
    if left_out.queries_without_candidates > 0 {
        let queries = counted(left_out.queries_without_candidates, "query", "queries");
        parts.push(format!("{queries} without candidates counted as 0"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The headline without what it leaves out.
pub(super) fn outcome(results: &Results) -> String {
    let Some(best) = results.best() else { return "Nothing was evaluated".to_owned() };
    if results.rerankers().next().is_none() {
        return "Only the order of the first stage was evaluated".to_owned();
    }
    if results.is_first_stage_sorted_by_grade() {
        return "The passages of every query are sorted by relevance, which looks like the order of the judgments and \
                not of a search: no reranker can beat it"
            .to_owned();
    }
    let queries = results.collection.queries;
    let are = counted(queries, "query is", "queries are");
    // Few queries show no difference even where there is a large one, so its absence is no finding.
    if results.is_lead_of_first_stage_unclear() {
        return format!("{are} too few to tell whether a reranker is better than the order of the first stage");
    }
    // Only the first stage itself is not compared with the first stage.
    if best.against_none.is_none() && results.first_stage().is_some() {
        return "No reranker beats the order of the first stage".to_owned();
    }
    if results.rerankers().all(is_no_improvement) {
        if queries < FEW_QUERIES && best.standing_to_first_stage() == Some(Standing::Noise) {
            let name = printable(&best.name);
            return format!("{are} too few to tell whether {name} is better than the order of the first stage");
        }
        return "No reranker is measurably better than the order of the first stage".to_owned();
    }
    let name = printable(&best.name);
    let over = if queries < FEW_QUERIES {
        format!(" over only {}", counted(queries, "query", "queries"))
    } else {
        String::new()
    };
    match results.peers().as_slice() {
        [] => format!("{name} ranks best{over}"),
        [one] => format!("{name} ranks best{over}, but {} may be as good", printable(&one.name)),
        several => format!("{name} ranks best{over}, but {} others may be as good", several.len()),
    }
}

/// Returns true if the contestant was compared with the first stage and is not measurably better.
fn is_no_improvement(contestant: &Contestant) -> bool {
    matches!(contestant.standing_to_first_stage(), Some(Standing::Noise | Standing::Worse))
}

/// The evidence for the headline: the mean of the best contestant and its gain over the first stage, then its equals
/// with their advantages, or the next reranker.
pub(super) fn finding(results: &Results) -> Vec<String> {
    let Some(best) = results.best() else { return Vec::new() };
    let metric = printable(results.decisive());
    let mut sentences = Vec::new();
    if results.is_first_stage_sorted_by_grade() {
        sentences.push(
            "To compare rerankers, give the passages in the order of your search, or let BM25 rank them: --candidates \
             bm25:50, or --candidates judged where irrelevant passages are judged too (grade 0)."
                .to_owned(),
        );
    }
    if let Some(estimate) = best.estimate(results.decisive()) {
        let gain = match &best.against_none {
            Some(comparison) => gain(comparison),
            None => String::new(),
        };
        let interval = if estimate.has_interval() {
            format!(" (95 % interval {} to {})", score(estimate.low), score(estimate.high))
        } else {
            String::new()
        };
        let mean = score(estimate.mean);
        sentences.push(format!("{} has a mean {metric} of {mean}{interval}{gain}.", subject(best, "The")));
    }
    let peers = results.peers();
    if peers.is_empty() {
        sentences.extend(runner_up(results));
    } else {
        sentences.push(equals(results, best, &peers));
    }
    sentences
}

/// A contestant as the subject of a sentence; `the` is the article in the case that its position needs.
fn subject(contestant: &Contestant, the: &str) -> String {
    match contestant.kind {
        Kind::None => format!("{the} order of the first stage"),
        Kind::Model => printable(&contestant.name),
    }
}

/// The difference from the first stage as the end of a sentence.
fn gain(comparison: &Comparison) -> String {
    let Estimate { mean, low, high } = comparison.difference;
    let difference = score(mean.abs());
    let more = if mean < 0.0 { "less" } else { "more" };
    if !comparison.difference.has_interval() {
        return format!(": {difference} {more} than the order of the first stage");
    }
    let low = signed(low);
    let high = signed(high);
    let p = probability(comparison.p_adjusted);
    let chance = if Standing::of(comparison) == Standing::Noise { ", which may be chance" } else { "" };
    format!(": {difference} {more} than the order of the first stage ({low} to {high}, adjusted {p}){chance}")
}

/// The sentence about the second-best reranker, if there is one.
fn runner_up(results: &Results) -> Option<String> {
    for contestant in results.rerankers() {
        if let Some(comparison) = &contestant.against_best {
            let name = printable(&contestant.name);
            let difference = signed(comparison.difference.mean);
            let p = probability(comparison.p_adjusted);
            return Some(format!("The next reranker, {name}, is worse ({difference}, adjusted {p})."));
        }
    }
    None
}

/// The sentence about `peers`, which may be as good as `best`, with the cheapest and the fastest of all these.
fn equals(results: &Results, best: &Contestant, peers: &[&Contestant]) -> String {
    let subject = subject(best, "the");
    let queries = counted(results.collection.queries, "query", "queries");
    let sentence = format!("Over {queries} {subject} cannot be told apart from {}.", names(peers));
    // If the first stage is best, even the cheapest reranker costs more and brings nothing.
    if best.against_none.is_none() {
        return sentence;
    }
    let mut candidates = vec![best];
    candidates.extend_from_slice(peers);
    let advantages = advantages(&candidates);
    if advantages.is_empty() {
        return sentence;
    }
    format!("{sentence} Of these, {}.", advantages.join(" and "))
}

/// The size of the collection, the source of its candidates, and the best that a reranker could reach with them.
pub(super) fn collection(results: &Results) -> Vec<String> {
    let collection = &results.collection;
    let judgments = match &collection.judgments {
        Some(file) => format!(", judged by {}", printable(file)),
        None => String::new(),
    };
    let unjudged = match collection.left_out.unjudged_queries {
        0 => String::new(),
        count => format!(" ({} more without a judgment)", grouped(count)),
    };
    let mut sentences = vec![format!(
        "Collection {}: {}{unjudged} over {}{judgments}; candidates: {}, {} a query.",
        printable(&collection.name),
        counted(collection.queries, "query", "queries"),
        counted(collection.passages, "passage", "passages"),
        printable(&collection.first_stage),
        fixed(collection.candidates_per_query, 0)
    )];
    match collection.recall_ceiling {
        None => sentences
            .push("Nothing is relevant: no query has a passage of grade 1 or more, so all metrics are 0.".to_owned()),
        Some(all) if all >= 1.0 => sentences.push("All relevant passages are among these candidates.".to_owned()),
        Some(part) if part.is_finite() => sentences.push(format!(
            "No reranker can find more than {} of the relevant passages: no more are among these candidates.",
            percent(part)
        )),
        // Nothing can be claimed of NaN.
        Some(_) => {}
    }
    sentences
}

/// The contestants that `AutoRAG`'s strategies choose, a caution where the choice may be chance, and the contestants
/// that could not be chosen.
pub(super) fn choice(results: &Results) -> Vec<String> {
    let choice = &results.choice;
    // Strategies that agree share a clause.
    let mut strategies_by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (strategy, name) in &choice.by_strategy {
        strategies_by_name.entry(name).or_default().push(strategy);
    }
    if strategies_by_name.is_empty() {
        return Vec::new();
    }
    let mut clauses = Vec::new();
    for (name, strategies) in &strategies_by_name {
        clauses.push(format!("{} by {}", printable(name), listed(strategies)));
    }
    let among = match choice.speed_threshold_ms {
        Some(threshold) => format!(" among those within {} ms a query on average", milliseconds(threshold)),
        None => String::new(),
    };
    let mut sentences =
        vec![format!("AutoRAG's rules, which take every difference for real, choose{among}: {}.", clauses.join("; "))];

    let mut doubtful = Vec::new();
    for contestant in results.rerankers() {
        if strategies_by_name.contains_key(contestant.name.as_str()) && is_no_improvement(contestant) {
            doubtful.push(contestant);
        }
    }
    if !doubtful.is_empty() {
        let verb = if doubtful.len() == 1 { "is" } else { "are" };
        sentences.push(format!("{} {verb} not measurably better than the order of the first stage.", names(&doubtful)));
    }
    if !choice.too_slow.is_empty() {
        sentences.push(format!("Too slow: {}.", listed(&choice.too_slow)));
    }
    if !choice.not_timed.is_empty() {
        sentences.push(format!("Not timed, and so left out: {}.", listed(&choice.not_timed)));
    }
    sentences
}

/// Instructions for reading the verdicts: names that stand for others, the words `worse` and `as good as the best`, and
/// intervals that seem to say something else.
pub(super) fn reading(results: &Results) -> Vec<String> {
    let mut aliases = Vec::new();
    let mut any_worse = false;
    let mut any_noise = false;
    let mut any_contradiction = false;
    for contestant in &results.contestants {
        // An alias stands for one model. A mix of several is a warning, not an alias.
        if let [model] = contestant.answered_by.as_slice()
            && *model != contestant.name
        {
            aliases.push(format!("{} is {model}", contestant.name));
        }
        match contestant.standing_to_best() {
            Some(Standing::Worse) => any_worse = true,
            Some(Standing::Noise) => any_noise = true,
            Some(Standing::Better) | None => {}
        }
        any_contradiction |= contestant.against_none.is_some_and(|comparison| comparison.is_contradictory());
    }

    let mut sentences = Vec::new();
    if !aliases.is_empty() {
        sentences.push(format!("Here {}.", listed(aliases)));
    }
    if any_worse {
        sentences.push(
            "Worse: p is the probability of such a difference by chance, adjusted for the number of contestants."
                .to_owned(),
        );
    }
    if any_contradiction {
        sentences.push(
            "Where the interval of Δ to none and p disagree, p decides: the interval is of that one comparison and too \
             narrow where few queries differ, while p is adjusted for all of them."
                .to_owned(),
        );
    }
    let queries = results.collection.queries;
    // Over fewer queries the verdict is another, which the sentence below explains.
    if any_noise && queries >= FEW_QUERIES {
        sentences.push(
            "As good as the best: the difference from it may well be chance (adjusted p of 0.05 or more), \
             so price and speed may decide."
                .to_owned(),
        );
    }
    if queries < FEW_QUERIES {
        let only = counted(queries, "query", "queries");
        sentences.push(format!("With only {only}, small differences mean nothing; judge more."));
    }
    sentences
}

/// The names of `contestants` as a sentence lists them.
fn names(contestants: &[&Contestant]) -> String {
    listed(contestants.iter().map(|contestant| &contestant.name))
}

#[cfg(test)]
mod tests {
    use super::super::super::collection::LeftOut;
    use super::super::sample;
    use super::*;

    fn compared(difference: f64, is_noise: bool) -> Comparison {
        let difference = Estimate { mean: difference, low: difference - 0.02, high: difference + 0.02 };
        let p = if is_noise { 0.4 } else { 0.002 };
        Comparison { difference, p, p_adjusted: p, is_noise }
    }

    /// `a`, then `b`, then `none`: `b` against `a`, and both against `none`.
    fn results(queries: usize, b: Comparison, against_none: [Comparison; 2]) -> Results {
        let mut results = sample::results(3);
        results.collection.queries = queries;
        results.collection.left_out = LeftOut::default();
        results
            .contestants
            .retain(|it| ["cohere/rerank-v4.0-pro", "voyage/rerank-2.5", "none"].contains(&it.name.as_str()));
        results.contestants.sort_by(|one, other| other.metrics["ndcg@10"].mean.total_cmp(&one.metrics["ndcg@10"].mean));
        let place = results.contestants.iter().position(|it| it.name == "none").unwrap();
        let none = results.contestants.remove(place);
        results.contestants.push(none);
        for (contestant, (name, against_none)) in
            results.contestants.iter_mut().zip(["a", "b"].into_iter().zip(against_none))
        {
            contestant.name = name.to_owned();
            contestant.against_none = Some(against_none);
        }
        results.contestants[0].against_best = None;
        results.contestants[1].against_best = Some(b);
        results
    }

    #[test]
    fn the_headline_claims_no_more_than_was_found() {
        let better = compared(0.1, false);
        let noise = compared(0.01, true);
        let one = |queries, b, none| headline(&results(queries, b, none));
        assert_eq!(one(300, compared(-0.05, false), [better, better]), "a ranks best");
        assert_eq!(one(300, compared(-0.01, true), [better, better]), "a ranks best, but b may be as good");
        assert_eq!(one(12, compared(-0.05, false), [better, better]), "a ranks best over only 12 queries");
        let nothing = "No reranker is measurably better than the order of the first stage";
        assert_eq!(one(300, compared(-0.01, true), [noise, noise]), nothing);
        assert_eq!(
            one(10, compared(-0.01, true), [noise, noise]),
            "10 queries are too few to tell whether a is better than the order of the first stage"
        );

        let mut worse = results(300, compared(-0.01, true), [compared(-0.1, false), noise]);
        worse.contestants.rotate_right(1);
        assert_eq!(headline(&worse), "No reranker beats the order of the first stage");
        worse.collection.queries = 3;
        assert_eq!(
            headline(&worse),
            "3 queries are too few to tell whether a reranker is better than the order of the first stage"
        );
        assert_eq!(worse.verdict(&worse.contestants[0]), "highest mean; too few queries to tell");
        worse.collection.left_out.queries_sorted_by_grade = 3;
        assert!(headline(&worse).starts_with("The passages of every query are sorted by relevance"));
        assert!(finding(&worse)[0].contains("--candidates bm25:50"));
        assert_eq!(worse.verdict(&worse.contestants[0]), "sorted by grade");
        worse.collection.queries = 4;
        assert!(headline(&worse).starts_with("4 queries are too few"));
        worse.contestants.truncate(1);
        assert_eq!(headline(&worse), "Only the order of the first stage was evaluated");
        worse.collection.left_out =
            LeftOut { unjudged_queries: 1, queries_without_candidates: 7, ..LeftOut::default() };
        assert_eq!(
            headline(&worse),
            "Only the order of the first stage was evaluated (1 query without a judgment left out, 7 queries without \
             candidates counted as 0)"
        );
        worse.collection.left_out = LeftOut::default();
        worse.contestants.clear();
        assert_eq!(headline(&worse), "Nothing was evaluated");
        assert_eq!(finding(&worse), [""; 0]);
    }

    #[test]
    fn an_interval_that_contradicts_p_is_explained() {
        let explained = |comparison| {
            let results = results(97, compared(-0.05, false), [comparison, compared(0.1, false)]);
            reading(&results).iter().any(|sentence| sentence.ends_with("while p is adjusted for all of them."))
        };
        // Intervals reach 0.02 to either side.
        assert!(
            explained(compared(0.03, true)) && explained(compared(-0.03, true)) && explained(compared(0.01, false))
        );
        assert!(!explained(compared(0.01, true)) && !explained(compared(0.03, false)));
    }

    #[test]
    fn one_query_has_neither_interval_nor_p() {
        let mut none = compared(0.1, true);
        none.difference.low = f64::NAN;
        none.difference.high = f64::NAN;
        let mut results = results(1, compared(-0.05, true), [none, none]);
        results.contestants[0].metrics.insert("ndcg@10".to_owned(), Estimate { mean: 1.0, ..none.difference });
        assert_eq!(
            finding(&results)[0],
            "a has a mean ndcg@10 of 1.000: 0.100 more than the order of the first stage."
        );
        assert!(!reading(&results).iter().any(|sentence| sentence.contains("disagree")));
    }

    #[test]
    fn equals_are_told_apart_by_price_and_speed() {
        let mut results = results(300, compared(-0.01, true), [compared(0.1, false); 2]);
        let mut set = |usd: [Option<f64>; 2], cold: [f64; 2]| {
            for (contestant, (usd, cold)) in results.contestants.iter_mut().zip(usd.into_iter().zip(cold)) {
                contestant.cost.as_mut().unwrap().usd_per_1000_queries = usd;
                contestant.latency.as_mut().unwrap().cold.mean = cold;
            }
            finding(&results)[1].clone()
        };
        let start = "Over 300 queries a cannot be told apart from b.";
        let both = set([Some(2.0), Some(0.05)], [400.0, 9.0]);
        assert_eq!(
            both,
            format!(
                "{start} Of these, b is the cheapest ($0.050 for 1,000 queries) and the fastest (9.0 ms on average)."
            )
        );
        let each = set([Some(2.0), Some(0.05)], [40.0, 90.0]);
        assert_eq!(
            each,
            format!(
                "{start} Of these, b is the cheapest ($0.050 for 1,000 queries) and a is the fastest (40 ms on average)."
            )
        );
        assert_eq!(set([Some(2.0), None], [9.0, 9.5]), start);
        assert_eq!(set([Some(2.0), Some(2.0)], [9.0, f64::NAN]), start);
    }

    #[test]
    fn the_choice_names_its_threshold() {
        let mut results = sample::results(3);
        let strategies = [("mean", "a"), ("normalize_mean", "b"), ("rank", "a")];
        results.choice.by_strategy = strategies.map(|(strategy, name)| (strategy.to_owned(), name.to_owned())).into();
        results.choice.too_slow = vec!["c".to_owned()];
        results.choice.not_timed = vec!["d".to_owned(), "e".to_owned()];
        let chosen = "a by mean and rank; b by normalize_mean";
        let rules = "AutoRAG's rules, which take every difference for real, choose";
        assert_eq!(
            choice(&results),
            [
                format!("{rules} among those within 800 ms a query on average: {chosen}."),
                "Too slow: c.".to_owned(),
                "Not timed, and so left out: d and e.".to_owned()
            ]
        );
        results.choice.speed_threshold_ms = None;
        results.choice.too_slow.clear();
        results.choice.not_timed.clear();
        assert_eq!(choice(&results), [format!("{rules}: {chosen}.")]);
    }

    #[test]
    fn a_choice_that_may_be_chance_is_told_as_one() {
        let chosen = |against_none| {
            let mut results = results(300, compared(-0.01, true), [against_none, compared(0.1, false)]);
            results.choice.by_strategy = [("mean".to_owned(), "a".to_owned())].into();
            results.choice.speed_threshold_ms = None;
            choice(&results).split_off(1)
        };
        assert_eq!(chosen(compared(0.01, true)), ["a is not measurably better than the order of the first stage."]);
        assert_eq!(chosen(compared(0.1, false)), [""; 0]);
    }

    #[test]
    fn a_collection_without_relevant_passages_has_no_recall_ceiling() {
        let mut results = sample::results(3);
        results.collection.recall_ceiling = None;
        let sentences = collection(&results);
        assert!(sentences[1].starts_with("Nothing is relevant: no query has a passage of grade 1"), "{sentences:?}");
    }

    #[test]
    fn names_that_stand_for_others_are_told() {
        let mut results = sample::results(3);
        results.contestants.retain(|contestant| contestant.kind == Kind::None || contestant.name == "local");
        assert_eq!(reading(&results).iter().find(|it| it.starts_with("Here")), None);
        results.contestants.iter_mut().find(|it| it.name == "local").unwrap().answered_by =
            vec!["local/lexical".to_owned()];
        assert_eq!(reading(&results)[0], "Here local is local/lexical.");
    }
}
