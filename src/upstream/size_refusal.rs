//! Refusals of a call for its size: how they are recognised.
//!
//! Limits of providers are many, partly undocumented, and change, and so do the words and statuses by which they are told. Codes are looked at
//! first, then phrases; both are data (`config/refusals.toml`). A 400 or 422 that neither explains may still be about one of the
//! passages, so it is a suspicion.

use super::size::MeasureSet;
use crate::provider::Explanation;

/// Words by which refusals are recognised, in lower case; `*` in a phrase stands for any text in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusalWords {
    /// Codes for too many passages.
    pub passage_codes: Vec<String>,
    /// Codes for too much text.
    pub text_codes: Vec<String>,
    /// Phrases for too many passages.
    pub passages: Vec<String>,
    /// Phrases for too much text.
    pub text: Vec<String>,
    /// Phrases one of which a status 500 must hold as well.
    pub measured: Vec<String>,
    /// Phrases of refusals that are not about size at all.
    pub never: Vec<String>,
    /// Phrases of refusals that no smaller call would mend.
    pub request: Vec<String>,
    /// Nouns for passages.
    pub passage_nouns: Vec<String>,
}

/// A call that was refused, or may have been, for its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeRefusal {
    /// Measures that may be over their limit.
    pub about: MeasureSet,
    /// Most passages of a call, as the provider states it.
    pub stated_passages: Option<usize>,
    /// Whether the provider says that it is about size; if not, it is a suspicion.
    pub is_named: bool,
}

impl RefusalWords {
    /// What a refusal of a call with `sent` passages says about its size; `None` if it is about something else.
    #[must_use]
    pub fn classify(&self, status: u16, said: Option<&Explanation>, sent: usize) -> Option<SizeRefusal> {
        if !matches!(status, 400 | 413 | 422 | 500) {
            return None;
        }
        let message = said.map(|said| said.message.to_lowercase()).unwrap_or_default();
        if holds(&message, &self.never) || self.is_about_the_query(&message) {
            return None;
        }
        if let Some(about) = self.named(status, &message, said) {
            let is_about_passages = about == MeasureSet::PASSAGES;
            let stated_passages = if is_about_passages { largest_number_below(sent, &message) } else { None };
            return Some(SizeRefusal { about, stated_passages, is_named: true });
        }
        let suspicion = SizeRefusal { about: MeasureSet::ALL, stated_passages: None, is_named: false };
        let is_suspicious = matches!(status, 400 | 422) && !self.is_about_the_request(&message, said);
        is_suspicious.then_some(suspicion)
    }

    /// Measures that are named by a code, by a phrase, or by the status itself.
    fn named(&self, status: u16, message: &str, said: Option<&Explanation>) -> Option<MeasureSet> {
        let codes = said.map_or(&[][..], |said| &said.codes);
        if codes.iter().any(|code| self.text_codes.contains(code)) {
            return Some(unit_of(message));
        }
        if codes.iter().any(|code| self.passage_codes.contains(code)) {
            return Some(MeasureSet::PASSAGES);
        }
        if status == 500 && !holds(message, &self.measured) {
            return None;
        }
        // llama.cpp advises to "increase the physical batch size" where an input is too large.
        if holds(message, &self.passages) && !message.contains("physical batch") {
            return Some(MeasureSet::PASSAGES);
        }
        if holds(message, &self.text) {
            return Some(unit_of(message));
        }
        (status == 413).then_some(MeasureSet::ALL)
    }

    fn is_about_the_query(&self, message: &str) -> bool {
        message.contains("query") && !holds(message, &self.passage_nouns)
    }

    fn is_about_the_request(&self, message: &str, said: Option<&Explanation>) -> bool {
        let locations = said.map_or(&[][..], |said| &said.locations);
        if !locations.is_empty() {
            return !locations.iter().any(|location| holds(&location.to_lowercase(), &self.passage_nouns));
        }
        holds(message, &self.request)
    }
}

/// Measures of text in the units that a message speaks of; in any unit if it speaks of none.
fn unit_of(message: &str) -> MeasureSet {
    let mut units = MeasureSet::NONE;
    for (word, unit) in
        [("token", MeasureSet::TOKENS), ("character", MeasureSet::CHARACTERS), ("byte", MeasureSet::BYTES)]
    {
        if message.contains(word) {
            units = units.or(unit);
        }
    }
    if units.is_empty() { MeasureSet::TEXT } else { units }
}

fn holds(message: &str, phrases: &[String]) -> bool {
    phrases.iter().any(|phrase| holds_phrase(message, phrase))
}

fn holds_phrase(message: &str, phrase: &str) -> bool {
    let mut rest = message;
    for part in phrase.split('*') {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// The largest whole number in `message` from 1 to below `bound`.
fn largest_number_below(bound: usize, message: &str) -> Option<usize> {
    let numbers = message.split(|letter: char| !letter.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
    numbers.filter(|number| (1..bound).contains(number)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> RefusalWords {
        crate::config::refusal_words()
    }

    fn classify(status: u16, message: &str, codes: &[&str], locations: &[&str]) -> Option<SizeRefusal> {
        let texts = |texts: &[&str]| texts.iter().copied().map(str::to_owned).collect();
        let said = Explanation { message: message.to_owned(), codes: texts(codes), locations: texts(locations) };
        words().classify(status, Some(&said), 30)
    }

    fn named(about: MeasureSet, stated_passages: Option<usize>) -> SizeRefusal {
        SizeRefusal { about, stated_passages, is_named: true }
    }

    #[test]
    fn refusals_for_size_are_known_by_codes_words_and_status() {
        let stated = |passages| named(MeasureSet::PASSAGES, Some(passages));
        for (status, message, codes, locations, expected) in [
            (413, "", &[][..], &[][..], named(MeasureSet::ALL, None)),
            (413, "`inputs` must have less than 512 tokens. Given: 3111", &[], &[], named(MeasureSet::TOKENS, None)),
            (422, "batch size 30 > maximum allowed batch size 25", &["validation"], &[], stated(25)),
            (
                422,
                "body.documents: List should have at most 25 items after validation, not 30",
                &["too_long"],
                &["body.documents"],
                stated(25),
            ),
            (
                422,
                "body.documents.1: String should have at most 122880 characters",
                &["string_too_long"],
                &["body.documents.1"],
                named(MeasureSet::CHARACTERS, None),
            ),
            (400, "documents must contain at most 25 items", &[], &[], stated(25)),
            (400, "too many documents: 30", &[], &[], named(MeasureSet::PASSAGES, None)),
            (
                400,
                "input (2401 tokens) is larger than the max context size (512 tokens). skipping",
                &["400", "exceed_context_size_error"],
                &[],
                named(MeasureSet::TOKENS, None),
            ),
            (
                500,
                "input (2401 tokens) is larger than the max context size (512 tokens)",
                &[],
                &[],
                named(MeasureSet::TOKENS, None),
            ),
            (
                400,
                "The decoder prompt (length 9000) is longer than the maximum model length of 512.",
                &[],
                &[],
                named(MeasureSet::TEXT, None),
            ),
            (400, "", &["input_token_limit_exceeded"], &[], named(MeasureSet::TEXT, None)),
            (
                500,
                "input is too large to process. increase the physical batch size",
                &[],
                &[],
                named(MeasureSet::TEXT, None),
            ),
        ] {
            assert_eq!(classify(status, message, codes, locations), Some(expected), "{status} {message} {codes:?}");
        }
    }

    #[test]
    fn other_refusals_are_none_and_unexplained_ones_a_suspicion() {
        for (status, message, locations) in [
            (500, "internal error", &[][..]),
            (500, "the request took too long", &[]),
            (500, "this took too long: 12 tokens", &[]),
            (500, "response too long", &[]),
            (400, "invalid model", &[]),
            (400, "the query is too long", &[]),
            (413, "query exceeds the maximum length of 512 tokens", &[]),
            (422, "body.top_n: Input should be a valid integer", &["body.top_n"]),
            (429, "too many tokens this minute", &[]),
            (400, "rate limit: too many tokens per minute", &[]),
            (503, "too large", &[]),
        ] {
            assert_eq!(classify(status, message, &[], locations), None, "{status} {message}");
        }
        for (status, message, locations) in [
            (400, "", &[][..]),
            (400, "bad request", &[]),
            (422, "body.documents.3: Input should be a valid string", &["body.documents.3"]),
        ] {
            let found = classify(status, message, &[], locations);
            assert!(found.is_some_and(|refusal| !refusal.is_named), "{status} {message}");
        }
    }

    #[test]
    fn phrases_with_a_gap_match_in_order() {
        assert!(holds_phrase("takes at most 25 items", "at most * items"));
        assert!(!holds_phrase("items: at most 25", "at most * items"));
        assert_eq!(largest_number_below(30, "at most 25 items, not 30; error 7"), Some(25));
        assert_eq!(largest_number_below(30, "30 items, error 99999999999999999999999"), None);
    }
}
