//! The provider's hint when to try again.
//!
//! Four headers are read, in this order: `retry-after-ms`, `Retry-After` (RFC 9110, section 10.2.3),
//! `x-ratelimit-reset` and `ratelimit-reset`. Their values differ by provider and are told apart by form and magnitude:
//!
//! ```text
//! 7, 0.5                        seconds from now (in retry-after-ms: milliseconds)
//! 1798000000                    seconds since 1970
//! 1798000000000                 milliseconds since 1970; with three more digits microseconds, with six nanoseconds
//! 250ms, 1s, 6m0s, 1h30m        a duration
//! Sun, 06 Nov 1994 08:49:37 GMT, 1994-11-06T08:49:37Z    a date
//! ```
//! A value that cannot be read is no hint. Neither is one that is more than a day ahead, because one wrong header would
//! then end all calls for a day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, header};

static RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
static RESETS: [HeaderName; 2] =
    [HeaderName::from_static("x-ratelimit-reset"), HeaderName::from_static("ratelimit-reset")];
/// Longest time that counts as a hint.
const MAX_HINT: Duration = Duration::from_hours(24);
/// Least number that means seconds since 1970 (March 1973), and not seconds from now (three years).
const MIN_UNIX_SECONDS: f64 = 1e8;
// The same day in smaller units. As seconds, these numbers would be dates after the year 5000.
const MIN_UNIX_MILLISECONDS: f64 = 1e11;
const MIN_UNIX_MICROSECONDS: f64 = 1e14;
const MIN_UNIX_NANOSECONDS: f64 = 1e17;

/// The provider's hint, as time from `now`; a day at most.
#[must_use]
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if let Some(value) = text(headers, &RETRY_AFTER_MS)
        && let Some(left) = time_left(value, 1e-3, now)
    {
        return Some(left);
    }
    // The first that can be read wins. The reset headers come last: they tell when a quota is full again, which may
    // be long after one more request would pass.
    for name in [&header::RETRY_AFTER, &RESETS[0], &RESETS[1]] {
        if let Some(value) = text(headers, name)
            && let Some(left) = time_left(value, 1.0, now)
        {
            return Some(left);
        }
    }
    None
}

/// The value of a header without blanks around it; `None` if it is not there or not ASCII.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.trim())
}

/// The time from `now` that a value means; small numbers are in units of `unit` seconds.
fn time_left(value: &str, unit: f64, now: SystemTime) -> Option<Duration> {
    let left = match value.parse::<f64>() {
        Ok(number) if number < MIN_UNIX_SECONDS => Duration::try_from_secs_f64(number * unit).ok()?,
        Ok(number) => {
            let seconds = match number {
                MIN_UNIX_NANOSECONDS.. => number / 1e9,
                MIN_UNIX_MICROSECONDS.. => number / 1e6,
                MIN_UNIX_MILLISECONDS.. => number / 1e3,
                _ => number,
            };
            until(UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?, now)
        }
        Err(_) => match duration(value) {
            Some(duration) => duration,
            None => until(date(value)?, now),
        },
    };
    (left <= MAX_HINT).then_some(left)
}

/// A date of HTTP or of RFC 3339.
fn date(value: &str) -> Option<SystemTime> {
    match httpdate::parse_http_date(value) {
        Ok(date) => Some(date),
        Err(_) => humantime::parse_rfc3339_weak(value).ok(),
    }
}

/// A duration such as `6m0s`: numbers with units, which are added up.
fn duration(value: &str) -> Option<Duration> {
    if value.is_empty() {
        return None;
    }
    let mut rest = value;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        seconds += number
            * match rest[..unit].trim() {
                "d" => 86_400.0,
                "h" => 3_600.0,
                "m" | "min" => 60.0,
                "s" | "sec" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// The time from `now` to `at`; zero if that has passed.
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
        assert_eq!(hint(&[(RETRY_AFTER_MS.clone(), "soon"), (header::RETRY_AFTER, "9")]), seconds(9));
        for nonsense in ["soon", "-3", "NaN", "inf", ""] {
            assert_eq!(hint(&[(header::RETRY_AFTER, nonsense)]), None, "{nonsense}");
        }
    }

    /// Attack 11: milliseconds since 1970 were read as seconds, and one 429 ended all calls for an hour.
    #[test]
    fn seconds_milliseconds_and_durations_are_told_apart_by_magnitude() {
        for (value, milliseconds) in [
            ("784111787", Some(10_000)),
            ("784111787.5", Some(10_500)),
            ("784111787250", Some(10_250)),
            ("784111787250000", Some(10_250)),
            ("784111787250000000", Some(10_250)),
            ("784111700", Some(0)),
            ("784111700000", Some(0)),
            ("0", Some(0)),
            ("7", Some(7_000)),
            ("1s", Some(1_000)),
            ("6m0s", Some(360_000)),
            ("250ms", Some(250)),
            ("1h0.5m", Some(3_630_000)),
            ("1m 30s", Some(90_000)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60_000)),
            ("1994-11-06T08:50:37Z", Some(60_000)),
            ("86400", Some(86_400_000)),
            ("86401", None),
            ("784198178", None),
            ("784198178000", None),
            ("25h", None),
            ("1795000000", None),
            ("99999999999999", None),
            ("1e300", None),
            ("5 parsecs", None),
            ("s", None),
            ("1..2s", None),
        ] {
            for name in [header::RETRY_AFTER].iter().chain(&RESETS) {
                let expected = milliseconds.map(Duration::from_millis);
                let found = hint(&[(name.clone(), value)]);
                assert_eq!(found.map(|hint| hint.as_millis()), expected.map(|hint| hint.as_millis()), "{name} {value}");
            }
        }
    }

    #[test]
    fn retry_after_comes_before_the_reset_of_a_quota() {
        for reset in &RESETS {
            let found = hint(&[(reset.clone(), "9"), (header::RETRY_AFTER, "7")]);
            assert_eq!(found, Some(Duration::from_secs(7)), "{reset}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(value in "[ -~]{0,40}|[0-9.]{1,9}[a-z]{0,2}[0-9.]{0,9}[a-zµ]{0,2}") {
            for name in [header::RETRY_AFTER, RETRY_AFTER_MS.clone()].iter().chain(&RESETS) {
                prop_assert!(hint(&[(name.clone(), &value)]).is_none_or(|hint| hint <= MAX_HINT));
            }
        }
    }
}
