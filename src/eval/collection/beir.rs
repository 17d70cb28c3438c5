//! BEIR folders: `corpus.jsonl`, `queries.jsonl` and judgments in `qrels/`.

use std::fs;
use std::path::{Path, PathBuf};

use super::draft::{Draft, titled};
use super::error::CollectionError;
use super::json::object;
use super::lines::{each_line, unreadable};
use super::{JudgedQuery, qrels};

/// Reads a folder; `chosen` is the file of judgments, if it was said.
pub(super) fn read(folder: &Path, chosen: Option<PathBuf>, draft: &mut Draft) -> Result<(), CollectionError> {
    let judgments = match chosen {
        Some(path) => path,
        None => own_judgments(&folder.join("qrels"))?,
    };
    queries(&folder.join("queries.jsonl"), draft)?;
    corpus(&folder.join("corpus.jsonl"), draft)?;
    qrels::read(&judgments, draft)
}

/// `test.tsv`, or else the only one there is.
fn own_judgments(folder: &Path) -> Result<PathBuf, CollectionError> {
    let test = folder.join("test.tsv");
    if test.is_file() {
        return Ok(test);
    }
    let wrong = |reason: String| CollectionError::whole(folder, reason);
    let entries = fs::read_dir(folder)
        .map_err(|error| wrong(format!("{}; name the judgments with --qrels FILE", unreadable(&error))))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut tables: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "tsv")).collect();
    tables.sort_unstable();
    match (tables.pop(), tables.as_slice()) {
        (Some(only), []) => Ok(only),
        (None, _) => Err(wrong("holds no .tsv file; name the judgments with --qrels FILE".to_owned())),
        (Some(last), _) => {
            tables.push(last);
            let names: Vec<String> = tables.iter().map(|path| path.display().to_string()).collect();
            Err(wrong(format!("holds several files of judgments; choose one with --qrels: {}", names.join(", "))))
        }
    }
}

fn corpus(path: &Path, draft: &mut Draft) -> Result<(), CollectionError> {
    each_line(path, |_, line| {
        let mut fields = object(line)?;
        let id = fields.need("_id")?.id("_id")?;
        let text = titled(&fields.optional_text("title")?, &fields.text("text")?);
        draft.passages.add(&id, text).map(drop)
    })
}

fn queries(path: &Path, draft: &mut Draft) -> Result<(), CollectionError> {
    each_line(path, |_, line| {
        let mut fields = object(line)?;
        let id = fields.need("_id")?.id("_id")?.into_owned();
        let text = fields.written_text("text")?.as_ref().into();
        draft.add_question(JudgedQuery { id, text, labels: fields.labels(), ..JudgedQuery::default() })
    })
}
