//! The most passages of a call, as the text of a refusal states it.

use crate::provider::phrases::words_of;

/// Words right before a limit, in lower case like the message: at *most* 25, limit *is* 25, limited *to* 25, maximum
/// *of* 25, greater *than* 25. In code because they are grammar, not a provider's wording.
const LIMIT_WORDS: [&str; 12] =
    ["limit", "limited", "max", "maximum", "most", "to", "exceed", "exceeds", "exceeding", "than", "of", "is"];
/// Subjects whose numbers are no limits: the status *of* 400, the error code *is* 400.
const CODE_WORDS: [&str; 3] = ["status", "code", "error"];

/// The most passages of a call that `message` states: the largest number below `sent` that it calls a limit, or any if
/// it also mentions the number that was sent.
pub(super) fn stated_limit(message: &str, sent: usize) -> Option<usize> {
    let numbers: Vec<(usize, usize)> = numbers(message).collect();
    let mentions_sent = numbers.iter().any(|(_, number)| *number == sent);
    let mut stated = None;
    for (at, number) in numbers {
        // Other numbers are of sections, of errors, of tiers.
        if (1..sent).contains(&number) && (mentions_sent || is_called_a_limit(message, at)) {
            stated = stated.max(Some(number));
        }
    }
    stated
}

/// Returns true if the number at `at`, a position in bytes, follows a word or a sign for a limit.
fn is_called_a_limit(message: &str, at: usize) -> bool {
    let before = message[..at].trim_end_matches([' ', '=', ':', '(', '[', '\u{2264}']);
    if before.ends_with(['>', '<']) {
        return true;
    }
    // The last word and the one before it.
    let mut subject = "";
    let mut last = "";
    for word in words_of(before) {
        subject = last;
        last = word;
    }
    LIMIT_WORDS.contains(&last) && !CODE_WORDS.contains(&subject)
}

/// Whole numbers that are no part of a word, each as its position in bytes and its value. Digits may be in groups of
/// three (`1,000`).
fn numbers(message: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + message[at..].find(|letter: char| letter.is_ascii_digit())?;
            let mut end = start + count_digits(&message[start..]);
            let mut spelt = message[start..end].to_owned();
            // Only a first group of at most three digits can be followed by others.
            if spelt.len() <= 3 {
                while let Some(length) = group_length(&message[end..]) {
                    end += length;
                    spelt.push_str(&message[end - 3..end]);
                }
            }
            at = end;
            let is_part_of_word =
                message[..start].ends_with(char::is_alphanumeric) || message[end..].starts_with(char::is_alphabetic);
            if !is_part_of_word && let Ok(number) = spelt.parse() {
                return Some((start, number));
            }
        }
    })
}

fn count_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Length of a separator and the three digits behind it, in bytes, if `rest` begins with these.
fn group_length(rest: &str) -> Option<usize> {
    let separator = rest.chars().next()?;
    let separates = matches!(separator, ',' | '.' | '_' | '\'' | ' ' | '\u{a0}' | '\u{202f}');
    let digits = count_digits(&rest[separator.len_utf8()..]);
    (separates && digits == 3).then(|| separator.len_utf8() + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number of a section or of an error made lists of 1,000 cost 144 calls, groups of digits 2,049.
    #[test]
    fn only_a_number_that_is_called_a_limit_is_one() {
        for (sent, message, stated) in [
            (30, "at most 25 items, not 30; error 7", Some(25)),
            (30, "30 items, error 99999999999999999999999", None),
            (30, "too many documents (tier 2)", None),
            (1_000, "error 7: too many documents, see section 4", None),
            (1_000, "failed with a status of 400: too many documents", None),
            (1_000, "status code is 400, error is 413: at most 25 documents", Some(25)),
            (30, "E3: too many documents, request 28f3", None),
            (2_048, "at most 1,000 documents are allowed", Some(1_000)),
            (2_048, "batch size 2048 > maximum allowed batch size 1_000", Some(1_000)),
            (2_048, "too many documents: 2,048 (max 1,000)", Some(1_000)),
            (2_048, "maximum of 1.000 documents", Some(1_000)),
            (2_048, "max 1 000 documents", Some(1_000)),
            (2_048, "at most 1k documents", None),
            (30, "The batch size limit is 25. Your batch size is 31.", Some(25)),
            (30, "it should not be larger than 25.: input.documents", Some(25)),
        ] {
            assert_eq!(stated_limit(message, sent), stated, "{message}");
        }
    }
}
