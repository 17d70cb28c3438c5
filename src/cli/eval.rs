//! `rerankd eval`: which model ranks best, on one's own judged collection.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use tokio::signal::ctrl_c;
use tokio::sync::watch;

use super::{ConfigArgs, Failure, print, runtime};
use crate::config::settings::{OnDeadline, OnFailure, Settings};
use crate::eval::collection::{Candidates, Collection, Source, load, prepare};
use crate::eval::contest::{Answer, Contest, Ending, Ledger, fingerprint};
use crate::eval::judge::{Entry, Terms, judge};
use crate::eval::results::Results;
use crate::eval::{report, runs};
use crate::rerank::Reranker;
use crate::rerank::assemble::assemble;
use crate::route::Route;

/// Columns of what is no terminal: a log is as wide as it needs to be.
const USUAL_WIDTH: u16 = 160;
/// The folder of the run folders of those who name none.
const USUAL_OUT: &str = "rerankd-eval";
/// The file that a folder's candidates are looked for in.
const CANDIDATES: &str = "candidates.tsv";
/// Scores are forgotten only when the process ends.
const FOR_GOOD: Duration = Duration::from_hours(8760);

#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// The judged collection: a folder as BEIR or AutoRAG has it, or a JSONL file of queries with their passages.
    #[arg(long, value_name = "DIR|FILE")]
    data: PathBuf,
    /// The models to compare, by the names that requests use; all configured ones if left out. The order of the first stage always takes part.
    #[arg(long, short = 'm', value_name = "NAME,…", value_delimiter = ',')]
    models: Vec<String>,
    /// Depth of the metrics that are cut.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    k: u16,
    /// What is reranked: a run file, `bm25:DEPTH`, or `judged` for all judged passages. The folder's own candidates if left out, else bm25:50.
    #[arg(long, value_name = "RUN|bm25:N|judged")]
    candidates: Option<Candidates>,
    /// The judgments, where the collection holds several files of them.
    #[arg(long, value_name = "FILE")]
    qrels: Option<PathBuf>,
    /// Slowest mean time a query with which a model may be chosen, such as 200ms.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    speed_threshold: Option<Duration>,
    /// Queries of one model under way at once. Above 1 it is faster, and the times told are those of a busy caller.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// The run folder: answers are kept there, so a run that was interrupted goes on; rerankd-eval/NAME if left out.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Tell AutoRAG's own metrics too, computed as it computes them.
    #[arg(long)]
    autorag: bool,
    /// Only write the candidates (bm25:50, or what --candidates says) to candidates.tsv in the folder, so that later runs start from the same.
    #[arg(long)]
    prepare: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &EvalArgs) -> Result<(), Failure> {
    if args.prepare {
        return write_candidates(args);
    }
    let mut settings = args.config.load(None)?.settings;
    remember_everything(&mut settings);
    take_no_substitutes(&mut settings);
    let source = source(args);
    let collection = load(&source).map_err(Failure::new)?;
    check(&collection, &args.data)?;
    let reranker = assemble(&settings).map_err(Failure::new)?;
    let contestants = contestants(args, &reranker)?;
    let out = args.out.clone().unwrap_or_else(|| Path::new(USUAL_OUT).join(&collection.name));
    let answers = out.join("answers");
    fs::create_dir_all(&answers).map_err(|error| Failure::new(format!("{}: {error}", answers.display())))?;
    let (stop, stopped) = watch::channel(false);
    let contest = Contest {
        collection: &collection,
        reranker: &reranker,
        concurrency: usize::from(args.concurrency),
        timeout: settings.server.request_timeout,
        stopped,
    };
    let entries = runtime()?.block_on(async {
        tokio::select! {
            biased; // nobody is asked before signals are listened to
            () = signals(&stop) => Err(Failure::new("ended; what was answered before is kept")),
            entries = ask(&contest, &contestants, &answers) => entries,
        }
    })?;
    let terms = Terms { k: usize::from(args.k), speed_threshold: args.speed_threshold, autorag: args.autorag };
    let results = judge(&collection, &entries, &terms);
    write(&out, &results)?;
    let width = terminal_size::terminal_size().map_or(USUAL_WIDTH, |(width, _)| width.0);
    let told = report::table::table(&results, width);
    print(&format!("{told}\nreport  {}\n", out.join("report.html").display()))
}

/// Refuses a collection of which nothing can be evaluated, and tells what of it cannot.
fn check(collection: &Collection, data: &Path) -> Result<(), Failure> {
    let left_out = collection.left_out;
    if collection.queries.is_empty() {
        return Err(Failure::new(format!(
            "{} holds nothing to evaluate (queries without a judgment: {}; with judgments, but without a candidate: {})",
            data.display(),
            left_out.unjudged_queries,
            left_out.queries_without_candidates
        )));
    }
    for (count, what) in [
        (
            left_out.judgments_of_unknown_passages,
            "judgments name passages that the collection does not hold; they count as not found",
        ),
        (left_out.judgments_of_unknown_queries, "judgments name queries that the collection does not hold"),
        (left_out.run_lines_of_unknown_queries, "lines of the run name queries that the collection does not hold"),
    ] {
        if count > 0 {
            say(&format!("{count} {what}"));
        }
    }
    Ok(())
}

/// Tells the person who typed the command something that is no result.
fn say(sentence: &str) {
    drop(io::Write::write_all(&mut io::stderr(), format!("rerankd: {sentence}\n").as_bytes()));
}

/// The name of each contestant, and where it leads.
fn contestants(args: &EvalArgs, reranker: &Reranker) -> Result<Vec<(String, Arc<Route>)>, Failure> {
    let names: Vec<String> = if args.models.is_empty() {
        reranker.routes.routes().map(|route| route.model.clone()).collect()
    } else {
        args.models.iter().map(|name| name.trim().to_owned()).collect()
    };
    if let Some((at, name)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(Failure::new(format!("--models names {name} again as number {}", at + 1)));
    }
    if names.iter().any(|name| name == crate::eval::NONE) {
        return Err(Failure::new("--models need not name none: the order of the first stage always takes part"));
    }
    let resolve = |name: String| {
        let route = reranker.routes.resolve(Some(&name)).map_err(|error| Failure::new(error.message))?;
        Ok((name, route))
    };
    names.into_iter().map(resolve).collect()
}

/// Asks one contestant after the other, so that none is measured in the shadow of another.
async fn ask(
    contest: &Contest<'_>,
    contestants: &[(String, Arc<Route>)],
    answers: &Path,
) -> Result<Vec<Entry>, Failure> {
    let bars = MultiProgress::new();
    let width = contestants.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let queries = contest.collection.queries.len();
    let mut ledgers = open(contest, contestants, answers)?;
    for (at, (name, route)) in contestants.iter().enumerate() {
        let bar = bars.add(bar(queries, name, width));
        let ending = contest.ask_all(route, &mut ledgers[at], || bar.inc(1)).await.map_err(Failure::new)?;
        bar.finish();
        if ending == Ending::Stopped {
            let (done, all) = (ledgers.iter().map(Ledger::answered).sum::<usize>(), queries * contestants.len());
            return Err(Failure::new(format!(
                "stopped; {done} of {all} answers are kept in {}, and the same command goes on from there",
                answers.display()
            )));
        }
    }
    if ledgers.iter().all(|ledger| ledger.answered() == 0) {
        return Err(nobody_answered(contest, contestants, &ledgers));
    }
    let entry =
        |((name, route), ledger): (&(String, Arc<Route>), _)| Entry::of_ledger(name, ledger, route, contest.collection);
    Ok(contestants.iter().zip(&ledgers).map(entry).collect())
}

/// The ledger of each contestant. All are opened, and what they hold is known, before anything is asked: nobody pays for a run that one of them
/// refuses in the end, or for what another has.
fn open(contest: &Contest<'_>, contestants: &[(String, Arc<Route>)], answers: &Path) -> Result<Vec<Ledger>, Failure> {
    let open = |(name, route): &(String, Arc<Route>)| {
        let ledger = Ledger::open(answers, name, &fingerprint(contest.collection, route)).map_err(Failure::new)?;
        contest.recall(route, &ledger);
        Ok(ledger)
    };
    contestants.iter().map(open).collect()
}

/// A comparison of failures says nothing, whatever its figures are.
fn nobody_answered(contest: &Contest<'_>, contestants: &[(String, Arc<Route>)], ledgers: &[Ledger]) -> Failure {
    let mut sentence = "no model answered any query".to_owned();
    for ((name, _), ledger) in contestants.iter().zip(ledgers) {
        let failed = contest.collection.queries.iter().find_map(|query| match ledger.answer(&query.id)? {
            Answer::Failed(failed) => Some(&failed.message),
            Answer::Ranked(_) => None,
        });
        if let Some(message) = failed {
            sentence.push_str(&format!("; {name}: {message}"));
        }
    }
    Failure::new(sentence)
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
async fn signals(stop: &watch::Sender<bool>) {
    // Without a handler the signal ends the process at once, which is what the second one is to do.
    drop(ctrl_c().await);
    stop.send_replace(true);
    say("finishing what is under way; once more to end at once");
    drop(ctrl_c().await);
}

/// An evaluation must not forget what was paid for, whatever the configuration says of serving.
fn remember_everything(settings: &mut Settings) {
    let cache = &mut settings.cache;
    cache.enabled = true;
    cache.time_to_live = FOR_GOOD;
    (cache.max_stale, cache.refresh_ahead) = (Duration::ZERO, Duration::ZERO);
}

/// What a client of the server may get in place of an answer is none here: it counts as a failure, and is asked for again.
fn take_no_substitutes(settings: &mut Settings) {
    for model in &mut settings.models {
        (model.on_failure, model.on_deadline) = (OnFailure::Error, OnDeadline::Error);
        // An evaluation has time, and pays for nothing twice.
        model.hedge.enabled = false;
    }
}

fn source(args: &EvalArgs) -> Source {
    Source { data: args.data.clone(), qrels: args.qrels.clone(), candidates: args.candidates.clone() }
}

fn write_candidates(args: &EvalArgs) -> Result<(), Failure> {
    let depth = match &args.candidates {
        None => 50,
        Some(Candidates::Bm25(depth)) => *depth,
        Some(other) => return Err(Failure::new(format!("--prepare writes bm25:N, not {other}"))),
    };
    let run = prepare(&source(args), depth).map_err(Failure::new)?;
    let folder = if args.data.is_dir() { args.data.as_path() } else { args.data.parent().unwrap_or(Path::new(".")) };
    let path = folder.join(CANDIDATES);
    if path.exists() {
        return Err(Failure::new(format!(
            "{} is there already; remove it to prepare candidates afresh",
            path.display()
        )));
    }
    fs::write(&path, &run).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    print(&format!("{}: {} candidates\n", path.display(), run.lines().count()))
}

fn write(out: &Path, results: &Results) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(results).map_err(Failure::new)?;
    let mut files = vec![(out.join("results.json"), json), (out.join("report.html"), report::html::html(results))];
    let folder = out.join("runs");
    fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    files.extend(runs::runs(results).into_iter().map(|(name, run)| (folder.join(name), run)));
    for (path, content) in files {
        fs::write(&path, content).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    }
    Ok(())
}
