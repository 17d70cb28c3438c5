//! Bounds of connections: those that are fixed, and those that follow from the machine.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::config::settings::ServerSettings;

/// Most connections where neither the configuration nor the descriptors of the process say less.
const DEFAULT_MAX_CONNECTIONS: usize = 4_096;
/// Fewest connections that the limit of descriptors leads to.
const MIN_CONNECTIONS: usize = 16;

/// Most bytes of requests and answers in memory where neither the configuration nor the container says less.
const DEFAULT_BODY_BYTES_IN_FLIGHT: usize = 512 << 20;
/// Version 1 of control groups says "no limit" by a number near the largest.
const UNLIMITED_BYTES: usize = 1 << 60;

/// Longest time that the rest of a body is read and dropped after the answer to its request, as nginx has it (`lingering_time`).
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest pause of a client in that time (`lingering_timeout` of nginx).
pub(super) const DRAIN_IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of such a rest that are read at least; twice `server.max_body_bytes` where that is more.
const MIN_DRAIN_BYTES: u64 = 64 << 20;

/// Bytes of an answer that go to the connection at once: what a slow client must take within `server.write_timeout`.
pub(super) const ANSWER_CHUNK_BYTES: usize = 256 << 10;
/// Longest time that a connection which was told to close and has nothing under way takes to do so.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Most requests of one HTTP/2 connection at once.
pub(super) const HTTP2_MAX_STREAMS: u32 = 200;
/// Most bytes of the headers of one HTTP/2 request.
pub(super) const HTTP2_MAX_HEADER_BYTES: u32 = 16 << 10;
/// Most bytes that are read ahead of an HTTP/1.1 client; its headers must fit. No other bound counts them, so all connections together may take
/// `server.max_connections` times as much: 128 MiB by default.
pub(super) const HTTP1_BUFFER_BYTES: usize = 32 << 10;
/// Most headers of one HTTP/1.1 request.
pub(super) const HTTP1_MAX_HEADERS: usize = 100;
/// Most HTTP/2 requests that were cancelled by the client and not yet looked at ("rapid reset").
pub(super) const HTTP2_MAX_PENDING_RESETS: usize = 20;
/// Most HTTP/2 requests that were reset here for a fault of the client.
pub(super) const HTTP2_MAX_LOCAL_RESETS: usize = 1_024;
/// Bytes that an HTTP/2 client may send of one request, and of one connection, before they are read.
pub(super) const HTTP2_WINDOW_BYTES: u32 = 1 << 20;
/// Pause between pings to HTTP/2 clients.
pub(super) const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);
/// Longest time to the answer to a ping.
pub(super) const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Most requests, of all connections, whose body is not there yet; at least two of each connection.
const MIN_MAX_UNREAD_REQUESTS: usize = 8_192;

/// What one connection may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Longest time to the end of a request's headers, from its first byte or from the beginning of the connection.
    pub(super) header_timeout: Duration,
    /// Longest time between two requests.
    pub(super) idle_timeout: Duration,
    /// Longest time in which an answer gets no further.
    pub(super) write_timeout: Duration,
    /// Most bytes of a body that are read after the answer to its request.
    pub(super) max_drain_bytes: u64,
}

impl Limits {
    pub(super) fn new(settings: &ServerSettings) -> Self {
        let max_body_bytes = u64::try_from(settings.max_body_bytes).unwrap_or(u64::MAX);
        Self {
            header_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
            write_timeout: settings.write_timeout,
            max_drain_bytes: max_body_bytes.saturating_mul(2).max(MIN_DRAIN_BYTES),
        }
    }

    /// What has begun and is no request yet will hardly be one: little time for it.
    pub(super) fn close_soon(&mut self) {
        self.header_timeout = CLOSE_TIMEOUT.min(self.header_timeout);
        self.idle_timeout = CLOSE_TIMEOUT.min(self.idle_timeout);
    }

    /// The soonest that anything can become overdue which has not begun yet.
    pub(super) fn shortest(&self) -> Duration {
        self.header_timeout.min(self.idle_timeout).min(self.write_timeout)
    }
}

/// Most connections at once: as configured, else 4,096, or three quarters of the descriptors that the process may open.
pub(super) fn max_connections(configured: Option<usize>) -> usize {
    configured.unwrap_or_else(|| {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        match max_descriptors(&limits) {
            Some(descriptors) => DEFAULT_MAX_CONNECTIONS.min(descriptors / 4 * 3).max(MIN_CONNECTIONS),
            None => DEFAULT_MAX_CONNECTIONS,
        }
    })
}

/// Most bytes of requests and answers in memory at once: as configured, else an eighth of the memory that the container may use, which with
/// what is made of a body comes to a third; at least one body.
pub(super) fn max_body_bytes_in_flight(configured: Option<usize>, max_body_bytes: usize) -> usize {
    configured.unwrap_or_else(|| {
        let limit =
            memory_limit(Path::new("/sys/fs/cgroup"), &fs::read_to_string("/proc/self/cgroup").unwrap_or_default());
        limit.map_or(DEFAULT_BODY_BYTES_IN_FLIGHT, |limit| limit / 8).max(max_body_bytes)
    })
}

/// The least of the limits that the control groups of a process set to its memory: those of version 2, and that of version 1 as containers see it.
fn memory_limit(root: &Path, membership: &str) -> Option<usize> {
    let own = membership.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let mut files: Vec<_> = root.join(own).ancestors().map(|group| group.join("memory.max")).collect();
    files.push(root.join("memory/memory.limit_in_bytes"));
    let mut least: Option<usize> = None;
    for file in files.iter().filter(|file| file.starts_with(root)) {
        let limit = fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<usize>().ok());
        if let Some(limit) = limit.filter(|limit| *limit < UNLIMITED_BYTES) {
            least = Some(least.map_or(limit, |least| least.min(limit)));
        }
    }
    least
}

/// Most requests at once whose body is not there yet.
pub(super) fn max_unread_requests(max_connections: usize) -> usize {
    max_connections.saturating_mul(2).max(MIN_MAX_UNREAD_REQUESTS)
}

/// The soft limit of open files in Linux's description of a process's limits.
fn max_descriptors(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_read_from_the_systems_table() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             127482               127482               processes \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(max_descriptors(limits), Some(1_024));
        assert_eq!(max_descriptors("Max open files            unlimited            unlimited            files"), None);
        assert_eq!(max_descriptors(""), None);
    }

    #[test]
    fn memory_is_bounded_by_the_tightest_control_group() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(memory_limit(root.path(), "0::/"), None);
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(memory_limit(root.path(), ""), None, "no limit in version 1");
        write("memory.max", "max\n");
        assert_eq!(memory_limit(root.path(), "0::/"), None, "no limit in version 2");
        write("slice/app/memory.max", "536870912\n");
        write("slice/memory.max", "1073741824\n");
        assert_eq!(memory_limit(root.path(), "1:name=x:/y\n0::/slice/app\n"), Some(512 << 20));
        write("memory/memory.limit_in_bytes", "268435456\n");
        assert_eq!(memory_limit(root.path(), "0::/slice"), Some(256 << 20));
        assert_eq!(max_body_bytes_in_flight(Some(5), 10), 5);
        assert!(max_body_bytes_in_flight(None, usize::MAX) == usize::MAX, "one body fits");
    }

    #[test]
    fn connections_are_bounded_by_default() {
        assert_eq!(max_connections(Some(7)), 7);
        assert!((MIN_CONNECTIONS..=DEFAULT_MAX_CONNECTIONS).contains(&max_connections(None)));
        assert_eq!(max_unread_requests(4_096), 8_192);
        assert_eq!(max_unread_requests(10_000), 20_000);
    }
}
