//! What makes a contestant's figures worth less than they look.

use super::super::results::{Contestant, Results};
use super::text::{counted, listed, printable};

/// One sentence for each thing that went wrong.
pub(super) fn warnings(results: &Results) -> Vec<String> {
    results.contestants.iter().flat_map(of).collect()
}

fn of(contestant: &Contestant) -> Vec<String> {
    let name = printable(&contestant.name);
    let mut sentences = Vec::new();
    let failed: usize = contestant.failures.values().sum();
    if failed > 0 {
        let causes: Vec<_> =
            contestant.failures.iter().map(|(code, count)| format!("{count} {}", printable(code))).collect();
        sentences.push(format!(
            "{name}: {} without an answer ({}); there the order of the first stage counts.",
            counted(failed, "query", "queries"),
            causes.join(", ")
        ));
    }
    if contestant.degraded > 0 {
        let answers = counted(contestant.degraded, "degraded answer", "degraded answers");
        sentences.push(format!("{name}: {answers}, less than what was asked for."));
    }
    if contestant.answered_by.len() > 1 {
        let names: Vec<_> = contestant.answered_by.iter().map(|name| printable(name)).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        sentences.push(format!("{name}: its figures mix the answers of {}.", listed(&names)));
    }
    sentences
}
