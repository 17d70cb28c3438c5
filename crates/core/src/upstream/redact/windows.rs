//! Texts as runs of letters and digits, and the windows of them by which a quotation is recognised.
//!
//! A window is eight letters or digits in a row, however they are written and whatever stands between them. In Chinese,
//! Japanese and Korean four are as telling. A window is represented by its hash: a collision withholds a harmless
//! message, no more.

use unicode_normalization::char::decompose_canonical;

/// Length of a window in letters and digits.
pub(super) const WINDOW: usize = 8;
/// Length of a window in Chinese, Japanese and Korean, whose letters are syllables or words.
pub(super) const CJK_WINDOW: usize = 4;

/// Base of the hashes, which are polynomials modulo 2^64: 2^64 divided by the golden ratio. Any odd number without a
/// pattern in its bits would do.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
/// Factor of the letter that leaves a window in CJK when another is added.
const BASE_OF_OLDEST_CJK: u64 = power(CJK_WINDOW);
/// Factor of the letter that leaves any other window.
const BASE_OF_OLDEST: u64 = power(WINDOW);
/// Any number: keeps the hashes of windows in CJK apart from those of others, which are searched for in one table.
const CJK_MARK: u64 = 0x5bd1_e995_5bd1_e995;

/// The power of [`BASE`], modulo 2^64.
const fn power(exponent: usize) -> u64 {
    let mut product = 1_u64;
    let mut step = 0;
    while step < exponent {
        product = product.wrapping_mul(BASE);
        step += 1;
    }
    product
}

/// Calls `take` with the letters and digits of `letter`, without case, accents and width: with none for a mark or a
/// blank, and perhaps with several for a letter that decomposes.
pub(super) fn fold(letter: char, mut take: impl FnMut(char)) {
    if letter.is_ascii() {
        if letter.is_ascii_alphanumeric() {
            take(letter.to_ascii_lowercase());
        }
        return;
    }
    match letter {
        // Punctuation of Katakana, which stands among its letters.
        '\u{30a0}' | '\u{30fb}' => {}
        // As it stands: CJK has no case.
        _ if is_cjk(letter) => take(letter),
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

/// Returns true for letters of Chinese, Japanese and Korean (CJK), each of which is a syllable or a word.
#[inline]
pub(super) const fn is_cjk(letter: char) -> bool {
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

/// A rolling hash (Rabin and Karp) over letters and digits, for both kinds of windows.
#[derive(Default)]
pub(super) struct Roller {
    /// Codes of the last letters, as a ring: letter number `n` is at `n % WINDOW`. 0 where there was none yet.
    last: [u64; WINDOW],
    /// Number of letters so far.
    length: usize,
    /// Number of CJK letters since the last letter of another script.
    cjk_run: usize,
    /// Hash of the codes in `last`.
    hash: u64,
    /// Hash of the last letters of the run, at most [`CJK_WINDOW`].
    cjk_hash: u64,
}

/// Hashes of the windows that end at a letter.
#[derive(Clone, Copy)]
pub(super) struct Ending {
    /// Hash of the last [`WINDOW`] letters of any script; `None` if there are fewer so far.
    pub(super) window: Option<u64>,
    /// Hash of the last [`CJK_WINDOW`] letters; `None` if one of them is not CJK.
    pub(super) cjk_window: Option<u64>,
}

impl Roller {
    /// Adds a letter, which must be folded. Returns the windows that end at it.
    pub(super) fn push(&mut self, letter: char) -> Ending {
        // Never 0, which stands for no letter.
        let code = u64::from(u32::from(letter)) + 1;
        let place = self.length % WINDOW;
        let oldest = self.last[place];
        self.hash = self.hash.wrapping_mul(BASE).wrapping_add(code).wrapping_sub(oldest.wrapping_mul(BASE_OF_OLDEST));
        if is_cjk(letter) {
            // The letter that leaves the window. In a short run none does: letters before the run take no part.
            let is_full = self.cjk_run >= CJK_WINDOW;
            let oldest = if is_full { self.last[(place + WINDOW - CJK_WINDOW) % WINDOW] } else { 0 };
            let added = self.cjk_hash.wrapping_mul(BASE).wrapping_add(code);
            self.cjk_hash = added.wrapping_sub(oldest.wrapping_mul(BASE_OF_OLDEST_CJK));
            self.cjk_run += 1;
        } else {
            self.cjk_run = 0;
            self.cjk_hash = 0;
        }
        self.last[place] = code;
        self.length += 1;
        Ending {
            window: (self.length >= WINDOW).then_some(self.hash),
            cjk_window: (self.cjk_run >= CJK_WINDOW).then_some(self.cjk_hash ^ CJK_MARK),
        }
    }
}

/// The windows of a message.
pub(super) struct Windows {
    /// In ascending order.
    hashes: Vec<u64>,
    /// A Bloom filter with one bit for each hash, at its [`place`]. It rules out most windows of a text in one access.
    filter: Vec<u64>,
}

/// Size of the filter, as a power of two. A message has some three thousand windows at most, so few of
/// its bits are set.
const FILTER_BITS: u32 = 16;
/// Size of the filter in words.
const FILTER_WORDS: usize = (1 << FILTER_BITS) / 64;

impl Windows {
    pub(super) fn of(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        let mut filter = vec![0; FILTER_WORDS];
        for hash in &hashes {
            let (word, bit) = place(*hash);
            filter[word] |= bit;
        }
        Self { hashes, filter }
    }

    pub(super) fn contains(&self, hash: u64) -> bool {
        let (word, bit) = place(hash);
        self.filter[word] & bit != 0 && self.hashes.binary_search(&hash).is_ok()
    }
}

/// The place of a hash in the filter: the index of its word, and its bit in that word.
fn place(hash: u64) -> (usize, u64) {
    // The highest bits of the product depend on every bit of the hash.
    let number = hash.wrapping_mul(BASE) >> (u64::BITS - FILTER_BITS);
    let word = usize::try_from(number / 64).unwrap_or_default();
    (word, 1 << (number % 64))
}
