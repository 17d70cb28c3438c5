//! The tokenizer: stems for words, character bigrams for scripts written without spaces.
//!
//! English words are lower-cased, stripped of function words and reduced to their Porter2 stem. Runs of Hangul, Kana,
//! Han and the South-East Asian scripts become overlapping character bigrams. They need no dictionary, and on Korean
//! and Japanese question sets they beat whitespace words by a tenth of nDCG. Words of any other script stay as they
//! are.

use std::borrow::Cow;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization;

use super::stop_words::is_stop_word;

/// Fewest bytes of a text between two calls of `is_wanted`: about half a millisecond's work.
const ASK_EVERY_BYTES: usize = 1 << 14;

/// Splits texts into terms. One serves a whole list.
pub struct Tokenizer {
    stemmer: Stemmer,
    detail: Detail,
}

/// The level of detail at which a text becomes terms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Terms that tell one text from another: bigrams, and words except function words and single letters.
    Telling,
    /// Every word, and every character of scripts without spaces, for queries without telling terms ("to be or not to
    /// be", "C++", "犬").
    All,
}

/// The part of a character in terms.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Part of a word.
    Word,
    /// Part of a run that is cut into bigrams.
    Bigram,
    /// Part of no term.
    Separator,
}

impl Tokenizer {
    /// A tokenizer for texts in this detail.
    #[must_use]
    pub fn new(detail: Detail) -> Self {
        Self { stemmer: Stemmer::create(Algorithm::English), detail }
    }

    /// Calls `each` with every term of `text`, in order, repetitions included.
    pub fn terms(&self, text: &str, each: impl FnMut(&str)) {
        self.terms_while(text, || true, each);
    }

    /// The same until `is_wanted` returns false; it is called about every `ASK_EVERY_BYTES`. Returns true if the
    /// whole text was read.
    pub fn terms_while(&self, text: &str, is_wanted: impl Fn() -> bool, mut each: impl FnMut(&str)) -> bool {
        self.words_while(text, is_wanted, |term, _| each(term))
    }

    /// The same with each term's word, of which it is the stem; a term that is no stem is its own word. Words are
    /// normalised.
    pub fn words_while(&self, text: &str, is_wanted: impl Fn() -> bool, mut each: impl FnMut(&str, &str)) -> bool {
        let lower = normalised(text);
        let mut run_start = 0;
        let mut run_class = Class::Separator;
        let mut ask_at = ASK_EVERY_BYTES;
        for (at, character) in lower.char_indices() {
            let class = classify(character);
            if class != run_class {
                self.run(&lower[run_start..at], run_class, &mut each);
                run_start = at;
                run_class = class;
                // Only between runs: a term is not torn, and a run without end is scored whole.
                if at >= ask_at {
                    if !is_wanted() {
                        return false;
                    }
                    ask_at = at + ASK_EVERY_BYTES;
                }
            }
        }
        self.run(&lower[run_start..], run_class, &mut each);
        true
    }

    /// Calls `each` with the terms of a run of characters of one class, and their words.
    fn run(&self, run: &str, class: Class, each: &mut impl FnMut(&str, &str)) {
        match class {
            Class::Separator => {}
            Class::Word => self.word(run, each),
            Class::Bigram if self.detail == Detail::All => {
                for character in run.chars() {
                    let mut bytes = [0; 4];
                    let letter = &*character.encode_utf8(&mut bytes);
                    each(letter, letter);
                }
            }
            Class::Bigram => bigrams(run, &mut |bigram| each(bigram, bigram)),
        }
    }

    /// Calls `each` with the term of a word and the word, if it has a term in this detail.
    fn word(&self, word: &str, each: &mut impl FnMut(&str, &str)) {
        let is_single_character = word.chars().nth(1).is_none();
        if self.detail == Detail::Telling && (is_single_character || is_stop_word(word)) {
            return;
        }
        // The stemmer is for English. Words with digits are names and numbers.
        if word.bytes().all(|byte| byte.is_ascii_lowercase()) {
            each(&self.stemmer.stem(word), word);
        } else {
            each(word, word);
        }
    }
}

/// The text in lower case and in normal form NFKC, which unifies full-width letters, half-width Kana and decomposed
/// Hangul.
fn normalised(text: &str) -> Cow<'_, str> {
    // ASCII is in normal form already, and most of it in lower case: no copy is needed then.
    if !text.is_ascii() {
        Cow::Owned(text.nfkc().collect::<String>().to_lowercase())
    } else if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// Calls `each` with every two neighbouring characters of a run, or with its only character.
fn bigrams(run: &str, each: &mut impl FnMut(&str)) {
    let mut previous = None;
    let mut has_bigram = false;
    for (at, character) in run.char_indices() {
        if let Some(start) = previous {
            has_bigram = true;
            each(&run[start..at + character.len_utf8()]);
        }
        previous = Some(at);
    }
    if !has_bigram {
        each(run);
    }
}

/// The part of a character, which must be normalised: in lower case, without full-width letters.
fn classify(character: char) -> Class {
    match character {
        'a'..='z' | '0'..='9' => Class::Word,
        _ if character.is_ascii() => Class::Separator,
        _ if is_unspaced(character) => Class::Bigram,
        _ if character.is_alphanumeric() => Class::Word,
        _ => Class::Separator,
    }
}

/// Returns true for a letter of a script that does not separate words by spaces, or whose words carry endings that hide
/// their stem (Hangul).
fn is_unspaced(character: char) -> bool {
    matches!(u32::from(character),
        0x0E00..=0x0EFF        // Thai, Lao
        | 0x1000..=0x109F      // Myanmar
        | 0x1100..=0x11FF      // Hangul Jamo
        | 0x1780..=0x17FF      // Khmer
        | 0x3005 | 0x3040..=0x30FF | 0x31F0..=0x31FF   // iteration mark, Hiragana, Katakana and its extensions
        | 0x3130..=0x318F      // Hangul compatibility Jamo
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF   // Han
        | 0xAC00..=0xD7AF      // Hangul syllables
        | 0xFF66..=0xFF9D      // half-width Katakana
        | 0x20000..=0x3134F    // Han, supplementary planes
    ) && character != '\u{30FB}' // the Katakana middle dot parts words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        Tokenizer::new(Detail::Telling).terms(text, |term| found.push(term.to_owned()));
        found
    }

    #[test]
    fn english_words_are_stemmed_and_function_words_dropped() {
        assert_eq!(terms("The boundary layers of HEATED wings"), ["boundari", "layer", "heat", "wing"]);
    }

    #[test]
    fn hangul_kana_and_han_become_bigrams() {
        assert_eq!(terms("검색 엔진"), ["검색", "엔진"]);
        assert_eq!(terms("東京都"), ["東京", "京都"]);
        assert_eq!(terms("カタカナ"), ["カタ", "タカ", "カナ"]);
        assert_eq!(terms("木"), ["木"]);
    }

    #[test]
    fn what_looks_the_same_is_the_same() {
        for (one, other) in
            [("Ｃａｔ", "cat"), ("ﾄｳｷｮｳ", "トウキョウ"), ("서울", "\u{1109}\u{1165}\u{110B}\u{116E}\u{11AF}")]
        {
            assert_eq!(terms(one), terms(other));
        }
    }

    #[test]
    fn scripts_part_each_other() {
        assert_eq!(terms("GPU가속"), ["gpu", "가속"]);
    }

    #[test]
    fn single_letters_and_blanks_give_nothing() {
        assert!(terms(" a , ! \t b").is_empty());
        assert!(terms("").is_empty());
    }

    #[test]
    fn words_of_other_scripts_stand_as_they_are() {
        assert_eq!(terms("Быстрая ΛΈΞΗ"), ["быстрая", "λέξη"]);
    }
}
