//! Keyed BLAKE3 of many short texts at once.
//!
//! BLAKE3's own crate uses wide registers for the chunks of one long input. A passage is a single chunk (at most
//! 1,024 bytes), which it hashes block after block at about 1 GB/s. Here eight passages are hashed side by side, one
//! in each lane of the registers: twice as fast with AVX2, three times with AVX-512. A lane that has finished its
//! passage takes the next one. The result is exactly `blake3::keyed_hash`, and a property test holds it to that; see
//! the specification, section 2.
//!
//! <https://github.com/BLAKE3-team/BLAKE3-specs/blob/master/blake3.pdf>

#![expect(clippy::inline_always, reason = "only inlined code is compiled for the wide registers of its caller")]
#![expect(clippy::many_single_char_names, reason = "the names of the specification")]

use pulp::{Arch, Simd, WithSimd};

/// Passages side by side: the 32-bit lanes of a 256-bit register.
const LANES: usize = 8;
/// Bytes of a block.
const BLOCK: usize = 64;
/// Longest input of a single chunk, in bytes.
pub(super) const CHUNK: usize = 1024;

/// The same word of every lane.
type Word = [u32; LANES];

/// First half of the initialization vector.
const IV: [u32; 4] = [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A];
// Flags of a block, by their names in the specification.
const CHUNK_START: u32 = 1 << 0;
const CHUNK_END: u32 = 1 << 1;
const ROOT: u32 = 1 << 3;
const KEYED_HASH: u32 = 1 << 4;

/// The message words of each round: the specification's permutation, applied again and again.
const SCHEDULE: [[usize; 16]; 7] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8],
    [3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1],
    [10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6],
    [12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4],
    [9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7],
    [11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13],
];

/// Calls `each` with the index of each of `texts` and the first 128 bits of its `blake3::keyed_hash`, in no particular
/// order. No text may be longer than [`CHUNK`].
pub(super) fn keyed_hashes(key: &[u8; 32], texts: &[&[u8]], mut each: impl FnMut(usize, [u8; 16])) {
    debug_assert!(texts.iter().all(|text| text.len() <= CHUNK));
    Arch::new().dispatch(Run { key, texts, each: &mut each });
}

/// The work, compiled once for every kind of processor.
struct Run<'a, E> {
    key: &'a [u8; 32],
    texts: &'a [&'a [u8]],
    each: &'a mut E,
}

impl<E: FnMut(usize, [u8; 16])> WithSimd for Run<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        run(self.key, self.texts, self.each);
    }
}

/// A text on its way through a lane.
#[derive(Clone, Copy)]
struct Passenger<'a> {
    /// Index among the texts of the call.
    index: usize,
    text: &'a [u8],
    /// Bytes hashed so far.
    done: usize,
}

/// Hashes the texts side by side, a block of each at a time. Every lane starts from the key, and takes the next text as
/// soon as its own has ended.
#[inline(always)]
fn run(key: &[u8; 32], texts: &[&[u8]], each: &mut impl FnMut(usize, [u8; 16])) {
    let key = words(key);
    let mut waiting = texts.iter().enumerate().map(|(index, text)| Passenger { index, text, done: 0 });
    let mut lanes: [Option<Passenger<'_>>; LANES] = std::array::from_fn(|_| waiting.next());
    let mut chaining: [Word; 8] = key.map(|word| [word; LANES]);
    while lanes.iter().any(Option::is_some) {
        let mut message = [[0; LANES]; 16];
        let (mut lengths, mut flags) = ([0; LANES], [0; LANES]);
        for (lane, passenger) in lanes.iter().enumerate() {
            if let Some(passenger) = passenger {
                (lengths[lane], flags[lane]) = load(passenger, lane, &mut message);
            }
        }
        // Lanes that have run out of texts are compressed too, into words that nobody reads.
        compress(&mut chaining, &message, &lengths, &flags);
        for (lane, slot) in lanes.iter_mut().enumerate() {
            let Some(passenger) = slot else { continue };
            // Past the end after a last block that is not full; an empty text has one empty block.
            passenger.done += BLOCK;
            if passenger.done >= passenger.text.len() {
                each(passenger.index, hash(&chaining, lane));
                // The next text of the lane starts from the key, as the first one did.
                for (word, key) in chaining.iter_mut().zip(key) {
                    word[lane] = key;
                }
                *slot = waiting.next();
            }
        }
    }
}

/// Loads the text's next block into its lane. Returns the block's length in bytes and its flags.
#[inline(always)]
fn load(passenger: &Passenger<'_>, lane: usize, message: &mut [Word; 16]) -> (u32, u32) {
    let rest = &passenger.text[passenger.done..];
    let start = if passenger.done == 0 { KEYED_HASH | CHUNK_START } else { KEYED_HASH };
    if let Some(block) = rest.first_chunk::<BLOCK>() {
        for (word, bytes) in message.iter_mut().zip(block.chunks_exact(4)) {
            word[lane] = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        let end = if rest.len() == BLOCK { CHUNK_END | ROOT } else { 0 };
        return (64, start | end);
    }
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    for (word, bytes) in message.iter_mut().zip(block.chunks_exact(4)) {
        word[lane] = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    let length = u32::try_from(rest.len()).unwrap_or_default(); // below 64
    (length, start | CHUNK_END | ROOT)
}

/// The compression function of the specification, in every lane, with block counter 0.
#[inline(always)]
fn compress(chaining: &mut [Word; 8], message: &[Word; 16], lengths: &Word, flags: &Word) {
    let mut v = [[0; LANES]; 16];
    v[..8].copy_from_slice(chaining);
    v[8..12].copy_from_slice(&IV.map(|word| [word; LANES]));
    v[14] = *lengths;
    v[15] = *flags;
    for order in &SCHEDULE {
        let m = |at: usize| &message[order[at]];
        mix(&mut v, [0, 4, 8, 12], m(0), m(1));
        mix(&mut v, [1, 5, 9, 13], m(2), m(3));
        mix(&mut v, [2, 6, 10, 14], m(4), m(5));
        mix(&mut v, [3, 7, 11, 15], m(6), m(7));
        mix(&mut v, [0, 5, 10, 15], m(8), m(9));
        mix(&mut v, [1, 6, 11, 12], m(10), m(11));
        mix(&mut v, [2, 7, 8, 13], m(12), m(13));
        mix(&mut v, [3, 4, 9, 14], m(14), m(15));
    }
    for at in 0..8 {
        for lane in 0..LANES {
            chaining[at][lane] = v[at][lane] ^ v[at + 8][lane];
        }
    }
}

/// The quarter round.
#[inline(always)]
fn mix(v: &mut [Word; 16], [a, b, c, d]: [usize; 4], x: &Word, y: &Word) {
    v[a] = add(add(v[a], v[b]), *x);
    v[d] = turn::<16>(v[d], v[a]);
    v[c] = add(v[c], v[d]);
    v[b] = turn::<12>(v[b], v[c]);
    v[a] = add(add(v[a], v[b]), *y);
    v[d] = turn::<8>(v[d], v[a]);
    v[c] = add(v[c], v[d]);
    v[b] = turn::<7>(v[b], v[c]);
}

#[inline(always)]
fn add(left: Word, right: Word) -> Word {
    std::array::from_fn(|lane| left[lane].wrapping_add(right[lane]))
}

/// Exclusive or, turned right by `BITS`.
#[inline(always)]
fn turn<const BITS: u32>(left: Word, right: Word) -> Word {
    std::array::from_fn(|lane| (left[lane] ^ right[lane]).rotate_right(BITS))
}

/// The key as the words that the hash starts from.
fn words(key: &[u8; 32]) -> [u32; 8] {
    std::array::from_fn(|at| u32::from_le_bytes([key[4 * at], key[4 * at + 1], key[4 * at + 2], key[4 * at + 3]]))
}

/// The first 128 bits of the hash that a lane has reached.
#[inline(always)]
fn hash(chaining: &[Word; 8], lane: usize) -> [u8; 16] {
    let mut hash = [0; 16];
    for (bytes, word) in hash.chunks_exact_mut(4).zip(chaining) {
        bytes.copy_from_slice(&word[lane].to_le_bytes());
    }
    hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(key: &[u8; 32], texts: &[Vec<u8>]) {
        let slices: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        let mut hashes = vec![None; texts.len()];
        keyed_hashes(key, &slices, |place, hash| assert!(hashes[place].replace(hash).is_none()));
        for (text, hash) in texts.iter().zip(hashes) {
            let expected = blake3::keyed_hash(key, text);
            assert_eq!(hash.unwrap(), expected.as_bytes()[..16], "{} bytes", text.len());
        }
    }

    #[test]
    fn every_length_of_a_chunk_agrees_with_blake3() {
        let texts: Vec<Vec<u8>> = (0..=CHUNK).map(|length| (0..=250).cycle().take(length).collect()).collect();
        check(b"an arbitrary key of 32 bytes....", &texts);
    }

    proptest! {
        #[test]
        fn any_lists_of_texts_agree_with_blake3(
            key in any::<[u8; 32]>(), texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..=CHUNK), 0..40),
        ) {
            check(&key, &texts);
        }
    }
}
