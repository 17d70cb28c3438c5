//! The memory that an allocation really takes.

/// Smallest step between the sizes of blocks, in bytes.
const GRAIN: usize = 16;
/// Largest block that shares a page with others, in bytes. Larger ones have pages of their own.
const LARGEST_SHARED: usize = 64 << 10;
/// Unit of the pages of larger blocks, in bytes.
const SLICE: usize = 64 << 10;
/// Size in bytes above which pages come in units of itself.
const MANY_SLICES: usize = 512 << 10;

/// Bytes that the allocator holds for a block of `bytes`.
///
/// The allocator is mimalloc 2: `mi_bin` in its `page-queue.c` has four sizes of blocks between two powers of two, and
/// `mi_segments_page_alloc` in its `segment.c` rounds the pages of large blocks. Others round much alike.
pub(super) const fn held(bytes: usize) -> usize {
    if bytes == 0 {
        return 0;
    }
    let step = if bytes <= 4 * GRAIN {
        GRAIN
    } else if bytes <= LARGEST_SHARED {
        1 << ((bytes - 1).ilog2() - 2)
    } else if bytes <= MANY_SLICES {
        SLICE
    } else {
        MANY_SLICES
    };
    bytes.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_bytes_are_the_sizes_of_the_allocators_table() {
        let sizes = [0, 1, 16, 17, 64, 65, 80, 128, 129, 160, 161, 1_000, 24_000, 57_344, 57_345, 65_536];
        let expected = [0, 16, 16, 32, 64, 80, 80, 128, 160, 160, 192, 1_024, 24_576, 57_344, 65_536, 65_536];
        assert_eq!(sizes.map(held), expected);
        assert_eq!(held(65_537), 2 * SLICE);
        assert_eq!(held(MANY_SLICES), MANY_SLICES);
        assert_eq!(held(MANY_SLICES + 1), 2 * MANY_SLICES);
    }
}
