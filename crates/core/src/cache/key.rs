//! Identities of scores.
//!
//! A score belongs to exactly one query, passage, model and set of scoring options, and to the caller who paid for
//! it. All of that goes into keyed hashes, in two steps. Everything but the passage makes a [`QueryKey`] of 256 bits,
//! by BLAKE3 under a secret of the process, once per request. Every field is preceded by its length, so `("ab", "c")`
//! and `("a", "bc")` differ. Each passage makes a [`PairKey`] of 128 bits, by `HighwayHash` with the query key as its
//! key. No key leaves the process, so no outsider can aim passages at one bucket or at one another's scores
//! (`docs/decisions/0013-pair-hash-and-tables.md`).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::LazyLock;

use highway::{HighwayHash, HighwayHasher, Key};

use crate::types::model_version::ModelVersion;
use crate::types::passages::Passages;
use crate::types::request::ScoringOptions;

/// A set of scores that may be compared, cached and ranked together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScoreSpace {
    /// Configured name of the upstream.
    pub upstream: String,
    /// Name of the model at the upstream.
    pub model: String,
    /// The operator's mark for a model that changed under the same name. Usually empty.
    pub revision: String,
    /// Meaning of the numbers.
    pub scale: crate::provider::ScoreScale,
}

/// The owner of scores. Scores are shared only within one scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CacheScope([u8; 32]);

impl CacheScope {
    /// The scope of all callers, for configurations that share scores or do not distinguish callers.
    pub const SHARED: Self = Self([0; 32]);

    /// The scope of the caller who sends `api_key`.
    #[must_use]
    pub fn of_caller(api_key: &str) -> Self {
        Self(*keyed_hasher().update(b"caller").update(api_key.as_bytes()).finalize().as_bytes())
    }

    /// The caller's mark in logs: eight digits of the hash, which are others in every process and say nothing of the
    /// key. `None` for all callers.
    #[must_use]
    pub fn mark(&self) -> Option<String> {
        let [first, second, third, fourth, ..] = self.0;
        (*self != Self::SHARED).then(|| format!("{:08x}", u32::from_be_bytes([first, second, third, fourth])))
    }
}

/// The identity of a score except for its passage: 256 bits of a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryKey([u8; 32]);

/// One passage under a [`QueryKey`]: 128 bits of a keyed hash, so equal keys mean equal passages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairKey([u64; 2]);

impl QueryKey {
    /// The key of `query` in `space` under `options`, for `scope`.
    #[must_use]
    pub fn new(scope: CacheScope, space: &ScoreSpace, options: &ScoringOptions, query: &str) -> Self {
        let mut fields = Fields(keyed_hasher());
        fields.bytes(&scope.0);
        fields.text(&space.upstream);
        fields.text(&space.model);
        fields.text(&space.revision);
        fields.text(space.scale.name());
        fields.optional(options.instruction.as_deref().map(str::as_bytes));
        match options.max_tokens_per_doc {
            Some(tokens) => fields.optional(Some(&tokens.to_le_bytes())),
            None => fields.optional(None),
        }
        fields.text(query);
        Self(fields.0.finalize().into())
    }

    /// The key for scores of this version of the model; the key itself if the upstream tells no version.
    #[must_use]
    pub fn of_version(self, version: ModelVersion) -> Self {
        if version == ModelVersion::NONE {
            return self;
        }
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        // No list of `of_list` has these bytes: its first eight are a length, which would be far beyond the rest here.
        hasher.update(b"version ").update(&version.hash().to_le_bytes());
        Self(hasher.finalize().into())
    }

    /// The key for one whole ordered list of passages, whose scores are stored by position (see [`Self::at_position`]):
    /// a listwise model's scores hold for that list alone.
    #[must_use]
    pub fn of_list(self, passages: &Passages) -> Self {
        let mut fields = Fields(blake3::Hasher::new_keyed(&self.0));
        for passage in passages.iter() {
            fields.text(passage.text);
        }
        Self(fields.0.finalize().into())
    }

    /// The pair key of `passage` under this query.
    #[must_use]
    pub fn pair(&self, passage: &str) -> PairKey {
        PairKey(self.hasher().hash128(passage.as_bytes()))
    }

    /// The pair keys of `passages` under this query, in their order.
    #[must_use]
    pub fn pairs<'a>(&self, passages: impl ExactSizeIterator<Item = &'a str>) -> Vec<PairKey> {
        // The hasher of every passage starts as a copy of this one: a sixth faster than a start from the key.
        let fresh = self.hasher();
        let mut keys = Vec::with_capacity(passages.len());
        for passage in passages {
            keys.push(PairKey(fresh.clone().hash128(passage.as_bytes())));
        }
        keys
    }

    /// The pair key of `position`, from 0, in the list that this key was made for by [`Self::of_list`].
    #[must_use]
    pub fn at_position(&self, position: usize) -> PairKey {
        PairKey(self.hasher().hash128(&position.to_le_bytes()))
    }

    /// A hasher of one passage, with this key as its key.
    fn hasher(&self) -> HighwayHasher {
        let mut key = [0; 4];
        for (word, bytes) in key.iter_mut().zip(self.0.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        HighwayHasher::new(Key(key))
    }
}

impl PairKey {
    /// Half of the key, uniformly distributed: to put pairs into buckets.
    #[must_use]
    pub(crate) const fn half(&self) -> u64 {
        self.0[0]
    }
}

impl Hash for PairKey {
    /// Hands half of the key to the hasher: it is a keyed hash already.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.half());
    }
}

impl QueryKey {
    /// A quarter of the key, uniformly distributed: to put queries into buckets.
    #[must_use]
    pub(crate) fn quarter(&self) -> u64 {
        let mut quarter = [0; 8];
        quarter.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(quarter)
    }
}

impl Hash for QueryKey {
    /// Hands a quarter of the key to the hasher: it is a keyed hash already (see [`KeyHasher`]).
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.quarter());
    }
}

/// The hasher of [`QueryMap`]. It returns the part of the key that it is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Query keys write one u64 and never come here. Other types would be hashed slowly, but correctly.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// A hash map by [`QueryKey`] that does not hash the key again.
pub type QueryMap<V> = HashMap<QueryKey, V, BuildHasherDefault<KeyHasher>>;

/// The hash key of all identities. Drawn anew in each process, so keys must never be kept or sent elsewhere.
static PROCESS_SECRET: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let mut secret = [0; 32];
    for half in secret.chunks_exact_mut(16) {
        // A random (version 4) UUID holds 122 bits of a cryptographic generator that the operating system seeds.
        half.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    }
    secret
});

/// A hasher under the secret of the process.
fn keyed_hasher() -> blake3::Hasher {
    blake3::Hasher::new_keyed(&PROCESS_SECRET)
}

/// A hasher of fields, each preceded by its length in bytes.
struct Fields(blake3::Hasher);

impl Fields {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(&bytes.len().to_le_bytes()).update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn optional(&mut self, bytes: Option<&[u8]>) {
        // One byte says if the field is there: an absent field and an empty one differ.
        self.0.update(&[u8::from(bytes.is_some())]);
        self.bytes(bytes.unwrap_or_default());
    }
}

#[cfg(test)]
pub(super) mod tests;
