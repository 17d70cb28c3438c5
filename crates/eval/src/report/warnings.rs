//! Warnings: facts that make the figures worth less than they look.

use std::collections::BTreeMap;

use rerankd_core::text::{counted, printable};

use super::super::collection::{LeftOut, UnknownIds};
use super::super::results::{Contestant, Kind, Results, Unanswered};
use super::plain_text::listed;

/// One sentence for each thing that went wrong.
pub(super) fn warnings(results: &Results) -> Vec<String> {
    let mut sentences = Vec::new();
    for contestant in &results.unanswered {
        sentences.push(no_answers(contestant));
    }
    for contestant in &results.contestants {
        push_contestant_warnings(&mut sentences, contestant);
    }
    push_identical_rankings(&mut sentences, results);
    if results.collection.undecidable_queries > 0 {
        let queries = counted(results.collection.undecidable_queries, "query is", "queries are");
        sentences.push(format!(
            "{queries} the same in every order, because all candidates have the same grade; they cannot tell one \
             reranker from another."
        ));
    }
    push_left_out(&mut sentences, &results.collection.left_out);
    sentences
}

/// The warning for a contestant that never answered.
fn no_answers(contestant: &Unanswered) -> String {
    format!(
        "{}: not a single answer ({}), so it is not compared. The first failure: {}",
        printable(&contestant.name),
        causes(&contestant.failures),
        printable(&contestant.message)
    )
}

/// Appends warnings about the answers of one contestant.
fn push_contestant_warnings(sentences: &mut Vec<String>, contestant: &Contestant) {
    let name = printable(&contestant.name);
    let failed: usize = contestant.failures.values().sum();
    if failed > 0 {
        let queries = counted(failed, "query", "queries");
        let causes = causes(&contestant.failures);
        let mut sentence =
            format!("{name}: {queries} without an answer ({causes}); there the order of the first stage counts.");
        if let Some(message) = &contestant.first_failure {
            sentence.push_str(&format!(" The first failure: {}", printable(message)));
        }
        sentences.push(sentence);
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
}

/// Appends a sentence for each contestant that ranks every query like an earlier one. Comparing the two is pointless.
fn push_identical_rankings(sentences: &mut Vec<String>, results: &Results) {
    for (index, contestant) in results.contestants.iter().enumerate() {
        let mut earlier_contestants = results.contestants[..index].iter();
        let Some(earlier) = earlier_contestants.find(|earlier| earlier.rankings == contestant.rankings) else {
            continue;
        };
        let earlier_name = printable(&earlier.name);
        let name = printable(&contestant.name);
        sentences.push(match (earlier.kind, contestant.kind) {
            (Kind::Model, Kind::Model) => format!("{earlier_name} and {name} rank every query alike."),
            (Kind::None, _) => format!("{name} leaves every query in the order of the first stage."),
            (_, Kind::None) => format!("{earlier_name} leaves every query in the order of the first stage."),
        });
    }
}

/// Appends warnings about the parts of the collection that could not be used.
fn push_left_out(sentences: &mut Vec<String>, left_out: &LeftOut) {
    // An id that the collection does not hold is more often a mistake, such as a mixed-up file, than a finding.
    sentences.extend(unknown_ids(
        &left_out.judgments_of_unknown_passages,
        "judgment names a passage",
        "judgments name passages",
        "they count as not found",
    ));
    sentences.extend(unknown_ids(
        &left_out.judgments_of_unknown_queries,
        "judgment names a query",
        "judgments name queries",
        "they count nowhere",
    ));
    sentences.extend(unknown_ids(
        &left_out.run_lines_of_unknown_queries,
        "line of the run names a query",
        "lines of the run name queries",
        "they count nowhere",
    ));
    if left_out.queries_without_candidates > 0 {
        let queries = counted(left_out.queries_without_candidates, "judged query has", "judged queries have");
        sentences.push(format!("{queries} no candidates: each counts 0 for everybody, as with trec_eval -c."));
    }
    if left_out.queries_without_common_words > 0 {
        let queries = counted(left_out.queries_without_common_words, "query shares", "queries share");
        sentences.push(format!(
            "{queries} no word with any passage: there the first stage is a fixed order that means nothing, and any \
             other order may beat it."
        ));
    }
    if left_out.lines_with_lone_surrogates > 0 {
        let lines = counted(left_out.lines_with_lone_surrogates, "line holds", "lines hold");
        sentences.push(format!(
            "{lines} half of a surrogate pair (a text cut in the middle of a character), which was read as U+FFFD."
        ));
    }
}

/// The warning about ids that the collection does not hold; `None` if there are none.
fn unknown_ids(unknown: &UnknownIds, one: &str, many: &str, consequence: &str) -> Option<String> {
    let first = printable(unknown.first.as_deref()?);
    let subject = counted(unknown.count, one, many);
    Some(format!("{subject} that the collection does not hold, such as {first}; {consequence}."))
}

/// Failures by error code: `2 upstream_timeout, 1 upstream_rejected`.
fn causes(failures: &BTreeMap<String, usize>) -> String {
    let causes: Vec<_> = failures.iter().map(|(code, count)| format!("{count} {}", printable(code))).collect();
    causes.join(", ")
}
