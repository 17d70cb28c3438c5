//! Calendar dates.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds of a day without leap seconds, as clocks of computers count them.
const SECONDS_A_DAY: u64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_EPOCH: u64 = 719_468;
/// Days of 400 years, after which the calendar repeats.
const DAYS_AN_ERA: u64 = 146_097;
/// Days from 1970-01-01 to 9999-12-31, the last date with four digits for its year.
const MAX_DAYS: u64 = 2_932_896;

/// A calendar date, as `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date([u8; 10]);

impl Date {
    /// The date that `text` writes as `YYYY-MM-DD`; `None` if it writes none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 10] = text.as_bytes().try_into().ok()?;
        for (at, byte) in bytes.into_iter().enumerate() {
            let is_expected = if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
            if !is_expected {
                return None;
            }
        }
        let year: u16 = text[..4].parse().ok()?;
        let month: u8 = text[5..7].parse().ok()?;
        let day: u8 = text[8..].parse().ok()?;
        let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let last = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if is_leap => 29,
            2 => 28,
            _ => return None,
        };
        (1..=last).contains(&day).then_some(Self(bytes))
    }

    /// The date as `YYYY-MM-DD`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Never empty: the bytes are digits and hyphens.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The date of a moment in Coordinated Universal Time, by the calendar in use today; that of 1970-01-01 for moments
    /// before it.
    #[must_use]
    pub fn of(moment: SystemTime) -> Self {
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        // Year 10,000 and later have no place here.
        let days = (since.as_secs() / SECONDS_A_DAY).min(MAX_DAYS);
        // Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day is their last.
        let shifted = days + DAYS_TO_EPOCH;
        let era = shifted / DAYS_AN_ERA;
        let day_of_era = shifted % DAYS_AN_ERA;
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let mut text = [b'-'; 10];
        for (at, digits, number) in [(0, 4, year), (5, 2, month), (8, 2, day)] {
            write_digits(&mut text[at..at + digits], number);
        }
        Self(text)
    }

    /// The days since 1970-01-01; negative before it.
    #[must_use]
    pub fn days(self) -> i64 {
        let part = |range: std::ops::Range<usize>| {
            self.0[range].iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'))
        };
        let (month, day) = (part(5..7), part(8..10));
        // Hinnant's `days_from_civil`, of years from March on; no year is negative.
        let year = part(0..4) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }
}

/// Writes `number` in as many decimal digits as `digits` has places.
fn write_digits(digits: &mut [u8], number: u64) {
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        // Below 10, so it fits.
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_years_months_and_days() {
        for date in ["2026-11-28", "1999-01-31"] {
            assert_eq!(Date::parse(date).unwrap().as_str(), date);
        }
        for text in
            ["", "2026-11-2", "2026-13-01", "2026-00-10", "2026-01-32", "2026/01/02", "2O26-01-02", "2026-1-002"]
        {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }

    #[test]
    fn moments_have_dates_and_dates_have_days() {
        for (days, date) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (20_787, "2026-11-30"),
            (MAX_DAYS, "9999-12-31"),
        ] {
            let last_second = Duration::from_secs((days + 1) * SECONDS_A_DAY - 1);
            let found = Date::of(UNIX_EPOCH + last_second);
            assert_eq!(found.as_str(), date);
            assert_eq!(found.days().unsigned_abs(), days, "{date}");
        }
        assert_eq!(Date::of(UNIX_EPOCH - Duration::from_secs(1)).as_str(), "1970-01-01");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = Date::of(UNIX_EPOCH);
        for day in 1..60_000 {
            let date = Date::of(UNIX_EPOCH + Duration::from_secs(day * SECONDS_A_DAY));
            assert!(before < date && date.days() == before.days() + 1, "{date:?}");
            assert_eq!(Date::parse(date.as_str()), Some(date));
            before = date;
        }
    }
}
