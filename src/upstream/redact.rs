//! A provider's words, unless they quote the request or the key.
//!
//! Providers like to repeat what they refuse ("document at index 3: '…' is too long", "incorrect key sk-…"). Error messages end
//! in logs and tickets, so a message that holds a stretch of the query or of a passage, or the key, is withheld as a whole. It is
//! better to withhold a harmless message than to show a private one.

use std::borrow::Cow;

use memchr::memmem;

/// Longest message that is handed on, in characters.
const MAX_CHARACTERS: usize = 300;
/// Bytes of a message that are looked at for quotations; far more than are ever shown.
const MAX_EXAMINED_BYTES: usize = 4 * MAX_CHARACTERS + 2 * STRETCH;
/// Length of the pieces that a message is cut into, in bytes. A quotation of twice that holds at least one whole piece.
const STRETCH: usize = 16;
/// Shortest text whose quotation would tell anything, in bytes.
const SHORTEST: usize = 4;
/// Shortest half of a short text whose quotation would tell anything, in bytes.
const SHORTEST_HALF: usize = 6;

/// Whether `message`, whose blanks are single spaces, quotes one of `texts` at length, or holds one of `secrets`.
#[must_use]
pub fn quotes<'a>(message: &str, texts: &(impl Iterator<Item = &'a str> + Clone), secrets: &[&str]) -> bool {
    if secrets.iter().any(|secret| !secret.is_empty() && message.contains(secret)) {
        return true;
    }
    let examined = &message.as_bytes()[..message.len().min(MAX_EXAMINED_BYTES)];
    // Bytes, not characters: a piece may begin inside a letter, and is found all the same.
    let pieces: Vec<_> = examined.chunks_exact(STRETCH).map(memmem::Finder::new).collect();
    texts.clone().any(|text| {
        let text = single_spaced(text);
        let bytes = text.as_bytes();
        let holds = |part: &[u8]| memmem::find(examined, part).is_some();
        if bytes.len() >= 2 * STRETCH {
            return pieces.iter().any(|piece| piece.find(bytes).is_some());
        }
        // A short text could be quoted without a whole piece; three quarters of it hold its first or its second half.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let half_tells = first.len() >= SHORTEST_HALF;
        (bytes.len() >= SHORTEST && holds(bytes)) || (half_tells && (holds(first) || holds(second)))
    })
}

/// One line of at most 300 characters, none of which a terminal obeys.
#[must_use]
pub fn shortened(message: &str) -> String {
    let (shown, rest) = match message.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => (&message[..end], "…"),
        None => (message, ""),
    };
    format!("{}{rest}", shown.replace(char::is_control, "\u{fffd}"))
}

/// `text` with every run of blanks as one space, as messages have it.
fn single_spaced(text: &str) -> Cow<'_, str> {
    // What `split_whitespace` splits at; `is_ascii_whitespace` knows no vertical tab.
    let is_blank = |byte: u8| byte.is_ascii_whitespace() || byte == 0x0b;
    let odd = |pair: &[u8]| is_blank(pair[0]) && (pair[0] != b' ' || is_blank(pair[1]));
    if text.is_ascii() && !text.as_bytes().windows(2).any(odd) && text.trim() == text {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 5] = [
        "my secret query",
        "A long passage that nobody but the owner should ever read in a log.",
        "患者张伟的身份证号码与病历记录必须保密，任何人不得泄露给第三方。",
        "name: Kim Cheol\nssn: 900101-12\nhiv: positive\nward: 7 east b",
        "a",
    ];

    fn quoted(message: &str) -> bool {
        quotes(message, &TEXTS.into_iter(), &["sk-other", "sk-live-0123456789"])
    }

    #[test]
    fn quotations_and_keys_are_found() {
        for message in [
            "cannot score 'my secret query' today",
            "cannot score 'my secret que…' today",
            "document at index 1 is too long: A long passage that nobody but the owner…",
            "错误：患者张伟的身份证号码与病历记录",
            "bad: name: Kim Cheol ssn: 900101-12 hiv: positive ward: 7 east b",
            "incorrect API key provided: sk-live-0123456789",
            &format!("{}sk-live-0123456789", "x".repeat(290)),
        ] {
            assert!(quoted(message), "{message}");
        }
    }

    #[test]
    fn quotations_are_found_whatever_blanks_they_had() {
        for blank in ["\t", "\n", "\u{b}", "\u{c}", "\r\n", "\u{85}", "\u{a0}", "  "] {
            let text = ["a secret", "between", "any blanks", "that there", "may ever be"].join(blank);
            let said = "cannot score 'a secret between any blanks that there may ever be'";
            assert!(quotes(said, &std::iter::once(text.as_str()), &[]), "{blank:?}");
        }
    }

    #[test]
    fn terminals_obey_no_message() {
        assert_eq!(shortened("red \u{1b}[31m\u{0}\u{9b}2J"), "red \u{fffd}[31m\u{fffd}\u{fffd}2J");
    }

    #[test]
    fn plain_messages_pass() {
        for message in
            ["too many tokens: max 512 per document, document 3 has 800", "", "invalid request", "누락된 필드"]
        {
            assert!(!quoted(message), "{message}");
        }
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let line = shortened(&"é".repeat(1000));
        assert_eq!(line.chars().count(), MAX_CHARACTERS + 1);
        assert_eq!(shortened("short"), "short");
    }
}
