//! `[refusals]`: how providers word refusals for size.

use super::reader::{Section, texts};
use crate::upstream::size_refusal::RefusalWords;

/// The lists, each of which is compiled in and may be replaced.
pub(super) fn words(section: Section<'_>) -> RefusalWords {
    let list = |key| section.require(key, texts).unwrap_or_default().iter().map(|word| word.to_lowercase()).collect();
    let words = RefusalWords {
        passage_codes: list("passage_codes"),
        text_codes: list("text_codes"),
        passages: list("passages"),
        text: list("text"),
        measured: list("measured"),
        never: list("never"),
        request: list("request"),
        passage_nouns: list("passage_nouns"),
    };
    section.finish();
    words
}
