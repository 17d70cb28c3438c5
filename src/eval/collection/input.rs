//! What kind of input there is, told by the files.

use std::fs;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::error::CollectionError;
use super::lines::unreadable;
use super::{Source, autorag, beir, jsonl};

/// A kind of input, with its files.
#[derive(Debug, PartialEq, Eq)]
enum Input {
    /// A folder with `corpus.jsonl` and `queries.jsonl`.
    Beir(PathBuf),
    /// One file with everything.
    Jsonl(PathBuf),
    /// Two tables.
    AutoRag { corpus: PathBuf, qa: PathBuf },
}

/// Reads whatever the source is.
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

/// The folder of the data.
#[must_use]
pub fn folder_of(data: &Path) -> &Path {
    if data.is_dir() {
        return data;
    }
    data.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file named on the command line: in the working directory, or else in the folder of the data.
pub(super) fn find(path: &Path, folder: &Path) -> Option<PathBuf> {
    [path.to_owned(), folder.join(path)].into_iter().find(|place| place.is_file())
}

fn name(data: &Path, input: &Input) -> String {
    let whole = fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
    let name = match input {
        Input::Jsonl(file) if file == data => whole.file_stem(),
        _ => folder_of(&whole).file_name(),
    };
    name.unwrap_or(data.as_os_str()).display().to_string()
}

fn detect(data: &Path) -> Result<Input, CollectionError> {
    let about = fs::metadata(data).map_err(|error| CollectionError::whole(data, unreadable(&error)))?;
    if about.is_dir() { of_folder(data) } else { Ok(of_file(data)) }
}

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

fn of_folder(folder: &Path) -> Result<Input, CollectionError> {
    let holds = |name: &str| folder.join(name).is_file();
    let wrong = |reason: String| Err(CollectionError::whole(folder, reason));
    let beir = holds("corpus.jsonl") && holds("queries.jsonl");
    if beir && holds("corpus.parquet") {
        return wrong(
            "is both a BEIR and an AutoRAG folder; name its corpus.jsonl or its qa.parquet instead".to_owned(),
        );
    }
    if beir {
        return Ok(Input::Beir(folder.to_owned()));
    }
    if holds("corpus.parquet") {
        let corpus = folder.join("corpus.parquet");
        let qa = files(folder, |path| path.extension().is_some_and(|ending| ending == "parquet") && *path != corpus)?;
        return match qa.as_slice() {
            [qa] => Ok(Input::AutoRag { corpus, qa: qa.clone() }),
            [] => wrong("holds corpus.parquet, but no qa.parquet".to_owned()),
            _ if holds("qa.parquet") => Ok(Input::AutoRag { corpus, qa: folder.join("qa.parquet") }),
            several => wrong(format!("holds several tables of queries; name one instead: {}", list(several))),
        };
    }
    let lines = files(folder, |path| path.extension().is_some_and(|ending| ending == "jsonl"))?;
    match lines.as_slice() {
        [file] if !["corpus.jsonl", "queries.jsonl"].iter().any(|name| file.ends_with(name)) => {
            Ok(Input::Jsonl(file.clone()))
        }
        several if several.len() > 1 && !holds("corpus.jsonl") && !holds("queries.jsonl") => {
            wrong(format!("holds several .jsonl files; name one instead: {}", list(several)))
        }
        _ => wrong(
            "holds no collection: corpus.jsonl, queries.jsonl and qrels/ (BEIR), corpus.parquet and qa.parquet (AutoRAG), or \
             one .jsonl file of {\"query\", \"passages\", \"relevant\"}"
                .to_owned(),
        ),
    }
}

/// The files of a folder that fit, in order of name.
pub(super) fn files(folder: &Path, fits: impl Fn(&PathBuf) -> bool) -> Result<Vec<PathBuf>, CollectionError> {
    let entries = fs::read_dir(folder).map_err(|error| CollectionError::whole(folder, unreadable(&error)))?;
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(fits).collect();
    found.sort_unstable();
    Ok(found)
}

pub(super) fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
