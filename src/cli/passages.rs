//! Passages from a file: one a line, or JSON lines.

use bytestring::ByteString;
use serde::Deserialize;

use crate::rerank::request::Passage;

#[derive(Deserialize)]
struct JsonLine {
    text: String,
}

/// Reads one passage a line, with the line's number; blank lines separate and hold none. If the first line is a JSON object, every line must be one, with
/// a `text`.
///
/// # Errors
/// The number of the line that is wrong, and what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Vec<(usize, Passage)>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let json = lines.clone().next().is_some_and(|(_, line)| line.trim_start().starts_with('{'));
    let passage = |(index, line): (usize, &str)| {
        let text = if json {
            let parsed: JsonLine = serde_json::from_str(line)
                .map_err(|_| format!("line {} must be a JSON object with a text, like the first line", index + 1))?;
            parsed.text.into()
        } else {
            ByteString::from(line.trim())
        };
        Ok((index + 1, Passage { text, object: None }))
    };
    lines.map(passage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Result<Vec<String>, String> {
        parse(text).map(|passages| passages.iter().map(|(line, passage)| format!("{line} {}", passage.text)).collect())
    }

    #[test]
    fn plain_lines_and_json_lines_are_told_apart() {
        assert_eq!(texts("one\n\n  two {x}\n").unwrap(), ["1 one", "3 two {x}"]);
        assert_eq!(texts("{\"text\": \"one\", \"id\": 1}\n{\"text\":\"t\\u0077o\"}").unwrap(), ["1 one", "2 two"]);
        assert!(texts("").unwrap().is_empty());
    }

    #[test]
    fn a_bad_line_is_named_and_not_quoted() {
        assert_eq!(
            texts("{\"text\":\"a\"}\n\nsecret").unwrap_err(),
            "line 3 must be a JSON object with a text, like the first line"
        );
    }
}
