//! What a message holds as base64 or in hexadecimal digits.

/// Shortest run of letters and digits that is decoded: eight letters in base64.
const SHORTEST_RUN: usize = 11;

/// The texts that the long words of `message` stand for, if they are base64 (of either alphabet) or hexadecimal; nonsense where they are
/// neither.
pub(super) fn decoded(message: &str) -> Vec<String> {
    let is_outside = |letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '+' | '/' | '-' | '_');
    let runs = message.split(is_outside).filter(|run| run.len() >= SHORTEST_RUN);
    let readings = runs.flat_map(|run| [hexadecimal(run), base64(run)]);
    let texts = readings.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    texts.filter(|text| !text.is_empty()).collect()
}

fn hexadecimal(run: &str) -> Vec<u8> {
    let digits = run.strip_prefix("0x").unwrap_or(run).as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks_exact(2).map_while(byte).collect()
}

fn base64(run: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(run.len());
    let mut bits = 0_u32;
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
