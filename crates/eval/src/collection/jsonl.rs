//! JSONL files with one query per line: `{"query": …, "passages": […], "relevant": …}`.
//!
//! `passages` are texts, or objects with `text` and optionally `id` and `title`, in first-stage order. `relevant` names
//! the relevant ones, by id or by position from 0:
//!
//! - a list: `["a", "b"]`, `[0, 3]`. A number is a position, unless the line's ids are numbers. A list in the list is a
//!   group of which one is needed;
//! - an object of grades: `{"a": 2, "b": 1}`. A key that is no id is the position of a passage without an id.
//!
//! The line may have `metadata` and an `id` of its own; without one, the number of the line is its id. `_id` may stand
//! for `id`.

use std::collections::HashSet;
use std::path::Path;

use faststr::FastStr;

use super::JudgedQuery;
use super::draft::{Draft, titled};
use super::input_error::CollectionError;
use super::json::{Json, Object, each_object};

/// A passage of the line.
struct Listed {
    /// Its own id, or one made of the line and the position.
    id: String,
    id_origin: IdOrigin,
}

/// Origin of a passage's id.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IdOrigin {
    AsText,
    /// A JSON number. Numbers in `relevant` are then ids, not positions.
    AsNumber,
    /// Made of the line and the position, because the passage has none.
    ByPosition,
}

impl Listed {
    fn has_own_id(&self) -> bool {
        self.id_origin != IdOrigin::ByPosition
    }
}

/// Reads a file. The passages of a line are its query's candidates, in their order.
pub(super) fn read(path: &Path, draft: &mut Draft) -> Result<(), CollectionError> {
    draft.left_out.lines_with_lone_surrogates += each_object(path, |number, mut fields| {
        let id = match take_id(&mut fields) {
            Some(id) => id.id("id")?.into_owned(),
            None => number.to_string(),
        };
        let text = FastStr::new(fields.written_text("query")?);
        let (listed, candidates) = passages(fields.need("passages")?, number, draft)?;
        let mut query = JudgedQuery { id, text, candidates, labels: fields.labels(), ..JudgedQuery::default() };
        judge(&mut query, fields.need("relevant")?, &listed)?;
        draft.add_query(query)
    })?;
    draft.first_stage = Some("the passages of each line, in their order".to_owned());
    Ok(())
}

/// Takes the id out of a query or a passage; `None` if it has none.
fn take_id<'line>(fields: &mut Object<'line>) -> Option<Json<'line>> {
    fields.take("id").or_else(|| fields.take("_id"))
}

/// Adds the passages of a line to the draft. Returns them, and their places in the corpus.
fn passages(value: Json<'_>, line: usize, draft: &mut Draft) -> Result<(Vec<Listed>, Vec<usize>), String> {
    let Json::List(values) = value else { return Err("\"passages\" must be a list".to_owned()) };
    let mut listed = Vec::with_capacity(values.len());
    let mut places = Vec::with_capacity(values.len());
    let mut seen = HashSet::with_capacity(values.len());
    for (position, value) in values.into_iter().enumerate() {
        let added = add_passage(value, line, position, draft);
        let (passage, place) = added.map_err(|reason| format!("passage {position}: {reason}"))?;
        if !seen.insert(place) {
            return Err(format!("passage {position}: is listed twice"));
        }
        listed.push(passage);
        places.push(place);
    }
    Ok((listed, places))
}

/// Adds one passage to the draft. Returns it, and its place in the corpus.
fn add_passage(value: Json<'_>, line: usize, position: usize, draft: &mut Draft) -> Result<(Listed, usize), String> {
    let (own_id, text) = match value {
        Json::Text(text) => (None, titled("", &text)),
        Json::Object(mut fields) => {
            let own_id = take_id(&mut fields);
            let title = fields.optional_text("title")?;
            (own_id, titled(&title, &fields.text("text")?))
        }
        _ => return Err("must be a string or an object".to_owned()),
    };
    let (id, id_origin) = match own_id {
        // The line's number keeps passages of different lines apart.
        None => (format!("{line}:{position}"), IdOrigin::ByPosition),
        Some(Json::Whole(number)) => (number.to_string(), IdOrigin::AsNumber),
        Some(other) => (other.id("id")?.into_owned(), IdOrigin::AsText),
    };
    let place = draft.passages.add(&id, text)?;
    Ok((Listed { id, id_origin }, place))
}

/// Adds the judgments of `relevant` to the query. A list also has groups; with an object of grades,
/// [`Draft::finish`] makes each relevant passage a group.
fn judge(query: &mut JudgedQuery, relevant: Json<'_>, listed: &[Listed]) -> Result<(), String> {
    match relevant {
        Json::List(values) => {
            for value in values {
                let mut group = Vec::new();
                match value {
                    Json::List(members) => {
                        for member in members {
                            group.push(named(&member, listed)?);
                        }
                    }
                    single => group.push(named(&single, listed)?),
                }
                for id in &group {
                    query.judgments.insert(id.clone(), 1);
                }
                if !group.is_empty() && !query.groups.contains(&group) {
                    query.groups.push(group);
                }
            }
            Ok(())
        }
        Json::Object(Object(grades)) => {
            for (key, grade) in grades {
                let Json::Whole(grade) = grade else {
                    return Err("a grade in \"relevant\" must be a whole number".to_owned());
                };
                let grade = i32::try_from(grade).map_err(|_| "a grade in \"relevant\" is out of range")?;
                query.judgments.insert(keyed(&key, listed)?, grade);
            }
            Ok(())
        }
        _ => Err("\"relevant\" must be a list of ids or positions, or an object of grades".to_owned()),
    }
}

/// The id of a passage that a list names.
fn named(value: &Json<'_>, listed: &[Listed]) -> Result<String, String> {
    match value {
        Json::Text(id) if !id.is_empty() => Ok(id.clone().into_owned()),
        Json::Whole(number) if listed.iter().any(|passage| passage.id_origin == IdOrigin::AsNumber) => {
            Ok(number.to_string())
        }
        Json::Whole(position) => match passage_at(listed, usize::try_from(*position).ok()) {
            Some(passage) => Ok(passage.id.clone()),
            None => Err(beyond(listed)),
        },
        _ => Err("\"relevant\" must hold ids or positions".to_owned()),
    }
}

/// The id of a passage that is named by the key of an object.
fn keyed(key: &str, listed: &[Listed]) -> Result<String, String> {
    if key.is_empty() {
        return Err("\"relevant\" has an empty key".to_owned());
    }
    if listed.iter().any(|passage| passage.has_own_id() && passage.id == key) {
        return Ok(key.to_owned());
    }
    match passage_at(listed, key.parse().ok()) {
        Some(passage) if !passage.has_own_id() => Ok(passage.id.clone()),
        // Where passages have ids, an unknown one may be that of a passage elsewhere in the corpus.
        _ if listed.iter().any(Listed::has_own_id) => Ok(key.to_owned()),
        _ => Err(beyond(listed)),
    }
}

/// The passage at a position of the line; `None` also of a position that is no number from 0.
fn passage_at(listed: &[Listed], position: Option<usize>) -> Option<&Listed> {
    listed.get(position?)
}

/// The error of a position that the line does not have.
fn beyond(listed: &[Listed]) -> String {
    format!("\"relevant\" names a position that is not among the {} passages, counted from 0", listed.len())
}
