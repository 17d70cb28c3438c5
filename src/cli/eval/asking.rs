//! The phase in which models are asked: progress, signals, and the answers of earlier runs.

use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use rerankd_core::route::Route;
use rerankd_eval::answers::{AnswerLog, EvalRun, Progress, QueryFingerprints, RunOutcome};
use rerankd_eval::judge::ContestantAnswers;
use rerankd_eval::results::Unanswered;
use tokio::signal::ctrl_c;
use tokio::sync::watch;

use super::bill::over_budget;
use super::notices::{kept_for_others, say, waits};
use crate::cli::CommandFailure;

/// The outcome of asking all contestants.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) entries: Vec<ContestantAnswers>,
    /// Number of answers that earlier runs left.
    pub(super) kept: usize,
    /// Number of answers of this run.
    pub(super) new: usize,
}

/// Asks one contestant after the other, so that no contestant's times suffer from another's load.
pub(super) async fn ask(
    eval_run: &EvalRun<'_>,
    contestants: &[(String, Arc<Route>)],
    mut answer_logs: Vec<AnswerLog>,
    answers: &Path,
    bars: &MultiProgress,
) -> Result<Asked, CommandFailure> {
    let width = contestants.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let queries = eval_run.collection.askable().count();
    let all = queries * contestants.len();
    let kept = answered(&answer_logs);
    for (at, (name, route)) in contestants.iter().enumerate() {
        let bar = bars.add(bar(queries, name, width));
        let has_waited = Cell::new(false);
        let asking = eval_run.ask_all(route, &mut answer_logs[at], |progress| match progress {
            Progress::Done => bar.inc(1),
            // One notice a model: a provider that limits the rate does it again and again.
            Progress::Waits(..) if has_waited.replace(true) => {}
            Progress::Waits(why, wait) => bars.suspend(|| say(&waits(name, why, wait))),
        });
        match asking.await.map_err(CommandFailure::new)? {
            RunOutcome::Finished => bar.finish(),
            RunOutcome::GivenUp(why) => {
                bar.abandon();
                if contestants.len() > 1 {
                    bars.suspend(|| say(&format!("{name} is given up, the others go on: {why}")));
                }
            }
            RunOutcome::Stopped => {
                bar.abandon();
                let done = answered(&answer_logs);
                return Err(CommandFailure::new(format!(
                    "stopped; {done} of {all} answers are kept in {}, and the same command goes on from there",
                    answers.display()
                )));
            }
            RunOutcome::OverBudget => {
                bar.abandon();
                return Err(over_budget(eval_run, answered(&answer_logs), all, answers));
            }
        }
    }
    let mut entries = Vec::new();
    let mut unanswered = Vec::new();
    for ((name, route), answer_log) in contestants.iter().zip(&answer_logs) {
        let entry = ContestantAnswers::of_answer_log(name, answer_log, route, eval_run.collection);
        unanswered.extend(entry.unanswered());
        entries.push(entry);
    }
    if unanswered.len() == entries.len() {
        return Err(nobody_answered(&unanswered));
    }
    Ok(Asked { entries, kept, new: answered(&answer_logs) - kept })
}

/// The number of answers in all answer logs.
fn answered(answer_logs: &[AnswerLog]) -> usize {
    answer_logs.iter().map(AnswerLog::answered).sum()
}

/// The answer log of each contestant that has one, its scores put into the cache. Nothing is written.
pub(super) fn open_kept(
    eval_run: &EvalRun<'_>,
    contestants: &[(String, Arc<Route>)],
    answers: &Path,
) -> Result<Vec<Option<AnswerLog>>, CommandFailure> {
    let fingerprints = QueryFingerprints::of(eval_run.collection);
    let mut answer_logs = Vec::with_capacity(contestants.len());
    for (name, route) in contestants {
        answer_logs.push(if AnswerLog::exists(answers, name) {
            Some(open(eval_run, name, route, answers, &fingerprints)?)
        } else {
            None
        });
    }
    Ok(answer_logs)
}

/// The answer log of each contestant: those in `kept`, and new ones. All are opened before anything is asked: nothing
/// is paid for a run that one of them refuses in the end, or for answers that another holds.
pub(super) fn open_missing(
    eval_run: &EvalRun<'_>,
    contestants: &[(String, Arc<Route>)],
    answers: &Path,
    kept: Vec<Option<AnswerLog>>,
) -> Result<Vec<AnswerLog>, CommandFailure> {
    let fingerprints = QueryFingerprints::of(eval_run.collection);
    let mut answer_logs = Vec::with_capacity(contestants.len());
    for ((name, route), kept) in contestants.iter().zip(kept) {
        answer_logs.push(match kept {
            Some(answer_log) => answer_log,
            None => open(eval_run, name, route, answers, &fingerprints)?,
        });
    }
    Ok(answer_logs)
}

/// Opens the answer log of one contestant, tells what of it cannot be used, and puts its scores into the cache.
fn open(
    eval_run: &EvalRun<'_>,
    name: &str,
    route: &Route,
    answers: &Path,
    fingerprints: &QueryFingerprints,
) -> Result<AnswerLog, CommandFailure> {
    let answer_log = AnswerLog::open(answers, name, route, fingerprints).map_err(CommandFailure::new)?;
    if let Some(warning) = answer_log.lock_warning() {
        say(&warning);
    }
    for sentence in kept_for_others(name, answer_log.others()) {
        say(&sentence);
    }
    eval_run.fill_cache(route, &answer_log);
    Ok(answer_log)
}

/// The failure of a comparison in which every model failed: its figures would say nothing.
fn nobody_answered(unanswered: &[Unanswered]) -> CommandFailure {
    let mut reason = "no model answered any query".to_owned();
    for Unanswered { name, message, .. } in unanswered {
        reason.push_str(&format!("; {name}: {message}"));
    }
    CommandFailure::new(reason)
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
