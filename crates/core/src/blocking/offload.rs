//! CPU-bound work: on the reactor thread while it is small, on a blocking thread when it is large.
//!
//! Handing small work over costs more than doing it. Large work would hold up every other request on the same reactor
//! thread.

use std::future::pending;
use std::panic::resume_unwind;

use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;

/// Bytes of JSON above which parsing leaves the reactor: about a millisecond's work. Encoding and hashing cost about as
/// much.
pub const OFFLOAD_WIRE_BYTES: usize = 1 << 20;
/// Bytes of text above which the search for quotations leaves the reactor: about a millisecond's work.
pub const OFFLOAD_SEARCH_BYTES: usize = 1 << 17;
/// Bytes of text above which the embedded scorer leaves the reactor: about a millisecond's work.
pub const OFFLOAD_LOCAL_BYTES: usize = 1 << 16;

/// Runs `work` here if its `size` is at most `threshold`, else on a blocking thread. Both are in the same unit, mostly
/// bytes of text. If the future is dropped, work on a blocking thread goes on to its end.
pub async fn offload<T: Send + 'static>(size: usize, threshold: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    if size <= threshold {
        return work();
    }
    result_of(spawn_blocking(work)).await
}

/// Runs `work` on a blocking thread. Its argument returns false once nobody waits any more, and `work` should end then:
/// a deadline or a hang-up drops this future, but cannot stop the thread.
pub async fn offload_while_wanted<T: Send + 'static>(work: impl FnOnce(&dyn Fn() -> bool) -> T + Send + 'static) -> T {
    let caller = CancellationToken::new();
    let token = caller.clone();
    let _cancels_when_dropped = caller.drop_guard();
    result_of(spawn_blocking(move || work(&|| !token.is_cancelled()))).await
}

/// The result of work on a blocking thread. A panic goes on here, where the HTTP edge turns it into an error.
pub async fn result_of<T>(work: impl Future<Output = Result<T, JoinError>>) -> T {
    match work.await.map_err(JoinError::try_into_panic) {
        Ok(result) => result,
        Err(Ok(panic)) => resume_unwind(panic),
        // Nobody aborts it, so the runtime is ending before the work began. That ends who waits for it here, too.
        Err(Err(_)) => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn only_large_work_leaves_the_reactor() {
        let here = thread::current().id();
        let thread_of = async |bytes| offload(bytes, 10, || thread::current().id()).await;
        assert_eq!(thread_of(10).await, here);
        assert_ne!(thread_of(11).await, here);
    }
    #[tokio::test]
    async fn work_that_nobody_waits_for_hears_of_it() {
        let (started_sender, started) = mpsc::channel();
        let (finished_sender, finished) = mpsc::channel();
        let work = offload_while_wanted(move |is_wanted| {
            started_sender.send(is_wanted()).unwrap();
            while is_wanted() {
                thread::yield_now();
            }
            finished_sender.send(()).unwrap();
        });
        let waiting = tokio::spawn(work);
        assert!(tokio::task::spawn_blocking(move || started.recv().unwrap()).await.unwrap(), "somebody waits");
        waiting.abort();
        tokio::task::spawn_blocking(move || finished.recv_timeout(Duration::from_secs(20)).unwrap()).await.unwrap();
    }

    /// Work for which a runtime that ends has no thread any more is cancelled: that is no panic.
    #[test]
    fn work_that_is_cancelled_with_its_runtime_does_not_panic() {
        let ending = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let handle = ending.handle().clone();
        ending.shutdown_background();
        let waiting = result_of(handle.spawn_blocking(|| ()));
        let other = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let outcome = other.block_on(async { tokio::time::timeout(Duration::from_millis(200), waiting).await });
        assert!(outcome.is_err(), "it neither panics nor ends");
    }
}
