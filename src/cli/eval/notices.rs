//! What the person who typed the command is told beside the results.

use std::io::{Write, stderr};
use std::sync::Arc;
use std::time::Duration;

use crate::eval::contest::Others;
use crate::eval::report::text::{counted, listed};
use crate::local::lacking;
use crate::route::Route;

/// Tells the person who typed the command something that is no result.
pub(super) fn say(sentence: &str) {
    drop(stderr().write_all(format!("rerankd: {sentence}\n").as_bytes()));
}

/// Names that mean less than they could (whoever names the model itself knows), or that nobody knows.
pub(super) fn stand_ins(contestants: &[(String, Arc<Route>)]) -> Vec<String> {
    let lacks = |(name, route): &(String, Arc<Route>)| {
        let target = route.targets.iter().find(|target| target.address() != *name)?;
        Some(format!("{name}: {}", lacking(target)?))
    };
    let is_unknown = |(name, route): &(String, Arc<Route>)| {
        let target = route.targets.iter().find(|target| target.is_guessed_listwise())?;
        Some(format!(
            "{name}: {} is not in the registry; if the name is right, its price is not known",
            target.address()
        ))
    };
    contestants.iter().filter_map(lacks).chain(contestants.iter().filter_map(is_unknown)).collect()
}

/// A provider that limits the rate is waited for, which looks like standing still.
pub(super) fn waits(name: &str, why: &str, wait: Duration) -> String {
    let wait = humantime::format_duration(Duration::from_secs(wait.as_secs()));
    format!("{name} is waited for, {wait} at first: {why}; Ctrl-C stops, and what was answered is kept")
}

/// Whoever asks again should know why the answers that are there do not count.
pub(super) fn kept_for_others(name: &str, others: &Others) -> Vec<String> {
    let mut sentences = Vec::new();
    if others.of_another_model > 0 {
        let answers = counted(others.of_another_model, "kept answer", "kept answers");
        let by = listed(&others.answered_by);
        let by = if by.is_empty() { by } else { format!(" by {by}") };
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
