//! What a reply says beside its results: counts, the price, the model's version, and if the call succeeded.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::counts::{Counts, Group, search_units, tokens};
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
        if let [Step::Member(first), steps @ ..] = pointer.steps() {
            let member = self.members.iter().find(|(name, _)| name == first);
            return member.map(|(_, value)| lookup::values(value, steps)).unwrap_or_default();
        }
        self.root.map(|root| lookup::values(root, pointer.steps())).unwrap_or_default()
    }

    /// What stands beside a list that is the whole reply.
    pub(super) fn of_root(root: &'a RawValue) -> Self {
        Self { root: Some(root), ..Self::default() }
    }

    fn value(&self, pointer: Option<&Pointer>) -> Option<&'a RawValue> {
        self.values(pointer?).into_iter().next()
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
    let header_tokens = || {
        let text = reply.headers.get(shape.tokens_header.as_ref()?)?.to_str().ok()?;
        tokens(Loose::Number(text.trim().parse().ok()?))
    };
    let declared_units = beside.value(shape.search_units.as_ref()).map(Loose::of).and_then(search_units);
    let cost = beside.value(shape.cost_usd.as_ref()).and_then(lookup::number);
    let version = beside.value(shape.model_version.as_ref()).and_then(lookup::text);
    let decoded = Decoded {
        scores: results,
        tokens: declared_tokens.or_else(|| beside.counts.tokens()).or_else(header_tokens),
        search_units: declared_units.or_else(|| beside.counts.search_units()),
        cost_usd: cost.filter(|usd| (0.0..=MAX_COST_USD).contains(usd)),
        model_version: version.filter(|version| !version.is_empty() && version.len() <= MAX_VERSION_BYTES),
    };
    Readout { decoded, says_failure: says_failure(template, beside) }
}

/// Returns true if the member that says so says that the call failed.
fn says_failure(template: &ReplyTemplate, beside: &Beside<'_>) -> bool {
    let Some(success) = &template.shape.success else { return false };
    let Some(value) = beside.value(Some(&success.at)) else { return false };
    match lookup::text(value) {
        Some(word) => !success.values.contains(&word),
        None => value.get() != "null",
    }
}

/// The sum of the counts of tokens at these values; `None` if there is none.
fn sum(values: &[&RawValue]) -> Option<u64> {
    let counts: Vec<u64> = values.iter().filter_map(|value| tokens(Loose::of(value))).collect();
    (!counts.is_empty()).then(|| counts.iter().sum())
}

/// Gives the passages that a selector named numbers that fall with their rank, from 1 to above 0.
fn rank_picks(picks: &mut [(i64, f64)], passages: usize) {
    #[expect(clippy::cast_precision_loss, reason = "lists are far shorter than 2^52")]
    let (count, mut rank) = (passages.max(picks.len()) as f64, 0.0);
    for (_, score) in picks {
        *score = (count - rank) / count;
        rank += 1.0;
    }
}

/// Returns true if `body`, which holds no results, says that the call failed.
pub(super) fn body_says_failure(template: &ReplyTemplate, body: &[u8]) -> bool {
    let Some(success) = &template.shape.success else { return false };
    let Ok(root) = serde_json::from_slice::<&RawValue>(body) else { return false };
    let Some(Step::Member(first)) = success.at.steps().first() else { return false };
    let mut beside = Beside::default();
    if let Some(value) = lookup::value(root, &success.at.steps()[..1]) {
        beside.add(template, Group::Nowhere, Cow::Borrowed(first), value);
    }
    says_failure(template, &beside)
}
