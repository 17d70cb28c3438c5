//! The evaluation in plain sentences.

use std::collections::BTreeMap;

use super::super::results::{Comparison, Contestant, Estimate, Kind, Results};
use super::facts::{FEW_QUERIES, Standing};
use super::figures::{dollars, fixed, grouped, milliseconds, percent, probability, score, signed};
use super::text::{counted, listed, printable};

/// The finding in one sentence, without its full stop.
pub(super) fn headline(results: &Results) -> String {
    let Some(best) = results.best() else { return "Nothing was evaluated".to_owned() };
    if results.rerankers().next().is_none() {
        return "Only the order of the first stage was evaluated".to_owned();
    }
    let helped = |contestant: &Contestant| !matches!(contestant.to_none(), Some(Standing::Noise | Standing::Worse));
    if best.against_none.is_none() && results.none().is_some() {
        return "No reranker beats the order of the first stage".to_owned();
    }
    if !results.rerankers().any(helped) {
        return "No reranker is measurably better than the order of the first stage".to_owned();
    }
    let name = printable(&best.name);
    let over = match results.collection.queries {
        few if few < FEW_QUERIES => format!(" over only {}", counted(few, "query", "queries")),
        _ => String::new(),
    };
    match results.peers().as_slice() {
        [] => format!("{name} ranks best{over}"),
        [one] => format!("{name} ranks best{over}, but {} may be as good", printable(&one.name)),
        several => format!("{name} ranks best{over}, but {} others may be as good", several.len()),
    }
}

/// What the headline rests on: how much better, than whom, and what the others have for them.
pub(super) fn finding(results: &Results) -> Vec<String> {
    let Some(best) = results.best() else { return Vec::new() };
    let metric = printable(results.decisive());
    let mut sentences = Vec::new();
    if let Some(estimate) = best.estimate(results.decisive()) {
        sentences.push(format!(
            "{} has a mean {metric} of {} (95 % interval {} to {}){}.",
            subject(best, "The"),
            score(estimate.mean),
            score(estimate.low),
            score(estimate.high),
            best.against_none.as_ref().map_or_else(String::new, gain)
        ));
    }
    sentences.extend(peers(results, best));
    sentences
}

/// A contestant as the subject of a sentence; `the` as it stands in its place.
fn subject(contestant: &Contestant, the: &str) -> String {
    match contestant.kind {
        Kind::None => format!("{the} order of the first stage"),
        Kind::Model => printable(&contestant.name),
    }
}

/// The difference from the order of the first stage, as the end of a sentence.
fn gain(comparison: &Comparison) -> String {
    let Estimate { mean, low, high } = comparison.difference;
    let p = probability(comparison.p_adjusted);
    let chance = if Standing::of(comparison) == Standing::Noise { ", which may be chance" } else { "" };
    let more = if mean < 0.0 { "less" } else { "more" };
    let difference = score(mean.abs());
    format!(
        ": {difference} {more} than the order of the first stage ({} to {}, adjusted {p}){chance}",
        signed(low),
        signed(high)
    )
}

fn peers(results: &Results, best: &Contestant) -> Option<String> {
    let peers = results.peers();
    let others = names(&peers);
    let queries = counted(results.collection.queries, "query", "queries");
    if peers.is_empty() {
        let next = results.rerankers().find(|contestant| contestant.against_best.is_some())?;
        let comparison = next.against_best.as_ref()?;
        let difference = signed(comparison.difference.mean);
        let p = probability(comparison.p_adjusted);
        return Some(format!("The next reranker, {}, is worse ({difference}, adjusted {p}).", printable(&next.name)));
    }
    let mut equals = peers;
    // Where nothing is better than no reranker, the cheapest of them is still one too many.
    if best.against_none.is_some() {
        equals.insert(0, best);
    } else {
        equals.clear();
    }
    let cheapest = least(&equals, Contestant::usd);
    let fastest = least(&equals, Contestant::cold_mean);
    let is_both = cheapest.zip(fastest).is_some_and(|(one, other)| std::ptr::eq(one.contestant, other.contestant));
    let cheapest = cheapest.map(|it| {
        let superlative = it.of_all("cheapest", "of known cost");
        format!("{} is the {superlative} ({} for 1,000 queries)", printable(&it.contestant.name), dollars(it.amount))
    });
    let fastest = fastest.map(|it| {
        let superlative = it.of_all("fastest", "that was timed");
        let subject = if is_both { "the".to_owned() } else { format!("{} is the", printable(&it.contestant.name)) };
        format!("{subject} {superlative} ({} ms on average)", milliseconds(it.amount))
    });
    let clauses: Vec<_> = cheapest.into_iter().chain(fastest).collect();
    let advantages = if clauses.is_empty() { String::new() } else { format!(" Of these, {}.", clauses.join(" and ")) };
    Some(format!("Over {queries} {} cannot be told apart from {}.{advantages}", subject(best, "the"), others))
}

/// Who has the least of something.
#[derive(Clone, Copy)]
struct Least<'a> {
    contestant: &'a Contestant,
    amount: f64,
    /// Whether it is known how much everybody has.
    all_known: bool,
}

impl Least<'_> {
    /// `superlative`, with `limit` if some are not known.
    fn of_all(&self, superlative: &str, limit: &str) -> String {
        if self.all_known { superlative.to_owned() } else { format!("{superlative} {limit}") }
    }
}

/// Shares by which amounts may differ and are still called the same.
const ALIKE: f64 = 1.25;

/// Who has least, if it is clearly less than what any other has.
fn least<'a>(contestants: &[&'a Contestant], amount: impl Fn(&Contestant) -> Option<f64>) -> Option<Least<'a>> {
    let known: Vec<_> = contestants.iter().filter_map(|&contestant| Some((contestant, amount(contestant)?))).collect();
    let (contestant, least) = known.iter().copied().min_by(|one, other| one.1.total_cmp(&other.1))?;
    let others = known.iter().filter(|other| !std::ptr::eq(other.0, contestant));
    let differs = known.len() > 1 && others.map(|other| other.1).all(|other| other > least * ALIKE);
    differs.then_some(Least { contestant, amount: least, all_known: known.len() == contestants.len() })
}

/// What was ranked, and what the best reranker could reach.
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
        Some(_) => {}
    }
    sentences
}

/// Who is chosen, and what for.
pub(super) fn choice(results: &Results) -> Vec<String> {
    let choice = &results.choice;
    let mut chosen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (strategy, name) in &choice.by_strategy {
        chosen.entry(name).or_default().push(strategy);
    }
    if chosen.is_empty() {
        return Vec::new();
    }
    let clauses: Vec<_> =
        chosen.iter().map(|(name, strategies)| format!("{} by {}", printable(name), listed(strategies))).collect();
    let among = match choice.speed_threshold_ms {
        Some(threshold) => format!(" among those within {} ms a query on average", milliseconds(threshold)),
        None => String::new(),
    };
    let mut sentences =
        vec![format!("AutoRAG's rules, which take every difference for real, choose{among}: {}.", clauses.join("; "))];
    let is_doubtful = |it: &&Contestant| {
        chosen.contains_key(it.name.as_str()) && matches!(it.to_none(), Some(Standing::Noise | Standing::Worse))
    };
    if let doubtful @ [_, ..] = results.rerankers().filter(is_doubtful).collect::<Vec<_>>().as_slice() {
        let verb = if doubtful.len() == 1 { "is" } else { "are" };
        sentences.push(format!("{} {verb} not measurably better than the order of the first stage.", names(doubtful)));
    }
    for (what, names) in [("Too slow", &choice.too_slow), ("Not timed, and so left out", &choice.not_timed)] {
        if !names.is_empty() {
            sentences.push(format!("{what}: {}.", listed(names)));
        }
    }
    sentences
}

/// How to read the verdicts.
pub(super) fn reading(results: &Results) -> Vec<String> {
    let mut sentences = Vec::new();
    let stands_for = |contestant: &Contestant| match contestant.answered_by.as_slice() {
        [one] if *one != contestant.name => Some(format!("{} is {one}", contestant.name)),
        _ => None,
    };
    let short: Vec<_> = results.contestants.iter().filter_map(stands_for).collect();
    if !short.is_empty() {
        sentences.push(format!("Here {}.", listed(short)));
    }
    let is_any = |standing| results.contestants.iter().any(|contestant| contestant.to_best() == Some(standing));
    if is_any(Standing::Worse) {
        sentences.push(
            "Worse: p is the probability of such a difference by chance, adjusted for the number of contestants."
                .to_owned(),
        );
    }
    if is_any(Standing::Noise) {
        sentences.push(
            "Noise: the difference from the best may well be chance (adjusted p of 0.05 or more), so price and speed may decide."
                .to_owned(),
        );
    }
    let queries = results.collection.queries;
    if queries < FEW_QUERIES {
        let only = counted(queries, "query", "queries");
        sentences.push(format!("With only {only}, small differences mean nothing; judge more."));
    }
    sentences
}

/// Their names, as a sentence lists them.
fn names(contestants: &[&Contestant]) -> String {
    listed(contestants.iter().map(|contestant| &contestant.name))
}

#[cfg(test)]
mod tests {
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
        let (better, noise) = (compared(0.1, false), compared(0.01, true));
        let one = |queries, b, none| headline(&results(queries, b, none));
        assert_eq!(one(300, compared(-0.05, false), [better, better]), "a ranks best");
        assert_eq!(one(300, compared(-0.01, true), [better, better]), "a ranks best, but b may be as good");
        assert_eq!(one(12, compared(-0.05, false), [better, better]), "a ranks best over only 12 queries");
        let nothing = "No reranker is measurably better than the order of the first stage";
        assert_eq!(one(300, compared(-0.01, true), [noise, noise]), nothing);

        let mut worse = results(300, compared(-0.01, true), [compared(-0.1, false), noise]);
        worse.contestants.rotate_right(1);
        assert_eq!(headline(&worse), "No reranker beats the order of the first stage");
        worse.contestants.truncate(1);
        assert_eq!(headline(&worse), "Only the order of the first stage was evaluated");
        worse.contestants.clear();
        assert_eq!(headline(&worse), "Nothing was evaluated");
        assert_eq!(finding(&worse), [""; 0]);
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
    fn what_is_not_known_of_all_is_not_claimed_of_all() {
        let results = sample::results(3);
        let all: Vec<_> = results.rerankers().collect();
        let cheapest = least(&all, Contestant::usd).unwrap();
        assert_eq!(cheapest.of_all("cheapest", "of known cost"), "cheapest of known cost");
        assert_eq!((cheapest.contestant.name.as_str(), cheapest.amount), ("local", 0.0));
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
    fn names_that_stand_for_others_are_told() {
        let mut results = sample::results(3);
        results.contestants.retain(|contestant| contestant.kind == Kind::None || contestant.name == "local");
        assert_eq!(reading(&results).iter().find(|it| it.starts_with("Here")), None);
        results.contestants.iter_mut().find(|it| it.name == "local").unwrap().answered_by =
            vec!["local/lexical".to_owned()];
        assert_eq!(reading(&results)[0], "Here local is local/lexical.");
    }
}
