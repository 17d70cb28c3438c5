//! The limits of connections: fixed ones, and those that follow from the machine.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::http::settings::ServerSettings;

/// Limit of connections if neither the configuration nor the descriptors of the process set a lower one. Their buffers
/// may take 128 MiB ([`HTTP1_BUFFER_BYTES`]).
const DEFAULT_MAX_CONNECTIONS: usize = 4_096;
/// Lowest limit of connections that the descriptors of the process lead to.
const MIN_CONNECTIONS: usize = 16;

/// Limit of bytes of requests and answers in memory if neither the configuration nor the container sets one.
const DEFAULT_BODY_BYTES_IN_FLIGHT: usize = 512 << 20;
/// Bytes from which on a memory limit means none: control groups of version 1 write a number near the largest.
const UNLIMITED_BYTES: usize = 1 << 60;

/// Time for which the rest of a body is read and dropped after its request was answered (nginx: `lingering_time`).
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest pause of a client in that time (nginx: `lingering_timeout`).
pub(super) const DRAIN_IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// Lowest limit of bytes that are read and dropped of one body; the limit is twice `server.max_body_bytes` if that is
/// more.
const MIN_DRAIN_BYTES: u64 = 64 << 20;

/// Size of the chunks of an answer. A slow client must take one within `server.write_timeout`.
pub(super) const ANSWER_CHUNK_BYTES: usize = 256 << 10;
/// Time that a connection has to close after it was told to, if nothing is in flight.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

// The limits of HTTP/1.1 and HTTP/2 are mostly the defaults of hyper and h2, written down so that no update changes
// them. Not so the buffer, which would be 408 KiB a connection, and the interval of pings, which would be none.

/// Limit of requests in flight on one HTTP/2 connection.
pub(super) const HTTP2_MAX_STREAMS: u32 = 200;
/// Limit of bytes of the headers of one HTTP/2 request.
pub(super) const HTTP2_MAX_HEADER_BYTES: u32 = 16 << 10;
/// Size of the read buffer of an HTTP/1.1 connection; headers must fit. The memory budget does not count it, so all
/// connections together may take `server.max_connections` times as much: 128 MiB by default.
pub(super) const HTTP1_BUFFER_BYTES: usize = 32 << 10;
/// Limit of headers of one HTTP/1.1 request.
pub(super) const HTTP1_MAX_HEADERS: usize = 100;
/// Limit of HTTP/2 requests that the client has cancelled before they were accepted ("rapid reset").
pub(super) const HTTP2_MAX_PENDING_RESETS: usize = 20;
/// Limit of HTTP/2 requests that were reset here because of an error of the client.
pub(super) const HTTP2_MAX_LOCAL_RESETS: usize = 1_024;
/// Flow-control window in bytes, of one HTTP/2 request and of one connection.
pub(super) const HTTP2_WINDOW_BYTES: u32 = 1 << 20;
/// Interval of pings to HTTP/2 clients, by which a connection is noticed whose other end is gone.
pub(super) const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);
/// Time that a client has to answer a ping.
pub(super) const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Lowest limit of unread request bodies, over all connections: two for each of [`DEFAULT_MAX_CONNECTIONS`].
const MIN_MAX_UNREAD_REQUESTS: usize = 8_192;

/// The timeouts and limits of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// Time to the end of a request's headers, from its first byte or from the beginning of the connection.
    pub(super) header_timeout: Duration,
    /// Time between two requests.
    pub(super) idle_timeout: Duration,
    /// Time without progress of an answer.
    pub(super) write_timeout: Duration,
    /// Bytes that are read and dropped of one body after its request was answered.
    pub(super) max_drain_bytes: u64,
}

impl ConnectionLimits {
    /// The limits that the settings set or imply.
    pub(super) fn new(settings: &ServerSettings) -> Self {
        let max_body_bytes = u64::try_from(settings.max_body_bytes).unwrap_or(u64::MAX);
        Self {
            header_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
            write_timeout: settings.write_timeout,
            max_drain_bytes: max_body_bytes.saturating_mul(2).max(MIN_DRAIN_BYTES),
        }
    }

    /// Shortens the time for headers and for idleness to [`CLOSE_TIMEOUT`].
    pub(super) fn close_soon(&mut self) {
        self.header_timeout = CLOSE_TIMEOUT.min(self.header_timeout);
        self.idle_timeout = CLOSE_TIMEOUT.min(self.idle_timeout);
    }

    /// The shortest of the timeouts.
    pub(super) fn shortest(&self) -> Duration {
        self.header_timeout.min(self.idle_timeout).min(self.write_timeout)
    }
}

/// The limit of connections: as configured, else 4,096 or three quarters of the process's limit of descriptors,
/// whichever is lower.
pub(super) fn max_connections(configured: Option<usize>) -> usize {
    if let Some(configured) = configured {
        return configured;
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    match max_descriptors(&limits) {
        // The other quarter is for calls to upstreams, files and the log.
        Some(descriptors) => DEFAULT_MAX_CONNECTIONS.min(descriptors / 4 * 3).max(MIN_CONNECTIONS),
        None => DEFAULT_MAX_CONNECTIONS,
    }
}

/// The limit of bytes of requests and answers in memory: as configured, else an eighth of the container's memory, but
/// at least one body.
pub(super) fn max_body_bytes_in_flight(configured: Option<usize>, max_body_bytes: usize) -> usize {
    if let Some(configured) = configured {
        return configured;
    }
    let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limit = match memory_limit(Path::new("/sys/fs/cgroup"), &membership) {
        // Decoding and scoring take further memory: an eighth of bodies comes to five eighths (`docs/operations.md`).
        Some(container_bytes) => container_bytes / 8,
        None => DEFAULT_BODY_BYTES_IN_FLIGHT,
    };
    limit.max(max_body_bytes)
}

/// The lowest memory limit, in bytes, of the control groups that a process belongs to: its group of version 2 and all
/// above it, and the one of version 1 that a container sees.
fn memory_limit(root: &Path, membership: &str) -> Option<usize> {
    let own_group = membership.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let mut files: Vec<_> = root.join(own_group).ancestors().map(|group| group.join("memory.max")).collect();
    files.push(root.join("memory/memory.limit_in_bytes"));
    let mut lowest: Option<usize> = None;
    for file in files {
        // The ancestors go up to `/`, beyond the root of the control groups.
        if !file.starts_with(root) {
            continue;
        }
        let Ok(text) = fs::read_to_string(&file) else { continue };
        // Version 2 writes `max` for no limit.
        let Ok(limit) = text.trim().parse::<usize>() else { continue };
        if limit < UNLIMITED_BYTES && lowest.is_none_or(|known| limit < known) {
            lowest = Some(limit);
        }
    }
    lowest
}

/// The limit of requests whose body has not arrived in full: two for each connection, or [`MIN_MAX_UNREAD_REQUESTS`] if
/// that is more.
pub(super) fn max_unread_requests(max_connections: usize) -> usize {
    max_connections.saturating_mul(2).max(MIN_MAX_UNREAD_REQUESTS)
}

/// The soft limit of open files, from the text of Linux's `/proc/self/limits`.
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
