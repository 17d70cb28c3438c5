//! A budget of memory for the bodies of all requests and answers together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rerankd_core::error::{Error, ErrorKind};

use super::buffers::{BodyBuffer, BufferPool};

/// `Retry-After` of a refusal. Bodies stay in memory for seconds at most.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A limit in bytes, and the number of bytes in use.
#[derive(Debug)]
pub struct MemoryBudget {
    max_bytes: usize,
    /// A count alone, which guards no other memory; hence `Relaxed` wherever it is used.
    used: AtomicUsize,
    /// The buffers of bodies that were counted here, for those that are to come.
    buffers: Arc<BufferPool>,
}

/// Bytes taken from the budget for one body; returned on drop.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<MemoryBudget>,
    bytes: usize,
}

/// The owner behind a [`Bytes`]: returns its reservation when the last slice of them is dropped.
struct Counted {
    bytes: Bytes,
    _reservation: Reservation,
}

impl MemoryBudget {
    /// A budget of `max_bytes`, all of them free.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, used: AtomicUsize::new(0), buffers: Arc::default() }
    }

    /// Bytes in use. They can exceed the limit, because answers are counted without a check.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Checks that `bytes` more would be within the limit, without taking them.
    ///
    /// # Errors
    /// `overloaded` if they are not.
    pub(super) fn check(&self, bytes: usize) -> Result<(), Error> {
        if self.used().saturating_add(bytes) <= self.max_bytes { Ok(()) } else { Err(self.refusal()) }
    }

    /// An empty reservation, to grow with the body.
    pub(super) fn reservation(self: &Arc<Self>) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }

    fn refusal(&self) -> Error {
        let message = format!(
            "requests and answers of {} bytes are in memory, which is the limit (server.max_body_bytes_in_flight); \
             retry shortly",
            self.max_bytes
        );
        Error { retry_after: Some(RETRY_AFTER), ..Error::new(ErrorKind::Overloaded, message) }
    }
}

impl Reservation {
    /// Takes `bytes` more from the budget.
    ///
    /// # Errors
    /// `overloaded` if they would exceed the limit; nothing is taken then.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        let max_bytes = self.budget.max_bytes;
        // Not `fetch_add` and then a check: two requests that race would refuse each other, though one of them fits.
        let updated = self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            let grown = used.checked_add(bytes)?;
            (grown <= max_bytes).then_some(grown)
        });
        if updated.is_err() {
            return Err(self.budget.refusal());
        }
        self.bytes += bytes;
        Ok(())
    }

    /// An empty buffer for the body.
    pub(super) fn buffer(&self) -> BodyBuffer {
        BodyBuffer::new(&self.budget.buffers)
    }

    /// Ties the reservation to `bytes`: it is returned when the last slice of them is dropped.
    pub(super) fn hold(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Counted { bytes, _reservation: self })
    }

    /// Counts an answer until its last slice is dropped. It is never refused.
    pub(super) fn hold_answer(mut self, answer: Bytes) -> Bytes {
        // Without a check of the limit: the request's work is done, and a refusal would waste it.
        self.budget.used.fetch_add(answer.len(), Ordering::Relaxed);
        self.bytes += answer.len();
        self.hold(answer)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_until_their_last_part_is_gone() {
        let budget = Arc::new(MemoryBudget::new(10));
        let mut reservation = budget.reservation();
        reservation.grow(6).unwrap();
        let mut whole = reservation.hold(Bytes::from_static(b"abcdef"));
        let part = whole.split_to(2);
        drop(whole);
        assert_eq!((budget.used(), &part[..]), (6, &b"ab"[..]));
        assert!(budget.check(4).is_ok());
        assert_eq!(budget.check(5).unwrap_err().kind, ErrorKind::Overloaded);
        let mut more = budget.reservation();
        more.grow(4).unwrap();
        assert!(more.grow(1).unwrap_err().retry_after.is_some());
        drop(more);
        let answer = budget.reservation().hold_answer(Bytes::from_static(b"0123456789"));
        assert_eq!(budget.used(), 16, "answers are counted, but not refused");
        drop((part, answer));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_refused_takes_no_room_from_others() {
        let budget = Arc::new(MemoryBudget::new(10));
        let mut first = budget.reservation();
        let mut second = budget.reservation();
        first.grow(6).unwrap();
        assert!(second.grow(6).is_err());
        first.grow(4).unwrap();
        assert_eq!(budget.used(), 10);
    }
}
