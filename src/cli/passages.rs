//! Passages from a file: one a line, or JSON lines.

use bytestring::ByteString;

use crate::dialect::passage;
use crate::rerank::request::Passage;

/// Reads one passage a line, with the line's number; blank lines separate and hold none. If the first line is a JSON object, every
/// line must be one, read as a document over HTTP.
///
/// # Errors
/// What is wrong, with the number of the line if one line is.
pub(super) fn parse(text: &str) -> Result<Vec<(usize, Passage)>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let first = lines.clone().next().map(|(_, line)| line.trim_start()).ok_or("holds no passages")?;
    if first.starts_with('[') && serde_json::from_str::<serde_json::Value>(text).is_ok() {
        return Err("is one JSON value; write one passage a line, or one JSON object a line".into());
    }
    let json = first.starts_with('{');
    let passage = |(index, line): (usize, &str)| {
        let line = ByteString::from(line.trim());
        let passage = if json {
            passage::document(&line).ok_or_else(|| format!("line {} must be a JSON object", index + 1))?
        } else {
            Passage { text: line, object: None }
        };
        Ok((index + 1, passage))
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
        assert_eq!(texts(" \n").unwrap_err(), "holds no passages");
        assert!(texts("[{\"text\": \"a\"}]").unwrap_err().starts_with("is one JSON value"));
    }

    #[test]
    fn a_bad_line_is_named_and_not_quoted() {
        assert_eq!(texts("{\"text\":\"a\"}\n\nsecret").unwrap_err(), "line 3 must be a JSON object");
    }
}
