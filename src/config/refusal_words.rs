//! `[refusals]`: the words in which providers refuse for size, and in which they say that a model was retired.

use rerankd_core::upstream::retirement::RetirementWords;
use rerankd_core::upstream::size_refusal::RefusalWords;

use super::reader::{Section, texts};

/// All lists of words in lower case. Each is compiled in and may be replaced.
pub(super) fn words(section: &Section<'_>) -> RefusalWords {
    RefusalWords {
        passage_codes: lower_case(section, "passage_codes"),
        text_codes: lower_case(section, "text_codes"),
        passages: lower_case(section, "passages"),
        text: lower_case(section, "text"),
        measured: lower_case(section, "measured"),
        never: lower_case(section, "never"),
        request: lower_case(section, "request"),
        passage_nouns: lower_case(section, "passage_nouns"),
        retirement: RetirementWords {
            codes: lower_case(section, "retired_codes"),
            phrases: lower_case(section, "retired"),
            subjects: lower_case(section, "retired_subjects"),
            others: lower_case(section, "retired_others"),
        },
    }
}

fn lower_case(section: &Section<'_>, key: &'static str) -> Vec<String> {
    // Replies are searched in lower case too.
    let words = section.require(key, texts).unwrap_or_default();
    words.iter().map(|word| word.to_lowercase()).collect()
}
