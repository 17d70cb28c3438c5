//! The pointer of a shape at which a reply does not match, and how: for messages, which quote nothing of the reply.

use serde_json::value::RawValue;

use super::lookup::{text, value};
use super::loose::Loose;
use super::pointer::{Pointer, Step};
use super::reply_template::ReplyTemplate;
use super::result_list::{OTHER_SCORE_NAMES, number_of_id};
use crate::text::bytes_without_mark;

/// Longest body that is searched. The search keeps a reference to every element of a list.
const MAX_SEARCHED_BYTES: usize = 1 << 20;

/// The first pointer that does not match `body`, in words such as `/results[3]/score is missing`. `None` if the body is
/// no JSON, too long to search, or matches.
pub(super) fn mismatch(template: &ReplyTemplate, body: &[u8]) -> Option<String> {
    if body.len() > MAX_SEARCHED_BYTES {
        return None;
    }
    let root: &RawValue = serde_json::from_slice(bytes_without_mark(body)).ok()?;
    let lists = &template.shape.results;
    let is_list = root.get().starts_with('[');
    let suited = lists.iter().find(|list| list.first_member().is_none() == is_list);
    let list = suited.or(lists.first())?;
    let mut place = String::new();
    let mut found = vec![(place.clone(), root)];
    for step in list.steps() {
        let mut next = Vec::new();
        for (at, json) in found {
            match step {
                Step::Member(name) => {
                    place = format!("{at}/{name}");
                    if !json.get().starts_with(['{', '[']) {
                        return Some(format!("{} is no object", shown(&at)));
                    }
                    let Some(member) = value(json, std::slice::from_ref(step)) else {
                        return Some(format!("{place} is missing"));
                    };
                    next.push((place, member));
                }
                Step::Each => {
                    let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(json.get()) else {
                        return Some(format!("{} is no list", shown(&at)));
                    };
                    for (number, element) in elements.into_iter().enumerate() {
                        next.push((format!("{at}[{number}]"), element));
                    }
                }
            }
        }
        found = next;
    }
    found.into_iter().find_map(|(at, result)| mismatch_of_result(template, &at, result))
}

/// The part of one result that does not match.
fn mismatch_of_result(template: &ReplyTemplate, at: &str, result: &RawValue) -> Option<String> {
    let shape = &template.shape;
    let part = |pointer: &Pointer| {
        let place = format!("{at}{}", pointer.as_str());
        match value(result, pointer.steps()) {
            Some(json) => Ok((place, json)),
            None => Err(format!("{place} is missing")),
        }
    };
    if let Some(index) = &shape.index {
        match part(index) {
            Err(missing) => return Some(missing),
            Ok((place, json)) if Loose::of(json).whole().is_none() => {
                return Some(format!("{place} is no whole number"));
            }
            Ok(_) => {}
        }
    }
    if let Some(id) = &shape.id {
        match part(id) {
            Err(missing) => return Some(missing),
            Ok((place, json)) => match text(json) {
                None => return Some(format!("{place} is no text")),
                Some(name) if number_of_id(&name, &shape.id_prefix).is_none() => {
                    return Some(format!("{place} is no id that was sent"));
                }
                Some(_) => {}
            },
        }
    }
    let score = shape.score.as_ref()?;
    // The reader takes the name of another provider for a documented one.
    let has_other = score.only_member().is_some()
        && OTHER_SCORE_NAMES.iter().any(|name| value(result, &[Step::Member((*name).to_owned())]).is_some());
    match part(score) {
        Err(_) if has_other => None,
        Err(missing) => Some(missing),
        Ok((place, json)) => match Loose::of(json) {
            Loose::Number(_) => None,
            Loose::Spelt(_) if shape.text_scores => None,
            _ => Some(format!("{place} is no number")),
        },
    }
}

/// A place in words.
fn shown(place: &str) -> &str {
    if place.is_empty() { "the body" } else { place }
}
