//! One line a query: `{"query": …, "passages": […], "relevant": …}`.
//!
//! `passages` are texts, or objects with `text` and optionally `id` and `title`, in first-stage order. `relevant` says which are, by
//! id or by position from 0:
//!
//! - a list: `["a", "b"]`, `[0, 3]`. A number is a position, unless the line's ids are numbers; a list in the list is a group of which
//!   one is needed;
//! - an object of grades: `{"a": 2, "b": 1}`. A key that is no id is the position of a passage without an id.
//!
//! The line may have an `id` of its own, else its number is one, and `metadata`. `_id` is as good as `id`.

use std::collections::HashSet;
use std::path::Path;

use super::JudgedQuery;
use super::draft::{Draft, titled};
use super::error::CollectionError;
use super::json::{Json, Object, each_object};

/// A passage of the line.
struct Listed {
    id: String,
    given: Given,
}

/// How the id of a passage came to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    AsText,
    AsNumber,
    /// It has none of its own.
    ByPosition,
}

/// Reads a file; its passages are candidates in the order given.
pub(super) fn read(path: &Path, draft: &mut Draft) -> Result<(), CollectionError> {
    draft.left_out.lines_with_half_pairs += each_object(path, |number, mut fields| {
        let id = fields.take("id").or_else(|| fields.take("_id"));
        let id = id.map_or_else(|| Ok(number.to_string().into()), |id| id.id("id"))?.into_owned();
        let text = fields.written_text("query")?.as_ref().into();
        let (listed, candidates) = passages(fields.need("passages")?, number, draft)?;
        let mut query = JudgedQuery { id, text, candidates, labels: fields.labels(), ..JudgedQuery::default() };
        judge(&mut query, fields.need("relevant")?, &listed)?;
        draft.add_question(query)
    })?;
    draft.first_stage = Some("the passages of each line, in their order".to_owned());
    Ok(())
}

fn passages(value: Json<'_>, line: usize, draft: &mut Draft) -> Result<(Vec<Listed>, Vec<usize>), String> {
    let Json::List(values) = value else { return Err("\"passages\" must be a list".to_owned()) };
    let (mut listed, mut places, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (position, value) in values.into_iter().enumerate() {
        let in_place = |reason: String| format!("passage {position}: {reason}");
        let (id, text) = match value {
            Json::Text(text) => (None, titled("", &text)),
            Json::Object(mut fields) => {
                let id = fields.take("id").or_else(|| fields.take("_id"));
                (id, titled(&fields.optional_text("title").map_err(in_place)?, &fields.text("text").map_err(in_place)?))
            }
            _ => return Err(in_place("must be a string or an object".to_owned())),
        };
        let given = match id {
            None => Given::ByPosition,
            Some(Json::Whole(_)) => Given::AsNumber,
            Some(_) => Given::AsText,
        };
        let id = id.map_or_else(|| Ok(format!("{line}:{position}").into()), |id| id.id("id")).map_err(in_place)?;
        let place = draft.passages.add(&id, text).map_err(in_place)?;
        if !seen.insert(place) {
            return Err(in_place("is listed twice".to_owned()));
        }
        listed.push(Listed { id: id.into_owned(), given });
        places.push(place);
    }
    Ok((listed, places))
}

fn judge(query: &mut JudgedQuery, relevant: Json<'_>, listed: &[Listed]) -> Result<(), String> {
    match relevant {
        Json::List(values) => {
            for value in values {
                let group: Vec<String> = match value {
                    Json::List(values) => values.iter().map(|value| named(value, listed)).collect::<Result<_, _>>()?,
                    value => vec![named(&value, listed)?],
                };
                query.judgments.extend(group.iter().map(|id| (id.clone(), 1)));
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
        Json::Whole(number) if listed.iter().any(|passage| passage.given == Given::AsNumber) => Ok(number.to_string()),
        Json::Whole(position) => {
            let passage = usize::try_from(*position).ok().and_then(|position| listed.get(position));
            passage.map(|passage| passage.id.clone()).ok_or_else(|| beyond(listed))
        }
        _ => Err("\"relevant\" must hold ids or positions".to_owned()),
    }
}

/// The id of a passage that is named by the key of an object.
fn keyed(key: &str, listed: &[Listed]) -> Result<String, String> {
    let has_id = |passage: &Listed| passage.given != Given::ByPosition;
    if key.is_empty() {
        return Err("\"relevant\" has an empty key".to_owned());
    }
    if listed.iter().any(|passage| has_id(passage) && passage.id == key) {
        return Ok(key.to_owned());
    }
    match key.parse::<usize>().ok().and_then(|position| listed.get(position)) {
        Some(passage) if !has_id(passage) => Ok(passage.id.clone()),
        _ if listed.iter().any(has_id) => Ok(key.to_owned()),
        _ => Err(beyond(listed)),
    }
}

fn beyond(listed: &[Listed]) -> String {
    format!("\"relevant\" names a position that is not among the {} passages, counted from 0", listed.len())
}
