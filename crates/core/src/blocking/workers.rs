//! Blocking threads for CPU-bound work: a limited number at once, and each stops when its caller has gone.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;

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

    /// Runs `work` on a blocking thread, once a permit is free. The token is cancelled as soon as the caller does not
    /// wait any more; long work should look at it from time to time.
    ///
    /// # Errors
    /// The panic of `work`.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        // Fails only for a semaphore that was closed, and this one never is: `ok` loses no permit.
        let permit = self.0.clone().acquire_owned().await.ok();
        let caller = CancellationToken::new();
        let token = caller.clone();
        let _cancels_when_dropped = caller.drop_guard();
        spawn_blocking(move || {
            let result = work(&token);
            // In the thread, not in the future: the processor is busy until here, whoever waits.
            drop(permit);
            result
        })
        .await
    }

    /// Permits that are free.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.0.available_permits()
    }
}
