//! `AutoRAG` folders: `corpus.parquet` (`doc_id`, `contents`) and `qa.parquet` (`qid`, `query`, `retrieval_gt`).
//!
//! `retrieval_gt` is a list of groups of passages, of which one of each group is needed to answer. In a plain list,
//! every passage is needed, and a single id is a list of one (`AutoRAG`'s `data_format.md`). Further columns of short
//! values are labels.
//!
//! The Parquet reader's messages about a broken file may quote its bytes, so they are not passed on.

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
use super::input_error::{CollectionError, FilePosition};
use super::json::is_label;
use super::lines::unreadable;

const BROKEN: &str =
    "cannot be read as Parquet (Snappy, Zstandard or no compression); write it again with pandas' to_parquet";

/// Name of the thread that reads Parquet. Its panics are reported as errors of the file.
pub const PARQUET_THREAD: &str = "parquet reader";

/// Columns that are never labels, though some writers store a single text in them: the answers.
const NEVER_LABELS: [&str; 2] = ["retrieval_gt", "generation_gt"];

/// The columns of a table that are read besides the required ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FurtherColumns {
    None,
    /// Those that may be labels.
    Labels,
}

/// The cells of a row that were not taken yet, by the names of their columns.
struct Cells(Vec<(String, Field)>);

/// Reads both tables.
pub(super) fn read(corpus: &Path, qa: &Path, draft: &mut Draft) -> Result<(), CollectionError> {
    each_row(corpus, &["doc_id", "contents"], FurtherColumns::None, |mut cells| {
        let id = cells.id("doc_id")?;
        let text = cells.text("contents")?;
        // Without a title, but trimmed like the passages of the other kinds of input.
        draft.passages.add(&id, titled("", &text))?;
        Ok(())
    })?;
    each_row(qa, &["qid", "query", "retrieval_gt"], FurtherColumns::Labels, |mut cells| {
        let id = cells.id("qid")?;
        let text = cells.text("query")?;
        if text.trim().is_empty() {
            return Err("\"query\" is blank".to_owned());
        }
        let groups = match cells.take("retrieval_gt") {
            Some(cell) => groups_of(&cell)?,
            None => Vec::new(),
        };
        let mut judgments = BTreeMap::new();
        for id in groups.iter().flatten() {
            judgments.insert(id.clone(), 1);
        }
        let labels = cells.labels();
        draft.add_query(JudgedQuery { id, text: text.into(), judgments, groups, labels, ..JudgedQuery::default() })
    })
}

/// Calls `each` with the cells of every row: those of the columns in `required`, and of the `further` ones.
///
/// # Errors
/// The file cannot be read, lacks a required column, or holds a row that `each` refuses.
fn each_row(
    path: &Path,
    required: &[&str],
    further: FurtherColumns,
    each: impl FnMut(Cells) -> Result<(), String> + Send,
) -> Result<(), CollectionError> {
    let file = File::open(path).map_err(|error| CollectionError::whole(path, unreadable(&error)))?;
    // `parquet` 60.1 panics on about one broken file in 600; on a thread of its own that is an error.
    thread::scope(|scope| {
        let reading = thread::Builder::new()
            .name(PARQUET_THREAD.to_owned())
            .spawn_scoped(scope, move || read_rows(path, file, required, further, each))
            .map_err(|error| CollectionError::whole(path, unreadable(&error)))?;
        reading.join().unwrap_or_else(|_| Err(broken(path)))
    })
}

/// Does the work of [`each_row`], and may panic in the Parquet reader.
fn read_rows(
    path: &Path,
    file: File,
    required: &[&str],
    further: FurtherColumns,
    mut each: impl FnMut(Cells) -> Result<(), String>,
) -> Result<(), CollectionError> {
    let reader = SerializedFileReader::new(file).map_err(|_| broken(path))?;
    let columns = reader.metadata().file_metadata().schema().get_fields();
    for name in required {
        if !columns.iter().any(|column| column.name() == *name) {
            return Err(CollectionError::whole(path, format!("has no column \"{name}\"")));
        }
    }
    // Other columns, such as embeddings, may be large and are not even decoded.
    let mut wanted = Vec::new();
    for column in columns {
        if required.contains(&column.name()) || further == FurtherColumns::Labels && may_be_label(column) {
            wanted.push(column.clone());
        }
    }
    let schema = Type::group_type_builder("schema").with_fields(wanted).build().map_err(|_| broken(path))?;
    let rows = RowIter::from_file(Some(schema), &reader).map_err(|_| broken(path))?;
    for (number, row) in (1..).zip(rows) {
        let row = row.map_err(|_| CollectionError::new(path, FilePosition::Row(number), BROKEN))?;
        each(Cells(row.into_columns()))
            .map_err(|reason| CollectionError::new(path, FilePosition::Row(number), reason))?;
    }
    Ok(())
}

/// The error of a file that is no Parquet, or damaged.
fn broken(path: &Path) -> CollectionError {
    CollectionError::whole(path, BROKEN)
}

/// Returns true if a column holds single texts, whole numbers or truth values.
fn may_be_label(column: &Type) -> bool {
    // pandas writes its index as columns such as `__index_level_0__`.
    if !column.is_primitive() || NEVER_LABELS.contains(&column.name()) || column.name().starts_with("__") {
        return false;
    }
    match (column.get_physical_type(), column.get_basic_info().converted_type()) {
        // With a converted type, an integer is a date or a time, or unsigned or shorter than 32 bits.
        (Physical::BYTE_ARRAY, ConvertedType::UTF8) | (Physical::INT32 | Physical::INT64, ConvertedType::NONE) => true,
        (physical, _) => physical == Physical::BOOLEAN,
    }
}

impl Cells {
    /// Takes a cell out; `None` if the table has no such column. The order of the others changes, which nothing needs.
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
        let Some(id) = self.take(name).as_ref().and_then(id_of) else {
            return Err(format!("\"{name}\" must be a string or a whole number"));
        };
        if id.is_empty() { Err(format!("\"{name}\" is empty")) } else { Ok(id) }
    }

    /// All short values that are left, so the required columns must have been taken before.
    fn labels(self) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        for (name, cell) in self.0 {
            if let Some(value) = label_of(&cell)
                && is_label(&value)
            {
                labels.insert(name, value);
            }
        }
        labels
    }
}

/// A text or a whole number as an id, which may be empty; `None` of any other value.
fn id_of(cell: &Field) -> Option<String> {
    match cell {
        Field::Str(text) => Some(text.clone()),
        _ => whole_number_of(cell),
    }
}

/// A text, a whole number or a truth value as the text of a label, of any length; `None` of any other value.
fn label_of(cell: &Field) -> Option<String> {
    match cell {
        Field::Str(text) => Some(text.clone()),
        Field::Bool(truth) => Some(truth.to_string()),
        _ => whole_number_of(cell),
    }
}

/// A whole number of any width in decimal; `None` of any other value. Files of pandas and polars have all widths.
fn whole_number_of(cell: &Field) -> Option<String> {
    match cell {
        Field::Byte(number) => Some(number.to_string()),
        Field::Short(number) => Some(number.to_string()),
        Field::Int(number) => Some(number.to_string()),
        Field::Long(number) => Some(number.to_string()),
        Field::UByte(number) => Some(number.to_string()),
        Field::UShort(number) => Some(number.to_string()),
        Field::UInt(number) => Some(number.to_string()),
        Field::ULong(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The groups of a `retrieval_gt`; empty ids, which stand for "no passage answers this", are left out.
fn groups_of(cell: &Field) -> Result<Vec<Vec<String>>, String> {
    let mut groups = Vec::new();
    match cell {
        Field::Null => {}
        Field::ListInternal(list) => {
            for element in list.elements() {
                let mut group = Vec::new();
                match element {
                    Field::Null => {}
                    Field::ListInternal(members) => {
                        for member in members.elements() {
                            group.push(group_member(member)?);
                        }
                    }
                    single => group.push(group_member(single)?),
                }
                groups.push(group);
            }
        }
        single => groups.push(vec![group_member(single)?]),
    }
    for group in &mut groups {
        group.retain(|id| !id.is_empty());
    }
    groups.retain(|group| !group.is_empty());
    Ok(groups)
}

/// An id in `retrieval_gt`; it may be empty.
fn group_member(cell: &Field) -> Result<String, String> {
    id_of(cell).ok_or_else(|| "\"retrieval_gt\" must be a list of lists of ids".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(cell: Field) -> Result<String, String> {
        Cells(vec![("qid".to_owned(), cell)]).id("qid")
    }

    #[test]
    fn an_id_is_a_text_or_a_whole_number_and_not_empty() {
        assert_eq!(id(Field::Str("a".to_owned())).unwrap(), "a");
        assert_eq!(id(Field::Long(7)).unwrap(), "7");
        assert_eq!(id(Field::UShort(7)).unwrap(), "7");
        assert_eq!(id(Field::ULong(u64::MAX)).unwrap(), "18446744073709551615");
        assert_eq!(id(Field::Bool(true)).unwrap_err(), "\"qid\" must be a string or a whole number");
        assert_eq!(id(Field::Null).unwrap_err(), "\"qid\" must be a string or a whole number");
        assert_eq!(id(Field::Str(String::new())).unwrap_err(), "\"qid\" is empty");
        assert!(group_member(&Field::Bool(true)).is_err());
    }
}
