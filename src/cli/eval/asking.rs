//! While models are asked: progress, signals, and what was known before.

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

/// What came of asking.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) entries: Vec<Entry>,
    /// Answers that earlier runs left.
    pub(super) kept: usize,
    /// Answers of this run.
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
    let answered = |ledgers: &[Ledger]| ledgers.iter().map(Ledger::answered).sum::<usize>();
    let kept = answered(&ledgers);
    for (at, (name, route)) in contestants.iter().enumerate() {
        let bar = bars.add(bar(queries, name, width));
        let has_waited = Cell::new(false);
        let hear = |progress: Progress<'_>| match progress {
            Progress::Done => bar.inc(1),
            Progress::Waits(..) if has_waited.replace(true) => {}
            Progress::Waits(why, wait) => bars.suspend(|| say(&waits(name, why, wait))),
        };
        let ending = contest.ask_all(route, &mut ledgers[at], hear).await.map_err(Failure::new)?;
        match ending {
            Ending::Finished => bar.finish(),
            Ending::GivenUp(why) => {
                bar.abandon();
                if contestants.len() > 1 {
                    bars.suspend(|| say(&format!("{name} is given up, the others go on: {why}")));
                }
            }
            Ending::Stopped => {
                bar.abandon();
                let (done, all) = (answered(&ledgers), queries * contestants.len());
                return Err(Failure::new(format!(
                    "stopped; {done} of {all} answers are kept in {}, and the same command goes on from there",
                    answers.display()
                )));
            }
        }
    }
    let entry =
        |((name, route), ledger): (&(String, Arc<Route>), _)| Entry::of_ledger(name, ledger, route, contest.collection);
    let entries: Vec<Entry> = contestants.iter().zip(&ledgers).map(entry).collect();
    let unanswered: Vec<Unanswered> = entries.iter().filter_map(Entry::unanswered).collect();
    if unanswered.len() == entries.len() {
        return Err(nobody_answered(&unanswered));
    }
    Ok(Asked { entries, kept, new: answered(&ledgers) - kept })
}

/// The ledger of each contestant. All are opened, and what they hold is known, before anything is asked: nobody pays for a run that one of them
/// refuses in the end, or for what another has.
fn open(contest: &Contest<'_>, contestants: &[(String, Arc<Route>)], answers: &Path) -> Result<Vec<Ledger>, Failure> {
    let questions = Questions::of(contest.collection);
    let open = |(name, route): &(String, Arc<Route>)| {
        let ledger = Ledger::open(answers, name, route, &questions).map_err(Failure::new)?;
        for sentence in kept_for_others(name, ledger.others()) {
            say(&sentence);
        }
        contest.recall(route, &ledger);
        Ok(ledger)
    };
    contestants.iter().map(open).collect()
}

/// A comparison of failures says nothing, whatever its figures are.
fn nobody_answered(unanswered: &[Unanswered]) -> Failure {
    let reasons = unanswered.iter().map(|it| format!("; {}: {}", it.name, it.message));
    Failure::new(format!("no model answered any query{}", reasons.collect::<String>()))
}

/// Hidden where standard error is no terminal.
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

fn rate(state: &ProgressState, out: &mut dyn fmt::Write) {
    // A progress bar that cannot be drawn is no failure.
    let _ = write!(out, "{:.1}/s", state.per_sec());
}

/// The first signal lets what is under way finish; ends with the second.
pub(super) async fn signals(stop: &watch::Sender<bool>, bars: &MultiProgress) {
    // Without a handler the signal ends the process at once, which is what the second one is to do.
    drop(ctrl_c().await);
    stop.send_replace(true);
    bars.suspend(|| say("finishing what is under way; once more to end at once"));
    drop(ctrl_c().await);
}
