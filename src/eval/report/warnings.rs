//! What makes figures worth less than they look.

use std::collections::BTreeMap;

use super::super::collection::{LeftOut, Strangers};
use super::super::results::{Contestant, Kind, Results, Unanswered};
use super::text::{counted, listed, printable};

/// One sentence for each thing that went wrong.
pub(super) fn warnings(results: &Results) -> Vec<String> {
    let mut sentences: Vec<String> = results.unanswered.iter().map(no_answers).collect();
    sentences.extend(results.contestants.iter().flat_map(of));
    sentences.extend(alike(results));
    sentences.extend(strangers(&results.collection.left_out));
    if results.collection.left_out.queries_without_candidates > 0 {
        let queries =
            counted(results.collection.left_out.queries_without_candidates, "judged query has", "judged queries have");
        sentences.push(format!("{queries} no candidates, and so no part in these figures."));
    }
    if results.collection.left_out.lines_with_half_pairs > 0 {
        let lines = counted(results.collection.left_out.lines_with_half_pairs, "line holds", "lines hold");
        sentences.push(format!(
            "{lines} half of a surrogate pair (a text cut in the middle of a character), which was read as U+FFFD."
        ));
    }
    sentences
}

fn no_answers(contestant: &Unanswered) -> String {
    format!(
        "{}: not a single answer ({}), so it is not compared. The first failure: {}",
        printable(&contestant.name),
        causes(&contestant.failures),
        printable(&contestant.message)
    )
}

/// Judgments and candidates that lead nowhere: more often a mistake than a finding.
fn strangers(left_out: &LeftOut) -> Vec<String> {
    let sentence = |strangers: &Strangers, [one, many]: [&str; 2], then: &str| {
        let first = printable(strangers.first.as_deref()?);
        Some(format!(
            "{} that the collection does not hold, such as {first}{then}.",
            counted(strangers.count, one, many)
        ))
    };
    let sentences = [
        sentence(
            &left_out.judgments_of_unknown_passages,
            ["judgment names a passage", "judgments name passages"],
            "; they count as not found",
        ),
        sentence(
            &left_out.judgments_of_unknown_queries,
            ["judgment names a query", "judgments name queries"],
            "; they count nowhere",
        ),
        sentence(
            &left_out.run_lines_of_unknown_queries,
            ["line of the run names a query", "lines of the run name queries"],
            "; they count nowhere",
        ),
    ];
    sentences.into_iter().flatten().collect()
}

/// Contestants that need not be compared: what one of them does, the other does.
fn alike(results: &Results) -> Vec<String> {
    let same_as_an_earlier = |(place, contestant): (usize, &Contestant)| {
        let earlier = results.contestants[..place].iter().find(|earlier| earlier.rankings == contestant.rankings)?;
        let [one, other] = [earlier, contestant].map(|it| printable(&it.name));
        Some(match (earlier.kind, contestant.kind) {
            (Kind::Model, Kind::Model) => format!("{one} and {other} rank every query alike."),
            (Kind::None, _) => format!("{other} leaves every query in the order of the first stage."),
            (_, Kind::None) => format!("{one} leaves every query in the order of the first stage."),
        })
    };
    results.contestants.iter().enumerate().filter_map(same_as_an_earlier).collect()
}

/// `2 upstream_timeout, 1 upstream_rejected`
fn causes(failures: &BTreeMap<String, usize>) -> String {
    let causes: Vec<_> = failures.iter().map(|(code, count)| format!("{count} {}", printable(code))).collect();
    causes.join(", ")
}

fn of(contestant: &Contestant) -> Vec<String> {
    let name = printable(&contestant.name);
    let mut sentences = Vec::new();
    let failed: usize = contestant.failures.values().sum();
    if failed > 0 {
        sentences.push(format!(
            "{name}: {} without an answer ({}); there the order of the first stage counts.{}",
            counted(failed, "query", "queries"),
            causes(&contestant.failures),
            contestant
                .first_failure
                .as_ref()
                .map_or_else(String::new, |why| format!(" The first failure: {}", printable(why)))
        ));
    }
    if contestant.kind == Kind::Model && contestant.latency.is_none() {
        sentences
            .push(format!("{name}: its scores were known before it was asked, so it was neither timed nor priced."));
    }
    if contestant.fallbacks > 0 {
        let answers = counted(contestant.fallbacks, "answer is", "answers are");
        sentences.push(format!(
            "{name}: {answers} a fallback's, because a target before it failed; the next run asks again."
        ));
    }
    if contestant.degraded > 0 {
        let answers = counted(contestant.degraded, "degraded answer", "degraded answers");
        sentences.push(format!("{name}: {answers}, less than what was asked for."));
    }
    if contestant.answered_by.len() > 1 {
        sentences.push(format!("{name}: its figures mix the answers of {}.", listed(&contestant.answered_by)));
    }
    sentences
}
