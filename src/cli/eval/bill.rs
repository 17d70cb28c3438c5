//! The bill of an evaluation, told before anything is asked, and the consent to it.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write, stderr, stdin};
use std::sync::Arc;

use rerankd_core::provider::Billing;
use rerankd_core::route::Route;
use rerankd_core::text::{counted, grouped};
use rerankd_eval::answers::{AnswerLog, CostEstimate, EvalRun};
use rerankd_eval::report::figures::dollars;

use super::EvalArgs;
use super::notices::say;
use crate::cli::CommandFailure;

/// US dollars above which consent is asked for.
const ASKED_ABOVE_USD: f64 = 1.0;

/// The estimates of all contestants, in their order.
pub(super) struct Bill {
    entries: Vec<(String, CostEstimate)>,
    /// Days of the list prices, as [`price_days`] tells them.
    price_days: Option<String>,
}

/// The day on which the list prices of the contestants were looked up, or the first and the last day; `None` where
/// none has a price.
pub(super) fn price_days(contestants: &[(String, Arc<Route>)]) -> Option<String> {
    let mut days = BTreeSet::new();
    for (_, route) in contestants {
        for target in &route.targets {
            if let Some(date) = target.facts.price_date {
                days.insert(date.as_str().to_owned());
            }
        }
    }
    let first = days.first()?;
    let last = days.last()?;
    if first == last { Some(first.clone()) } else { Some(format!("{first} to {last}")) }
}

impl Bill {
    /// The bill of what is still to be asked. `answer_logs` are the contestants', in their order; `None` where there is
    /// none yet.
    pub(super) fn of(
        eval_run: &EvalRun<'_>,
        contestants: &[(String, Arc<Route>)],
        answer_logs: &[Option<AnswerLog>],
    ) -> Self {
        let mut entries = Vec::with_capacity(contestants.len());
        let mut paid = BTreeSet::new();
        for ((name, route), answer_log) in contestants.iter().zip(answer_logs) {
            let mut estimate = eval_run.estimate(route, answer_log.as_ref());
            // Contestants share paid scores, so the second name of a model has nothing left to pay.
            let is_new = match route.targets.first() {
                Some(target) if estimate.billing != Billing::Free => paid.insert(target.address()),
                Some(_) | None => true,
            };
            if !is_new {
                estimate = CostEstimate::nothing(estimate.billing);
            }
            entries.push((name.clone(), estimate));
        }
        Self { entries, price_days: price_days(contestants) }
    }

    /// US dollars of all contestants with a known price.
    fn known_usd(&self) -> f64 {
        let mut usd = 0.0;
        for (_, estimate) in &self.entries {
            usd += estimate.usd().unwrap_or(0.0);
        }
        usd
    }

    /// A sentence for each contestant, all of them included.
    pub(super) fn all(&self) -> Vec<String> {
        let mut sentences = Vec::with_capacity(self.entries.len() + 1);
        for (name, estimate) in &self.entries {
            sentences.push(sentence(name, estimate));
        }
        sentences.push(self.total());
        sentences
    }

    /// A sentence for each contestant that will be charged, or may be; nothing if nobody is.
    fn charged(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        for (name, estimate) in &self.entries {
            if estimate.queries > 0 && estimate.billing != Billing::Free {
                sentences.push(sentence(name, estimate));
            }
        }
        if sentences.len() > 1 {
            sentences.push(self.total());
        }
        sentences
    }

    fn total(&self) -> String {
        let mut unknown = 0;
        for (_, estimate) in &self.entries {
            unknown += usize::from(estimate.usd().is_none());
        }
        let rest = match unknown {
            0 => String::new(),
            _ => format!(", and {} of unknown price", counted(unknown, "model", "models")),
        };
        let days = match &self.price_days {
            Some(days) => format!(", at list prices of {days}"),
            None => String::new(),
        };
        format!("{} in all{rest}{days}", about(self.known_usd()))
    }

    /// Tells the bill, and asks for consent where it is above [`ASKED_ABOVE_USD`].
    ///
    /// # Errors
    /// The bill is above `--max-usd`, or needs a consent that nobody gives.
    pub(super) fn settle(&self, args: &EvalArgs) -> Result<(), CommandFailure> {
        for sentence in self.charged() {
            say(&sentence);
        }
        let usd = self.known_usd();
        if let Some(limit) = args.max_usd {
            if usd > limit {
                return Err(CommandFailure::new(format!(
                    "nothing was asked: {} is more than --max-usd {limit}; raise it, or take fewer models, queries or \
                     candidates",
                    about(usd)
                )));
            }
            return Ok(());
        }
        if usd <= ASKED_ABOVE_USD || args.yes {
            return Ok(());
        }
        if !stdin().is_terminal() || !stderr().is_terminal() {
            return Err(CommandFailure::new(format!(
                "nothing was asked: {} is above {}, and there is no terminal to ask on; --yes spends it, --max-usd N \
                 spends no more than N dollars, --dry-run only tells",
                about(usd),
                dollars(ASKED_ABOVE_USD)
            )));
        }
        if is_agreed() {
            return Ok(());
        }
        Err(CommandFailure::new("nothing was asked and nothing was spent"))
    }
}

/// Asks on the terminal whether to go on. Anything but `y` or `yes` is a no.
fn is_agreed() -> bool {
    // A question that cannot be written or answered is not agreed to.
    drop(stderr().write_all(b"rerankd: go on? [y/N] "));
    let mut answer = String::new();
    let is_read = stdin().lock().read_line(&mut answer).is_ok();
    is_read && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

/// One contestant's part of the bill.
fn sentence(name: &str, estimate: &CostEstimate) -> String {
    if estimate.queries == 0 {
        return format!("{name}: $0: every answer is kept from before, or is another model's here");
    }
    let queries = counted(estimate.queries, "query", "queries");
    let passages = if estimate.passages.is_multiple_of(estimate.queries) {
        format!("{queries} × {}", counted(estimate.passages / estimate.queries, "passage", "passages"))
    } else {
        format!("{queries}, {}", counted(estimate.passages, "passage", "passages"))
    };
    let usd = about(estimate.usd().unwrap_or_default());
    match estimate.billing {
        Billing::SearchUnits(price) => {
            let units = usize::try_from(estimate.search_units).unwrap_or(usize::MAX);
            let units = counted(units, "search unit", "search units");
            format!("{name}: {usd}: {passages}, {units} at {}", dollars(price))
        }
        Billing::Tokens(price) => {
            let tokens = grouped(usize::try_from(estimate.tokens).unwrap_or(usize::MAX));
            format!(
                "{name}: {usd}: {passages}, {tokens} tokens (estimated on the high side) at {} a million",
                dollars(price)
            )
        }
        Billing::Calls(price) => {
            let calls = counted(usize::try_from(estimate.calls).unwrap_or(usize::MAX), "call", "calls");
            format!("{name}: {usd}: {passages}, {calls} at {}", dollars(price))
        }
        Billing::Free => format!("{name}: free: {passages}"),
        Billing::Unknown => format!(
            "{name}: not known what it costs: {passages}; the registry has no price, and --max-usd cannot count it"
        ),
    }
}

fn about(usd: f64) -> String {
    format!("about {}", dollars(usd))
}

/// The failure of a run that has spent `--max-usd`.
pub(super) fn over_budget(
    eval_run: &EvalRun<'_>,
    done: usize,
    all: usize,
    answers: &std::path::Path,
) -> CommandFailure {
    CommandFailure::new(format!(
        "stopped: {} of --max-usd {} is spent; {done} of {all} answers are kept in {}, and the same command goes on \
         from there with as much again",
        dollars(eval_run.spent_usd.get()),
        eval_run.max_usd.unwrap_or_default(),
        answers.display()
    ))
}

/// The value of `--max-usd`: a finite number of dollars, not below 0.
pub(super) fn parse_usd(text: &str) -> Result<f64, String> {
    match text.trim_start_matches('$').parse::<f64>() {
        Ok(usd) if usd.is_finite() && usd >= 0.0 => Ok(usd),
        Ok(_) | Err(_) => Err("must be a number of US dollars, such as 2 or 0.50".to_owned()),
    }
}
