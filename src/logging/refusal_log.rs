//! Limit on log lines about refused requests. Anybody can cause refusals without a key, and must not fill the log.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Shortest time between two lines about the same kind of refusal.
const INTERVAL: Duration = Duration::from_secs(1);

/// Limits the log to one line a second for each error code of requests that were refused before their caller was known,
/// and counts the ones left out.
#[derive(Debug, Default)]
pub struct RefusalLog(Mutex<Vec<Refusals>>);

#[derive(Debug)]
struct Refusals {
    code: &'static str,
    last_line: Instant,
    /// Number of refusals since the last line, which had none of their own.
    left_out: u64,
}

impl RefusalLog {
    /// An empty log.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The number of refusals with this code that were left out since its last line, if a line is due at `now`; `None`
    /// if this one is to be left out too. The code is an error's, or `accept` for connections that were not accepted.
    pub fn due(&self, code: &'static str, now: Instant) -> Option<u64> {
        let mut codes = self.0.lock();
        // A list, because there are few codes: it never grows beyond the kinds of errors.
        let Some(refusals) = codes.iter_mut().find(|refusals| refusals.code == code) else {
            codes.push(Refusals { code, last_line: now, left_out: 0 });
            return Some(0);
        };
        if now.duration_since(refusals.last_line) < INTERVAL {
            refusals.left_out += 1;
            return None;
        }
        refusals.last_line = now;
        Some(std::mem::take(&mut refusals.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_gets_one_line_a_second_with_the_count_left_out() {
        let log = RefusalLog::new();
        let start = Instant::now();
        assert_eq!(log.due("unauthorized", start), Some(0));
        assert_eq!(log.due("unauthorized", start), None);
        assert_eq!(log.due("not_found", start), Some(0), "each code for itself");
        assert_eq!(log.due("unauthorized", start + INTERVAL / 2), None);
        assert_eq!(log.due("unauthorized", start + INTERVAL), Some(2));
        assert_eq!(log.due("unauthorized", start + 2 * INTERVAL), Some(0));
    }
}
