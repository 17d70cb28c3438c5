//! BEIR folders: `corpus.jsonl`, `queries.jsonl` and judgments in `qrels/`.

use std::path::{Path, PathBuf};

use super::draft::{Draft, titled};
use super::error::CollectionError;
use super::json::each_object;
use super::{JudgedQuery, input, qrels};

/// Reads a folder; `chosen` are the judgments, if it was said which.
pub(super) fn read(folder: &Path, chosen: Option<&Path>, draft: &mut Draft) -> Result<(), CollectionError> {
    let (judgments, others) = match chosen {
        Some(path) => (named(path, folder)?, String::new()),
        None => own_judgments(&folder.join("qrels"))?,
    };
    draft.judgments = Some(format!("{}{others}", judgments.strip_prefix(folder).unwrap_or(&judgments).display()));
    queries(&folder.join("queries.jsonl"), draft)?;
    corpus(&folder.join("corpus.jsonl"), draft)?;
    qrels::read(&judgments, draft)
}

/// The judgments that were named: by a path, or as BEIR names its splits (`dev` for `qrels/dev.tsv`).
fn named(path: &Path, folder: &Path) -> Result<PathBuf, CollectionError> {
    let own = folder.join("qrels");
    let split = own.join(format!("{}.tsv", path.display()));
    let found = input::find(path, folder).or_else(|| [own.join(path), split].into_iter().find(|path| path.is_file()));
    found.ok_or_else(|| {
        let reason = format!("there is no such file, nor one in {} or {}", folder.display(), own.display());
        CollectionError::whole(path, reason)
    })
}

/// `test.tsv`, or else the only one there is; and in words, which others there are.
fn own_judgments(folder: &Path) -> Result<(PathBuf, String), CollectionError> {
    if !folder.is_dir() {
        return Err(CollectionError::whole(folder, "there is no such folder; name the judgments with --qrels FILE"));
    }
    let tables = input::files(folder, |path| path.extension().is_some_and(|ending| ending == "tsv"))?;
    let test = folder.join("test.tsv");
    match tables.as_slice() {
        [only] => Ok((only.clone(), String::new())),
        [] => Err(CollectionError::whole(folder, "holds no .tsv file; name the judgments with --qrels FILE")),
        several if several.contains(&test) => {
            let names: Vec<_> =
                several.iter().filter(|path| **path != test).filter_map(|path| path.file_stem()).collect();
            let names: Vec<_> = names.iter().map(|name| name.display().to_string()).collect();
            Ok((test, format!(" (--qrels takes others: {})", names.join(", "))))
        }
        several => {
            let reason = format!("holds several files of judgments; choose one with --qrels: {}", input::list(several));
            Err(CollectionError::whole(folder, reason))
        }
    }
}

fn corpus(path: &Path, draft: &mut Draft) -> Result<(), CollectionError> {
    draft.left_out.lines_with_half_pairs += each_object(path, |_, mut fields| {
        let id = fields.need("_id")?.id("_id")?;
        let text = titled(&fields.optional_text("title")?, &fields.text("text")?);
        draft.passages.add(&id, text).map(drop)
    })?;
    Ok(())
}

fn queries(path: &Path, draft: &mut Draft) -> Result<(), CollectionError> {
    draft.left_out.lines_with_half_pairs += each_object(path, |_, mut fields| {
        let id = fields.need("_id")?.id("_id")?.into_owned();
        let text = fields.written_text("text")?.as_ref().into();
        draft.add_question(JudgedQuery { id, text, labels: fields.labels(), ..JudgedQuery::default() })
    })?;
    Ok(())
}
