//! Recognition of calls that a provider refused for their size.
//!
//! Limits of providers are many, partly undocumented, and change, and so do the words and statuses of their refusals.
//! Codes are checked first, then phrases; both are data (`config/refusals.toml`). A 400 or 422 that neither explains
//! may still be about one of the passages, so it is a suspicion.

mod stated_limit;

use self::stated_limit::stated_limit;
use super::retirement::RetirementWords;
use super::size::MeasureSet;
use crate::provider::Explanation;
use crate::provider::phrases::{holds, without_quotations, words_of};

/// Words by which refusals are recognised, in lower case; `*` in a phrase stands for a gap, by the rule of
/// `provider/phrases.rs`.
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
    /// Phrases one of which a status of 500 and above must hold as well.
    pub measured: Vec<String>,
    /// Phrases of refusals that are not about size at all.
    pub never: Vec<String>,
    /// Phrases of refusals that would also hit a smaller call.
    pub request: Vec<String>,
    /// Nouns for passages.
    pub passage_nouns: Vec<String>,
    /// Words of refusals because the model was retired.
    pub retirement: RetirementWords,
}

/// A call that was refused, or may have been, for its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeRefusal {
    /// Measures that may be over their limit.
    pub about: MeasureSet,
    /// Most passages of a call, as the provider states it.
    pub stated_passages: Option<usize>,
    /// True if the provider says that it is about size; false for a suspicion.
    pub is_named: bool,
}

impl RefusalWords {
    /// Classifies the refusal of a call with `sent` passages; `None` if it is not about size. Statuses are those of
    /// `config/refusals.toml`.
    #[must_use]
    pub fn classify(&self, status: u16, explanation: Option<&Explanation>, sent: usize) -> Option<SizeRefusal> {
        if !matches!(status, 400 | 413 | 422 | 500 | 502 | 507) {
            return None;
        }
        let message = match explanation {
            Some(explanation) => without_quotations(&explanation.message.to_lowercase()),
            None => String::new(),
        };
        // Every part of the call holds the query, so no smaller call would help.
        if self.is_about_the_query(&message, explanation) {
            return None;
        }
        let mut about = None;
        if let Some(explanation) = explanation {
            about = self.measures_by_code(&message, explanation);
        }
        if about.is_none() {
            if holds(&message, &self.never) {
                return None;
            }
            about = self.measures_by_phrase(status, &message);
        }
        if let Some(about) = about {
            return Some(named_refusal(about, &message, sent));
        }
        if !matches!(status, 400 | 422) || self.is_about_the_request(&message, explanation) {
            return None;
        }
        Some(SizeRefusal { about: MeasureSet::ALL, stated_passages: None, is_named: false })
    }

    /// Classifies an error in a reply with a success status. It must name the size as clearly as a status 500 must.
    #[must_use]
    pub fn classify_success(&self, explanation: &Explanation, sent: usize) -> Option<SizeRefusal> {
        self.classify(500, Some(explanation), sent).filter(|refusal| refusal.is_named)
    }

    /// The refusal of a call that was refused for its size, as a rule of the provider says. Its measures are those that
    /// the message names, or all.
    #[must_use]
    pub fn declared(&self, explanation: Option<&Explanation>, sent: usize) -> SizeRefusal {
        // By the one status that is about size without words.
        let by_words = self.classify(413, explanation, sent).filter(|refusal| refusal.is_named);
        by_words.unwrap_or(SizeRefusal { about: MeasureSet::ALL, stated_passages: None, is_named: true })
    }

    /// Measures that are named by a code; `None` if none is.
    fn measures_by_code(&self, message: &str, explanation: &Explanation) -> Option<MeasureSet> {
        if let Some(code) = explanation.codes.iter().find(|code| self.text_codes.contains(code)) {
            return Some(measures_named(message, code));
        }
        explanation.codes.iter().any(|code| self.passage_codes.contains(code)).then_some(MeasureSet::PASSAGES)
    }

    /// Measures that are named by a phrase, or by the status 413 itself; `None` if none is.
    fn measures_by_phrase(&self, status: u16, message: &str) -> Option<MeasureSet> {
        if status >= 500 && !holds(message, &self.measured) {
            return None;
        }
        // llama.cpp advises to "increase the physical batch size" where an input is too large.
        if holds(message, &self.passages) && !message.contains("physical batch") {
            return Some(MeasureSet::PASSAGES);
        }
        if holds(message, &self.text) {
            return Some(measures_named(message, message));
        }
        (status == 413).then_some(MeasureSet::ALL)
    }

    /// Returns true if the query or the instruction is blamed, and no passage.
    fn is_about_the_query(&self, message: &str, explanation: Option<&Explanation>) -> bool {
        let locations = locations(explanation);
        if !locations.is_empty() && locations.iter().all(|path| path.rsplit('.').next().is_some_and(is_query)) {
            return true;
        }
        let words: Vec<&str> = words_of(message).collect();
        words.iter().copied().any(is_query) && !self.speaks_of_passages(&words)
    }

    /// Returns true if one of `words` means passages.
    fn speaks_of_passages(&self, words: &[&str]) -> bool {
        for (index, word) in words.iter().enumerate() {
            let singular = word.strip_suffix('s').unwrap_or(word);
            if !self.passage_nouns.iter().any(|noun| noun == singular) {
                continue;
            }
            let before = if index > 0 { words[index - 1] } else { "" };
            let after = words.get(index + 1).copied().unwrap_or_default();
            // "Input query" and "query text" mean the query.
            let belongs_to_query =
                matches!(*word, "input" | "text" | "content") && (is_query(before) || is_query(after));
            if !belongs_to_query {
                return true;
            }
        }
        false
    }

    /// Returns true if the refusal would also hit a smaller call.
    fn is_about_the_request(&self, message: &str, explanation: Option<&Explanation>) -> bool {
        let locations = locations(explanation);
        let blames_passage = locations.iter().any(|location| holds(&location.to_lowercase(), &self.passage_nouns));
        (!locations.is_empty() && !blames_passage) || holds(message, &self.request)
    }
}

/// Fields that the provider blames.
fn locations(explanation: Option<&Explanation>) -> &[String] {
    match explanation {
        Some(explanation) => &explanation.locations,
        None => &[],
    }
}

/// A refusal that names its reason.
fn named_refusal(about: MeasureSet, message: &str, sent: usize) -> SizeRefusal {
    if about != MeasureSet::PASSAGES {
        return SizeRefusal { about, stated_passages: None, is_named: true };
    }
    let stated_passages = stated_limit(message, sent);
    // Without a number, "batch size" may mean the bytes of the batch.
    let is_vague = stated_passages.is_none() && message.contains("batch");
    let about = if is_vague { MeasureSet::ALL } else { about };
    SizeRefusal { about, stated_passages, is_named: true }
}

fn is_query(word: &str) -> bool {
    matches!(word, "query" | "queries" | "instruction" | "instruct")
}

/// Words for a size that leave the measure open.
const TOO_LARGE: [&str; 6] = ["too large", "too big", "too.large", "too_large", "toolarge", "toobig"];

/// Measures of text in the units that `message` mentions, or else in any unit. A call that `code_or_message`, by which
/// the refusal was recognised, only says to be "too large" may as well hold too many passages.
fn measures_named(message: &str, code_or_message: &str) -> MeasureSet {
    let mut units = MeasureSet::NONE;
    for (word, unit) in
        [("token", MeasureSet::TOKENS), ("character", MeasureSet::CHARACTERS), ("byte", MeasureSet::BYTES)]
    {
        if message.contains(word) {
            units = units.or(unit);
        }
    }
    if !units.is_empty() {
        return units;
    }
    let is_vague = TOO_LARGE.into_iter().any(|words| code_or_message.contains(words));
    if is_vague { MeasureSet::ALL } else { MeasureSet::TEXT }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words that are compiled in, in lower case as the configuration reads them.
    fn words() -> RefusalWords {
        let file: toml::Table = include_str!("../../../../../config/refusals.toml").parse().unwrap();
        let texts = |key: &str| -> Vec<String> {
            let words = file[key].as_array().unwrap();
            words.iter().map(|word| word.as_str().unwrap().to_lowercase()).collect()
        };
        RefusalWords {
            passage_codes: texts("passage_codes"),
            text_codes: texts("text_codes"),
            passages: texts("passages"),
            text: texts("text"),
            measured: texts("measured"),
            never: texts("never"),
            request: texts("request"),
            passage_nouns: texts("passage_nouns"),
            retirement: RetirementWords::default(),
        }
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
                named(MeasureSet::ALL, None),
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

    /// Servers as they are: none of these was taken for what it is before.
    #[test]
    fn other_servers_are_understood() {
        for (status, message, codes, about) in [
            (
                500,
                "[address=0.0.0.0:1, pid=3] the size of tensor a (2401) must match the size of tensor b (512)",
                &[][..],
                MeasureSet::TEXT,
            ),
            (500, "the expanded size of the tensor (2401) must match the existing size (512)", &[], MeasureSet::TEXT),
            (500, "index out of range in self", &[], MeasureSet::TEXT),
            (500, "request entity too large", &["entity.too.large"], MeasureSet::ALL),
            (500, "payloadtoolargeerror: request entity too large", &[], MeasureSet::ALL),
            (500, "grpc: received message larger than max (5000000 vs. 4194304)", &["8"], MeasureSet::TEXT),
            (500, "litellm.ContextWindowExceededError: input exceeds", &[], MeasureSet::TEXT),
            (502, "input is too large: 2401 tokens", &[], MeasureSet::TOKENS),
            (400, "Range of input length should be [1, 4000]", &["invalidparameter"], MeasureSet::TEXT),
            (
                400,
                "length of prompt_tokens (2401) must be less than max_seq_len (512).",
                &["20015"],
                MeasureSet::TOKENS,
            ),
            (400, "#/documents/1: expected maxLength: 2048, actual: 12000", &[], MeasureSet::TEXT),
            (400, "body/documents/1 must NOT have more than 5000 characters", &[], MeasureSet::CHARACTERS),
            (400, "String must contain at most 5000 character(s)", &[], MeasureSet::CHARACTERS),
            (400, "Input exceeds model limit", &[], MeasureSet::TEXT),
            (400, "Text exceeds the model's maximum.", &[], MeasureSet::TEXT),
            (400, "'a deadline of the billing department, per day' is too long", &[], MeasureSet::TEXT),
            (400, "document 3 'api quota' is too long", &[], MeasureSet::TEXT),
            (400, "document 3 (the daily balance of a queue, in seconds) is too long", &[], MeasureSet::TEXT),
            (400, "documents[1] rate limit and quota", &["string_too_long"], MeasureSet::TEXT),
        ] {
            assert_eq!(classify(status, message, codes, &[]), Some(named(about, None)), "{status} {message}");
        }
        for (message, stated) in [
            ("Array must contain at most 25 element(s)", Some(25)),
            ("must contain less than or equal to 25 items", Some(25)),
            ("ensure this field has no more than 25 elements.", Some(25)),
            ("#/documents: expected maximum item count: 25, found: 30", Some(25)),
            ("inference request batch-size must be <= 25 for 'model'", Some(25)),
            ("max_client_batch_size is 25", Some(25)),
            ("too big: expected array to have <=25 items", Some(25)),
            ("maximum 25 documents", Some(25)),
            ("records: at most 25 records", Some(25)),
            ("documents: size must be between 1 and 25", None),
        ] {
            let expected = named(MeasureSet::PASSAGES, stated);
            assert_eq!(classify(400, message, &[], &[]), Some(expected), "{message}");
        }
    }

    /// Refusals about the query, the key, the account or the time led to a search for passages to blame, with eight
    /// calls for a list of 100.
    #[test]
    fn what_only_sounds_like_a_size_is_none() {
        for (message, locations) in [
            ("query exceeds the context length of 512 tokens", &[][..]),
            ("The input query is too long: 9000 tokens", &[]),
            ("query text is too long", &[]),
            ("Query too long for the model's context window", &[]),
            ("Value is too long", &["query"]),
            ("instruction is too long", &[]),
            ("You have reached your monthly token limit", &[]),
            ("daily token limit reached", &[]),
            ("API key is too long", &[]),
            ("JWT token too long", &[]),
            ("Request Header Or Cookie Too Large", &[]),
            ("Access denied, please make sure your account is in good standing.", &[]),
            ("insufficient balance", &[]),
            ("max_tokens_per_doc must be at most 8192 tokens", &[]),
            ("Timed-out while processing batch: input too long", &[]),
            ("queue is too long for this batch", &[]),
            ("waited too long for a batch", &[]),
            ("processing took longer than 30 seconds", &[]),
            ("the model is too large; sequence parallel needed", &[]),
            ("too many concurrent documents requests", &[]),
            ("the plain HTTP request was sent to HTTPS port", &[]),
            ("model 'x' not found", &[]),
            ("body.texts: Field required", &["body.texts"]),
        ] {
            for status in [400, 500] {
                assert_eq!(classify(status, message, &[], locations), None, "{status} {message}");
            }
        }
        for message in [
            "The parameter is invalid. Please check again.",
            "the documents list can only hold 100 for this model",
            "the text in position 1 is beyond what the model accepts",
            "query and document 3 do not fit",
        ] {
            assert!(classify(400, message, &[], &[]).is_some_and(|refusal| !refusal.is_named), "{message}");
        }
    }

    #[test]
    fn where_a_fault_is_counts_more_than_the_words_for_it() {
        assert_eq!(classify(422, "body.top_n: this is wrong", &[], &["body.top_n"]), None);
        let found = classify(422, "body.documents.2: this is wrong", &[], &["body.documents.2"]);
        assert!(found.is_some_and(|refusal| !refusal.is_named), "{found:?}");
    }
}
