//! The size of calls, in every measure in which a provider may limit them.
//!
//! ```text
//!  passages of the call                                    1 measure
//!  text of the call, the query counted with each passage   bytes, characters, tokens
//!  text of the call, the query counted once                bytes, characters, tokens
//!  longest pair: the query and one passage                 bytes, characters, tokens
//!  longest passage, without the query                      bytes, characters, tokens
//! ```
//! Bytes are those of the UTF-8 text, without what JSON adds. Tokens are estimated, since tokenizers differ.

/// Number of units in which text is measured.
const UNITS: usize = 3;
/// Index of the unit byte in a [`TextSize`], and in each group of measures.
const BYTE: usize = 0;
/// The same of the unit character.
const CHARACTER: usize = 1;
/// The same of the unit token.
const TOKEN: usize = 2;
/// Number of measures of a call.
const MEASURES: usize = 1 + 4 * UNITS;

/// Tokens of `text`, estimated high: one for three ASCII bytes, and one for two bytes of anything else. Tokenizers of
/// rerankers need about a quarter less on English and on Korean, Japanese and Chinese.
#[must_use]
pub fn estimate_tokens(text: &str) -> usize {
    let ascii = text.bytes().filter(u8::is_ascii).count();
    ascii.div_ceil(3) + (text.len() - ascii).div_ceil(2)
}

/// Length of one text in bytes, characters and estimated tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextSize([usize; UNITS]);

impl TextSize {
    /// The size of `text`. Reads it once for each unit.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self([text.len(), text.chars().count(), estimate_tokens(text)])
    }

    /// Bytes of UTF-8.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.0[BYTE]
    }

    /// Unicode scalar values.
    #[must_use]
    pub const fn characters(self) -> usize {
        self.0[CHARACTER]
    }

    /// Estimated tokens.
    #[must_use]
    pub const fn tokens(self) -> usize {
        self.0[TOKEN]
    }

    /// Returns true if the text is at least `factor` times as long as `other` in every unit.
    #[must_use]
    pub fn is_at_least(self, factor: usize, other: Self) -> bool {
        self.0.into_iter().zip(other.0).all(|(own, theirs)| own >= factor * theirs)
    }

    fn plus(self, other: Self) -> Self {
        Self(std::array::from_fn(|unit| self.0[unit] + other.0[unit]))
    }

    fn times(self, factor: usize) -> Self {
        Self(self.0.map(|length| length * factor))
    }

    fn max(self, other: Self) -> Self {
        Self(std::array::from_fn(|unit| self.0[unit].max(other.0[unit])))
    }
}

/// Size of one call, kept up to date while passages are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallSize {
    query: TextSize,
    /// Number of passages.
    passages: usize,
    /// Text of all passages, without the query.
    text: TextSize,
    /// The longest passage by each unit, which need not be the same one.
    longest: TextSize,
}

impl CallSize {
    /// The size of a call that holds `query` and no passage yet.
    #[must_use]
    pub fn of_query(query: TextSize) -> Self {
        Self { query, ..Self::default() }
    }

    /// The size with one passage more.
    #[must_use]
    pub fn with(self, passage: TextSize) -> Self {
        Self {
            query: self.query,
            passages: self.passages + 1,
            text: self.text.plus(passage),
            longest: self.longest.max(passage),
        }
    }

    /// Number of passages.
    #[must_use]
    pub const fn passages(&self) -> usize {
        self.passages
    }

    /// Bytes of the passages.
    #[must_use]
    pub const fn passage_bytes(&self) -> usize {
        self.text.bytes()
    }

    /// Estimated tokens, the query counted with each passage.
    #[must_use]
    pub fn pair_tokens(&self) -> usize {
        self.text.plus(self.query.times(self.passages)).tokens()
    }

    /// Bytes of the passages and the query.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.plus(self.query).bytes()
    }

    /// Characters of the passages and the query.
    #[must_use]
    pub fn characters(&self) -> usize {
        self.text.plus(self.query).characters()
    }

    /// The call in every measure.
    #[must_use]
    pub fn measures(&self) -> Measures {
        // In the order of the table above, on which `MeasureSet::VOLUME` and `of_unit` count.
        let groups = [
            self.text.plus(self.query.times(self.passages)),
            self.text.plus(self.query),
            self.longest.plus(self.query),
            self.longest,
        ];
        let mut all = [0; MEASURES];
        all[0] = self.passages;
        for (group, size) in groups.into_iter().enumerate() {
            all[1 + group * UNITS..][..UNITS].copy_from_slice(&size.0);
        }
        Measures(all)
    }
}

/// One call in every measure: its passages at index 0, then four groups of text, each in every unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures([usize; MEASURES]);

impl Measures {
    /// The measures with another number of passages.
    #[must_use]
    pub const fn with_passages(mut self, passages: usize) -> Self {
        self.0[0] = passages;
        self
    }

    /// The larger of both in each measure.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self(std::array::from_fn(|measure| self.0[measure].max(other.0[measure])))
    }

    /// The measures of `set`, the others 0.
    #[must_use]
    pub fn within(self, set: MeasureSet) -> Self {
        Self(std::array::from_fn(|measure| if set.0 & (1 << measure) == 0 { 0 } else { self.0[measure] }))
    }

    /// Measures in which the call is larger than `other`.
    #[must_use]
    pub fn above(&self, other: &Self) -> MeasureSet {
        let mut set = MeasureSet::NONE;
        for measure in 0..MEASURES {
            if self.0[measure] > other.0[measure] {
                set.0 |= 1 << measure;
            }
        }
        set
    }
}

/// Set of measures. The bit of a measure is its index in [`Measures`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasureSet(u16);

impl MeasureSet {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// Every measure.
    pub const ALL: Self = Self((1 << MEASURES) - 1);
    /// The number of passages.
    pub const PASSAGES: Self = Self(1);
    /// Measures of text, in any unit.
    pub const TEXT: Self = Self(Self::ALL.0 & !1);
    /// Measures of text in bytes.
    pub const BYTES: Self = Self::of_unit(BYTE);
    /// Measures of text in characters.
    pub const CHARACTERS: Self = Self::of_unit(CHARACTER);
    /// Measures of text in tokens.
    pub const TOKENS: Self = Self::of_unit(TOKEN);
    /// Measures that grow with each passage of a call: the number of passages, and the first two groups of text.
    pub const VOLUME: Self = Self((1 << (1 + 2 * UNITS)) - 1);

    /// The measures of text in one unit, given by its index.
    const fn of_unit(unit: usize) -> Self {
        let every_group = 1 | 1 << UNITS | 1 << (2 * UNITS) | 1 << (3 * UNITS);
        Self(every_group << (1 + unit))
    }

    /// Returns true if no measure is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Measures in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Measures in either set.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Measures of this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_measured_with_and_without_its_query() {
        let call = CallSize::of_query(TextSize::of("ab")).with(TextSize::of("abcd")).with(TextSize::of("가나다"));
        let pairs = [2 * 2 + 4 + 9, 2 * 2 + 4 + 3, 2 + 2 + 5];
        let once = [2 + 4 + 9, 2 + 4 + 3, 1 + 2 + 5];
        let longest_pair = [2 + 9, 2 + 4, 1 + 5];
        let longest = [9, 4, 5];
        let all: Vec<_> = [&[2][..], &pairs, &once, &longest_pair, &longest].concat();
        assert_eq!(call.measures().0.to_vec(), all);
        assert_eq!((call.bytes(), call.passage_bytes(), call.characters(), call.pair_tokens()), (15, 13, 9, 9));
    }

    #[test]
    fn sets_name_their_measures() {
        let zero = Measures::default();
        let text = CallSize::of_query(TextSize::of("q")).with(TextSize::of("p")).measures().with_passages(0);
        assert_eq!(text.above(&zero), MeasureSet::TEXT);
        assert_eq!(zero.with_passages(1).above(&zero), MeasureSet::PASSAGES);
        let units = [MeasureSet::BYTES, MeasureSet::CHARACTERS, MeasureSet::TOKENS];
        assert_eq!(units.into_iter().fold(MeasureSet::NONE, MeasureSet::or), MeasureSet::TEXT);
        assert!(MeasureSet::BYTES.and(MeasureSet::TOKENS).is_empty());
        assert_eq!(MeasureSet::ALL.without(MeasureSet::TEXT), MeasureSet::PASSAGES);
    }
}
