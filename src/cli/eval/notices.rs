//! Sentences for the person who typed the command, beside the results.

use std::io::{Write, stderr};
use std::sync::Arc;
use std::time::Duration;

use rerankd_core::route::Route;
use rerankd_core::route::cross_encoder_hint;
use rerankd_core::text::counted;
use rerankd_eval::answers::Others;
use rerankd_eval::report::plain_text::listed;

/// Prints a sentence on standard error: standard output is for results alone.
pub(super) fn say(sentence: &str) {
    drop(stderr().write_all(format!("rerankd: {sentence}\n").as_bytes()));
}

/// Warnings about models that are less than their names promise, then about models that are not in the registry.
pub(super) fn stand_ins(contestants: &[(String, Arc<Route>)]) -> Vec<String> {
    let mut sentences = Vec::new();
    for (name, route) in contestants {
        // A caller that asks for a target by its own address knows what it gets.
        let target = route.targets.iter().find(|target| target.address() != *name);
        if let Some(target) = target
            && let Some(hint) = cross_encoder_hint(target)
        {
            sentences.push(format!("{name}: {hint}"));
        }
    }
    for (name, route) in contestants {
        if let Some(target) = route.targets.iter().find(|target| target.is_guessed_listwise()) {
            let address = target.address();
            sentences.push(format!(
                "{name}: {address} is not in the registry; if the name is right, its price is not known"
            ));
        }
    }
    sentences
}

/// The notice that a provider limits the rate and is waited for, which looks like standing still.
pub(super) fn waits(name: &str, why: &str, wait: Duration) -> String {
    // Whole seconds: a person needs no more.
    let wait = humantime::format_duration(Duration::from_secs(wait.as_secs()));
    format!("{name} is waited for, {wait} at first: {why}; Ctrl-C stops, and what was answered is kept")
}

/// The reasons for which answers of earlier runs do not count and are asked for again.
pub(super) fn kept_for_others(name: &str, others: &Others) -> Vec<String> {
    let mut sentences = Vec::new();
    if others.of_another_model > 0 {
        let answers = counted(others.of_another_model, "kept answer", "kept answers");
        let models = listed(&others.answered_by);
        let by = if models.is_empty() { models } else { format!(" by {models}") };
        sentences
            .push(format!("{name}: {answers}{by} came from another model or configuration than now; asking again"));
    }
    if others.of_changed_queries > 0 {
        let answers =
            counted(others.of_changed_queries, "kept answer of a query that has", "kept answers of queries that have");
        sentences.push(format!("{name}: {answers} changed, or of other candidates; asking again"));
    }
    sentences
}
