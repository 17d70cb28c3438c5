//! When a provider wants to be asked again.
//!
//! Understood: `retry-after-ms` (milliseconds), `Retry-After` in seconds (RFC 9110, section 10.2.3; fractions are seen in the
//! wild) or as a date, and `x-ratelimit-reset` as Unix seconds (Cohere). Nonsense is no hint.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, header};

static RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
static RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// Longest hint that is taken at its word; anything above is cut to it.
const LONGEST: Duration = Duration::from_hours(168);

/// The provider's hint, as time from `now`.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let from_ms = || text(&RETRY_AFTER_MS).and_then(number).map(|milliseconds| milliseconds / 1000.0).and_then(seconds);
    let standard = || {
        let value = text(&header::RETRY_AFTER)?;
        number(value).and_then(seconds).or_else(|| Some(until(httpdate::parse_http_date(value).ok()?, now)))
    };
    let reset = || {
        let at = UNIX_EPOCH.checked_add(seconds(number(text(&RATE_LIMIT_RESET)?)?)?)?;
        Some(until(at, now))
    };
    from_ms().or_else(standard).or_else(reset).map(|hint| hint.min(LONGEST))
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

/// A time that has passed is now.
fn until(at: SystemTime, now: SystemTime) -> Duration {
    at.duration_since(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn hint(headers: &[(HeaderName, &str)]) -> Option<Duration> {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        let header = |(name, value): &(HeaderName, &str)| (name.clone(), HeaderValue::from_str(value).unwrap());
        retry_after(&headers.iter().map(header).collect(), now)
    }

    #[test]
    fn every_form_is_understood_and_nonsense_is_no_hint() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(hint(&[]), None);
        assert_eq!(hint(&[(header::RETRY_AFTER, "7")]), seconds(7));
        assert_eq!(hint(&[(header::RETRY_AFTER, " 0.5 ")]), Some(Duration::from_millis(500)));
        assert_eq!(hint(&[(header::RETRY_AFTER, "Sun, 06 Nov 1994 08:50:37 GMT")]), seconds(60));
        assert_eq!(hint(&[(header::RETRY_AFTER, "Sun, 06 Nov 1994 08:40:00 GMT")]), seconds(0));
        assert_eq!(
            hint(&[(RETRY_AFTER_MS.clone(), "250"), (header::RETRY_AFTER, "9")]),
            Some(Duration::from_millis(250))
        );
        assert_eq!(hint(&[(RATE_LIMIT_RESET.clone(), "784111787")]), seconds(10));
        assert_eq!(hint(&[(header::RETRY_AFTER, "99999999999999")]), Some(LONGEST));
        for nonsense in ["soon", "-3", "NaN", "inf", ""] {
            assert_eq!(hint(&[(header::RETRY_AFTER, nonsense)]), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(value in "[ -~]{0,40}") {
            for name in [header::RETRY_AFTER, RETRY_AFTER_MS.clone(), RATE_LIMIT_RESET.clone()] {
                prop_assert!(hint(&[(name, &value)]).is_none_or(|hint| hint <= LONGEST));
            }
        }
    }
}
