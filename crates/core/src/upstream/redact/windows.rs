//! Texts as runs of letters and digits, and the windows of them by which a quotation is recognised.
//!
//! A window is eight letters or digits in a row, however they are written and whatever stands between them. In Chinese,
//! Japanese and Korean four are as telling. A window is represented by its hash: a collision withholds a harmless
//! message, no more.

use unicode_normalization::char::decompose_canonical;

/// Length of a window in letters and digits.
pub(super) const WINDOW: usize = 8;
/// Length of a window in scripts whose letters are syllables or words.
pub(super) const WIDE_WINDOW: usize = 4;

const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
const BASE_4: u64 = power(WIDE_WINDOW);
const BASE_8: u64 = power(WINDOW);
/// Keeps the hashes of wide windows apart from those of others.
const WIDE_MARK: u64 = 0x5bd1_e995_5bd1_e995;

const fn power(exponent: usize) -> u64 {
    let mut product = 1_u64;
    let mut step = 0;
    while step < exponent {
        product = product.wrapping_mul(BASE);
        step += 1;
    }
    product
}

/// Calls `take` with the letters and digits of `letter`, without case, accents and width.
pub(super) fn fold(letter: char, mut take: impl FnMut(char)) {
    if letter.is_ascii() {
        if letter.is_ascii_alphanumeric() {
            take(letter.to_ascii_lowercase());
        }
        return;
    }
    match letter {
        // Most of CJK has neither case nor accents.
        '\u{30a0}' | '\u{30fb}' => {}
        _ if is_wide(letter) => take(letter),
        // Full-width forms of ASCII.
        '\u{ff01}'..='\u{ff5e}' => {
            let narrow = char::from_u32(u32::from(letter) - 0xfee0).unwrap_or(letter);
            fold(narrow, take);
        }
        // Scripts that have letters with accents.
        '\u{c0}'..'\u{2000}' => decompose_canonical(letter, |part| {
            part.to_lowercase().filter(|lower| lower.is_alphanumeric()).for_each(&mut take);
        }),
        _ => letter.to_lowercase().filter(|lower| lower.is_alphanumeric()).for_each(take),
    }
}

/// Returns true if a letter is a syllable or a word: Chinese, Japanese, Korean.
#[inline]
pub(super) const fn is_wide(letter: char) -> bool {
    letter >= '\u{3040}'
        && matches!(
            letter,
            '\u{3040}'..='\u{30ff}'
                | '\u{3400}'..='\u{9fff}'
                | '\u{ac00}'..='\u{d7af}'
                | '\u{f900}'..='\u{faff}'
                | '\u{20000}'..='\u{3ffff}'
        )
}

/// A rolling hash over letters and digits, for both kinds of windows.
#[derive(Default)]
pub(super) struct Roller {
    last: [u64; WINDOW],
    length: usize,
    wide_run: usize,
    hash: u64,
    wide_hash: u64,
}

/// Hashes of the windows that end at a letter.
#[derive(Clone, Copy)]
pub(super) struct Ending {
    pub(super) window: Option<u64>,
    pub(super) wide_window: Option<u64>,
}

impl Roller {
    pub(super) fn push(&mut self, letter: char) -> Ending {
        let code = u64::from(u32::from(letter)) + 1;
        let place = self.length % WINDOW;
        let oldest = self.last[place];
        self.hash = self.hash.wrapping_mul(BASE).wrapping_add(code).wrapping_sub(oldest.wrapping_mul(BASE_8));
        if is_wide(letter) {
            // Letters before the run take no part.
            let is_full = self.wide_run >= WIDE_WINDOW;
            let oldest = if is_full { self.last[(place + WINDOW - WIDE_WINDOW) % WINDOW] } else { 0 };
            let added = self.wide_hash.wrapping_mul(BASE).wrapping_add(code);
            self.wide_hash = added.wrapping_sub(oldest.wrapping_mul(BASE_4));
            self.wide_run += 1;
        } else {
            self.wide_run = 0;
            self.wide_hash = 0;
        }
        self.last[place] = code;
        self.length += 1;
        Ending {
            window: (self.length >= WINDOW).then_some(self.hash),
            wide_window: (self.wide_run >= WIDE_WINDOW).then_some(self.wide_hash ^ WIDE_MARK),
        }
    }
}

/// The windows of a message.
pub(super) struct Windows {
    hashes: Vec<u64>,
    /// A bit for each hash, by its highest bits. It rules out most windows of a text in one access.
    filter: Vec<u64>,
}

const FILTER_WORDS: usize = 1 << 10;

impl Windows {
    pub(super) fn of(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        let mut filter = vec![0; FILTER_WORDS];
        for hash in &hashes {
            filter[word(*hash)] |= bit(*hash);
        }
        Self { hashes, filter }
    }

    pub(super) fn contains(&self, hash: u64) -> bool {
        self.filter[word(hash)] & bit(hash) != 0 && self.hashes.binary_search(&hash).is_ok()
    }
}

fn word(hash: u64) -> usize {
    // The highest ten bits of the product depend on every bit of the hash.
    usize::try_from(hash.wrapping_mul(BASE) >> 54).unwrap_or_default()
}

fn bit(hash: u64) -> u64 {
    1 << (hash.wrapping_mul(BASE) >> 48 & 63)
}
