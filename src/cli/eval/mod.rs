//! `rerankd eval`: a comparison of models on one's own judged collection.

mod asking;
mod bill;
mod files;
mod notices;
mod record;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::MultiProgress;
use rerankd_core::cache::age::RefreshAhead;
use rerankd_core::rerank::Reranker;
use rerankd_core::route::Route;
use rerankd_core::route::settings::{OnDeadline, OnFailure};
use rerankd_core::text::{counted, printable};
use rerankd_eval::answers::{AnswerLog, EvalRun};
use rerankd_eval::collection::{Candidates, Collection, PARQUET_THREAD, Source, load};
use rerankd_eval::compare_runs::{SavedRun, compare};
use rerankd_eval::judge::{Criteria, judge};
use rerankd_eval::report;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use self::asking::{Asked, ask, open_kept, open_missing, signals};
use self::bill::Bill;
use self::notices::{say, stand_ins};
use self::record::run_record;
use super::{CommandFailure, ConfigArgs, print, runtime};
use crate::assemble::assemble;
use crate::config::settings::Settings;

/// Columns where no terminal tells its width: a log has space for every metric, and its sentences stay whole.
const UNLIMITED_WIDTH: u16 = u16::MAX;
/// The folder of the run folders, where `--out` is left out.
const DEFAULT_OUT: &str = "rerankd-eval";
/// Bytes of the score cache: far more than the scores of any collection take.
const UNLIMITED_CACHE: usize = usize::MAX;
/// Lifetime of scores: longer than any run.
const CACHE_TTL: Duration = Duration::from_hours(8760);

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(super) struct EvalArgs {
    /// The judged collection: a folder as BEIR or AutoRAG has it, or a JSONL file of queries with their passages.
    #[arg(long, value_name = "DIR|FILE", required_unless_present = "compare", help_heading = "Collection")]
    data: Option<PathBuf>,
    /// The models to compare, by the names that requests use; all configured ones if left out. The order of the first
    /// stage always takes part.
    #[arg(long, short = 'm', value_name = "NAME,…", value_delimiter = ',')]
    models: Vec<String>,
    /// Depth of the metrics that are cut.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Judgment")]
    k: u16,
    /// What is reranked: a run file, `bm25:DEPTH`, or `judged` for all judged passages. The folder's own candidates if
    /// left out, else bm25:50.
    #[arg(long, value_name = "RUN|bm25:N|judged", help_heading = "Collection")]
    candidates: Option<Candidates>,
    /// The judgments, where the collection holds several files of them.
    #[arg(long, value_name = "FILE", help_heading = "Collection")]
    qrels: Option<PathBuf>,
    /// Slowest mean time a query with which a model may be chosen, such as 200ms.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Judgment")]
    speed_threshold: Option<Duration>,
    /// Queries of one model under way at once. Above 1 it is faster, and the times told are those of a busy caller.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// The run folder: answers are kept there, so a run that was interrupted goes on; rerankd-eval/NAME if left out.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Tell AutoRAG's own metrics too, computed as it computes them.
    #[arg(long, help_heading = "Judgment")]
    autorag: bool,
    /// Only write the candidates (bm25:50, or what --candidates says) to candidates.tsv in the folder, so that later
    /// runs start from the same.
    #[arg(long, help_heading = "Collection")]
    prepare: bool,
    /// Only tell what would be asked and what it costs, and ask nobody.
    #[arg(long, help_heading = "Cost")]
    dry_run: bool,
    /// US dollars at list price that this run may spend. It does not begin if it is expected to cost more, and stops
    /// once it has.
    #[arg(long, value_name = "USD", value_parser = bill::parse_usd, help_heading = "Cost")]
    max_usd: Option<f64>,
    /// Spend what it costs without asking, also above $1.
    #[arg(long, short = 'y', help_heading = "Cost")]
    yes: bool,
    /// Only compare two finished runs, by their run folders.
    #[arg(long, num_args = 2, value_names = ["RUN1", "RUN2"], conflicts_with = "data", help_heading = "Output")]
    compare: Vec<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Returns true if panics of the thread with this name are reported by the command itself.
pub(super) fn reports_panics_of(thread: Option<&str>) -> bool {
    // The parquet reader panics on some broken files, and its caller reports that as a fault of the file.
    thread == Some(PARQUET_THREAD)
}

pub(super) fn run(args: &EvalArgs) -> Result<(), CommandFailure> {
    if let [first, second] = args.compare.as_slice() {
        let first = SavedRun::read(first).map_err(CommandFailure::new)?;
        let second = SavedRun::read(second).map_err(CommandFailure::new)?;
        return print(&compare(&first, &second));
    }
    if args.prepare {
        return files::write_candidates(args);
    }
    let mut settings = args.config.load_and_warn()?.settings;
    make_cache_unlimited(&mut settings);
    disable_fallbacks(&mut settings);
    let source = source(args);
    let collection = load(&source).map_err(CommandFailure::new)?;
    refuse_the_unmeasurable(&collection, &source.data)?;
    let reranker = assemble(&settings).map_err(CommandFailure::new)?;
    let contestants = contestants(args, &reranker)?;
    for sentence in stand_ins(&contestants) {
        say(&sentence);
    }
    let out = args.out.clone().unwrap_or_else(|| Path::new(DEFAULT_OUT).join(&collection.name));
    let answers = out.join(files::ANSWERS);
    let (stop, stopped) = watch::channel(false);
    let eval_run = EvalRun {
        collection: &collection,
        reranker: &reranker,
        concurrency: usize::from(args.concurrency),
        timeout: settings.server.request_timeout,
        stopped,
        max_usd: args.max_usd,
        spent_usd: Cell::new(0.0),
    };
    let runtime = runtime()?;
    let Some(answer_logs) = settled(args, &eval_run, &contestants, &answers, &runtime)? else { return Ok(()) };
    let bars = MultiProgress::new();
    let asked = runtime.block_on(async {
        tokio::select! {
            // In this order, because no model may be asked before signals are listened to.
            biased;
            () = signals(&stop, &bars) => Err(CommandFailure::new("ended; what was answered before is kept")),
            asked = ask(&eval_run, &contestants, answer_logs, &answers, &bars) => asked,
        }
    })?;
    let criteria = Criteria { k: usize::from(args.k), speed_threshold: args.speed_threshold, autorag: args.autorag };
    let mut results = judge(&collection, &asked.entries, &criteria);
    results.run = Some(run_record(args, &collection, &contestants, &asked));
    files::write_results(&out, &collection, &results)?;
    let width = match terminal_size::terminal_size() {
        Some((width, _)) => width.0,
        None => UNLIMITED_WIDTH,
    };
    let table = report::table::table(&results, width);
    let report = out.join("report.html");
    let Asked { kept, new, .. } = asked;
    print(&format!("{table}\nanswers {kept} kept from before, {new} asked for now\nreport  {}\n", report.display()))
}

/// The answer logs of all contestants, once the bill is told and agreed to; `None` after a dry run.
fn settled(
    args: &EvalArgs,
    eval_run: &EvalRun<'_>,
    contestants: &[(String, Arc<Route>)],
    answers: &Path,
    runtime: &Runtime,
) -> Result<Option<Vec<AnswerLog>>, CommandFailure> {
    // The cache, which takes the kept scores, belongs to a runtime. Signals are not listened to yet, so Ctrl-C at the
    // question ends the command.
    let _inside = runtime.enter();
    let kept = open_kept(eval_run, contestants, answers)?;
    let bill = Bill::of(eval_run, contestants, &kept);
    if args.dry_run {
        print(&format!("{}\nnothing was asked\n", bill.all().join("\n")))?;
        return Ok(None);
    }
    bill.settle(args)?;
    files::ensure_folder(answers.to_owned())?;
    Ok(Some(open_missing(eval_run, contestants, answers, kept)?))
}

/// Fails for a collection over which no evaluation can tell anything.
fn refuse_the_unmeasurable(collection: &Collection, data: &Path) -> Result<(), CommandFailure> {
    if collection.askable().next().is_none() {
        return Err(nothing_to_evaluate(collection, data));
    }
    if collection.holds_negatives_only() {
        return Err(nothing_relevant(collection, data));
    }
    if collection.holds_positives_only() {
        return Err(CommandFailure::new(format!(
            "{}: nothing can be measured: all candidates of every query ({}) are relevant and of the same grade, so \
             every order of them is as good; --candidates bm25:50, or a run of yours, adds passages that are not",
            data.display(),
            collection.first_stage
        )));
    }
    Ok(())
}

/// The failure of a collection in which no candidate is relevant.
fn nothing_relevant(collection: &Collection, data: &Path) -> CommandFailure {
    let unknown = &collection.left_out.judgments_of_unknown_passages;
    let judgments = match &unknown.first {
        Some(id) => format!(
            "; {} that the collection does not hold, such as {} (check the ids)",
            counted(unknown.count, "judgment names a passage", "judgments name passages"),
            printable(id)
        ),
        None => String::new(),
    };
    let qrels = if collection.judgments.is_some() { "--qrels takes other judgments, " } else { "" };
    CommandFailure::new(format!(
        "{}: nothing can be measured: no candidate of any query ({}) is relevant, so every order of them counts \
         0{judgments}; {qrels}--candidates takes other candidates",
        data.display(),
        collection.first_stage
    ))
}

/// The failure of a collection in which no query has both judgments and candidates.
fn nothing_to_evaluate(collection: &Collection, data: &Path) -> CommandFailure {
    let judgments = match &collection.judgments {
        Some(file) => format!(", judged by {file} (--qrels takes others)"),
        None => String::new(),
    };
    CommandFailure::new(format!(
        "{} holds nothing to evaluate{judgments}; queries without a judgment: {}; with judgments, but without a \
         candidate: {}; candidates: {} (--candidates takes others)",
        data.display(),
        collection.left_out.unjudged_queries,
        collection.left_out.queries_without_candidates,
        collection.first_stage
    ))
}

/// The name of each contestant with its route.
fn contestants(args: &EvalArgs, reranker: &Reranker) -> Result<Vec<(String, Arc<Route>)>, CommandFailure> {
    let mut names: Vec<String> = Vec::new();
    if args.models.is_empty() {
        names.extend(reranker.routes.routes().map(|route| route.model.clone()));
    }
    for given in &args.models {
        let name = given.trim();
        if !name.is_empty() {
            names.push(name.to_owned());
        }
    }
    if names.is_empty() {
        return Err(CommandFailure::new("--models names nobody"));
    }
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            return Err(CommandFailure::new(format!("--models names {name} again as number {}", at + 1)));
        }
    }
    if names.iter().any(|name| name == rerankd_eval::FIRST_STAGE) {
        return Err(CommandFailure::new(
            "none is the order of the first stage, which always takes part; a model of that name needs an alias \
             (models.none.aliases)",
        ));
    }
    let mut contestants = Vec::with_capacity(names.len());
    for name in names {
        let route = reranker.routes.resolve(Some(&name)).map_err(|error| CommandFailure::new(error.message))?;
        contestants.push((name, route));
    }
    Ok(contestants)
}

/// Makes the cache keep every score to the end of the run, whatever the configuration says of serving.
///
/// Kept answers are put into the cache (`EvalRun::fill_cache`), so an evicted or expired score would be paid for
/// again. No refresh ahead: it is billed. No stale scores: they are not the model's present answer.
fn make_cache_unlimited(settings: &mut Settings) {
    let cache = &mut settings.cache;
    cache.enabled = true;
    cache.max_bytes = UNLIMITED_CACHE;
    cache.time_to_live = CACHE_TTL;
    cache.max_stale = Duration::ZERO;
    cache.refresh_ahead = RefreshAhead::InBackground(Duration::ZERO);
}

/// Makes an answer that is less than a ranking of the model a failure, which is asked for again.
fn disable_fallbacks(settings: &mut Settings) {
    for model in &mut settings.models {
        model.on_failure = OnFailure::Error;
        model.on_deadline = OnDeadline::Error;
        model.fallback_after = Duration::ZERO;
        // An evaluation has time, and pays for nothing twice.
        model.hedge.enabled = false;
    }
}

fn source(args: &EvalArgs) -> Source {
    Source {
        data: args.data.clone().unwrap_or_default(),
        qrels: args.qrels.clone(),
        candidates: args.candidates.clone(),
    }
}
