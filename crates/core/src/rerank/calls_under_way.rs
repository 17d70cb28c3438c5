//! The calls of one flight that are under way.

use std::collections::VecDeque;
use std::pin::pin;

use futures_util::stream::{FuturesUnordered, StreamExt};

/// Calls under way, with the answers that nobody has taken yet.
pub(super) struct CallsUnderWay<F: Future> {
    calls: FuturesUnordered<F>,
    /// Answers that came during [`Self::beside`], oldest first.
    answered: VecDeque<F::Output>,
}

impl<F: Future> CallsUnderWay<F> {
    pub(super) fn new() -> Self {
        Self { calls: FuturesUnordered::new(), answered: VecDeque::new() }
    }

    /// Number of calls whose answers were not taken.
    pub(super) fn len(&self) -> usize {
        self.calls.len() + self.answered.len()
    }

    pub(super) fn push(&mut self, call: F) {
        self.calls.push(call);
    }

    /// Waits for the next answer; `None` if no call is under way.
    pub(super) async fn next(&mut self) -> Option<F::Output> {
        match self.answered.pop_front() {
            Some(answer) => Some(answer),
            None => self.calls.next().await,
        }
    }

    /// The result of `work`, beside which the calls go on: their timeouts, hedges and answers do not wait for it.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                // Small work is done at once, without a look at the calls.
                biased;
                result = &mut work => return result,
                // Without calls this branch is off, and the work alone is waited for.
                Some(answer) = self.calls.next() => self.answered.push_back(answer),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn calls_are_answered_while_the_flight_waits_for_other_work() {
        let (sender, work) = oneshot::channel();
        let mut calls = CallsUnderWay::new();
        calls.push(async {
            sender.send("planned").unwrap();
            "scores"
        });
        // The work ends only after the call was answered.
        assert_eq!(calls.beside(work).await, Ok("planned"));
        assert_eq!(calls.len(), 1, "the answer is kept");
        assert_eq!(calls.next().await, Some("scores"));
        assert_eq!((calls.len(), calls.next().await), (0, None));
    }

    #[tokio::test]
    async fn work_is_awaited_without_calls() {
        let mut calls = CallsUnderWay::<std::future::Ready<()>>::new();
        assert_eq!(calls.beside(tokio::task::spawn_blocking(|| 7)).await.unwrap(), 7);
    }
}
