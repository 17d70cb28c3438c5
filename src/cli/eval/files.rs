//! The files that the command writes: those of the run folder, and candidates.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rerankd_eval::collection::{Candidates, Collection, DEFAULT_DEPTH, OWN_FILES, PREPARED_FILE, folder_of, prepare};
use rerankd_eval::compare_runs::RESULTS_FILE;
use rerankd_eval::results::Results;
use rerankd_eval::{csv, report, runs};

use super::{EvalArgs, source};
use crate::cli::{CommandFailure, print};

/// The name of the folder in the run folder that holds the answer logs.
pub(super) const ANSWERS: &str = "answers";

/// Makes a folder if it is not there, and returns its path.
pub(super) fn ensure_folder(path: PathBuf) -> Result<PathBuf, CommandFailure> {
    fs::create_dir_all(&path).map_err(|error| unwritable(&path, &error))?;
    Ok(path)
}

fn unwritable(path: &Path, error: &io::Error) -> CommandFailure {
    CommandFailure::new(format!("{} cannot be written: {error}; --out takes the run folder elsewhere", path.display()))
}

/// Writes candidates for later runs.
pub(super) fn write_candidates(args: &EvalArgs) -> Result<(), CommandFailure> {
    let depth = match &args.candidates {
        None => DEFAULT_DEPTH,
        Some(Candidates::Bm25(depth)) => *depth,
        Some(other) => return Err(CommandFailure::new(format!("--prepare writes bm25:N, not {other}"))),
    };
    let source = source(args);
    let folder = folder_of(&source.data);
    for name in OWN_FILES {
        let path = folder.join(name);
        if path.exists() {
            return Err(CommandFailure::new(format!(
                "{} is there already; remove it to prepare candidates afresh",
                path.display()
            )));
        }
    }
    let run = prepare(&source, depth).map_err(CommandFailure::new)?;
    let path = folder.join(PREPARED_FILE);
    write_atomically(&path, &run)
        .map_err(|error| CommandFailure::new(format!("{} cannot be written: {error}", path.display())))?;
    print(&format!("{}: {} candidates\n", path.display(), run.lines().count()))
}

/// Writes the report, the results and the runs. Runs of contestants that no longer take part are gone afterwards.
pub(super) fn write_results(out: &Path, collection: &Collection, results: &Results) -> Result<(), CommandFailure> {
    let json = serde_json::to_string_pretty(results).map_err(CommandFailure::new)?;
    let mut files = vec![
        (out.join(RESULTS_FILE), json),
        (out.join("report.html"), report::html::html(results)),
        (out.join("results.csv"), csv::results(results)),
        (out.join("per_query.csv"), csv::per_query(results)),
    ];
    let folder = ensure_folder(out.join("runs"))?;
    files.push((out.join("judgments.qrels"), runs::qrels(collection)));
    for (name, run) in runs::runs(results) {
        files.push((folder.join(name), run));
    }
    remove_runs(&out.join(ANSWERS), &folder)?;
    for (path, content) in files {
        write_atomically(&path, &content).map_err(|error| unwritable(&path, &error))?;
    }
    Ok(())
}

/// Removes every run of an earlier evaluation; those that still take part are written anew afterwards. Other files in
/// the folder of runs are not ours.
fn remove_runs(answer_logs: &Path, runs: &Path) -> Result<(), CommandFailure> {
    // A folder or an entry that cannot be read leaves an old run behind, which is no failure.
    for entry in fs::read_dir(answer_logs).into_iter().flatten().flatten() {
        let answer_log = entry.path();
        // A contestant's files, `answers/X.jsonl` and `runs/X.run`, share their stem (`rerankd_eval::file_name`).
        let Some(name) = answer_log.file_stem() else { continue };
        let run = runs.join(name).with_added_extension("run");
        if run.is_file() {
            fs::remove_file(&run).map_err(|error| unwritable(&run, &error))?;
        }
    }
    Ok(())
}

/// Writes a file whole or not at all.
fn write_atomically(path: &Path, content: &str) -> io::Result<()> {
    // A rename within a folder is atomic, so a reader sees the old file or the new one.
    let beside = path.with_added_extension("new");
    fs::write(&beside, content)?;
    fs::rename(&beside, path)
}
