//! Words of a message that are base64 or hexadecimal, decoded.

/// Shortest run of letters and digits that is decoded: a window of eight letters takes eleven in base64, and sixteen in
/// hexadecimal.
const MIN_RUN: usize = 11;

/// The long words of `message`, decoded as base64 (of either alphabet) and as hexadecimal. A word that is neither gives
/// nonsense, which matches no text.
pub(super) fn decoded(message: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for run in message.split(|letter: char| !is_digit_of_base64(letter)) {
        if run.len() < MIN_RUN {
            continue;
        }
        for bytes in [hexadecimal(run), base64(run)] {
            if !bytes.is_empty() {
                texts.push(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
    }
    texts
}

/// Returns true for digits of base64, which those of hexadecimal are too.
fn is_digit_of_base64(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/' | '-' | '_')
}

/// The bytes of the hexadecimal digits at the beginning of `run`.
fn hexadecimal(run: &str) -> Vec<u8> {
    let digits = run.strip_prefix("0x").unwrap_or(run).as_bytes();
    let mut bytes = Vec::new();
    for pair in digits.chunks_exact(2) {
        let Ok(pair) = str::from_utf8(pair) else { break };
        let Ok(byte) = u8::from_str_radix(pair, 16) else { break };
        bytes.push(byte);
    }
    bytes
}

/// The whole bytes of `run`, whose characters must be digits of base64. A rest of less than a byte is left out.
fn base64(run: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(run.len());
    // The last digits. Those before them fall out at the top, where they have been taken already.
    let mut bits = 0_u32;
    // Number of the lowest bits that have not been taken.
    let mut count = 0;
    for letter in run.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            _ => 63,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count).to_le_bytes()[0]);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_decoded() {
        for (message, text) in [
            ("input YSBwYXNzYWdlIHRvIGtlZXA= bad", "a passage to keep"),
            ("input:YSBwYXNzYWdlIHRvIGtlZX", "a passage to kee"),
            ("b'612070617373616765'", "a passage"),
            ("0x612070617373616765", "a passage"),
            ("w6nDqcOpw6nDqcOp", "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"),
        ] {
            assert!(decoded(message).iter().any(|found| found == text), "{message}: {:?}", decoded(message));
        }
        assert!(decoded("too many tokens: 512").is_empty());
    }
}
