//! Reading a body into a request, in any dialect.
//!
//! A lone surrogate is valid JSON but not text. A body that holds one is read a second time with U+FFFD in its
//! place, and the answer warns about it. A body without one costs nothing extra.

use std::time::Duration;

use faststr::FastStr;
use rerankd_core::error::{Error, ErrorKind};
use rerankd_core::text::{with_lone_surrogates_replaced, without_mark};
use rerankd_core::types::request::RerankRequest;
use tokio::time::Instant;

use super::Dialect;
use super::choose::DialectChoice;
use super::fields::Fields;
use super::request_fields::TIMEOUT_MS;
use super::unread_fields::{refusal_of_ignored, warning_of_ignored};

/// A body as it came in, with the facts that decide how it is read.
#[derive(Debug)]
pub struct ReceivedBody {
    /// The JSON text.
    pub text: FastStr,
    /// Number of lone surrogates that stood in the body as bytes and were already replaced by U+FFFD.
    pub lone_surrogates: usize,
    /// The choice of the dialect, which the fields of the body complete.
    pub dialect: DialectChoice,
    /// Arrival of the request. `timeout_ms` counts from here.
    pub started: Instant,
    /// True if a field that the dialect does not read is an error, because the request has `X-Rerankd-Strict: true`.
    pub is_strict: bool,
}

/// The result of reading a body.
#[derive(Debug)]
pub struct Decoded {
    /// The dialect; `None` if the fields of the body could not be read.
    pub dialect: Option<&'static dyn Dialect>,
    /// The request, or the error to answer in that dialect.
    pub request: Result<RerankRequest, Error>,
}

impl ReceivedBody {
    /// Reads the body if that is no more work than reading `most` bytes of plain strings. `None` if it is more.
    #[must_use]
    pub fn read_small(&self, most: usize) -> Option<Decoded> {
        if self.text.len() > most { None } else { self.read_within(most, &|| true) }
    }

    /// Reads the body while `is_wanted` returns true. It is called before each document that is not a plain string.
    #[must_use]
    pub fn read(&self, is_wanted: &dyn Fn() -> bool) -> Decoded {
        // No body exceeds this limit, so the default is never taken.
        self.read_within(usize::MAX, is_wanted)
            .unwrap_or_else(|| Decoded { dialect: None, request: Err(out_of_time()) })
    }

    /// Reads the body; `None` if that is more work than `max_work` bytes of plain strings.
    fn read_within(&self, max_work: usize, is_wanted: &dyn Fn() -> bool) -> Option<Decoded> {
        let mut decoded = self.read_with_second_chance(max_work, is_wanted)?;
        if self.lone_surrogates > 0
            && let Ok(request) = &mut decoded.request
        {
            request.warnings.push(format!(
                "the body holds surrogates in bytes, which are not UTF-8; halves that were read as U+FFFD: {}",
                self.lone_surrogates
            ));
        }
        Some(decoded)
    }

    /// Reads the body, and once more with U+FFFD for each lone surrogate if one made the first reading fail.
    fn read_with_second_chance(&self, max_work: usize, is_wanted: &dyn Fn() -> bool) -> Option<Decoded> {
        let text = self.text.slice_ref(without_mark(&self.text));
        let decoded = self.read_once(&text, max_work, is_wanted)?;
        let Err(error) = &decoded.request else { return Some(decoded) };
        if error.kind != ErrorKind::InvalidJson {
            return Some(decoded);
        }
        let Some((replaced, count)) = with_lone_surrogates_replaced(&text) else { return Some(decoded) };
        // Only an error about one value has a pointer. Without one, the surrogate stands in the name of a field.
        let cause = match error.pointer {
            Some(_) => error.message.clone(),
            None => "a name holds a \\u escape that is half of a surrogate pair".to_owned(),
        };
        let mut second = self.read_once(&replaced.into(), max_work, is_wanted)?;
        if let Ok(request) = &mut second.request {
            request.warnings.push(format!("{cause}; halves that were read as U+FFFD: {count}"));
        }
        Some(second)
    }

    /// Reads JSON; `None` if that is more work than `max_work` bytes of plain strings.
    fn read_once(&self, text: &FastStr, max_work: usize, is_wanted: &dyn Fn() -> bool) -> Option<Decoded> {
        let fields = match Fields::read(text) {
            Ok(fields) => fields,
            Err(error) => return Some(Decoded { dialect: None, request: Err(error) }),
        };
        if fields.work_bytes() > max_work {
            return None;
        }
        let dialect = self.dialect.after_body(&fields);
        // A malformed `timeout_ms` is ignored here; the dialect reports it. 0 sets no deadline.
        let deadline = match fields.count(TIMEOUT_MS.path) {
            Ok(Some(milliseconds)) if milliseconds > 0 => {
                Some(self.started + Duration::from_millis(milliseconds.into()))
            }
            _ => None,
        };
        if self.is_strict
            && let Some(error) = fields.unread().refusal()
        {
            return Some(Decoded { dialect: Some(dialect), request: Err(error) });
        }
        let wanted = || is_wanted() && deadline.is_none_or(|deadline| Instant::now() < deadline);
        let fields = fields.wanted_while(&wanted);
        let mut request = dialect.decode(&fields);
        if let Ok(read) = &mut request {
            read.warnings.extend(fields.unread().warnings());
            let ignored = fields.ignored();
            if self.is_strict
                && let Some(path) = ignored.first()
            {
                request = Err(refusal_of_ignored(path, dialect));
            } else {
                read.warnings.extend(ignored.iter().map(|path| warning_of_ignored(path, dialect)));
            }
        }
        Some(Decoded { dialect: Some(dialect), request })
    }
}

/// The error of a body that could not be read before the deadline.
#[must_use]
pub fn out_of_time() -> Error {
    Error::new(ErrorKind::DeadlineExceeded, "the deadline passed while documents were read")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use http::HeaderMap;
    use proptest::prelude::*;

    use super::super::choose::PathDialects;
    use super::super::native;
    use super::*;

    fn received(text: String) -> ReceivedBody {
        let path = PathDialects { prefix: None, default: &native::BARE };
        let dialect = DialectChoice::before_body(path, &HeaderMap::new(), None);
        ReceivedBody { text: text.into(), lone_surrogates: 0, dialect, started: Instant::now(), is_strict: false }
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
        let error = objects(10, "").read(&|| asked.replace(asked.get() + 1) < 2).request.unwrap_err();
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
    fn a_body_without_lone_surrogates_has_no_warning_and_a_broken_one_no_second_chance() {
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
        /// Any UTF-16 units in any place are read, and the JSON that is sent back passes a strict reader.
        #[test]
        fn any_units_are_read(units in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![0xD7FFu16..=0xE000, Just(0x22u16), Just(0x5Cu16)], 0..4), 6
        )) {
            let mut written = Vec::new();
            for units in &units {
                let escapes: Vec<String> = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
                written.push(escapes.concat());
            }
            let [query, plain, name, value, id, other] = written.as_slice() else { unreachable!() };
            let body = received(format!(
                r#"{{"query":"{query}","documents":["{plain}",{{"x{name}":"{value}","id":"{id}"}}],"y{other}":1}}"#
            ));
            let request = body.read(&|| true).request.unwrap();
            prop_assert_eq!(&*request.query, String::from_utf16_lossy(&units[0]));
            prop_assert_eq!(request.passages.get(0).text, String::from_utf16_lossy(&units[1]));
            let object = request.passages.get(1).object.unwrap();
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
