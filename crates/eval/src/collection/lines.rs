//! Text files line by line, and the columns of a line.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use rerankd_core::text::{is_utf_16, without_mark};

use super::input_error::{CollectionError, FilePosition};

/// Bytes per read of a file: a corpus may have gigabytes, and the standard 8 KiB would cost many more system calls.
const BUFFER: usize = 1 << 18;

/// Calls `each` with the number, from 1, and the text of every line that is not blank. Carriage returns are left out,
/// and so are byte order marks before a line: the first one, or one in the middle where files were joined.
///
/// # Errors
/// The file cannot be read, a line is not UTF-8, or `each` returns an error.
pub(super) fn each_line(
    path: &Path,
    each: impl FnMut(usize, &str) -> Result<(), String>,
) -> Result<(), CollectionError> {
    let file = File::open(path).map_err(|error| CollectionError::whole(path, unreadable(&error)))?;
    each_line_of(BufReader::with_capacity(BUFFER, file), each)
        .map_err(|(line, reason)| CollectionError::new(path, FilePosition::Line(line), reason))
}

/// Calls `each` for the lines of `reader`. An error has the number of its line.
fn each_line_of(
    mut reader: impl BufRead,
    mut each: impl FnMut(usize, &str) -> Result<(), String>,
) -> Result<(), (usize, String)> {
    let mut buffer = Vec::new();
    for number in 1.. {
        buffer.clear();
        if reader.read_until(b'\n', &mut buffer).map_err(|error| (number, unreadable(&error)))? == 0 {
            break;
        }
        // UTF-16 would fail the next test too, but with a message that does not name the cure.
        if number == 1 && is_utf_16(&buffer) {
            return Err((number, "is UTF-16; save the file as UTF-8".to_owned()));
        }
        let text = str::from_utf8(&buffer).map_err(|_| (number, "is not valid UTF-8".to_owned()))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let line = without_mark(text.strip_suffix('\r').unwrap_or(text));
        if !line.trim().is_empty() {
            each(number, line).map_err(|reason| (number, reason))?;
        }
    }
    Ok(())
}

/// The reason why a file cannot be read, for a message.
pub(super) fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

/// Splits a line into columns: at tabs, so that ids may hold blanks, or else at blanks. `None` if the number of columns
/// is not one of `widths`.
pub(super) fn columns<'line>(line: &'line str, widths: &[usize]) -> Option<Vec<&'line str>> {
    let tabbed: Vec<&str> = line.split('\t').collect();
    let columns = if widths.contains(&tabbed.len()) { tabbed } else { line.split_whitespace().collect() };
    widths.contains(&columns.len()).then_some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Result<Vec<(usize, String)>, (usize, String)> {
        let mut found = Vec::new();
        each_line_of(bytes, |number, line| {
            found.push((number, line.to_owned()));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn marks_and_line_ends_are_left_out_and_blank_lines_counted() {
        let expected = [(1, "a".to_owned()), (3, " b".to_owned())];
        assert_eq!(lines(b"\xEF\xBB\xBFa\r\n \t\r\n b").unwrap(), expected);
        assert_eq!(lines(b"a\n\n b\n\n").unwrap(), expected);
        assert_eq!(lines(b"").unwrap(), []);
        assert_eq!(lines(b"a\n\xEF\xBB\xBF\n\xEF\xBB\xBF b").unwrap(), expected);
    }

    #[test]
    fn what_is_not_utf_8_is_told_with_its_line() {
        assert_eq!(lines(b"a\nb\xFF\n").unwrap_err(), (2, "is not valid UTF-8".to_owned()));
        assert_eq!(lines(b"\xFF\xFEa\0\n\0").unwrap_err(), (1, "is UTF-16; save the file as UTF-8".to_owned()));
    }

    #[test]
    fn tabs_part_columns_before_blanks_do() {
        assert_eq!(columns("q\td 1\t2", &[3]).unwrap(), ["q", "d 1", "2"]);
        assert_eq!(columns("q  0\td 2", &[3, 4]).unwrap(), ["q", "0", "d", "2"]);
        assert_eq!(columns("q d", &[3, 4]), None);
    }
}
