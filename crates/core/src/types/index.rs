//! Indices of the lists that a request is taken apart into, one type for each list. Law 1 hangs on never mixing them:
//! a score belongs to exactly one passage.
//!
//! ```text
//!  passage  position: usize    in the request, as clients count
//!  piece    PieceIndex         text that is scored for a passage: the whole passage, or a part of a long one
//!  slot     SlotIndex          distinct pair of a plan; equal pieces share one
//!  pair     FlightIndex        pair of a flight, called its place there
//! ```
//! An index is as wide as the length of a list, so numbering the items of a list cannot overflow into another item's
//! index.

use std::marker::PhantomData;
use std::ops::{Index, IndexMut, Range};

/// An index that only lists of one kind accept.
pub trait ListIndex: Copy + Ord {
    /// The index of the item with this number, from 0.
    fn of(number: usize) -> Self;

    /// The number of the item, from 0.
    fn number(self) -> usize;
}

/// Index of a piece among all pieces of a request's passages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceIndex(usize);

/// Index of a distinct pair among those of one request at one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotIndex(usize);

/// Index of a pair in a flight, in the order of the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlightIndex(usize);

impl ListIndex for PieceIndex {
    fn of(number: usize) -> Self {
        Self(number)
    }

    fn number(self) -> usize {
        self.0
    }
}

impl ListIndex for SlotIndex {
    fn of(number: usize) -> Self {
        Self(number)
    }

    fn number(self) -> usize {
        self.0
    }
}

impl ListIndex for FlightIndex {
    fn of(number: usize) -> Self {
        Self(number)
    }

    fn number(self) -> usize {
        self.0
    }
}

/// A vector that is indexed by `I` alone:
///
/// ```
/// use rerankd_core::types::index::{IndexVec, ListIndex, SlotIndex};
///
/// let texts: IndexVec<SlotIndex, &str> = vec!["a"].into();
/// assert_eq!(texts[SlotIndex::of(0)], "a");
/// ```
///
/// An index of another list does not compile:
///
/// ```compile_fail,E0308
/// use rerankd_core::types::index::{FlightIndex, IndexVec, ListIndex, SlotIndex};
///
/// let texts: IndexVec<SlotIndex, &str> = vec!["a"].into();
/// assert_eq!(texts[FlightIndex::of(0)], "a");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexVec<I, T> {
    items: Vec<T>,
    /// `fn(I)`, because no `I` is held: the vector is `Send` and `Sync` whatever `I` is.
    index: PhantomData<fn(I)>,
}

impl<I: ListIndex, T> IndexVec<I, T> {
    /// An empty vector with room for `capacity` items.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Vec::with_capacity(capacity).into()
    }

    /// Number of items.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns true if there are no items.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The index that the next item gets.
    #[must_use]
    pub fn next_index(&self) -> I {
        I::of(self.items.len())
    }

    /// Adds an item, and returns its index.
    pub fn push(&mut self, item: T) -> I {
        let index = self.next_index();
        self.items.push(item);
        index
    }

    /// All indices, ascending.
    pub fn indices(&self) -> impl Iterator<Item = I> + use<I, T> {
        (0..self.items.len()).map(I::of)
    }

    /// The item at `index`, if there is one.
    pub fn get_mut(&mut self, index: I) -> Option<&mut T> {
        self.items.get_mut(index.number())
    }

    /// The items, without their indices.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.items
    }

    /// The items of a range of indices.
    #[must_use]
    pub fn slice(&self, range: Range<I>) -> &[T] {
        &self.items[range.start.number()..range.end.number()]
    }

    /// The items in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }

    /// The items in order, to be changed.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.items.iter_mut()
    }

    /// The items in order, each with its index.
    pub fn enumerate(&self) -> impl Iterator<Item = (I, &T)> {
        self.indices().zip(&self.items)
    }
}

impl<I, T> From<Vec<T>> for IndexVec<I, T> {
    fn from(items: Vec<T>) -> Self {
        Self { items, index: PhantomData }
    }
}

impl<I, T> Default for IndexVec<I, T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<I: ListIndex, T> Index<I> for IndexVec<I, T> {
    type Output = T;

    fn index(&self, index: I) -> &T {
        &self.items[index.number()]
    }
}

impl<I: ListIndex, T> IndexMut<I> for IndexVec<I, T> {
    fn index_mut(&mut self, index: I) -> &mut T {
        &mut self.items[index.number()]
    }
}

impl<'a, I, T> IntoIterator for &'a IndexVec<I, T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

impl<'a, I, T> IntoIterator for &'a mut IndexVec<I, T> {
    type Item = &'a mut T;
    type IntoIter = std::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter_mut()
    }
}
