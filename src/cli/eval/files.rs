//! What is written: the files of the run folder, and candidates.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{EvalArgs, source};
use crate::cli::{Failure, print};
use crate::eval::collection::{Candidates, Collection, DEFAULT_DEPTH, OWN_FILES, folder_of, prepare};
use crate::eval::results::Results;
use crate::eval::{report, runs};

/// The folder of the ledgers.
pub(super) const ANSWERS: &str = "answers";

/// A folder of the run folder, made if it is not there.
pub(super) fn made(path: PathBuf) -> Result<PathBuf, Failure> {
    fs::create_dir_all(&path).map_err(|error| unwritable(&path, &error))?;
    Ok(path)
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{} cannot be written: {error}; --out takes the run folder elsewhere", path.display()))
}

/// Writes candidates for later runs.
pub(super) fn write_candidates(args: &EvalArgs) -> Result<(), Failure> {
    let depth = match &args.candidates {
        None => DEFAULT_DEPTH,
        Some(Candidates::Bm25(depth)) => *depth,
        Some(other) => return Err(Failure::new(format!("--prepare writes bm25:N, not {other}"))),
    };
    let folder = folder_of(&args.data);
    let mut own = OWN_FILES.iter().map(|name| folder.join(name));
    if let Some(path) = own.find(|path| path.exists()) {
        return Err(Failure::new(format!(
            "{} is there already; remove it to prepare candidates afresh",
            path.display()
        )));
    }
    let run = prepare(&source(args), depth).map_err(Failure::new)?;
    let path = folder.join(OWN_FILES[0]);
    put(&path, &run).map_err(|error| Failure::new(format!("{} cannot be written: {error}", path.display())))?;
    print(&format!("{}: {} candidates\n", path.display(), run.lines().count()))
}

/// Writes the report, the results and the runs. Runs of contestants that take part no more go.
pub(super) fn write(out: &Path, collection: &Collection, results: &Results) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(results).map_err(Failure::new)?;
    let mut files = vec![(out.join("results.json"), json), (out.join("report.html"), report::html::html(results))];
    let folder = made(out.join("runs"))?;
    files.push((out.join("judgments.qrels"), runs::qrels(collection)));
    files.extend(runs::runs(results).into_iter().map(|(name, run)| (folder.join(name), run)));
    // Whoever has a ledger may have had a run; other files are not ours.
    let ledgers = fs::read_dir(out.join(ANSWERS)).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    for run in ledgers.filter_map(|ledger| Some(folder.join(ledger.file_stem()?).with_added_extension("run"))) {
        if run.is_file() {
            fs::remove_file(&run).map_err(|error| unwritable(&run, &error))?;
        }
    }
    for (path, content) in files {
        put(&path, &content).map_err(|error| unwritable(&path, &error))?;
    }
    Ok(())
}

/// Writes a file whole or not at all.
fn put(path: &Path, content: &str) -> io::Result<()> {
    let beside = path.with_added_extension("new");
    fs::write(&beside, content)?;
    fs::rename(&beside, path)
}
