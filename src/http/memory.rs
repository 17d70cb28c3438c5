//! The bytes of requests and answers that are in memory, all together within a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::error::{Error, ErrorKind};

/// When to come back. Bodies come and go within seconds.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A bound on bytes, and what is used of it.
#[derive(Debug)]
pub struct MemoryBudget {
    max_bytes: usize,
    used: AtomicUsize,
}

/// Bytes of the budget that somebody holds. Given back when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<MemoryBudget>,
    bytes: usize,
}

/// Bytes that are counted for as long as any part of them is in memory.
struct Counted {
    bytes: Bytes,
    _reservation: Reservation,
}

impl MemoryBudget {
    /// A budget of which nothing is used.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, used: AtomicUsize::new(0) }
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether `bytes` more are within the bound.
    ///
    /// # Errors
    /// `overloaded`
    pub(super) fn check(&self, bytes: usize) -> Result<(), Error> {
        if self.used().saturating_add(bytes) <= self.max_bytes { Ok(()) } else { Err(self.refusal()) }
    }

    /// A reservation of nothing yet.
    pub(super) fn reservation(self: &Arc<Self>) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }

    fn refusal(&self) -> Error {
        let message = format!(
            "requests and answers of {} bytes are in memory, which is the limit (server.max_body_bytes_in_flight); come back a \
             little later",
            self.max_bytes
        );
        Error { retry_after: Some(RETRY_AFTER), ..Error::new(ErrorKind::Overloaded, message) }
    }
}

impl Reservation {
    /// Takes `bytes` more, if they are within the bound.
    ///
    /// # Errors
    /// `overloaded`
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        let grown = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.budget.max_bytes);
        // What is refused is never counted, lest two that race refuse each other.
        match self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown) {
            Ok(_) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(_) => Err(self.budget.refusal()),
        }
    }

    /// Holds the reservation for as long as any part of `bytes` is in memory.
    pub(super) fn hold(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Counted { bytes, _reservation: self })
    }

    /// Counts an answer for as long as any part of it is in memory, whatever the bound: its request is already done.
    pub(super) fn hold_answer(mut self, answer: Bytes) -> Bytes {
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
