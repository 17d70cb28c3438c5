//! Where work runs that burns a processor.
//!
//! Small work runs where it is: handing it over costs more than doing it. Large work would hold up every other request on the
//! same reactor thread, so it goes to a blocking thread.

use std::panic::resume_unwind;

/// Bytes of JSON above which parsing leaves the reactor: about a millisecond's work. Encoding and hashing cost about the same.
pub const OFFLOAD_WIRE_BYTES: usize = 1 << 20;
/// Bytes of text above which the embedded scorer leaves the reactor: about a millisecond's work.
pub const OFFLOAD_LOCAL_BYTES: usize = 1 << 16;

/// Runs `work` here if it concerns at most `threshold` bytes, else on a blocking thread.
pub async fn offload<T: Send + 'static>(
    bytes: usize,
    threshold: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if bytes <= threshold {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // The task is never cancelled, so it panicked: the panic goes on here, where the HTTP edge turns it into an error.
        Err(error) => resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn only_large_work_leaves_the_reactor() {
        let here = thread::current().id();
        let thread_of = async |bytes| offload(bytes, 10, || thread::current().id()).await;
        assert_eq!(thread_of(10).await, here);
        assert_ne!(thread_of(11).await, here);
    }
}
