//! The two tables, as Markdown.
#![expect(clippy::print_stdout, reason = "the tables are what the command is for")]

use comfy_table::{Table, presets};

use crate::cores::Cores;
use crate::search::LIMITS;
use crate::series::Row;

/// Everything measured so far.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<[String; LIMITS.len() + 4]>,
    memory: Vec<[String; 5]>,
}

/// Resident memory and the cache's part of it, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// After the start, before the first request.
    pub(crate) idle: u64,
    /// At the end of a steady load of requests whose pairs are new.
    pub(crate) steady: u64,
    /// After a rest.
    pub(crate) recovered: u64,
    /// Known scores, by rerankd's own count.
    pub(crate) cache: f64,
}

impl Report {
    /// Adds what was measured of one size.
    pub(crate) fn add_row(&mut self, passages: usize, body_bytes: usize, pairs: impl Into<String>, row: &Row) {
        let mut cells = vec![size(passages, body_bytes), pairs.into()];
        for rate in row.rates {
            cells.push(rate.map_or("–".to_owned(), rounded));
        }
        cells.push(rounded(row.capacity));
        cells.push(format!("{:.2}", row.alone));
        self.rows.push(cells.try_into().expect("a cell for each column"));
    }

    pub(crate) fn add_memory(&mut self, passages: usize, memory: Memory) {
        let Memory { idle, steady, recovered, cache } = memory;
        #[expect(clippy::cast_precision_loss, reason = "memory is told in megabytes")]
        let megabytes = |bytes: u64| format!("{:.0}", bytes as f64 / 1e6);
        let cells = [
            with_separators(&passages.to_string()),
            megabytes(idle),
            megabytes(steady),
            megabytes(recovered),
            format!("{:.0}", cache / 1e6),
        ];
        self.memory.push(cells);
    }

    pub(crate) fn print(&self, cores: &Cores) {
        let mut header = vec!["body".to_owned(), "pairs".to_owned()];
        header.extend(LIMITS.map(|limit| format!("p99 ≤ {limit} ms")));
        header.extend(["closed loop", "p99 one by one, ms"].map(str::to_owned));
        let mut rates = Table::new();
        rates.load_style(presets::ASCII_MARKDOWN).set_header(header).add_rows(&self.rows);
        let mut memory = Table::new();
        memory.load_style(presets::ASCII_MARKDOWN);
        memory.set_header(["passages", "idle, MB", "steady, MB", "recovered, MB", "known scores, MB"]);
        memory.add_rows(&self.memory);
        println!("{rates}\n\n{memory}");
        if !cores.are_divided() {
            println!("\nrerankd, load and upstream shared their processors: there is only one, or no `taskset`.");
        }
    }
}

fn size(passages: usize, body_bytes: usize) -> String {
    let bytes = if body_bytes < 1_000_000 {
        format!("{} KB", body_bytes / 1_000)
    } else {
        format!("{} MB", body_bytes / 1_000_000)
    };
    format!("{bytes}, {} passages", with_separators(&passages.to_string()))
}

/// Requests a second with three digits that count.
fn rounded(rate: f64) -> String {
    if rate < 10.0 {
        return format!("{rate:.1}");
    }
    let step = 10f64.powf(rate.log10().floor() - 2.0).max(1.0);
    with_separators(&format!("{:.0}", (rate / step).round() * step))
}

/// A whole number below a million with a comma before its last three digits.
fn with_separators(digits: &str) -> String {
    match digits.split_at_checked(digits.len().saturating_sub(3)) {
        Some((thousands, rest)) if !thousands.is_empty() => format!("{thousands},{rest}"),
        _ => digits.to_owned(),
    }
}
