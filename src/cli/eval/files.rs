//! What is written: the files of the run folder, and candidates.

use std::fs;
use std::path::{Path, PathBuf};

use super::{EvalArgs, source};
use crate::cli::{Failure, print};
use crate::eval::collection::{Candidates, prepare};
use crate::eval::results::Results;
use crate::eval::{report, runs};

/// The file that a folder's candidates are looked for in.
const CANDIDATES: &str = "candidates.tsv";

/// A folder of the run folder, made if it is not there.
pub(super) fn folder(path: PathBuf) -> Result<PathBuf, Failure> {
    fs::create_dir_all(&path).map_err(|error| unwritable(&path, &error))?;
    Ok(path)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{} cannot be written: {error}; --out takes the run folder elsewhere", path.display()))
}

/// Writes candidates for later runs.
pub(super) fn write_candidates(args: &EvalArgs) -> Result<(), Failure> {
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

/// Writes the report, the results and the runs.
pub(super) fn write(out: &Path, results: &Results) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(results).map_err(Failure::new)?;
    let mut files = vec![(out.join("results.json"), json), (out.join("report.html"), report::html::html(results))];
    let folder = folder(out.join("runs"))?;
    files.extend(runs::runs(results).into_iter().map(|(name, run)| (folder.join(name), run)));
    for (path, content) in files {
        fs::write(&path, content).map_err(|error| unwritable(&path, &error))?;
    }
    Ok(())
}
