//! Keys whose files are read again: a secret that was rotated on disk is used without a restart.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

/// Shortest time between two readings of a key. A provider that refuses every call must not cost a reading each.
pub(super) const REREAD_PAUSE: Duration = Duration::from_secs(5);

/// Reads the key of a number again. It blocks, as it reads a file. `None` if the key comes from no file, or the file
/// holds none now.
type Read = dyn Fn(usize) -> Option<SecretString> + Send + Sync;

/// A way to read the keys of an upstream again. The core reads no files itself.
#[derive(Clone)]
pub struct KeyReader(Arc<Read>);

impl KeyReader {
    /// A reader that calls `read` with the number of a key, its index in `api_keys`.
    pub fn new(read: impl Fn(usize) -> Option<SecretString> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Reads key `number`.
    pub(super) fn read(&self, number: usize) -> Option<SecretString> {
        (self.0)(number)
    }
}

impl fmt::Debug for KeyReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyReader")
    }
}
