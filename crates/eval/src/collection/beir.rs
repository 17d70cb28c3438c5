//! BEIR folders: `corpus.jsonl`, `queries.jsonl` and judgments in `qrels/`.

use std::path::{Path, PathBuf};

use faststr::FastStr;

use super::draft::{Draft, titled};
use super::input_error::CollectionError;
use super::json::each_object;
use super::{JudgedQuery, input, qrels};

/// Reads a folder; `chosen` is the file of the judgments, if the command line names one.
pub(super) fn read(folder: &Path, chosen: Option<&Path>, draft: &mut Draft) -> Result<(), CollectionError> {
    let (qrels_file, note) = match chosen {
        Some(path) => (find_judgments(path, folder)?, None),
        None => own_judgments(&folder.join("qrels"))?,
    };
    let mut judgments = qrels_file.strip_prefix(folder).unwrap_or(&qrels_file).display().to_string();
    if let Some(note) = note {
        judgments.push_str(&note);
    }
    draft.judgments = Some(judgments);
    // Queries before judgments, which are added to them.
    queries(&folder.join("queries.jsonl"), draft)?;
    corpus(&folder.join("corpus.jsonl"), draft)?;
    qrels::read(&qrels_file, draft)
}

/// Finds the judgments that the command line names: a path, or BEIR's name of a split (`dev` for `qrels/dev.tsv`).
fn find_judgments(path: &Path, folder: &Path) -> Result<PathBuf, CollectionError> {
    let own = folder.join("qrels");
    if let Some(found) = input::find(path, folder) {
        return Ok(found);
    }
    for candidate in [own.join(path), own.join(format!("{}.tsv", path.display()))] {
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    let reason = format!("there is no such file, nor one in {} or {}", folder.display(), own.display());
    Err(CollectionError::whole(path, reason))
}

/// Finds the judgments that `qrels` holds: `test.tsv`, BEIR's usual split, or else the only table. Also returns a note
/// on the other tables, for a report; `None` if there are none.
fn own_judgments(folder: &Path) -> Result<(PathBuf, Option<String>), CollectionError> {
    if !folder.is_dir() {
        return Err(CollectionError::whole(folder, "there is no such folder; name the judgments with --qrels FILE"));
    }
    let tables = input::files(folder, |path| path.extension().is_some_and(|ending| ending == "tsv"))?;
    let test = folder.join("test.tsv");
    match tables.as_slice() {
        [only] => Ok((only.clone(), None)),
        [] => Err(CollectionError::whole(folder, "holds no .tsv file; name the judgments with --qrels FILE")),
        several if several.contains(&test) => {
            let mut others = Vec::new();
            for path in several {
                if *path != test
                    && let Some(name) = path.file_stem()
                {
                    others.push(name.display().to_string());
                }
            }
            Ok((test, Some(format!(" (--qrels takes others: {})", others.join(", ")))))
        }
        several => {
            let reason = format!("holds several files of judgments; choose one with --qrels: {}", input::list(several));
            Err(CollectionError::whole(folder, reason))
        }
    }
}

fn corpus(path: &Path, draft: &mut Draft) -> Result<(), CollectionError> {
    draft.left_out.lines_with_lone_surrogates += each_object(path, |_, mut fields| {
        let id = fields.need("_id")?.id("_id")?;
        let text = titled(&fields.optional_text("title")?, &fields.text("text")?);
        draft.passages.add(&id, text)?;
        Ok(())
    })?;
    Ok(())
}

fn queries(path: &Path, draft: &mut Draft) -> Result<(), CollectionError> {
    draft.left_out.lines_with_lone_surrogates += each_object(path, |_, mut fields| {
        let id = fields.need("_id")?.id("_id")?.into_owned();
        let text = FastStr::new(fields.written_text("text")?);
        draft.add_query(JudgedQuery { id, text, labels: fields.labels(), ..JudgedQuery::default() })
    })?;
    Ok(())
}
