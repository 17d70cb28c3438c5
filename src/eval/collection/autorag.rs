//! `AutoRAG` folders: `corpus.parquet` (`doc_id`, `contents`) and `qa.parquet` (`qid`, `query`, `retrieval_gt`).
//!
//! `retrieval_gt` is a list of groups of passages: one of each group is needed to answer. A plain list needs every one of its
//! passages, and a single id stands for itself (`AutoRAG`'s `data_format.md`). Further columns of short values are labels.
//!
//! What the Parquet reader says of a broken file may quote its bytes, so it is not passed on.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::thread;

use parquet::basic::{ConvertedType, Type as Physical};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;

use super::JudgedQuery;
use super::draft::{Draft, titled};
use super::error::{CollectionError, Place};
use super::json::is_label;
use super::lines::unreadable;

const BROKEN: &str =
    "cannot be read as Parquet (Snappy, Zstandard or no compression); write it again with pandas' to_parquet";

/// The thread that reads Parquet. Its panics are errors of the file, and told as such.
pub const READER: &str = "parquet reader";

/// Columns that are never labels.
const TEXTS: [&str; 2] = ["retrieval_gt", "generation_gt"];

/// The cells of a row, by the names of their columns.
struct Cells(Vec<(String, Field)>);

/// Reads both tables.
pub(super) fn read(corpus: &Path, qa: &Path, draft: &mut Draft) -> Result<(), CollectionError> {
    each_row(corpus, &["doc_id", "contents"], false, |mut cells| {
        let (id, text) = (cells.id("doc_id")?, cells.text("contents")?);
        draft.passages.add(&id, titled("", &text)).map(drop)
    })?;
    each_row(qa, &["qid", "query", "retrieval_gt"], true, |mut cells| {
        let (id, text) = (cells.id("qid")?, cells.text("query")?);
        if text.trim().is_empty() {
            return Err("\"query\" is blank".to_owned());
        }
        let groups = cells.take("retrieval_gt").map_or_else(|| Ok(Vec::new()), |cell| groups(&cell))?;
        let judgments = groups.iter().flatten().map(|id| (id.clone(), 1)).collect();
        draft.add_question(JudgedQuery {
            id,
            text: text.into(),
            judgments,
            groups,
            labels: cells.labels(),
            ..JudgedQuery::default()
        })
    })
}

/// Calls `each` with every row: the columns that are needed, and those that may be labels if they are wanted.
fn each_row(
    path: &Path,
    needed: &[&str],
    labels: bool,
    mut each: impl FnMut(Cells) -> Result<(), String> + Send,
) -> Result<(), CollectionError> {
    let file = File::open(path).map_err(|error| CollectionError::whole(path, unreadable(&error)))?;
    let broken = || CollectionError::whole(path, BROKEN);
    let read = || {
        let reader = SerializedFileReader::new(file).map_err(|_| broken())?;
        let columns = reader.metadata().file_metadata().schema().get_fields();
        if let Some(missing) = needed.iter().find(|name| columns.iter().all(|column| column.name() != **name)) {
            return Err(CollectionError::whole(path, format!("has no column \"{missing}\"")));
        }
        let wanted = |column: &Type| needed.contains(&column.name()) || labels && may_be_label(column);
        let columns = columns.iter().filter(|column| wanted(column)).cloned().collect();
        let wanted = Type::group_type_builder("schema").with_fields(columns).build().map_err(|_| broken())?;
        let rows = RowIter::from_file(Some(wanted), &reader).map_err(|_| broken())?;
        for (number, row) in (1..).zip(rows) {
            let wrong = |reason: &str| CollectionError::new(path, Place::Row(number), reason);
            let row = row.map_err(|_| wrong(BROKEN))?;
            each(Cells(row.into_columns())).map_err(|reason| wrong(&reason))?;
        }
        Ok(())
    };
    // On about one broken file in 600 the reader (60.1) panics instead of saying so, hence a thread of its own.
    thread::scope(|scope| {
        let reading = thread::Builder::new().name(READER.to_owned()).spawn_scoped(scope, read);
        let reading = reading.map_err(|error| CollectionError::whole(path, unreadable(&error)))?;
        reading.join().unwrap_or_else(|_| Err(broken()))
    })
}

/// Whether a column holds single texts, whole numbers or truth values.
fn may_be_label(column: &Type) -> bool {
    let plain = column.is_primitive() && !TEXTS.contains(&column.name()) && !column.name().starts_with("__");
    plain
        && match (column.get_physical_type(), column.get_basic_info().converted_type()) {
            (Physical::BYTE_ARRAY, ConvertedType::UTF8) | (Physical::INT32 | Physical::INT64, ConvertedType::NONE) => {
                true
            }
            (physical, _) => physical == Physical::BOOLEAN,
        }
}

impl Cells {
    fn take(&mut self, name: &str) -> Option<Field> {
        let at = self.0.iter().position(|(column, _)| column == name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn text(&mut self, name: &str) -> Result<String, String> {
        match self.take(name) {
            Some(Field::Str(text)) => Ok(text),
            _ => Err(format!("\"{name}\" must be a string")),
        }
    }

    fn id(&mut self, name: &str) -> Result<String, String> {
        let id = self.take(name).and_then(|cell| single(&cell));
        id.filter(|id| !id.is_empty()).ok_or_else(|| format!("\"{name}\" must be a string or a whole number"))
    }

    fn labels(self) -> BTreeMap<String, String> {
        let short = |(name, cell): (String, Field)| Some((name, single(&cell).filter(|value| is_label(value))?));
        self.0.into_iter().filter_map(short).collect()
    }
}

/// A text, a whole number or a truth value.
fn single(cell: &Field) -> Option<String> {
    match cell {
        Field::Str(text) => Some(text.clone()),
        Field::Int(number) => Some(number.to_string()),
        Field::Long(number) => Some(number.to_string()),
        Field::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// The groups of a `retrieval_gt`; empty ids, which stand for "no passage answers this", are left out.
fn groups(cell: &Field) -> Result<Vec<Vec<String>>, String> {
    let wrong = || "\"retrieval_gt\" must be a list of lists of ids".to_owned();
    let named = |cell: &Field| single(cell).ok_or_else(wrong);
    let mut groups = Vec::new();
    match cell {
        Field::Null => {}
        Field::ListInternal(list) => {
            for element in list.elements() {
                groups.push(match element {
                    Field::Null => Vec::new(),
                    Field::ListInternal(group) => group.elements().iter().map(named).collect::<Result<_, _>>()?,
                    single => vec![named(single)?],
                });
            }
        }
        single => groups.push(vec![named(single)?]),
    }
    for group in &mut groups {
        group.retain(|id| !id.is_empty());
    }
    groups.retain(|group| !group.is_empty());
    Ok(groups)
}
