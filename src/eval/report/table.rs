//! The evaluation in a terminal: a row for each contestant, and below it what the figures mean.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::super::results::{Contestant, Results};
use super::figures::{NOTHING, interval, milliseconds, price, score};
use super::summary::{choice, collection, finding, headline, reading};
use super::text::printable;
use super::warnings::warnings;

/// Narrower than this, sentences are hard to read.
const LEAST_WIDTH: usize = 40;

/// The table and its sentences for a terminal of `width` columns. Metrics that do not fit are left out and named;
/// everything else is in the table however narrow the terminal is.
#[must_use]
pub fn table(results: &Results, width: u16) -> String {
    let width = usize::from(width);
    let others = results.metrics.get(1..).unwrap_or_default();
    let fitting = (0..=others.len()).rev().map(|count| rows(results, &others[..count]));
    let (shown, mut text) = fitting
        .enumerate()
        .find(|(left_out, text)| *left_out == others.len() || widest(text) <= width)
        .map(|(left_out, text)| (others.len() - left_out, text))
        .unwrap_or_default();
    let mut say = |mark: &str, sentence: &str| text.push_str(&wrapped(mark, sentence, width.max(LEAST_WIDTH)));
    say("\n", &format!("{}.", headline(results)));
    let groups = [finding(results), collection(results), choice(results), reading(results)];
    for sentence in groups.iter().flatten() {
        say("", sentence);
    }
    if shown < others.len() {
        say("", &format!("Left out for want of space: {}.", others[shown..].join(", ")));
    }
    for warning in warnings(results) {
        say("! ", &warning);
    }
    text
}

fn rows(results: &Results, others: &[String]) -> String {
    let decisive = results.decisive();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut header = vec!["MODEL".to_owned(), decisive.to_uppercase()];
    header.extend(others.iter().map(|metric| metric.to_uppercase()));
    header.extend(["P50/P95 MS", "CACHED MS", "USD/1000", "VERDICT"].map(str::to_owned));
    let last = header.len() - 1;
    table.set_header(header);
    for contestant in &results.contestants {
        let mut row = vec![printable(&contestant.name), decisive_cell(contestant, decisive)];
        row.extend(others.iter().map(|metric| {
            contestant.estimate(metric).map_or_else(|| NOTHING.to_owned(), |estimate| score(estimate.mean))
        }));
        row.extend(times(contestant));
        row.extend([price(contestant.cost.as_ref()), contestant.verdict()]);
        table.add_row(row);
    }
    for column in table.column_iter_mut().take(last).skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{}\n", table.trim_fmt())
}

fn decisive_cell(contestant: &Contestant, metric: &str) -> String {
    let estimate = contestant.estimate(metric);
    estimate.map_or_else(|| NOTHING.to_owned(), |it| format!("{} {}", score(it.mean), interval(it)))
}

/// Cold median and 95th percentile, warm median.
fn times(contestant: &Contestant) -> [String; 2] {
    match &contestant.latency {
        None => [NOTHING, NOTHING].map(str::to_owned),
        Some(latency) => [
            format!("{}/{}", milliseconds(latency.cold.p50), milliseconds(latency.cold.p95)),
            milliseconds(latency.warm.p50),
        ],
    }
}

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

/// `sentence` in lines of at most `width` characters if its words allow.
fn wrapped(mark: &str, sentence: &str, width: usize) -> String {
    let mut text = mark.to_owned();
    let indent = mark.trim_start_matches('\n').len();
    let mut used = indent;
    for (place, word) in sentence.split(' ').enumerate() {
        let length = word.chars().count();
        if place > 0 && used + 1 + length > width {
            text.push_str(&format!("\n{:indent$}", ""));
            used = indent;
        } else if place > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += length;
    }
    text.push('\n');
    text
}
