//! Buffers for bodies that arrive in several frames, kept for the next ones: the system clears fresh memory first.
//!
//! Kept buffers belong to the pool while they are lent as well, so that clients who announce much and send little
//! cannot draw ever more of them: beyond the bytes that the budget counts, the pool takes [`MAX_KEPT_BYTES`] at most.

use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;

/// Most bytes of all kept buffers, lent or not.
const MAX_KEPT_BYTES: usize = 4 << 20;
/// Size of the smallest buffer, of which larger ones are a multiple, in bytes.
const STEP_BYTES: usize = 64 << 10;
/// Most bytes that are allocated for each that has arrived. What is announced and never sent is never touched either,
/// but where pages are huge, one byte in 2 MiB makes all of them resident.
const MAX_FORESIGHT: usize = 2;

/// The kept buffers of a process.
#[derive(Debug, Default)]
pub(super) struct BufferPool(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Buffers that are not lent; the one that came back last is at the end.
    idle: Vec<Vec<u8>>,
    /// Capacity of all kept buffers in bytes, lent or not.
    bytes: usize,
}

/// A body that is arriving, or has arrived. Its buffer goes to the pool on drop.
pub(super) struct BodyBuffer {
    bytes: Vec<u8>,
    /// True if the buffer was lent by the pool and counts in its bytes.
    is_kept: bool,
    pool: Arc<BufferPool>,
}

impl BodyBuffer {
    pub(super) fn new(pool: &Arc<BufferPool>) -> Self {
        Self { bytes: Vec::new(), is_kept: false, pool: pool.clone() }
    }

    /// Bytes that have arrived.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds bytes that have arrived of a body that will have `announced` in all, as far as that is known.
    pub(super) fn extend(&mut self, data: &[u8], announced: Option<usize>) {
        let needed = self.bytes.len() + data.len();
        if needed > self.bytes.capacity() {
            self.grow(needed, announced.unwrap_or(0).max(needed));
        }
        self.bytes.extend_from_slice(data);
    }

    /// Moves the body to a kept buffer of `expected` bytes, or to a new one of at least `needed`.
    fn grow(&mut self, needed: usize, expected: usize) {
        let mut larger = Self::new(&self.pool);
        if let Some(buffer) = self.pool.0.lock().lend(expected) {
            larger.bytes = buffer;
            larger.is_kept = true;
        } else {
            // Twice what there was, so that no byte moves often.
            let capacity = expected.min(MAX_FORESIGHT * needed).max(2 * self.bytes.capacity());
            larger.bytes.reserve_exact(capacity.next_multiple_of(STEP_BYTES));
        }
        larger.bytes.extend_from_slice(&self.bytes);
        *self = larger;
    }
}

impl AsRef<[u8]> for BodyBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for BodyBuffer {
    fn drop(&mut self) {
        let buffer = mem::take(&mut self.bytes);
        if buffer.capacity() > 0 {
            self.pool.0.lock().put(buffer, self.is_kept);
        }
    }
}

impl Kept {
    /// The smallest idle buffer with room for `bytes`, unless most of it would lie idle.
    fn lend(&mut self, bytes: usize) -> Option<Vec<u8>> {
        let fitting = bytes..=2 * bytes.next_multiple_of(STEP_BYTES);
        let mut best: Option<(usize, usize)> = None;
        for (place, buffer) in self.idle.iter().enumerate() {
            let size = buffer.capacity();
            if fitting.contains(&size) && best.is_none_or(|(_, least)| size < least) {
                best = Some((place, size));
            }
        }
        let (place, _) = best?;
        Some(self.idle.remove(place))
    }

    /// Takes back a buffer that was lent, or keeps a new one, for which those that have been idle longest make room.
    fn put(&mut self, mut buffer: Vec<u8>, is_kept: bool) {
        let size = buffer.capacity();
        if !is_kept {
            if size > MAX_KEPT_BYTES {
                return;
            }
            while self.bytes + size > MAX_KEPT_BYTES && !self.idle.is_empty() {
                self.bytes -= self.idle.remove(0).capacity();
            }
            if self.bytes + size > MAX_KEPT_BYTES {
                return;
            }
            self.bytes += size;
        }
        buffer.clear();
        self.idle.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arrived(pool: &Arc<BufferPool>, bytes: usize) -> BodyBuffer {
        let mut buffer = BodyBuffer::new(pool);
        for frame in vec![7; bytes].chunks(10_000) {
            buffer.extend(frame, Some(bytes));
        }
        buffer
    }

    #[test]
    fn the_buffer_of_a_body_serves_the_next_one() {
        let pool = Arc::default();
        let first = arrived(&pool, 500_000);
        let address = first.as_ref().as_ptr();
        drop(first);
        let second = arrived(&pool, 490_000);
        assert_eq!((second.as_ref().as_ptr(), second.as_ref()), (address, &*vec![7; 490_000]));
        assert_ne!(arrived(&pool, 490_000).as_ref().as_ptr(), address, "it is lent");
    }

    #[test]
    fn an_announcement_reserves_in_proportion_to_what_has_arrived() {
        let mut buffer = BodyBuffer::new(&Arc::default());
        buffer.extend(&[0; 1_000], Some(1 << 30));
        assert_eq!(buffer.bytes.capacity(), STEP_BYTES);
        buffer.extend(&vec![0; STEP_BYTES], Some(1 << 30));
        assert_eq!(buffer.bytes.capacity(), (MAX_FORESIGHT * (1_000 + STEP_BYTES)).next_multiple_of(STEP_BYTES));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn kept_buffers_are_bounded_and_bodies_are_whole(
            bodies in proptest::collection::vec((0..1_000_000usize, any::<Option<u32>>(), 0..20usize), 0..30)
        ) {
            let pool: Arc<BufferPool> = Arc::default();
            let mut held = Vec::new();
            for (index, (length, announced, dropped)) in bodies.into_iter().enumerate() {
                let byte = u8::try_from(index).unwrap();
                let mut body = BodyBuffer::new(&pool);
                let sent = vec![byte; length];
                for frame in sent.chunks(100_000) {
                    body.extend(frame, announced.map(|announced| announced as usize));
                }
                prop_assert!(body.as_ref() == sent);
                held.push(body);
                if dropped < held.len() {
                    held.swap_remove(dropped);
                }
                let lent: usize = held.iter().filter(|body| body.is_kept).map(|body| body.bytes.capacity()).sum();
                let kept = pool.0.lock();
                let idle: usize = kept.idle.iter().map(Vec::capacity).sum();
                prop_assert_eq!(kept.bytes, idle + lent);
                prop_assert!(kept.bytes <= MAX_KEPT_BYTES);
            }
        }
    }
}
