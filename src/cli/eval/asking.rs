//! The phase in which models are asked: progress, signals, and the answers of earlier runs.

use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use tokio::signal::ctrl_c;
use tokio::sync::watch;

use super::notices::{kept_for_others, say, waits};
use crate::cli::Failure;
use crate::eval::contest::{Contest, Ending, Ledger, Progress, Questions};
use crate::eval::judge::Entry;
use crate::eval::results::Unanswered;
use crate::route::Route;

/// The outcome of asking all contestants.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) entries: Vec<Entry>,
    /// Number of answers that earlier runs left.
    pub(super) kept: usize,
    /// Number of answers of this run.
    pub(super) new: usize,
}

/// Asks one contestant after the other, so that none is measured in the shadow of another.
pub(super) async fn ask(
    contest: &Contest<'_>,
    contestants: &[(String, Arc<Route>)],
    answers: &Path,
    bars: &MultiProgress,
) -> Result<Asked, Failure> {
    let width = contestants.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let queries = contest.collection.queries.len();
    let mut ledgers = open(contest, contestants, answers)?;
    let kept = answered(&ledgers);
    for (at, (name, route)) in contestants.iter().enumerate() {
        let bar = bars.add(bar(queries, name, width));
        let has_waited = Cell::new(false);
        let asking = contest.ask_all(route, &mut ledgers[at], |progress| match progress {
            Progress::Done => bar.inc(1),
            // One notice a model: a provider that limits the rate does it again and again.
            Progress::Waits(..) if has_waited.replace(true) => {}
            Progress::Waits(why, wait) => bars.suspend(|| say(&waits(name, why, wait))),
        });
        match asking.await.map_err(Failure::new)? {
            Ending::Finished => bar.finish(),
            Ending::GivenUp(why) => {
                bar.abandon();
                if contestants.len() > 1 {
                    bars.suspend(|| say(&format!("{name} is given up, the others go on: {why}")));
                }
            }
            Ending::Stopped => {
                bar.abandon();
                let done = answered(&ledgers);
                let all = queries * contestants.len();
                return Err(Failure::new(format!(
                    "stopped; {done} of {all} answers are kept in {}, and the same command goes on from there",
                    answers.display()
                )));
            }
        }
    }
    let mut entries = Vec::new();
    let mut unanswered = Vec::new();
    for ((name, route), ledger) in contestants.iter().zip(&ledgers) {
        let entry = Entry::of_ledger(name, ledger, route, contest.collection);
        unanswered.extend(entry.unanswered());
        entries.push(entry);
    }
    if unanswered.len() == entries.len() {
        return Err(nobody_answered(&unanswered));
    }
    Ok(Asked { entries, kept, new: answered(&ledgers) - kept })
}

/// The number of answers in all ledgers.
fn answered(ledgers: &[Ledger]) -> usize {
    ledgers.iter().map(Ledger::answered).sum()
}

/// The ledger of each contestant. All are opened and recalled before anything is asked: nothing is paid for a run that
/// one of them refuses in the end, or for answers that another holds.
fn open(contest: &Contest<'_>, contestants: &[(String, Arc<Route>)], answers: &Path) -> Result<Vec<Ledger>, Failure> {
    let questions = Questions::of(contest.collection);
    let mut ledgers = Vec::with_capacity(contestants.len());
    for (name, route) in contestants {
        let ledger = Ledger::open(answers, name, route, &questions).map_err(Failure::new)?;
        for sentence in kept_for_others(name, ledger.others()) {
            say(&sentence);
        }
        contest.recall(route, &ledger);
        ledgers.push(ledger);
    }
    Ok(ledgers)
}

/// The failure of a comparison in which every model failed: its figures would say nothing.
fn nobody_answered(unanswered: &[Unanswered]) -> Failure {
    let mut reason = "no model answered any query".to_owned();
    for Unanswered { name, message, .. } in unanswered {
        reason.push_str(&format!("; {name}: {message}"));
    }
    Failure::new(reason)
}

/// The progress bar of a contestant. Hidden where standard error is no terminal.
fn bar(queries: usize, name: &str, width: usize) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{prefix} [{bar:30}] {human_pos:>5}/{human_len} {rate:>10} {elapsed_precise} eta {eta}",
    );
    let bar = ProgressBar::new(queries as u64).with_prefix(format!("{name:width$}"));
    match style {
        Ok(style) => bar.with_style(style.progress_chars("=> ").with_key("rate", rate)),
        Err(_) => bar,
    }
}

/// Writes the queries a second.
fn rate(state: &ProgressState, out: &mut dyn fmt::Write) {
    // A progress bar that cannot be drawn is no failure.
    let _ = write!(out, "{:.1}/s", state.per_sec());
}

/// Asks to stop at the first signal, which lets the calls under way finish. Ends at the second.
pub(super) async fn signals(stop: &watch::Sender<bool>, bars: &MultiProgress) {
    // Without a handler the signal ends the process at once, which is what the second one is to do.
    drop(ctrl_c().await);
    stop.send_replace(true);
    bars.suspend(|| say("finishing what is under way; once more to end at once"));
    drop(ctrl_c().await);
}
