//! Blocking threads for CPU-bound work: a limited number at once, and each stops when its caller has gone.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

/// A limit on jobs that run at once. A job holds its permit until it has ended, even after its caller was dropped.
/// Clones share the permits.
#[derive(Clone, Debug)]
pub struct Workers(Arc<Semaphore>);

impl Workers {
    /// A limit of `count` jobs.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Runs `work` on a blocking thread, once a permit is free. Its argument returns true while the caller still waits;
    /// long work should call it from time to time and stop if it does not.
    ///
    /// # Errors
    /// The panic of `work`.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Fn() -> bool) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let permit = self.0.clone().acquire_owned().await;
        // A cancellation token: this future holds the only strong reference, and drops it when it is cancelled.
        let caller = Arc::new(());
        let token = Arc::downgrade(&caller);
        let job = spawn_blocking(move || {
            let result = work(&|| token.strong_count() > 0);
            // In the thread, not in the future: the processor is busy until here, whoever waits.
            drop(permit);
            result
        });
        let result = job.await;
        drop(caller);
        result
    }

    /// Permits that are free.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.0.available_permits()
    }
}
