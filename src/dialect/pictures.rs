//! Pictures and other files that come as text: data URLs and bare base64.
//!
//! No model scores them, and a megabyte of base64 is billed like a megabyte of prose, so they are left out of what is
//! sent. They are recognised by their first bytes, at the cost of a few comparisons per text of any length:
//!
//! 1. `data:…;base64,`, and other data URLs of pictures, videos and sounds;
//! 2. base64 that begins as PNG, JPEG, GIF, WebP and PDF do;
//! 3. 256 characters of base64 in a row that are upper case, lower case and digits;
//! 4. in a field whose name says picture, or below one, 64 characters of base64 in a row that are no path, no hash and
//!    no words with hyphens; in one whose name says base64, any base64;
//! 5. bytes as a list of 64 or more numbers in such a field, or as Node writes a `Buffer`.
//!
//! A text such as Markdown or HTML may hold data URLs. Their data counts from 64 characters on.

use std::borrow::Cow;

use super::base64_run::{Base64Run, is_base64};
use super::raw::unquoted;

/// Beginning of a data URL, in any case.
const DATA_SCHEME: &str = "data:";
/// Longest head of a data URL, up to its comma, in bytes.
const MAX_URL_HEAD_BYTES: usize = 256;
/// First characters of PNG, JPEG, GIF (two versions), WebP and PDF files in base64.
const SIGNATURES: [&str; 6] = ["iVBORw0KGgo", "/9j/", "R0lGODlh", "R0lGODdh", "UklGR", "JVBERi0"];
/// Shortest file that is recognised by its signature, in characters.
const MIN_SIGNED_RUN: usize = 32;
/// Shortest run of base64 that is a file in a field whose name says picture, in characters.
const MIN_NAMED_RUN: usize = 64;
/// Shortest run of base64 that is a file in any place, in characters.
const MIN_UNMARKED_RUN: usize = 256;
/// Shortest list of numbers that is a file in a field whose name says picture.
const MIN_BYTES: usize = 64;
/// End of the head of a data URL in base64. Inside a text it is searched for in lower case alone, which is how it is
/// written; at the beginning of one, any case will do.
const ENCODED: &str = ";base64,";
/// Parts of a field's name that mean a picture or another medium. Upper and lower case count as the same.
const MEDIA: [&str; 11] = [
    "image",
    "img",
    "picture",
    "photo",
    "thumbnail",
    "screenshot",
    "video",
    "audio",
    "blob",
    "inline_data",
    "inlineData",
];
/// Names of fields that hold a picture or another medium in the formats of vLLM and others.
const MEDIA_FIELDS: [&str; 9] =
    ["image", "images", "image_url", "input_image", "video", "video_url", "audio", "audio_url", "input_audio"];
/// Parts of a field's name that mean base64.
const ENCODINGS: [&str; 2] = ["base64", "b64"];
/// Names of fields that describe a picture and hold no text to score.
const DESCRIPTIONS: [&str; 15] = [
    "type",
    "id",
    "_id",
    "mime_type",
    "mimeType",
    "media_type",
    "mediaType",
    "content_type",
    "contentType",
    "format",
    "detail",
    "encoding",
    "width",
    "height",
    "size",
];

/// Returns true if a text is a file or begins with one.
pub(super) fn is_file(text: &str) -> bool {
    let text = text.trim_start();
    match text.as_bytes().first() {
        Some(b'd' | b'D') if data_url(text).is_some() => true,
        Some(_) if may_be_signed_run(text) => {
            let run = Base64Run::of(text, MIN_UNMARKED_RUN);
            let is_signed = run.length >= MIN_SIGNED_RUN && SIGNATURES.iter().any(|sign| text.starts_with(sign));
            is_signed || run.length >= MIN_UNMARKED_RUN && run.is_mixed()
        }
        _ => false,
    }
}

/// Returns false for most texts that do not begin with a run of [`MIN_SIGNED_RUN`] characters: their first word ends
/// before, and so does the look at them.
fn may_be_signed_run(text: &str) -> bool {
    let Some(start) = text.as_bytes().first_chunk::<MIN_SIGNED_RUN>() else { return false };
    // Lines of a run are longer than this, and in JSON its slashes may be escaped.
    start.iter().all(|byte| is_base64(*byte) || *byte == b'\\')
}

/// Returns true if a text may hold a data URL.
pub(super) fn may_be_inside(text: &str) -> bool {
    // Most texts have no semicolon, and one byte is found in a fraction of the time of eight.
    let Some(semicolon) = memchr::memchr(b';', text.as_bytes()) else { return false };
    memchr::memmem::find(&text.as_bytes()[semicolon..], ENCODED.as_bytes()).is_some()
}

/// The text without its files: one that it begins with, and data URLs further on. `None` if it has none.
pub(super) fn words_beside(text: &str) -> Option<Cow<'_, str>> {
    if !is_file(text) {
        return Some(Cow::Owned(without_inner(text)?));
    }
    let words = words_after_file(text);
    match without_inner(words) {
        Some(kept) => Some(Cow::Owned(kept)),
        None => Some(Cow::Borrowed(words)),
    }
}

/// The text, or the JSON, without the data URLs inside it. `None` if it has none.
fn without_inner(text: &str) -> Option<String> {
    if !may_be_inside(text) {
        return None;
    }
    let mut kept = String::new();
    let mut copied = 0;
    for comma in memchr::memmem::find_iter(text.as_bytes(), ENCODED.as_bytes()) {
        let start = copied + url_start(&text[copied..comma]);
        let data = comma + ENCODED.len();
        let run = Base64Run::of(&text[data..], usize::MAX);
        if run.length >= MIN_NAMED_RUN {
            kept.push_str(&text[copied..start]);
            copied = data + run.bytes;
        }
    }
    // A cut ends behind a comma, so never at 0.
    if copied == 0 {
        return None;
    }
    kept.push_str(&text[copied..]);
    Some(kept)
}

/// Index at which a data URL begins, from the text before its `;base64,`: that of the last `data:` in the last word, or
/// of the last word if it holds none.
fn url_start(text: &str) -> usize {
    let window = text.len().saturating_sub(MAX_URL_HEAD_BYTES);
    let head = &text.as_bytes()[window..];
    let end = head.iter().rposition(|byte| byte.is_ascii_whitespace() || b"\"'(<>,".contains(byte));
    let word = window + end.map_or(0, |end| end + 1);
    let scheme = text.as_bytes()[word..]
        .windows(DATA_SCHEME.len())
        .rposition(|part| part.eq_ignore_ascii_case(DATA_SCHEME.as_bytes()));
    // The window may begin inside a character.
    text.ceil_char_boundary(word + scheme.unwrap_or(0))
}

/// Returns true for bytes as Node's `JSON.stringify` writes them: `{"type":"Buffer","data":[137,80,…]}`, or with the
/// two fields in the other order.
pub(super) fn is_buffer(json: &str) -> bool {
    starts_with_tokens(json, &["{", "\"type\"", ":", "\"Buffer\"", ",", "\"data\"", ":", "["])
        || starts_with_tokens(json, &["{", "\"data\"", ":", "["]) && json.ends_with("\"Buffer\"}")
}

/// Returns true if JSON begins with these tokens, whatever blanks stand between them.
fn starts_with_tokens(json: &str, tokens: &[&str]) -> bool {
    let mut rest = json;
    for token in tokens {
        let Some(after) = rest.trim_start().strip_prefix(token) else { return false };
        rest = after;
    }
    true
}

/// Returns true for a list of at least [`MIN_BYTES`] items of which the first [`MIN_BYTES`] are bytes.
fn is_bytes(json: &str) -> bool {
    let Some(items) = json.strip_prefix('[') else { return false };
    let mut items = items.split(',');
    (0..MIN_BYTES).all(|_| items.next().is_some_and(|item| item.trim().trim_end_matches(']').parse::<u8>().is_ok()))
}

/// The words behind the file in a text that [`is_file`].
fn words_after_file(text: &str) -> &str {
    let text = text.trim_start();
    let data = match data_url(text) {
        Some(DataUrl::Base64(data)) => data,
        // Such a URL has no recognisable end.
        Some(DataUrl::Other) => return "",
        None => text,
    };
    data[Base64Run::of(data, usize::MAX).bytes..].trim()
}

/// Returns true if the value of a field is a file. The value is JSON, in which `/` may be `\/`. An object around a file
/// is none, except Node's `Buffer`.
pub(super) fn is_file_in(name: &str, value: &str) -> bool {
    match value.as_bytes().first() {
        Some(b'{') => return is_buffer(value),
        Some(b'[') => return says(name, &MEDIA) && is_bytes(value),
        _ => {}
    }
    let Some(text) = unquoted(value) else { return false };
    if is_file(text) {
        return true;
    }
    let run = Base64Run::of(text, MIN_NAMED_RUN);
    if run.bytes == 0 {
        // An empty text would count as base64 from end to end.
        return false;
    }
    let is_long = run.length >= MIN_NAMED_RUN;
    // A short text is base64 only if all of it is; encoders pad it to groups of four.
    let is_whole = run.bytes == text.len() && run.length.is_multiple_of(4);
    is_long && !run.is_name() && says(name, &MEDIA) || (is_long || is_whole) && says(name, &ENCODINGS)
}

/// Returns true if the name of a field says that it holds a picture, or an object around one.
pub(super) fn says_media(name: &str) -> bool {
    says(name, &MEDIA)
}

/// Returns true if a field of this name holds a picture whatever its value is: data, an address, or an object with one.
pub(super) fn is_media(name: &str) -> bool {
    MEDIA_FIELDS.contains(&name)
}

/// Returns true if a field of this name only describes a picture beside it.
pub(super) fn is_description(name: &str) -> bool {
    DESCRIPTIONS.contains(&name)
}

/// JSON with an empty string in place of every file and without the data URLs inside strings, and the number of files.
/// All data URLs inside strings count as one.
pub(super) fn left_out(json: &str) -> (Cow<'_, str>, usize) {
    let mut rest = json;
    let mut kept = String::new();
    let mut count = 0;
    let mut copied = 0;
    while let Some(opening) = memchr::memchr(b'"', rest.as_bytes()) {
        let start = json.len() - rest.len() + opening + 1;
        let end = start + string_length(&json[start..]);
        if is_file(&json[start..end]) {
            kept.push_str(&json[copied..start]);
            copied = end;
            count += 1;
        }
        rest = json.get(end + 1..).unwrap_or_default();
    }
    kept.push_str(&json[copied..]);
    match without_inner(&kept) {
        Some(kept) => (Cow::Owned(kept), count + 1),
        None if count == 0 => (Cow::Borrowed(json), 0),
        None => (Cow::Owned(kept), count),
    }
}

/// Length in bytes of a JSON string up to its closing quote, which is not included.
fn string_length(text: &str) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &text.as_bytes()[at..]) {
        at += found;
        if text.as_bytes()[at] == b'"' {
            return at;
        }
        // An escaped quote or backslash is part of the string.
        at = (at + 2).min(text.len());
    }
    text.len()
}

/// A data URL that holds a file.
enum DataUrl<'a> {
    /// The text behind the comma: base64, and whatever follows it.
    Base64(&'a str),
    /// A picture, a video or a sound in another encoding, such as SVG in plain text.
    Other,
}

/// The data URL of a file at the start of a text.
fn data_url(text: &str) -> Option<DataUrl<'_>> {
    let scheme = text.get(..DATA_SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(DATA_SCHEME) {
        return None;
    }
    let comma = memchr::memchr(b',', &text.as_bytes()[..text.len().min(MAX_URL_HEAD_BYTES)])?;
    let head = text.get(DATA_SCHEME.len()..comma)?;
    // Prose, such as "data: a story, …".
    if head.contains(char::is_whitespace) {
        return None;
    }
    if head.as_bytes().last_chunk::<7>().is_some_and(|end| end.eq_ignore_ascii_case(b";base64")) {
        return Some(DataUrl::Base64(text[comma + 1..].trim_start()));
    }
    // In JSON the slash may be escaped.
    let media_type = head.split(['/', '\\']).next()?;
    let is_media = ["image", "video", "audio"].iter().any(|media| media_type.eq_ignore_ascii_case(media));
    // Without a subtype behind a slash it is prose again, such as "data:image, of a cat".
    (is_media && media_type.len() < head.len()).then_some(DataUrl::Other)
}

/// Returns true if a name contains one of these words in upper or lower case.
fn says(name: &str, words: &[&str]) -> bool {
    words.iter().any(|word| name.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_file_named(name: &str, json: &str) -> bool {
        is_file_in(name, json)
    }

    #[test]
    fn files_are_told_by_how_they_begin() {
        let bare = "aGVsbG8gd29ybGQ1".repeat(20);
        let wrapped = format!("{}\n", &bare[..76]).repeat(5);
        for text in [
            "data:image/png;base64,AAAA",
            " DATA:image/svg+xml;charset=utf-8;BASE64,AAAA",
            "data:;base64,",
            "data:image/svg+xml;utf8,<svg width='1'/>",
            "data:image/svg+xml,%3Csvg",
            "data:application/pdf;base64,JVBERi0",
            "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAF",
            "/9j/4AAQSkZJRgABAQEASABIAAD/2wBD",
            &*bare,
            &*wrapped,
        ] {
            assert!(is_file(text), "{text}");
        }
        for text in [
            "data: a story, base64,",
            "data:text/plain,hello",
            "data:image/png;base64",
            "data:image, of a cat",
            "data:image,cat",
            "data:image/s of a cat, at night",
            "data",
            "iVBORw0KGgo",
            "/9j/ is how it begins",
            &*"ACGT".repeat(200),
            &*"0123456789abcdef".repeat(40),
            "Word2\n".repeat(100).as_str(),
            "",
        ] {
            assert!(!is_file(text), "{text}");
        }
    }

    #[test]
    fn names_tell_shorter_ones() {
        let run = format!("\"{}\"", "QUJDRA".repeat(12));
        assert!(is_file_named("cover_image", &run) && is_file_named("photoData", &run));
        assert!(!is_file_named("token", &run) && !is_file_named("image", "\"cat\"") && !is_file_named("image", "7"));
        for name in [
            "/data/Photos/2024-08/box_17/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t",
            "of-an-evening-in-august-2024-in-berlin-by-the-river-with-friends-1",
        ] {
            assert!(name.len() >= MIN_NAMED_RUN && !is_file_named("image_name", &format!("\"{name}\"")), "{name}");
        }
        assert!(!is_file_named("image_hash", &format!("\"{}\"", "a3f5".repeat(16))));
        assert!(is_file_named("image_base64", "\"aGVsbG8=\"") && !is_file_named("base64", "\"a word\""));
        let escaped = r#""data:image\/png;base64,iVBORw0KGgo\/\/""#;
        assert!(is_file_named("x", escaped));
    }

    #[test]
    fn words_behind_a_file_are_kept() {
        let wrapped = format!("data:image/png;base64,{}\n{}\nQUJD\n\na caption", "A".repeat(76), "B".repeat(76));
        for (text, words) in [
            ("data:image/png;base64,AAAA a cat", "a cat"),
            ("data:image/png;base64,AAAA==\na cat", "a cat"),
            ("data:image/png;base64,AAAA", ""),
            ("data:image/svg+xml,<svg fill='red'/>", ""),
            (&*wrapped, "a caption"),
        ] {
            assert_eq!(words_after_file(text), words, "{text}");
        }
    }

    #[test]
    fn files_are_left_out_of_json() {
        let json = r#"{"a\"":["data:image/png;base64,AA\/A","b"],"c":{"d":"data:;base64,"}}"#;
        assert_eq!(left_out(json), (r#"{"a\"":["","b"],"c":{"d":""}}"#.into(), 2));
        assert_eq!(left_out(r#"{"a":"b"}"#), (Cow::Borrowed(r#"{"a":"b"}"#), 0));
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at_without_harm(text in "\\PC{0,80}", head in "(data:image/png;base64,)?[A-Za-z0-9\\\\\n\"/]{0,90}") {
            let text = format!("{head}{text}");
            let _ = is_file(&text);
            prop_assert!(Base64Run::of(&text, usize::MAX).length < MIN_SIGNED_RUN || may_be_signed_run(&text));
            prop_assert!(text.trim_end().ends_with(words_after_file(&text)));
            let json = serde_json::to_string(&text).unwrap();
            let (left, _) = left_out(&json);
            prop_assert!(serde_json::from_str::<String>(&left).is_ok());
        }
    }
}
