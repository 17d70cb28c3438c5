//! The kind of an input, found out from its files.

use std::fs;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::input_error::CollectionError;
use super::lines::unreadable;
use super::{Source, autorag, beir, jsonl};

/// A kind of input, with its files.
#[derive(Debug, PartialEq, Eq)]
enum Input {
    /// A folder with `corpus.jsonl` and `queries.jsonl`.
    Beir(PathBuf),
    /// One file with queries, passages and judgments.
    Jsonl(PathBuf),
    /// Two Parquet tables.
    AutoRag { corpus: PathBuf, qa: PathBuf },
}

/// Reads an input of any kind.
pub(super) fn read(source: &Source) -> Result<Draft, CollectionError> {
    let input = detect(&source.data)?;
    let mut draft = Draft::new(name(&source.data, &input));
    match (&input, source.qrels.as_deref()) {
        (Input::Beir(folder), qrels) => beir::read(folder, qrels, &mut draft)?,
        (_, Some(_)) => {
            let reason = "holds its own judgments; --qrels is for BEIR folders";
            return Err(CollectionError::whole(&source.data, reason));
        }
        (Input::Jsonl(file), None) => jsonl::read(file, &mut draft)?,
        (Input::AutoRag { corpus, qa }, None) => autorag::read(corpus, qa, &mut draft)?,
    }
    Ok(draft)
}

/// The folder of the data: itself, or the one that holds the file.
#[must_use]
pub fn folder_of(data: &Path) -> &Path {
    if data.is_dir() {
        return data;
    }
    match data.parent() {
        // The parent of a bare file name is the empty path, which cannot be opened.
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Finds a file from the command line: in the working directory, or else in the folder of the data.
pub(super) fn find(path: &Path, folder: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    let in_folder = folder.join(path);
    in_folder.is_file().then_some(in_folder)
}

/// The name of the collection, for reports: that of the folder, or of a file that the command line names by itself.
fn name(data: &Path, input: &Input) -> String {
    // Canonical, so that `.` has a name too.
    let whole = fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
    let name = match input {
        Input::Jsonl(file) if file == data => whole.file_stem(),
        _ => folder_of(&whole).file_name(),
    };
    name.unwrap_or(data.as_os_str()).display().to_string()
}

/// Finds out the kind by the names of the files alone; none is opened.
fn detect(data: &Path) -> Result<Input, CollectionError> {
    let about = fs::metadata(data).map_err(|error| CollectionError::whole(data, unreadable(&error)))?;
    if about.is_dir() { of_folder(data) } else { Ok(of_file(data)) }
}

/// The input that a file stands for. A table that is not `corpus.parquet` has the queries, whatever its name.
fn of_file(data: &Path) -> Input {
    let name = data.file_name().unwrap_or_default();
    let is_table = data.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"));
    let folder = folder_of(data);
    if is_table {
        let qa = if name == "corpus.parquet" { folder.join("qa.parquet") } else { data.to_owned() };
        Input::AutoRag { corpus: folder.join("corpus.parquet"), qa }
    } else if name == "corpus.jsonl" || name == "queries.jsonl" {
        Input::Beir(folder.to_owned())
    } else {
        Input::Jsonl(data.to_owned())
    }
}

/// The input in a folder, if it is only one.
fn of_folder(folder: &Path) -> Result<Input, CollectionError> {
    let beir = holds(folder, "corpus.jsonl") && holds(folder, "queries.jsonl");
    if beir && holds(folder, "corpus.parquet") {
        let reason = "is both a BEIR and an AutoRAG folder; name its corpus.jsonl or its qa.parquet instead";
        return Err(CollectionError::whole(folder, reason));
    }
    if beir {
        return Ok(Input::Beir(folder.to_owned()));
    }
    if holds(folder, "corpus.parquet") {
        return of_autorag_folder(folder);
    }
    let jsonl_files = files(folder, |path| path.extension().is_some_and(|ending| ending == "jsonl"))?;
    match jsonl_files.as_slice() {
        // Half of a BEIR folder is no collection.
        [file] if !file.ends_with("corpus.jsonl") && !file.ends_with("queries.jsonl") => Ok(Input::Jsonl(file.clone())),
        several if several.len() > 1 && !holds(folder, "corpus.jsonl") && !holds(folder, "queries.jsonl") => {
            let reason = format!("holds several .jsonl files; name one instead: {}", list(several));
            Err(CollectionError::whole(folder, reason))
        }
        _ => {
            let reason = "holds no collection: corpus.jsonl, queries.jsonl and qrels/ (BEIR), corpus.parquet and \
                          qa.parquet (AutoRAG), or one .jsonl file of {\"query\", \"passages\", \"relevant\"}";
            Err(CollectionError::whole(folder, reason))
        }
    }
}

/// The `AutoRAG` input in a folder with `corpus.parquet`: `qa.parquet`, or else the only other table.
fn of_autorag_folder(folder: &Path) -> Result<Input, CollectionError> {
    let corpus = folder.join("corpus.parquet");
    let tables = files(folder, |path| path.extension().is_some_and(|ending| ending == "parquet") && *path != corpus)?;
    match tables.as_slice() {
        [qa] => Ok(Input::AutoRag { corpus, qa: qa.clone() }),
        [] => Err(CollectionError::whole(folder, "holds corpus.parquet, but no qa.parquet")),
        _ if holds(folder, "qa.parquet") => Ok(Input::AutoRag { corpus, qa: folder.join("qa.parquet") }),
        several => {
            let reason = format!("holds several tables of queries; name one instead: {}", list(several));
            Err(CollectionError::whole(folder, reason))
        }
    }
}

fn holds(folder: &Path, name: &str) -> bool {
    folder.join(name).is_file()
}

/// The entries of a folder that fit, in the order of their paths.
pub(super) fn files(folder: &Path, fits: impl Fn(&PathBuf) -> bool) -> Result<Vec<PathBuf>, CollectionError> {
    let entries = fs::read_dir(folder).map_err(|error| CollectionError::whole(folder, unreadable(&error)))?;
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if fits(&path) {
            found.push(path);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The paths, for a message.
pub(super) fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
