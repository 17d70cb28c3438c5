//! A provider's words, unless they quote the request or the key.
//!
//! Providers like to repeat what they refuse ("document at index 3: '…' is too long", "incorrect key sk-…"). Error messages end
//! in logs and tickets, so a message that holds a stretch of the query or of a passage, or the key, is withheld as a whole.

/// Shortest stretch of a passage that counts as a quotation, in bytes, give or take a step.
const STRETCH: usize = 16;

/// Whether `message` quotes one of `texts` at length, or holds one of `secrets` at all.
#[must_use]
pub fn quotes<'a>(message: &str, texts: &(impl Iterator<Item = &'a str> + Clone), secrets: &[&str]) -> bool {
    if secrets.iter().any(|secret| !secret.is_empty() && message.contains(secret)) {
        return true;
    }
    // Any quotation of two steps holds at least one whole step of the message.
    let stretches = message.as_bytes().chunks_exact(STRETCH).filter_map(|chunk| std::str::from_utf8(chunk).ok());
    let short = texts.clone().any(|text| (4..2 * STRETCH).contains(&text.len()) && message.contains(text));
    short || stretches.into_iter().any(|stretch| texts.clone().any(|text| text.contains(stretch)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 2] = ["my secret query", "A long passage that nobody but the owner should ever read in a log."];

    fn quoted(message: &str) -> bool {
        quotes(message, &TEXTS.into_iter(), &["sk-123"])
    }

    #[test]
    fn quotations_and_keys_are_found_and_plain_messages_pass() {
        assert!(quoted("cannot score 'my secret query' today"));
        assert!(quoted("document at index 1 is too long: A long passage that nobody but the owner…"));
        assert!(quoted("incorrect API key provided: sk-123"));
        assert!(!quoted("too many tokens: max 512 per document, document 3 has 800"));
        assert!(!quoted(""));
    }
}
