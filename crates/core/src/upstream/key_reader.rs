//! Keys whose files are read again: a secret that was rotated on disk is used without a restart.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

/// Reads the key of a number again. It blocks, as it reads a file. `None` if the file holds no key now.
type Read = dyn Fn(usize) -> Option<SecretString> + Send + Sync;

/// A way to read the keys of an upstream again. The core reads no files itself.
#[derive(Clone)]
pub struct KeyReader {
    read: Arc<Read>,
    /// By number, true for a key that comes from a file.
    of_files: Arc<[bool]>,
}

impl KeyReader {
    /// A reader that calls `read` with the number of a key, its index in `api_keys`, if `of_files` is true for it.
    pub fn new(of_files: Vec<bool>, read: impl Fn(usize) -> Option<SecretString> + Send + Sync + 'static) -> Self {
        Self { read: Arc::new(read), of_files: of_files.into() }
    }

    /// Returns true if key `number` comes from a file.
    pub(super) fn is_of_file(&self, number: usize) -> bool {
        self.of_files.get(number).is_some_and(|is_of_file| *is_of_file)
    }

    /// Reads key `number`, which comes from a file.
    pub(super) fn read(&self, number: usize) -> Option<SecretString> {
        (self.read)(number)
    }
}

impl fmt::Debug for KeyReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyReader")
    }
}
