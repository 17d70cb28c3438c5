//! A run of base64 at the start of a text, and the characters that tell it from words, paths and hashes.

/// Shortest line of base64 after which the next line may continue it, in characters. Encoders break at 64 or 76.
const MIN_LINE: usize = 60;

/// For each byte, true if it is a character of base64 in either alphabet, or its padding. A table, because the first
/// word of every text is looked at.
const IS_BASE64: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
        byte += 1;
    }
    table
};

/// Returns true for the characters of base64 in either alphabet, and for its padding.
pub(super) fn is_base64(byte: u8) -> bool {
    IS_BASE64[usize::from(byte)]
}

/// A run of base64 at the start of a text, with the line breaks between its long lines.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether characters of one kind are there")]
pub(super) struct Base64Run {
    /// Characters without line breaks.
    pub(super) length: usize,
    /// Bytes with line breaks and escapes.
    pub(super) bytes: usize,
    has_upper: bool,
    has_lower: bool,
    has_digit: bool,
    /// True if there are signs of the usual alphabet, `+` and `/`.
    has_slashes: bool,
    /// True if there are signs of the alphabet for URLs, `-` and `_`.
    has_hyphens: bool,
    /// True if a character is no hexadecimal digit.
    has_more_than_hex: bool,
}

impl Base64Run {
    /// The run at the start of a text or of a JSON string, read up to `max_length` characters.
    pub(super) fn of(text: &str, max_length: usize) -> Self {
        let bytes = text.as_bytes();
        let mut run = Self::default();
        let mut line = 0;
        while run.length < max_length {
            match bytes[run.bytes..] {
                [byte, ..] if is_base64(byte) => {
                    run.has_upper |= byte.is_ascii_uppercase();
                    run.has_lower |= byte.is_ascii_lowercase();
                    run.has_digit |= byte.is_ascii_digit();
                    run.has_more_than_hex |= !byte.is_ascii_hexdigit();
                    run.has_slashes |= matches!(byte, b'+' | b'/');
                    run.has_hyphens |= matches!(byte, b'-' | b'_');
                    run.length += 1;
                    run.bytes += 1;
                    line += 1;
                }
                [b'\\', b'/', ..] => {
                    run.length += 1;
                    run.bytes += 2;
                    line += 1;
                }
                // The second condition is for the line feed after a carriage return, and for blank lines.
                [b'\r' | b'\n', ..] if line >= MIN_LINE || line == 0 && run.length > 0 => {
                    run.bytes += 1;
                    line = 0;
                }
                [b'\\', b'r' | b'n', ..] if line >= MIN_LINE || line == 0 && run.length > 0 => {
                    run.bytes += 2;
                    line = 0;
                }
                _ => break,
            }
        }
        run
    }

    /// Returns true if the run has the mix of characters that base64 of many bytes has.
    pub(super) fn is_mixed(&self) -> bool {
        self.has_upper && self.has_lower && self.has_digit && !self.is_name()
    }

    /// Returns true if the run looks like an identifier: a path, words with hyphens between them, or a hash. Base64 has
    /// the signs of one alphabet, never of both, and a long one has letters of either case.
    pub(super) fn is_name(&self) -> bool {
        let is_single_case = !(self.has_upper && self.has_lower);
        let is_hash = is_single_case && self.has_digit && !self.has_more_than_hex;
        self.has_hyphens && (self.has_slashes || is_single_case) || is_hash
    }
}
