//! From a body to what it asks for, whatever dialect it is in.
//!
//! Half of a surrogate pair is valid JSON and no text. A body in which one is met is read once more with U+FFFD in its
//! place, and the answer says so; a body without one pays nothing for it.

use std::time::Duration;

use bytestring::ByteString;
use tokio::time::Instant;

use super::Dialect;
use super::choose::Signs;
use super::fields::Fields;
use crate::error::{Error, ErrorKind};
use crate::rerank::request::RerankRequest;
use crate::text::{with_halves_replaced, without_mark};

/// A body that is to be read.
#[derive(Debug)]
pub struct ReceivedBody {
    /// The JSON.
    pub text: ByteString,
    /// How many halves of surrogate pairs stood in it as bytes, and were read as U+FFFD before.
    pub halves: usize,
    /// The dialect that holds whatever the body is.
    pub fixed: Option<&'static dyn Dialect>,
    /// What is known of the dialect else.
    pub signs: Signs,
    /// When the request came in: `timeout_ms` counts from here.
    pub started: Instant,
}

/// A body, read.
#[derive(Debug)]
pub struct Decoded {
    /// The dialect, if it could be told.
    pub dialect: Option<&'static dyn Dialect>,
    /// What the body asks for, or what is wrong with it.
    pub request: Result<RerankRequest, Error>,
}

impl ReceivedBody {
    /// Reads the body if that is no more work than reading `most` bytes of plain strings.
    #[must_use]
    pub fn read_small(&self, most: usize) -> Option<Decoded> {
        if self.text.len() > most { None } else { self.read_whole(most, &|| true) }
    }

    /// Reads the body as long as it `is_wanted`, which is asked before each document that is not a plain string.
    #[must_use]
    pub fn read(&self, is_wanted: &dyn Fn() -> bool) -> Decoded {
        let unread = || Decoded { dialect: None, request: Err(out_of_time()) };
        self.read_whole(usize::MAX, is_wanted).unwrap_or_else(unread)
    }

    fn read_whole(&self, most: usize, is_wanted: &dyn Fn() -> bool) -> Option<Decoded> {
        let mut decoded = self.read_twice(most, is_wanted)?;
        if self.halves > 0
            && let Ok(request) = &mut decoded.request
        {
            request.warnings.push(format!(
                "the body holds surrogates in bytes, which are not UTF-8; halves that were read as U+FFFD: {}",
                self.halves
            ));
        }
        Some(decoded)
    }

    fn read_twice(&self, most: usize, is_wanted: &dyn Fn() -> bool) -> Option<Decoded> {
        let text = self.text.slice_ref(without_mark(&self.text));
        let decoded = self.read_once(&text, most, is_wanted)?;
        let Err(error) = &decoded.request else { return Some(decoded) };
        if error.kind != ErrorKind::InvalidJson {
            return Some(decoded);
        }
        let Some((replaced, count)) = with_halves_replaced(&text) else { return Some(decoded) };
        let first = match error.pointer.as_deref() {
            Some(_) => error.message.clone(),
            None => "a name holds a \\u escape that is half of a surrogate pair".to_owned(),
        };
        let mut decoded = self.read_once(&replaced.into(), most, is_wanted)?;
        if let Ok(request) = &mut decoded.request {
            request.warnings.push(format!("{first}; halves that were read as U+FFFD: {count}"));
        }
        Some(decoded)
    }

    /// Reads JSON; `None` if it is too much work.
    fn read_once(&self, text: &ByteString, most: usize, is_wanted: &dyn Fn() -> bool) -> Option<Decoded> {
        let fields = match Fields::read(text) {
            Ok(fields) => fields,
            Err(error) => return Some(Decoded { dialect: None, request: Err(error) }),
        };
        if fields.work_bytes() > most {
            return None;
        }
        let dialect = self.fixed.unwrap_or_else(|| self.signs.of_body(&fields));
        // A wrong one is told by the dialect, in its turn.
        let timeout = fields.count("timeout_ms").ok().flatten().map(|count| Duration::from_millis(count.into()));
        let deadline = timeout.filter(|timeout| !timeout.is_zero()).map(|timeout| self.started + timeout);
        let in_time = || is_wanted() && deadline.is_none_or(|deadline| Instant::now() < deadline);
        let request = dialect.decode(&fields.wanted_while(&in_time));
        Some(Decoded { dialect: Some(dialect), request })
    }
}

/// The error of a body whose reading took too long.
#[must_use]
pub fn out_of_time() -> Error {
    Error::new(ErrorKind::DeadlineExceeded, "the deadline passed while documents were read")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::super::native;
    use super::*;

    fn received(text: String) -> ReceivedBody {
        let signs = Signs { prefix: None, usual: &native::BARE };
        ReceivedBody { text: text.into(), halves: 0, fixed: None, signs, started: Instant::now() }
    }

    fn objects(count: usize, more: &str) -> ReceivedBody {
        let object = format!("{{{}\"z\":1}}", "\"name\":{\"of\":\"a field\"},".repeat(1_000));
        let documents = vec![object; count].join(",");
        received(format!("{{\"query\":\"q\",\"documents\":[{documents}]{more}}}"))
    }

    #[test]
    fn work_decides_whether_a_body_is_small() {
        let most = 1 << 20;
        let strings = vec![format!("\"{}\"", "words ".repeat(10_000)); 15].join(",");
        let plain = received(format!("{{\"query\":\"q\",\"documents\":[{strings}]}}"));
        assert!(plain.text.len() > 900_000 && plain.read_small(most).is_some());
        assert!(objects(6, "").read_small(most).is_some(), "140 KB of objects");
        assert!(objects(30, "").read_small(most).is_none(), "720 KB of objects");
        assert!(objects(6, ",\"rank_fields\":[\"name.of\"]").read_small(most).is_none(), "140 KB to be looked through");
        let inner = objects(30, "").text.replace("\"query\"", "\"input\":{\"query\"") + "}";
        assert!(received(inner).read_small(most).is_none(), "the same in DashScope's shape");
        assert!(plain.read_small(900_000).is_none(), "too many bytes, whatever they are");
    }

    #[test]
    fn reading_ends_once_nobody_waits() {
        let asked = Cell::new(0);
        let wanted_twice = || asked.replace(asked.get() + 1) < 2;
        let error = objects(10, "").read(&wanted_twice).request.unwrap_err();
        assert_eq!((error.kind, asked.get()), (ErrorKind::DeadlineExceeded, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn reading_ends_with_the_clients_own_deadline() {
        let body = objects(3, ",\"timeout_ms\":50");
        tokio::time::advance(Duration::from_millis(49)).await;
        assert_eq!(body.read(&|| true).request.unwrap().passages.len(), 3);
        tokio::time::advance(Duration::from_millis(2)).await;
        assert_eq!(body.read(&|| true).request.unwrap_err().kind, ErrorKind::DeadlineExceeded);
    }

    #[test]
    fn a_body_without_halves_has_no_warning_and_a_broken_one_no_second_chance() {
        let request = |text: &str| received(text.to_owned()).read(&|| true).request;
        assert!(request(r#"{"query":"\ud83d\ude00","documents":[]}"#).unwrap().warnings.is_empty());
        let warnings = request(r#"{"query":"q","documents":["a \ud83d",{"text":"b","m":"\ud83d"}]}"#).unwrap().warnings;
        let expected =
            "documents[0] holds a \\u escape that is half of a surrogate pair; halves that were read as U+FFFD: 2";
        assert_eq!(warnings, [expected]);
        let broken = request(r#"{"query":"\ud83d","documents":[}"#).unwrap_err();
        assert_eq!(broken.message, "the body is not valid JSON: expected value at line 1 column 32");
        let wrong = request(r#"{"query":"\ud83d","documents":7}"#).unwrap_err();
        assert_eq!(wrong.message, "documents is a number; it must be a list");
    }
    proptest! {
        /// Whatever units of UTF-16 a client writes, and wherever: all is read, and what is sent back is JSON for
        /// strict readers.
        #[test]
        fn any_units_are_read(units in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![0xD7FFu16..=0xE000, Just(0x22u16), Just(0x5Cu16)], 0..4), 6
        )) {
            let written: Vec<String> = units.iter()
                .map(|units| units.iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat()).collect();
            let [query, plain, name, value, id, other] = written.as_slice() else { unreachable!() };
            let body = received(format!(
                r#"{{"query":"{query}","documents":["{plain}",{{"x{name}":"{value}","id":"{id}"}}],"y{other}":1}}"#
            ));
            let request = body.read(&|| true).request.unwrap();
            prop_assert_eq!(&*request.query, String::from_utf16_lossy(&units[0]));
            prop_assert_eq!(&*request.passages[0].text, String::from_utf16_lossy(&units[1]));
            let object = request.passages[1].object.as_deref().unwrap();
            let source: serde_json::Value = serde_json::from_str(&object.source).unwrap();
            let value = &source[format!("x{}", String::from_utf16_lossy(&units[2]))];
            prop_assert_eq!(value.as_str().unwrap(), String::from_utf16_lossy(&units[3]));
            let id: String = serde_json::from_str(object.id.as_deref().unwrap()).unwrap();
            prop_assert_eq!(id, String::from_utf16_lossy(&units[4]));
            let is_whole = units.iter().all(|units| String::from_utf16(units).is_ok());
            prop_assert_eq!(request.warnings.is_empty(), is_whole);
        }
    }
}
