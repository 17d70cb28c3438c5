//! The bad days.

mod drain;
mod failover;
mod memory;
mod outage;
mod overload;
mod recovery;
mod ruler;
pub(crate) mod soak;

use std::time::Duration;

use crate::load::{Ending, Outcome, count, wrong};
use crate::report::{Bar, Report};

/// How long a provider takes, unless the scenario says otherwise.
const LATENCY: Duration = Duration::from_millis(20);
/// Passages of a question.
const PASSAGES: u64 = 10;
/// The seed of all faults.
const SEED: u64 = 7;
/// Length of the soak that is part of every run.
const SHORT_SOAK: Duration = Duration::from_secs(24);

const SECOND: Duration = Duration::from_secs(1);

/// The ruler first, then all whose names hold `only`, one after another.
pub(crate) async fn all(only: &str, report: &mut Report) {
    let is_wanted = |name: &str| name.contains(only);
    ruler::run(report).await;
    if is_wanted("outage") {
        outage::run(report).await;
    }
    if is_wanted("failover") {
        failover::run(report).await;
    }
    if is_wanted("overload") {
        overload::run(report).await;
    }
    if is_wanted("drain") {
        drain::run(report).await;
    }
    if is_wanted("recovery") {
        recovery::run(report).await;
    }
    if is_wanted("memory") {
        memory::run(report).await;
    }
    if is_wanted("soak") {
        let length = if report.is_quick() { SHORT_SOAK / 6 } else { SHORT_SOAK };
        soak::run(length, report).await;
    }
}

/// The one bar that every run has.
fn check_scores(outcomes: &[Outcome], report: &mut Report) {
    let what = format!("wrong scores in {} answers", count(outcomes, Ending::is_answer));
    report.count(what, wrong(outcomes), Bar::AtMost(0.0));
}
