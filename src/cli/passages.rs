//! Passages from a file: one a line, or JSON lines.

use faststr::FastStr;
use rerankd_core::text::{with_lone_surrogates_replaced, without_mark};
use rerankd_core::types::passages::Passages;

use crate::dialect::passage::{self, LoneDocument};
use crate::dialect::picture_warning::PictureWarning;

/// The passages of a file.
#[derive(Debug, Default)]
pub(super) struct PassageFile {
    /// The passages, in their order.
    pub(super) passages: Passages,
    /// The line number of each passage, from 1.
    pub(super) lines: Vec<usize>,
    /// One sentence about each thing that could not be read as it stands.
    pub(super) warnings: Vec<String>,
}

/// Reads one passage a line, with the line's number; blank lines are skipped. If the first line is a JSON object, every
/// line must be one, and is read like a document of a request.
///
/// # Errors
/// A sentence about the file, or about one line, with its number.
pub(super) fn parse(text: &str) -> Result<PassageFile, String> {
    let first = text.lines().map(trimmed).find(|line| !line.is_empty()).ok_or("holds no passages")?;
    if first.starts_with('[') && serde_json::from_str::<serde_json::Value>(without_mark(text)).is_ok() {
        return Err("is one JSON value; write one passage a line, or one JSON object a line".into());
    }
    let is_json = first.starts_with('{');
    let mut file = PassageFile::default();
    let mut pictures = PictureWarning::default();
    // Number of the first line with a lone surrogate.
    let mut first_replaced = None;
    for (number, untrimmed) in (1..).zip(text.lines()) {
        let line = trimmed(untrimmed);
        if line.is_empty() {
            continue;
        }
        let LoneDocument { passage, has_picture } = if is_json {
            let json = match with_lone_surrogates_replaced(line) {
                Some((replaced, _)) => {
                    // One warning for the file names the first line alone.
                    first_replaced.get_or_insert(number);
                    FastStr::from(replaced)
                }
                None => FastStr::new(line),
            };
            passage::document(&json, &format!("line {number}"))?
        } else {
            passage::plain_document(FastStr::new(line))
        };
        if has_picture {
            pictures.note(number, &passage.text);
        }
        file.passages.push(passage, None);
        file.lines.push(number);
    }
    if let Some(line) = first_replaced {
        let warning = format!(
            "half of a surrogate pair (a \\u escape) was read as U+FFFD, in line {line} and wherever else there is one"
        );
        file.warnings.push(warning);
    }
    file.warnings.extend(pictures.sentence("lines", |line| format!("line {line}")));
    Ok(file)
}

/// A line without a byte order mark and the blanks around it. A mark may stand before any line: files that were joined
/// keep theirs.
fn trimmed(line: &str) -> &str {
    without_mark(line).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Result<Vec<String>, String> {
        let file = parse(text)?;
        let mut texts = Vec::new();
        for (line, passage) in file.lines.iter().zip(file.passages.iter()) {
            texts.push(format!("{line} {}", passage.text));
        }
        Ok(texts)
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
        let not_a_number = "{\"text\":\"a\",\"m\":NaN}";
        assert_eq!(texts(not_a_number).unwrap_err(), "line 1, column 17: NaN is not JSON; write null");
        let deep = format!("{{\"text\":\"a\",\"m\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(texts(&deep).unwrap_err(), "line 1 is nested more than 128 levels deep");
        assert_eq!(texts("{\"text\":{}}").unwrap_err(), "line 1.text is an object; it must be a string");
    }

    #[test]
    fn byte_order_marks_are_skipped() {
        let json = "\u{FEFF}{\"text\":\"one\",\"id\":7}\n\u{FEFF}{\"text\":\"two\"}";
        assert_eq!(texts(json).unwrap(), ["1 one", "2 two"]);
        assert!(parse(json).unwrap().passages.get(0).object.unwrap().id.is_some());
        assert_eq!(texts("\u{FEFF}one\n\u{FEFF}\ntwo").unwrap(), ["1 one", "3 two"]);
        assert!(texts("\u{FEFF}[{\"text\": \"a\"}]").unwrap_err().starts_with("is one JSON value"));
    }

    #[test]
    fn lone_surrogates_and_pictures_are_told() {
        let file = parse(
            "{\"text\":\"a\"}\n{\"text\":\"b \\ud83d\",\"\\udead\":1}\n{\"title\":\"c\",\"image\":\"data:;base64,AA\"}",
        )
        .unwrap();
        let texts: Vec<_> = file.passages.iter().map(|passage| passage.text.to_string()).collect();
        assert_eq!(texts, ["a", "b \u{FFFD}", "title: c"]);
        assert!(file.warnings[0].contains("in line 2"), "{:?}", file.warnings);
        assert_eq!(file.warnings[1], "pictures are not scored; lines read without theirs: 1 (line 3)");
        let plain = parse("words\ndata:image/png;base64,AAAA").unwrap();
        assert_eq!(plain.passages.get(1).text, "");
        assert_eq!(plain.warnings.len(), 1);
    }
}
