//! The queries that each reranker changed most, losses first, with the passages that moved.

use rerankd_core::text::counted;

use super::super::super::results::{Contestant, Results};
use super::super::figures::{score, signed};
use super::super::plain_text::shortened;
use super::super::standings::Change;
use super::markup::{HtmlSection, each, escape};
use super::movement::movement;

/// Losses shown for each reranker.
const MAX_LOSSES: usize = 10;
/// Gains shown for each reranker.
const MAX_GAINS: usize = 5;
/// Characters of a query that are shown.
const MAX_QUERY_LENGTH: usize = 400;
/// Characters of a label's value that are shown.
const MAX_LABEL_LENGTH: usize = 40;

/// The section with a part for each reranker that changed the value of a query; `None` if none did.
pub(super) fn section(results: &Results) -> Option<HtmlSection> {
    let mut parts = String::new();
    for contestant in results.rerankers() {
        let Some(part) = part(results, contestant) else { continue };
        // One part stands open, so that nobody has to guess what the closed ones hold.
        if parts.is_empty() {
            parts.push_str(&part.replacen("<details", "<details open=\"open\"", 1));
        } else {
            parts.push_str(&part);
        }
    }
    if parts.is_empty() {
        return None;
    }
    let key = format!(
        "<p class=\"key\">Queries where a reranker lost or gained most against the first stage, by {}. \
         Open one to see what moved: the first ten passages of both orders.</p>",
        escape(results.decisive())
    );
    Some(HtmlSection { id: "queries", title: "Worst and best queries", body: format!("{key}{parts}") })
}

/// The largest losses and gains of one reranker; `None` if it changed no query.
fn part(results: &Results, contestant: &Contestant) -> Option<String> {
    let mut changes = results.changes(contestant);
    changes.sort_by(|one, other| one.difference().total_cmp(&other.difference()));
    let losses: Vec<_> = changes.iter().take_while(|it| it.difference() < 0.0).take(MAX_LOSSES).collect();
    // The changes are sorted from the largest loss, so the largest gain is the last.
    let gains: Vec<_> = changes.iter().rev().take_while(|it| it.difference() > 0.0).take(MAX_GAINS).collect();
    if losses.is_empty() && gains.is_empty() {
        return None;
    }
    let summary = match (losses.len(), gains.len()) {
        (losses, 0) => counted(losses, "loss", "losses"),
        (0, gains) => counted(gains, "gain", "gains"),
        (losses, gains) => format!("{} and {}", counted(losses, "loss", "losses"), counted(gains, "gain", "gains")),
    };
    Some(format!(
        "<details class=\"contestant\"><summary><h3>{}</h3> <small>{summary}</small></summary>{}{}</details>\n",
        escape(&contestant.name),
        list(results, contestant, "Where it loses most", &losses),
        list(results, contestant, "Where it gains most", &gains)
    ))
}

/// A heading and an entry for each of `changes`, or nothing if there are none.
fn list(results: &Results, contestant: &Contestant, title: &str, changes: &[&Change]) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let entries = each(changes, |change| entry(results, contestant, **change));
    format!("<h4>{title}</h4>{entries}")
}

/// One query: its text, the values before and after, its id and labels, and the passages that moved.
fn entry(results: &Results, contestant: &Contestant, change: Change) -> String {
    let Some(query) = results.queries.get(change.query) else { return String::new() };
    let ranking = match contestant.rankings.get(change.query) {
        Some(ranking) => ranking.as_slice(),
        None => &[],
    };
    let class = if change.difference() < 0.0 { "loss" } else { "gain" };
    let mut about = vec![query.id.clone()];
    for value in query.labels.values() {
        about.push(shortened(value, MAX_LABEL_LENGTH));
    }
    format!(
        "<details class=\"query\"><summary><span class=\"text\" dir=\"auto\">{}</span>\
         <span class=\"values\">{} → {} <b class=\"{class}\">{}</b></span></summary>\
         <p class=\"about\">{}</p>{}</details>",
        escape(&shortened(&query.text, MAX_QUERY_LENGTH)),
        score(change.before),
        score(change.after),
        signed(change.difference()),
        escape(&about.join(" · ")),
        movement(query, ranking)
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    #[test]
    fn the_largest_losses_and_gains_are_shown() {
        let mut results = sample::results(60);
        let metric = results.decisive().to_owned();
        results.contestants.retain(|contestant| ["none", "local"].contains(&contestant.name.as_str()));
        for contestant in &mut results.contestants {
            for (place, values) in (0_u32..).zip(&mut contestant.by_query) {
                let value = if contestant.name == "none" { 0.5 } else { f64::from(place) / 59.0 };
                values.insert(metric.clone(), value);
            }
        }
        let html = section(&results).unwrap().body;
        let shown: Vec<_> = html
            .match_indices("<p class=\"about\">")
            .map(|(at, tag)| html[at + tag.len()..].split(' ').next().unwrap().to_owned())
            .collect();
        let expected: Vec<_> = (0..10).chain((55..60).rev()).map(|place| format!("q{place}")).collect();
        assert_eq!(shown, expected);
        assert!(html.contains("0.500 → 0.000 <b class=\"loss\">−0.500</b>"), "{html}");
        assert!(html.contains("10 losses and 5 gains"));
    }

    #[test]
    fn a_tie_is_neither() {
        let mut results = sample::results(5);
        let none = results.first_stage().unwrap().by_query.clone();
        for contestant in &mut results.contestants {
            contestant.by_query.clone_from(&none);
        }
        assert!(section(&results).is_none());
    }
}
