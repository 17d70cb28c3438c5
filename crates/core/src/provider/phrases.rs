//! The message of a failure: its words and phrases, without quotations of the request.

/// Longest quoted word, in bytes, that may be a name. Longer ones quote the request, whose words say nothing about the
/// refusal.
const MAX_QUOTED_NAME: usize = 24;
/// Longest text that the `*` of a phrase stand for together, in bytes. Words that are further apart do not belong
/// together.
const MAX_GAP: usize = 60;

/// Runs of letters and digits.
pub(crate) fn words_of(message: &str) -> impl Iterator<Item = &str> {
    message.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// `message` without its long quotations, which are texts of the request.
pub(crate) fn without_quotations(message: &str) -> String {
    let mut kept = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(start) = rest.find(['\'', '"', '`']) {
        let mark = char::from(rest.as_bytes()[start]);
        let inside = &rest[start + 1..];
        kept.push_str(&rest[..start]);
        // An apostrophe within a word opens no quotation.
        let is_opening = !kept.ends_with(char::is_alphanumeric);
        let end = if is_opening { closing_mark(inside, mark) } else { None };
        kept.push(mark);
        rest = inside;
        if let Some(end) = end {
            let is_name = end <= MAX_QUOTED_NAME && !inside[..end].contains(char::is_whitespace);
            if is_name {
                kept.push_str(&inside[..end]);
            }
            kept.push(mark);
            rest = &inside[end + 1..];
        }
    }
    kept.push_str(rest);
    kept
}

/// Position of the mark that closes the quotation at the beginning of `inside`; `None` if none does. A mark before a
/// letter is an apostrophe.
fn closing_mark(inside: &str, mark: char) -> Option<usize> {
    for (at, _) in inside.match_indices(mark) {
        if !inside[at + 1..].starts_with(char::is_alphanumeric) {
            return Some(at);
        }
    }
    None
}

/// Returns true if `message` holds one of `phrases`.
///
/// `*` matches up to [`MAX_GAP`] bytes that hold no `;`, no line end and no `. `. Two `*` of a phrase share these
/// bytes.
pub(crate) fn holds(message: &str, phrases: &[String]) -> bool {
    phrases.iter().any(|phrase| holds_phrase(message, phrase))
}

/// Returns true if `message` holds `phrase`, by the rule of [`holds`].
fn holds_phrase(message: &str, phrase: &str) -> bool {
    let Some((first, others)) = phrase.split_once('*') else { return message.contains(phrase) };
    // Each place is tried: the rest may be too far behind the first one.
    for (at, _) in message.match_indices(first) {
        let rest = &message[at + first.len()..];
        // The bytes of the gaps, and those of the phrase itself.
        let near = &rest[..rest.floor_char_boundary(MAX_GAP + others.len())];
        let end = end_of_clause(near);
        if holds_phrase(&near[..end], others) {
            return true;
        }
    }
    false
}

/// The clauses of `message`.
pub(crate) fn clauses(message: &str) -> Vec<&str> {
    let mut clauses = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let (clause, others) = rest.split_at(end_of_clause(rest));
        clauses.push(clause);
        // Without the mark at the end, which is one byte.
        rest = others.get(1..).unwrap_or_default();
    }
    clauses
}

/// Position of the end of the clause at the beginning of `text`, in bytes.
fn end_of_clause(text: &str) -> usize {
    let separator = text.find([';', '\n']).unwrap_or(text.len());
    let full_stop = text.find(". ").unwrap_or(text.len());
    separator.min(full_stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotations_are_left_out_and_names_are_not() {
        for (message, kept) in [
            ("`inputs` must have less than 512 tokens", "`inputs` must have less than 512 tokens"),
            ("this model's limit; the user's text", "this model's limit; the user's text"),
            ("document 'it is a deadline, isn't it, today' is long", "document '' is long"),
            ("document 'api quota' is long", "document '' is long"),
            ("\"an unending quotation of a text", "\"an unending quotation of a text"),
            ("'a' \"b\" 'é", "'a' \"b\" 'é"),
        ] {
            assert_eq!(without_quotations(message), kept);
        }
    }

    #[test]
    fn phrases_with_a_gap_match_in_order() {
        assert!(holds_phrase("takes at most 25 items", "at most * items"));
        assert!(!holds_phrase("items: at most 25", "at most * items"));
        assert!(!holds_phrase("at most 25. these items", "at most * items"));
        assert!(!holds_phrase("at most 25. these items; x", "at most * items"), "the first end counts");
        assert!(holds_phrase("at most one. at most 25 items", "at most * items"));
    }
}
