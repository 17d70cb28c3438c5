//! Content of a reply beside its results: counts, the price, the model's version, and if the call succeeded.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::counts::{Counts, Group, MAX_TOKENS, search_units, tokens};
use super::lookup;
use super::loose::Loose;
use super::pointer::{Pointer, Step};
use super::reply_template::ReplyTemplate;
use super::{Decoded, WireReply};

/// Longest version of a model that is kept, in bytes.
const MAX_VERSION_BYTES: usize = 128;
/// Highest price of one call that is believed, in US dollars.
const MAX_COST_USD: f64 = 1000.0;

/// The content of a reply.
#[derive(Debug)]
pub(super) struct Readout {
    pub(super) decoded: Decoded,
    /// True if the reply itself says that the call failed.
    pub(super) says_failure: bool,
}

/// The members of a reply that stand beside its results.
#[derive(Default)]
pub(super) struct Beside<'a> {
    counts: Counts,
    /// Members of the root that pointers begin with.
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// The whole reply, if pointers go into the list that it is.
    root: Option<&'a RawValue>,
}

impl<'a> Beside<'a> {
    /// Adds the counts in a member of the root that belongs to `group`, and the member itself if pointers begin with
    /// it.
    pub(super) fn add(&mut self, template: &ReplyTemplate, group: Group, name: Cow<'a, str>, value: &'a RawValue) {
        if group != Group::Nowhere {
            self.counts.read(group, value);
        }
        if template.others.iter().any(|other| *other == name) {
            self.members.push((name, value));
        }
    }

    /// The values at a pointer.
    fn values(&self, pointer: &Pointer) -> Vec<&'a RawValue> {
        let mut values = Vec::new();
        if let [Step::Member(first), steps @ ..] = pointer.steps() {
            for (name, value) in &self.members {
                if name == first {
                    values.extend(lookup::values(value, steps));
                }
            }
        } else if let Some(root) = self.root {
            values.extend(lookup::values(root, pointer.steps()));
        }
        values
    }

    /// The members beside a list that is the whole reply: none, but pointers may go into the list.
    pub(super) fn of_root(root: &'a RawValue) -> Self {
        Self { root: Some(root), ..Self::default() }
    }

    fn value(&self, pointer: Option<&Pointer>) -> Option<&'a RawValue> {
        lookup::only(&self.values(pointer?))
    }
}

/// The content of a reply with these results.
pub(super) fn readout(
    template: &ReplyTemplate,
    reply: &WireReply,
    mut results: Vec<(i64, f64)>,
    beside: &Beside<'_>,
) -> Readout {
    let shape = &template.shape;
    if shape.score.is_none() {
        rank_picks(&mut results, reply.passages);
    }
    let declared_tokens = shape.tokens.as_ref().and_then(|pointer| sum(&beside.values(pointer)));
    let declared_units = beside.value(shape.search_units.as_ref()).map(Loose::of).and_then(search_units);
    let cost = beside.value(shape.cost_usd.as_ref()).and_then(lookup::number);
    let version = beside.value(shape.model_version.as_ref()).and_then(lookup::text);
    let decoded = Decoded {
        scores: results,
        tokens: declared_tokens.or_else(|| beside.counts.tokens()).or_else(|| header_tokens(template, reply)),
        search_units: declared_units.or_else(|| beside.counts.search_units()),
        cost_usd: cost.filter(|usd| (0.0..=MAX_COST_USD).contains(usd)),
        model_version: version.filter(|version| !version.is_empty() && version.len() <= MAX_VERSION_BYTES),
    };
    Readout { decoded, says_failure: says_failure(template, beside) }
}

/// Tokens read, as a response header tells them.
fn header_tokens(template: &ReplyTemplate, reply: &WireReply) -> Option<u64> {
    let text = reply.headers.get(template.shape.tokens_header.as_ref()?)?.to_str().ok()?;
    tokens(Loose::Number(text.trim().parse().ok()?))
}

/// Returns true if the member that says so says that the call failed; of several of one name, if any does.
fn says_failure(template: &ReplyTemplate, beside: &Beside<'_>) -> bool {
    let Some(success) = &template.shape.success else { return false };
    beside.values(&success.at).into_iter().any(|value| match lookup::text(value) {
        Some(word) => !success.values.contains(&word),
        None => value.get() != "null",
    })
}

/// The sum of the counts of tokens at these values; `None` if one of them is no count, or there is none: a made-up bill
/// is worse than an unknown one.
fn sum(values: &[&RawValue]) -> Option<u64> {
    let mut sum = None;
    for value in values {
        let count = tokens(Loose::of(value))?;
        sum = Some(sum.unwrap_or(0) + count);
    }
    sum.filter(|sum| *sum <= MAX_TOKENS)
}

/// Gives the passages that a selector named numbers that fall with their rank, from 1 to above 0.
fn rank_picks(picks: &mut [(i64, f64)], passages: usize) {
    #[expect(clippy::cast_precision_loss, reason = "lists are far shorter than 2^52")]
    let count = passages.max(picks.len()) as f64;
    let mut rank = 0.0;
    for (_, score) in picks {
        *score = (count - rank) / count;
        rank += 1.0;
    }
}

/// Returns true if `body`, which holds no results, says that the call failed.
pub(super) fn body_says_failure(template: &ReplyTemplate, body: &[u8]) -> bool {
    let Some(success) = &template.shape.success else { return false };
    let Some((first, _)) = success.at.steps().split_first() else { return false };
    let Step::Member(name) = first else { return false };
    let Ok(root) = serde_json::from_slice::<&RawValue>(body) else { return false };
    let mut beside = Beside::default();
    for value in lookup::values(root, std::slice::from_ref(first)) {
        beside.add(template, Group::Nowhere, Cow::Borrowed(name), value);
    }
    says_failure(template, &beside)
}
