//! The evaluation in plain sentences.

use std::collections::BTreeMap;

use super::super::results::{Comparison, Contestant, Estimate, Results};
use super::facts::{FEW_QUERIES, Standing};
use super::figures::{dollars, fixed, milliseconds, percent, probability, score, signed};
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
    match results.peers().as_slice() {
        [] => format!("{name} ranks best"),
        [one] => format!("{name} ranks best, but {} may be as good", printable(&one.name)),
        several => format!("{name} ranks best, but {} others may be as good", several.len()),
    }
}

/// What the headline rests on: how much better, than whom, and what the others have for them.
pub(super) fn finding(results: &Results) -> Vec<String> {
    let Some(best) = results.best() else { return Vec::new() };
    let metric = results.decisive();
    let mut sentences = Vec::new();
    if let Some(estimate) = best.estimate(metric) {
        sentences.push(format!(
            "Its mean {metric} is {} (95 % interval {} to {}){}.",
            score(estimate.mean),
            score(estimate.low),
            score(estimate.high),
            best.against_none.as_ref().map_or_else(String::new, gain)
        ));
    }
    sentences.extend(peers(results, best));
    sentences
}

/// The difference from the order of the first stage, as the end of a sentence.
fn gain(comparison: &Comparison) -> String {
    let Estimate { mean, low, high } = comparison.difference;
    let p = probability(comparison.p_adjusted);
    let chance = if Standing::of(comparison) == Standing::Noise { ", which may be chance" } else { "" };
    let more = if mean < 0.0 { "less" } else { "more" };
    let difference = score(mean.abs());
    format!(
        ": {difference} {more} than the order of the first stage ({} to {}, {p}){chance}",
        signed(low),
        signed(high)
    )
}

fn peers(results: &Results, best: &Contestant) -> Option<String> {
    let peers = results.peers();
    let names: Vec<_> = peers.iter().map(|contestant| printable(&contestant.name)).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let queries = counted(results.collection.queries, "query", "queries");
    if peers.is_empty() {
        let next = results.rerankers().find(|contestant| contestant.against_best.is_some())?;
        let comparison = next.against_best.as_ref()?;
        let difference = signed(comparison.difference.mean);
        let p = probability(comparison.p_adjusted);
        return Some(format!("The next reranker, {}, is worse ({difference}, {p}).", printable(&next.name)));
    }
    let mut sentence = format!("Over {queries} it cannot be told apart from {}.", listed(&names));
    let mut equals = peers;
    if best.against_none.is_some() {
        equals.insert(0, best);
    }
    let cheapest = least(&equals, Contestant::usd);
    let fastest = least(&equals, Contestant::cold_p50);
    if let Some((contestant, usd)) = cheapest {
        let name = printable(&contestant.name);
        sentence.push_str(&format!(" Of these {name} is the cheapest ({} for 1,000 queries)", dollars(usd)));
        sentence.push_str(if fastest.is_some() { "," } else { "." });
    }
    if let Some((contestant, time)) = fastest {
        let time = milliseconds(time);
        sentence.push_str(&match cheapest {
            Some((cheapest, _)) if std::ptr::eq(cheapest, contestant) => format!(" and also the fastest ({time} ms)."),
            Some(_) => format!(" and {} the fastest ({time} ms).", printable(&contestant.name)),
            None => format!(" Of these {} is the fastest ({time} ms).", printable(&contestant.name)),
        });
    }
    Some(sentence)
}

/// Who has the least of something, if several have some and do not have it all alike.
fn least<'a>(
    contestants: &[&'a Contestant],
    amount: impl Fn(&Contestant) -> Option<f64>,
) -> Option<(&'a Contestant, f64)> {
    let known: Vec<_> = contestants.iter().filter_map(|&contestant| Some((contestant, amount(contestant)?))).collect();
    let least = known.iter().copied().min_by(|one, other| one.1.total_cmp(&other.1))?;
    known.iter().any(|other| other.1 > least.1).then_some(least)
}

/// What was ranked, and what the best reranker could reach.
pub(super) fn collection(results: &Results) -> Vec<String> {
    let collection = &results.collection;
    let left_out = match collection.left_out {
        0 => String::new(),
        count => format!(" ({count} more left out for want of judgments or candidates)"),
    };
    let mut sentences = vec![format!(
        "Collection {}: {}{left_out} over {}; first stage {}, {} candidates a query.",
        printable(&collection.name),
        counted(collection.queries, "query", "queries"),
        counted(collection.passages, "passage", "passages"),
        printable(&collection.first_stage),
        fixed(collection.candidates_per_query, 0)
    )];
    if collection.recall_ceiling.is_finite() {
        let ceiling = percent(collection.recall_ceiling);
        sentences.push(format!(
            "No reranker can find more than {ceiling} of the relevant passages: no more are among these candidates."
        ));
    }
    sentences
}

/// Who is chosen, and what for.
pub(super) fn choice(results: &Results) -> Vec<String> {
    let choice = &results.choice;
    let mut sentences = Vec::new();
    let mut chosen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (strategy, name) in &choice.by_strategy {
        chosen.entry(name).or_default().push(strategy);
    }
    let clauses: Vec<_> =
        chosen.iter().map(|(name, strategies)| format!("{} by {}", printable(name), listed(strategies))).collect();
    let Some(threshold) = choice.speed_threshold_ms else {
        if !clauses.is_empty() {
            sentences.push(format!("Chosen: {}.", clauses.join("; ")));
        }
        return sentences;
    };
    let threshold = format!("{} ms a query on average", milliseconds(threshold));
    if !clauses.is_empty() {
        let condition = if choice.threshold_dropped { "although nobody keeps within" } else { "of those within" };
        sentences.push(format!("Chosen {condition} {threshold}: {}.", clauses.join("; ")));
    }
    if !choice.too_slow.is_empty() && !choice.threshold_dropped {
        let names: Vec<_> = choice.too_slow.iter().map(|name| printable(name)).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        sentences.push(format!("Too slow: {}.", listed(&names)));
    }
    sentences
}

/// How to read the verdicts.
pub(super) fn reading(results: &Results) -> Vec<String> {
    let mut sentences = Vec::new();
    if results.contestants.iter().any(|contestant| contestant.to_best() == Some(Standing::Noise)) {
        sentences.push(
            "Noise: the difference from the best may well be chance (adjusted p of 0.05 or more), so price and speed may decide."
                .to_owned(),
        );
    }
    let queries = results.collection.queries;
    if queries < FEW_QUERIES {
        let only = counted(queries, "query", "queries");
        sentences
            .push(format!("With only {only}, small differences mean nothing; judge {FEW_QUERIES} queries or more."));
    }
    sentences
}
