//! Log lines on their way to standard error: a bounded buffer that a thread of its own writes out (law 12
//! of `docs/guarantees.md`).
//!
//! A caller that logs copies its line into the buffer and goes on. The thread swaps the full buffer for an empty one
//! and writes it as a whole, so that at most two of them exist. Lines that find no space, and lines that cannot be
//! written, are counted and dropped.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes of lines that may wait while others are being written; about 3,000 lines.
const MAX_WAITING_BYTES: usize = 512 * 1024;
/// Bytes of one line; a longer one is cut, so that it does not take the space of many others.
pub(super) const MAX_LINE_BYTES: usize = 16 * 1024;
/// The end of a line that was cut.
const CUT: &[u8] = b" [cut]\n";
/// Capacity in bytes that an empty buffer keeps for the next lines.
const KEPT_CAPACITY: usize = 16 * 1024;
/// Pause before another try at a sink that takes nothing at the moment (a non-blocking pipe that is full).
const RETRY_PAUSE: Duration = Duration::from_millis(10);
/// Shortest time between two lines about dropped lines.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// A bounded buffer of log lines.
#[derive(Debug)]
pub(super) struct LogQueue {
    state: Mutex<QueueState>,
    /// Notified of every change of `state`. Both the thread and [`Self::close`] may be waiting.
    changed: Condvar,
    /// Number of lines lost, for want of space or because the sink did not take them.
    dropped: Counter,
}

#[derive(Debug, Default)]
struct QueueState {
    /// Whole lines, each with its line break.
    waiting: Vec<u8>,
    /// True while the thread holds lines that are not written yet.
    is_writing: bool,
    /// True once the thread is to end when no lines wait.
    is_closed: bool,
}

impl LogQueue {
    /// A queue whose lines a new thread writes to `sink`. Lines that are lost are counted in `dropped`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(sink: impl Write + Send + 'static, dropped: Counter) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self { state: Mutex::default(), changed: Condvar::new(), dropped });
        let writer = queue.clone();
        thread::Builder::new().name("log-writer".to_owned()).spawn(move || writer.write_to(sink))?;
        Ok(queue)
    }

    /// Takes a line over, or drops it if there is no space. Never waits for the sink.
    fn push(&self, line: &[u8]) {
        let is_too_long = line.len() > MAX_LINE_BYTES;
        let kept = if is_too_long { cut(line) } else { line };
        let end: &[u8] = if is_too_long { CUT } else { b"" };
        let mut state = self.state.lock();
        if state.waiting.len() + kept.len() + end.len() > MAX_WAITING_BYTES {
            drop(state);
            self.dropped.inc();
            return;
        }
        state.waiting.extend_from_slice(kept);
        state.waiting.extend_from_slice(end);
        // The thread that wakes up must not find the lock taken.
        drop(state);
        self.changed.notify_all();
    }

    /// Lets the thread write the lines that wait and end. Returns when they are written, or after `timeout`.
    pub(super) fn close(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        state.is_closed = true;
        self.changed.notify_all();
        while state.is_writing || !state.waiting.is_empty() {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return;
            }
        }
    }

    /// Writes lines to `sink` until the queue is closed and empty.
    fn write_to(&self, mut sink: impl Write) {
        let mut batch = Vec::new();
        let mut report = Report::default();
        let mut is_sink_working = true;
        while self.take(&mut batch) {
            // The buffer was just emptied, so there is space for a line of our own. While the sink fails, that line
            // would be lost like the ones it tells of.
            if is_sink_working && let Some(lines) = report.due(self.dropped.get(), Instant::now()) {
                tracing::warn!(lines, "log lines were dropped: standard error takes them too slowly, or not at all");
            }
            let lost = write_lines(&mut sink, &batch);
            self.dropped.inc_by(lost);
            is_sink_working = lost == 0;
            batch.clear();
            // A burst must not hold its memory for good.
            batch.shrink_to(KEPT_CAPACITY);
        }
    }

    /// Moves all waiting lines into `batch`, which must be empty; waits for some if there are none. Returns false if
    /// the queue is closed and empty.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        let mut state = self.state.lock();
        // The last batch has been written, which `close` may be waiting for.
        state.is_writing = false;
        self.changed.notify_all();
        while state.waiting.is_empty() {
            if state.is_closed {
                return false;
            }
            self.changed.wait(&mut state);
        }
        mem::swap(&mut state.waiting, batch);
        state.is_writing = true;
        true
    }
}

/// Takes one line a call, which is how the subscriber writes.
impl Write for &LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The adapter through which the subscriber writes to a queue.
#[derive(Debug)]
pub(super) struct LogLines(pub(super) Arc<LogQueue>);

impl<'a> MakeWriter<'a> for LogLines {
    type Writer = &'a LogQueue;

    fn make_writer(&'a self) -> Self::Writer {
        &self.0
    }
}

/// The schedule of the lines about dropped lines.
#[derive(Debug, Default)]
struct Report {
    /// Number of dropped lines in earlier reports.
    reported: u64,
    /// The time of the last report.
    last: Option<Instant>,
}

impl Report {
    /// The number of lines dropped since the last report, if a report is due. `dropped` counts all lines since the
    /// start.
    fn due(&mut self, dropped: u64, now: Instant) -> Option<u64> {
        let lines = dropped - self.reported;
        let is_soon = self.last.is_some_and(|last| now.duration_since(last) < REPORT_INTERVAL);
        if lines == 0 || is_soon {
            return None;
        }
        self.reported = dropped;
        self.last = Some(now);
        Some(lines)
    }
}

/// The longest head of a line that ends between two characters and leaves space for [`CUT`].
fn cut(line: &[u8]) -> &[u8] {
    let mut end = MAX_LINE_BYTES - CUT.len();
    // The second and later bytes of a character in UTF-8 begin with the bits 10.
    while end > 0 && line[end] & 0b1100_0000 == 0b1000_0000 {
        end -= 1;
    }
    &line[..end]
}

/// Writes `lines` and returns the number of those that were lost. A line that was broken in the middle is ended, so
/// that the next one begins anew.
fn write_lines(sink: &mut impl Write, lines: &[u8]) -> u64 {
    let mut lost = 0;
    let mut start = 0;
    while start < lines.len() {
        match sink.write(&lines[start..]) {
            Ok(written) if written > 0 => start += written,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
            Ok(_) | Err(_) => {
                let is_begun = start > 0 && lines[start - 1] != b'\n';
                let end = match memchr::memchr(b'\n', &lines[start..]) {
                    Some(length) => start + length,
                    None => lines.len(),
                };
                if is_begun && start < end {
                    // The rest of the line is lost; its line break is tried next, and ends the part that was written.
                    start = end;
                    lost += 1;
                } else {
                    // A line that is begun lacks its line break alone, and is not counted a second time.
                    lost += u64::from(!is_begun);
                    start = end + 1;
                }
            }
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A sink that answers as scripted, byte by byte where that matters.
    struct Scripted {
        steps: Vec<io::Result<usize>>,
        taken: Vec<u8>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let step = if self.steps.is_empty() { Ok(bytes.len()) } else { self.steps.remove(0) };
            let length = step?.min(bytes.len());
            self.taken.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(steps: Vec<io::Result<usize>>, lines: &str) -> (String, u64) {
        let mut sink = Scripted { steps, taken: Vec::new() };
        let lost = write_lines(&mut sink, lines.as_bytes());
        (String::from_utf8(sink.taken).unwrap(), lost)
    }

    /// A sink that takes nothing until its gate opens.
    struct Gate(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // A sender that has gone opens the gate for good.
            let _ = self.0.recv();
            drop(self.1.send(bytes.to_vec()));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Arc<LogQueue>, mpsc::Sender<()>, mpsc::Receiver<Vec<u8>>) {
        let (open, gate) = mpsc::channel();
        let (taken, batches) = mpsc::channel();
        let queue = LogQueue::start(Gate(gate, taken), Counter::default()).unwrap();
        (queue, open, batches)
    }

    fn error(kind: ErrorKind) -> io::Result<usize> {
        Err(kind.into())
    }

    #[test]
    fn a_line_that_cannot_be_written_is_lost_alone() {
        assert_eq!(written(vec![], "a\nb\n"), ("a\nb\n".to_owned(), 0));
        assert_eq!(written(vec![error(ErrorKind::StorageFull)], "a\nb\n"), ("b\n".to_owned(), 1));
        assert_eq!(written(vec![Ok(0)], "a\nb\n"), ("b\n".to_owned(), 1));
        let broken = || error(ErrorKind::BrokenPipe);
        assert_eq!(written(vec![broken(), broken()], "a\nb\n"), (String::new(), 2));
    }

    #[test]
    fn a_broken_line_is_ended_before_the_next() {
        let full = || error(ErrorKind::StorageFull);
        assert_eq!(written(vec![Ok(2), full()], "abc\ndef\n"), ("ab\ndef\n".to_owned(), 1));
        assert_eq!(written(vec![Ok(2), full(), full()], "abc\ndef\n"), ("abdef\n".to_owned(), 1));
        assert_eq!(written(vec![Ok(4), full()], "abc\ndef\n"), ("abc\n".to_owned(), 1));
    }

    #[test]
    fn what_only_takes_a_while_loses_nothing() {
        let steps = vec![error(ErrorKind::Interrupted), Ok(1), error(ErrorKind::WouldBlock), Ok(1)];
        assert_eq!(written(steps, "abc\ndef\n"), ("abc\ndef\n".to_owned(), 0));
    }

    #[test]
    fn lines_over_the_bound_are_dropped_and_counted() {
        let (queue, open, batches) = gated();
        let line = [&[b'x'; 999][..], b"\n"].concat();
        // One batch is with the sink; as many again may wait.
        queue.push(b"first\n");
        while !queue.state.lock().is_writing {
            thread::yield_now();
        }
        for _ in 0..10_000 {
            queue.push(&line);
        }
        let kept = MAX_WAITING_BYTES / 1000;
        assert_eq!(queue.dropped.get(), 10_000 - kept as u64);
        assert!(queue.state.lock().waiting.capacity() <= 2 * MAX_WAITING_BYTES);
        drop(open);
        queue.close(PATIENCE);
        assert_eq!(batches.recv().unwrap(), b"first\n");
        assert_eq!(batches.recv().unwrap().len(), kept * 1000);
        assert!(batches.recv().is_err(), "the thread has ended");
    }

    #[test]
    fn closing_waits_for_a_sink_that_takes_nothing_no_longer_than_told() {
        let (queue, open, _batches) = gated();
        queue.push(b"line\n");
        let started = Instant::now();
        queue.close(Duration::from_millis(50));
        assert!(started.elapsed() >= Duration::from_millis(50) && started.elapsed() < PATIENCE);
        drop(open);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let (queue, open, batches) = gated();
        for shift in 0..3 {
            let line = format!("{}{}\n", "x".repeat(shift), "✓".repeat(MAX_LINE_BYTES));
            queue.push(line.as_bytes());
        }
        drop(open);
        queue.close(PATIENCE);
        let text = String::from_utf8(batches.try_iter().flatten().collect()).unwrap();
        assert_eq!(text.lines().count(), 3);
        for line in text.lines() {
            assert!(line.len() < MAX_LINE_BYTES && line.len() > MAX_LINE_BYTES - 12, "{}", line.len());
            assert!(line.ends_with("✓ [cut]"));
        }
    }

    #[test]
    fn dropped_lines_are_told_with_their_number_and_not_too_often() {
        let mut report = Report::default();
        let start = Instant::now();
        assert_eq!(report.due(0, start), None);
        assert_eq!(report.due(7, start), Some(7));
        assert_eq!(report.due(9, start + REPORT_INTERVAL / 2), None);
        assert_eq!(report.due(9, start + REPORT_INTERVAL), Some(2));
        assert_eq!(report.due(9, start + 2 * REPORT_INTERVAL), None);
    }
}
