//! A hash of fields that keeps them apart.

/// A hash of fields. Each is preceded by its length, so different lists of fields never hash the same bytes.
///
/// Hashes are kept in answer logs: another field, order or text makes all paid answers unused.
#[derive(Default)]
pub(crate) struct FieldHash(blake3::Hasher);

impl FieldHash {
    pub(crate) fn field(&mut self, bytes: &[u8]) {
        self.0.update(&bytes.len().to_le_bytes()).update(bytes);
    }

    /// The hash in 64 hexadecimal digits.
    pub(crate) fn hex(self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}
