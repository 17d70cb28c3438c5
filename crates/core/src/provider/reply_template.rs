//! The shape of a reply: where the scores, the positions, the counts and the word of success stand.

use http::HeaderName;

use super::pointer::{Pointer, Step};
use super::request_template::ShapeFault;

/// The places of a reply's parts, from `[reply]` of a provider.
#[derive(Clone, Debug, Default)]
pub struct ReplyShape {
    /// The list of results, or alternatives of it. Each ends with `[]`.
    pub results: Vec<Pointer>,
    /// Place of the passage's position in a result.
    pub index: Option<Pointer>,
    /// Place of the passage's name in a result, instead of a position.
    pub id: Option<Pointer>,
    /// Text before the number in such a name.
    pub id_prefix: String,
    /// Place of the score in a result; `None` for selectors, which give no scores.
    pub score: Option<Pointer>,
    /// True if scores may be written as strings.
    pub text_scores: bool,
    /// Place of the tokens that were read, beside the usual ones. With `[]` it is a sum.
    pub tokens: Option<Pointer>,
    /// Response header with the tokens that were read.
    pub tokens_header: Option<HeaderName>,
    /// Place of the search units, beside the usual ones.
    pub search_units: Option<Pointer>,
    /// Place of the price of the call, in US dollars.
    pub cost_usd: Option<Pointer>,
    /// Place of the model's version.
    pub model_version: Option<Pointer>,
    /// The member that says if the call succeeded.
    pub success: Option<SuccessMember>,
}

/// A member of a reply that says if the call succeeded, whatever the status.
#[derive(Clone, Debug)]
pub struct SuccessMember {
    /// Its place.
    pub at: Pointer,
    /// Its values that mean success: strings, or numbers and booleans as JSON. A member that is missing or null means
    /// success too.
    pub values: Vec<String>,
}

/// A checked [`ReplyShape`].
#[derive(Clone, Debug)]
pub(super) struct ReplyTemplate {
    pub(super) shape: ReplyShape,
    pub(super) element: Element,
    /// First steps of the pointers to other things than results. Empty for most providers, whose counts stand in the
    /// usual places.
    pub(super) others: Vec<String>,
    /// True if a pointer to something else goes into the list at the root.
    pub(super) reads_root_again: bool,
    /// Name of the member of the root that is the list of results and nothing else; `None` if it lies deeper.
    pub(super) flat_list: Option<String>,
}

/// The form of a result.
#[derive(Clone, Debug)]
pub(super) enum Element {
    /// An object with position and score.
    Members(MemberNames),
    /// The score itself, in the order of the passages.
    Score,
    /// Anything else; its parts are looked up by their pointers.
    Other,
}

/// Names in an object with position and score, each also as its reader looks for it.
#[derive(Clone, Debug)]
pub(super) struct MemberNames {
    pub(super) index: String,
    pub(super) score: String,
    pub(super) quoted_index: Vec<u8>,
    pub(super) quoted_score: Vec<u8>,
    /// Bytes before the position where it comes first, written without blanks.
    pub(super) before_index: Vec<u8>,
    /// Bytes between the position and the score then.
    pub(super) before_score: Vec<u8>,
}

impl MemberNames {
    pub(super) fn new(index: &str, score: &str) -> Self {
        let quoted = |name: &str| format!("\"{name}\"").into_bytes();
        Self {
            index: index.to_owned(),
            score: score.to_owned(),
            quoted_index: quoted(index),
            quoted_score: quoted(score),
            before_index: format!("{{\"{index}\":").into_bytes(),
            before_score: format!(",\"{score}\":").into_bytes(),
        }
    }
}

impl ReplyTemplate {
    /// The template of a shape.
    ///
    /// # Errors
    /// Every fault of the shape.
    pub(super) fn new(shape: &ReplyShape) -> Result<Self, Vec<ShapeFault>> {
        let mut faults: Vec<ShapeFault> = Vec::new();
        if shape.results.is_empty() {
            faults.push(("results", "is missing: the list of results, such as \"/results[]\"".to_owned()));
        }
        for (number, list) in shape.results.iter().enumerate() {
            if list.steps().last() != Some(&Step::Each) {
                faults.push(("results", format!("\"{}\" must end with [], as in \"/results[]\"", list.as_str())));
            }
            if list.steps().iter().any(|step| matches!(step, Step::Member(name) if name.parse::<usize>().is_ok())) {
                faults.push(("results", format!("{list} must not hold a number: all results are read")));
            }
            // The first step of a body decides between alternatives.
            if shape.results[..number].iter().any(|other| other.first_member() == list.first_member()) {
                faults.push(("results", format!("\"{}\" begins like another of the alternatives", list.as_str())));
            }
        }
        if shape.index.is_some() && shape.id.is_some() {
            faults.push(("id", "means nothing beside index".to_owned()));
        }
        if shape.score.is_none() && shape.index.is_none() && shape.id.is_none() {
            faults.push(("score", "is missing; a reply without scores must name passages by index or id".to_owned()));
        }
        for (key, pointer) in [("index", &shape.index), ("id", &shape.id), ("score", &shape.score)] {
            if let Some(pointer) = pointer
                && pointer.lists() > 0
            {
                faults
                    .push((key, format!("\"{}\" must not hold []: it is a place within one result", pointer.as_str())));
            }
        }
        for (key, pointer) in [
            ("search_units", &shape.search_units),
            ("cost_usd", &shape.cost_usd),
            ("model_version", &shape.model_version),
            ("success", &shape.success.as_ref().map(|success| success.at.clone())),
        ] {
            if let Some(pointer) = pointer
                && pointer.lists() > 0
            {
                faults.push((key, format!("\"{}\" must not hold []: it is one value", pointer.as_str())));
            }
        }
        let success = shape.success.as_ref().map(|success| &success.at);
        if success.is_some_and(|at| at.first_member().is_none_or(|name| name.parse::<usize>().is_ok())) {
            faults.push(("success", "must begin with a member of the reply, such as at = \"/code\"".to_owned()));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut others = Vec::new();
        let mut reads_root_again = false;
        for pointer in shape.other_pointers() {
            match pointer.first_member() {
                Some(name) => others.push(name.to_owned()),
                None => reads_root_again = true,
            }
        }
        let flat_list = match shape.results.iter().find(|list| list.first_member().is_some()) {
            Some(list) if list.steps().len() == 2 => list.first_member().map(str::to_owned),
            _ => None,
        };
        let flat_list = flat_list.filter(|name| !others.contains(name));
        Ok(Self { element: shape.element(), others, reads_root_again, flat_list, shape: shape.clone() })
    }

    /// Returns true if a reply may be the list of results and nothing else.
    pub(super) fn is_flat_list_at_root(&self) -> bool {
        let lists = &self.shape.results;
        !self.reads_root_again && lists.iter().any(|list| list.steps() == [Step::Each])
    }
}

impl ReplyShape {
    fn element(&self) -> Element {
        match (&self.index, &self.id, &self.score) {
            (Some(index), None, Some(score)) if !self.text_scores => {
                let names = index.only_member().zip(score.only_member());
                // A name that JSON would escape is looked up.
                let plain = names.filter(|(index, score)| is_plain(index) && is_plain(score));
                plain.map_or(Element::Other, |(index, score)| Element::Members(MemberNames::new(index, score)))
            }
            (None, None, Some(score)) if score.steps().is_empty() && !self.text_scores => Element::Score,
            _ => Element::Other,
        }
    }

    /// The pointers to other things than results.
    fn other_pointers(&self) -> impl Iterator<Item = &Pointer> {
        let success = self.success.as_ref().map(|success| &success.at);
        let values = [self.tokens.as_ref(), self.search_units.as_ref(), self.cost_usd.as_ref()];
        values.into_iter().chain([self.model_version.as_ref(), success]).flatten()
    }
}

/// Returns true if a name is the same as JSON, between quotation marks.
fn is_plain(name: &str) -> bool {
    name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.'))
}
