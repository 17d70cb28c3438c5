//! Threads for work that burns a processor: so many at once, and each ends with its caller.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

/// So many pieces of work at once. Each holds its place until it has ended, which may be after its caller has left. Clones share the places.
#[derive(Clone, Debug)]
pub struct Workers(Arc<Semaphore>);

impl Workers {
    /// Room for `count` at once.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Does `work` on a blocking thread, once there is a place. It can ask whether anybody still waits, and had better end if not.
    ///
    /// # Errors
    /// The work panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Fn() -> bool) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let place = self.0.clone().acquire_owned().await;
        // Dropped with this future: the thread sees that nobody waits.
        let caller = Arc::new(());
        let waiting = Arc::downgrade(&caller);
        let done = spawn_blocking(move || {
            let result = work(&|| waiting.strong_count() > 0);
            drop(place);
            result
        });
        let result = done.await;
        drop(caller);
        result
    }

    /// Places that are free.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.0.available_permits()
    }
}
