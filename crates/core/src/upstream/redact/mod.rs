//! The provider's messages, withheld if they quote the request or a key.
//!
//! Providers like to repeat what they refuse ("document at index 3: '…' is too long", "incorrect key sk-…"). Error
//! messages end up in logs and support tickets, so a message that holds a part of the query, of a passage or of a key
//! is withheld as a whole. It is better to withhold a harmless message than to show a private one.
//!
//! ```text
//!  message ─▶ unchanged, and with up to three layers of escapes removed
//!              │  and its long words decoded as base64 and hexadecimal
//!              └▶ letters and digits, in one case ─▶ windows of eight (of four in CJK), without stock words ─┐
//!  each text ─▶ letters and digits, in one case ─▶ its windows: does the message have one of them? ◀─────────┘
//! ```
//! Stock words are long ones that are common in error messages: a passage that holds "document" does not hide
//! "document 3 has 800 tokens". A text that is too short for a window is searched for as a whole word.

mod encoded;
mod stock;
mod unescape;
mod windows;

use memchr::memmem;

use self::encoded::decoded;
use self::stock::is_stock;
use self::unescape::unescape;
use self::windows::{Roller, WINDOW, Windows, fold, is_cjk};
use super::error::UpstreamError;
use crate::error::ErrorKind;

/// Longest message that is shown, in characters. The rest is not searched either.
const MAX_CHARACTERS: usize = 300;
/// Layers of escapes that are removed: JSON in a string of JSON in an address has three.
const MAX_LAYERS: usize = 3;
/// Shortest text whose quotation reveals anything, in letters and digits.
const MIN_TEXT: usize = 3;
/// The same for a text in CJK, whose letters say more.
const MIN_CJK_TEXT: usize = 2;

/// The provider's message about a failure, shortened. `None` if there is none, if the failure is about a key, or if the
/// message quotes one of `texts` or `secrets`.
pub(super) fn quotable<'a>(
    error: &UpstreamError,
    texts: &(impl Iterator<Item = &'a str> + Clone),
    secrets: &[&str],
) -> Option<String> {
    let message = &*error.said.as_ref()?.message;
    // Messages about a key (401, 402, 403) quote it in forms that nobody foresees.
    let is_about_key = matches!(error.kind, ErrorKind::UpstreamUnauthorized | ErrorKind::UpstreamQuotaExhausted);
    if message.is_empty() || is_about_key || quotes(message, texts, secrets) {
        return None;
    }
    Some(shortened(message))
}

/// Returns true if the part of `message` that would be shown quotes one of `texts`, or holds eight characters in a row
/// of one of `secrets`.
#[must_use]
pub fn quotes<'a>(message: &str, texts: &(impl Iterator<Item = &'a str> + Clone), secrets: &[&str]) -> bool {
    let forms = forms_of(head(message));
    for secret in secrets {
        if forms.iter().any(|form| form.holds_secret(secret)) {
            return true;
        }
    }
    let windows = Windows::of(forms.iter().flat_map(Form::windows).collect());
    for text in texts.clone() {
        let is_quoted = match scan(text, &windows) {
            Scan::Quoted => true,
            Scan::NotQuoted => false,
            Scan::Short(word) => forms.iter().any(|form| form.holds_word(&word)),
        };
        if is_quoted {
            return true;
        }
    }
    false
}

/// One line of at most 300 characters, without control characters.
#[must_use]
pub fn shortened(message: &str) -> String {
    let shown = head(message);
    let rest = if shown.len() < message.len() { "…" } else { "" };
    format!("{}{rest}", shown.replace(char::is_control, "\u{fffd}"))
}

/// The part of a message that is shown. Only this part is searched for quotations, so no more may ever be shown.
fn head(message: &str) -> &str {
    match message.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => &message[..end],
        None => message,
    }
}

/// The message unchanged, with its escapes removed layer by layer, and its encoded words.
fn forms_of(message: &str) -> Vec<Form> {
    let mut text = message.to_owned();
    let mut forms = vec![Form::of(&text)];
    for _ in 0..MAX_LAYERS {
        let plain = unescape(&text).into_owned();
        if plain == text {
            break;
        }
        forms.push(Form::of(&plain));
        text = plain;
    }
    for decoded_text in decoded(&text) {
        forms.push(Form::of(&decoded_text));
    }
    forms
}

/// One form of the message, prepared for the search. "Letters" are letters and digits, folded, here and below.
struct Form {
    /// The text in lower case, with everything between its letters.
    text: String,
    /// Its letters.
    letters: Vec<char>,
    /// The letters as a string.
    squeezed: String,
    /// For each letter, the number of its word, from 0. As long as `letters`.
    word_numbers: Vec<usize>,
    /// For each word, true if it is a stock word.
    stock_words: Vec<bool>,
}

impl Form {
    fn of(text: &str) -> Self {
        let mut letters = Vec::new();
        let mut word_numbers = Vec::new();
        let mut stock_words = Vec::new();
        // Index of the first letter of the current word.
        let mut start = 0;
        // The extra blank ends the last word.
        for letter in text.chars().chain([' ']) {
            let length = letters.len();
            fold(letter, |part| letters.push(part));
            // A character without a letter ends a word.
            if letters.len() == length && start < length {
                word_numbers.resize(length, stock_words.len());
                stock_words.push(is_stock(&letters[start..].iter().collect::<String>()));
                start = length;
            }
        }
        let squeezed = letters.iter().collect();
        Self { text: text.to_lowercase(), letters, squeezed, word_numbers, stock_words }
    }

    /// Hashes of all windows, except those inside one stock word. Those in CJK all count: no stock word is CJK.
    fn windows(&self) -> Vec<u64> {
        let mut hashes = Vec::new();
        let mut roller = Roller::default();
        for (index, letter) in self.letters.iter().enumerate() {
            let word = self.word_numbers[index];
            let first_word = self.word_numbers[(index + 1).saturating_sub(WINDOW)];
            let is_within_stock = first_word == word && self.stock_words[word];
            let ending = roller.push(*letter);
            if !is_within_stock {
                hashes.extend(ending.window);
            }
            hashes.extend(ending.cjk_window);
        }
        hashes
    }

    /// Returns true if the form holds eight characters in a row of `secret`, or all of a shorter one.
    fn holds_secret(&self, secret: &str) -> bool {
        let mut folded = Vec::new();
        for letter in secret.chars() {
            fold(letter, |part| folded.push(part));
        }
        let as_written: Vec<char> = secret.to_lowercase().chars().collect();
        // Both ways: a key can be quoted with its punctuation, or with other characters in between.
        holds_part(&self.text, &as_written) || holds_part(&self.squeezed, &folded)
    }

    /// Returns true if the form holds `word`, folded, as one or more whole words. CJK does not mark words.
    fn holds_word(&self, word: &str) -> bool {
        let is_cjk_word = word.chars().all(is_cjk);
        memmem::find_iter(self.squeezed.as_bytes(), word).any(|at| {
            let start = self.squeezed[..at].chars().count();
            let end = start + word.chars().count();
            let starts = start == 0 || self.word_numbers[start - 1] != self.word_numbers[start];
            let ends = end == self.word_numbers.len() || self.word_numbers[end - 1] != self.word_numbers[end];
            is_cjk_word || (starts && ends)
        })
    }
}

/// Returns true if `text` holds eight of `characters` in a row, or all of them if they are fewer.
fn holds_part(text: &str, characters: &[char]) -> bool {
    let length = characters.len().min(WINDOW);
    length > 0 && characters.windows(length).any(|window| text.contains(&*window.iter().collect::<String>()))
}

/// Result of a search for a text in a message.
enum Scan {
    /// The message has one of the text's windows.
    Quoted,
    /// The text is too short for a window: its letters and digits.
    Short(String),
    /// The message has none of the text's windows, or the text is too short to reveal anything.
    NotQuoted,
}

/// Searches for the windows of `text` among those of a message, in one pass without a copy: texts can be long.
fn scan(text: &str, windows: &Windows) -> Scan {
    let mut roller = Roller::default();
    let mut has_window = false;
    // Letters before the first window; all of them only if there is no window.
    let mut short = String::new();
    let mut is_quoted = false;
    for letter in text.chars() {
        fold(letter, |part| {
            let ending = roller.push(part);
            if let Some(hash) = ending.window {
                has_window = true;
                is_quoted |= windows.contains(hash);
            }
            if let Some(hash) = ending.cjk_window {
                has_window = true;
                is_quoted |= windows.contains(hash);
            }
            if !has_window {
                short.push(part);
            }
        });
        if is_quoted {
            return Scan::Quoted;
        }
    }
    let length = short.chars().count();
    let reveals = length >= MIN_TEXT || (length >= MIN_CJK_TEXT && short.chars().all(is_cjk));
    if has_window || !reveals { Scan::NotQuoted } else { Scan::Short(short) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn words_of_error_messages_and_what_is_not_shown_are_no_quotations() {
        let texts = ["a document about parameters", "the harbour of Busan"];
        assert!(!quotes("document 3 has 800 tokens", &texts.into_iter(), &[]));
        let message = |blanks: usize| format!("refused {}the harbour of Busan", ". ".repeat(blanks));
        assert!(quotes(&message(10), &texts.into_iter(), &[]));
        assert!(!quotes(&message(150), &texts.into_iter(), &[]), "behind what is shown");
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
            "cannot read QSBsb25nIHBhc3NhZ2UgdGhhdCBub2JvZHk=",
            "cannot read 41206c6f6e672070617373616765",
            "key c2stbGl2ZS0wMTIzNDU2Nzg5",
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

    /// Attack 13: the request is quoted in short pieces, in another case, escaped, or all but a little of the key.
    #[test]
    fn quotations_are_found_in_every_disguise() {
        for message in [
            "BAD: NOBODY BUT THE OWNER",
            "cannot read n-o-b-o-d-y b.u.t",
            "at 'nobody b'",
            r"at \u006e\u006f\u0062\u006f\u0064\u0079\u0020\u0062\u0075\u0074",
            "at &#110;&#x6f;&#98;&#111;dy&quot;but",
            "at %6e%6f%62%6f%64%79%20%62%75%74",
            r"at \\u006eobody\\nbut",
            "at %26%23110%3Bobody but",
            "at \u{ff4e}\u{ff4f}\u{ff42}\u{ff4f}\u{ff44}\u{ff59}\u{ff42}\u{ff55}",
            "at no\u{200b}bo\u{ad}dy bu",
            "错误：身份证号",
            "错误：『身份…证号』",
            "bad: ssn 900101",
            "incorrect API key: K-LIVE-0123456",
            "incorrect API key: e 0 1 2 3 4 5 6",
            "incorrect API key: sk%2dlive%2d0123",
            "incorrect API key: sk-live-",
            "no score for 'My Secret'",
        ] {
            assert!(quoted(message), "{message}");
        }
    }

    #[test]
    fn short_texts_are_found_as_whole_words() {
        let quoted = |message: &str, text: &str| quotes(message, &std::iter::once(text), &[]);
        for (message, text, expected) in [
            ("cannot score \"Cat\"", "cat", true),
            ("cannot score c-a-t", "cat", true),
            (r"cannot score \u0063at", "cat", true),
            ("cannot score \u{3d33e}cat", "\u{3d33e}cat", true),
            ("cannot score \"category\"", "cat", false),
            ("cannot concat", "cat", false),
            ("cannot score Zoë", "zoe\u{308}", true),
            ("无法为张伟评分", "张伟", true),
            ("no score for 42", "42", false),
            ("no score for a", "a", false),
            ("", "cat", false),
        ] {
            assert_eq!(quoted(message, text), expected, "{message} {text}");
        }
        assert!(quotes("bad key abc1", &std::iter::empty(), &["abc1"]));
        assert!(!quotes("bad key", &std::iter::empty(), &[""]));
    }

    /// One letter in another form.
    fn disguised(letter: char, disguise: usize) -> String {
        match disguise {
            0 => letter.to_uppercase().to_string(),
            1 => letter
                .encode_utf16(&mut [0; 2])
                .iter()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect::<Vec<_>>()
                .concat(),
            2 => format!("&#{};", u32::from(letter)),
            3 => format!("&#x{:X};", u32::from(letter)),
            4 => letter.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat(),
            5 => format!("{letter}\u{200b}-"),
            6 => format!("\\u{{{:x}}}", u32::from(letter)),
            _ => letter.to_string(),
        }
    }

    proptest! {
        #[test]
        fn any_eight_letters_of_a_passage_are_withheld(
            text in "[a-z0-9äжش ,.'\"\\n-]{0,60}([a-z0-9äжش][ ,'-]{0,2}){8}[a-z0-9 .]{0,60}",
            skipped in any::<prop::sample::Index>(),
            disguises in proptest::collection::vec(0usize..8, 8),
        ) {
            let letters: Vec<char> = text.chars().filter(|letter| letter.is_alphanumeric()).collect();
            let start = skipped.index(letters.len() - WINDOW + 1);
            let stretch = &letters[start..start + WINDOW];
            let quotation: String = stretch.iter().zip(disguises).map(|(letter, disguise)| disguised(*letter, disguise)).collect();
            let message = format!("invalid: '{quotation}'");
            prop_assert!(quotes(&message, &std::iter::once(&*text), &[]), "{}", message);
            prop_assert!(quotes(&message, &std::iter::empty(), &[&text]), "{}", message);
        }

        #[test]
        fn no_message_panics(message in "\\PC{0,80}", text in "\\PC{0,80}") {
            // Eight letters or digits in a row, unless they are a stock word's.
            let letters = message.chars().filter(char::is_ascii_alphanumeric).count();
            prop_assert!(letters < 2 * WINDOW || quotes(&message, &[&*text, &*message].into_iter(), &[&text]));
        }
    }
}
