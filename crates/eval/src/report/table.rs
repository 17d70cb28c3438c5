//! The evaluation for a terminal: a table with a row for each contestant, and sentences that explain the figures.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use rerankd_core::text::printable;

use super::super::results::{Contestant, Results};
use super::figures::{NOTHING, interval, mean_score, milliseconds, price, score, signed_interval};
use super::standings::NO_ANSWERS;
use super::summary::{choice, collection, finding, headline, reading};
use super::warnings::warnings;

/// Smallest width to which sentences are wrapped, in columns; narrower ones are hard to read.
const MIN_TEXT_WIDTH: usize = 40;

/// The table and its sentences for a terminal of `width` columns. Metrics that do not fit are left out of the table
/// and named below it. If it still does not fit, names and verdicts stand in lines of their own.
#[must_use]
pub fn table(results: &Results, width: u16) -> String {
    let width = usize::from(width);
    let text_width = width.max(MIN_TEXT_WIDTH);
    let others = results.metrics.get(1..).unwrap_or_default();
    let (mut text, shown) = fitting(others, width, |metrics| rows(results, metrics))
        .or_else(|| fitting(others, width, |metrics| stacked_rows(results, metrics, text_width)))
        .unwrap_or_else(|| (stacked_rows(results, &[], text_width), 0));
    push_wrapped(&mut text, "\n", &format!("{}.", headline(results)), text_width);
    for sentences in [finding(results), collection(results), choice(results), reading(results)] {
        for sentence in sentences {
            push_wrapped(&mut text, "", &sentence, text_width);
        }
    }
    if results.contestants.iter().any(|contestant| contestant.latency.is_some()) {
        let sentence = "Times in milliseconds: cold with nothing cached, warm for the same request once more.";
        push_wrapped(&mut text, "", sentence, text_width);
    }
    if shown < others.len() {
        let left_out: Vec<_> = others[shown..].iter().map(|metric| printable(metric)).collect();
        let sentence = format!("Left out for want of space: {}.", left_out.join(", "));
        push_wrapped(&mut text, "", &sentence, text_width);
    }
    for warning in warnings(results) {
        push_wrapped(&mut text, "! ", &warning, text_width);
    }
    text
}

/// The table that `render` makes with as many of the first `metrics` as fit into `width`, and their number; `None` if
/// it is wider without any of them.
fn fitting(metrics: &[String], width: usize, render: impl Fn(&[String]) -> String) -> Option<(String, usize)> {
    // Metrics are left out from the last, as the first ones matter most. Rendered anew for each attempt, because the
    // width of a column depends on all its cells.
    for shown in (0..=metrics.len()).rev() {
        let text = render(&metrics[..shown]);
        if widest(&text) <= width {
            return Some((text, shown));
        }
    }
    None
}

/// The table with the decisive metric and `others`.
fn rows(results: &Results, others: &[String]) -> String {
    let mut table = plain_table();
    let mut header = vec!["MODEL".to_owned()];
    header.extend(figure_titles(results, others));
    header.push("VERDICT".to_owned());
    let last_column = header.len() - 1;
    table.set_header(header);
    for contestant in &results.contestants {
        let mut row = vec![printable(&contestant.name)];
        row.extend(figures(results, contestant, others));
        row.push(results.verdict(contestant));
        table.add_row(row);
    }
    for contestant in &results.unanswered {
        let mut row = vec![printable(&contestant.name)];
        row.resize(last_column, NOTHING.to_owned());
        row.push(NO_ANSWERS.to_owned());
        table.add_row(row);
    }
    // Names and verdicts are words; the figures between them line up at their last digit.
    for column in table.column_iter_mut().take(last_column).skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{}\n", table.trim_fmt())
}

/// The same for a narrow terminal: name and verdict of each contestant above its figures.
fn stacked_rows(results: &Results, others: &[String], width: usize) -> String {
    let mut table = plain_table();
    table.set_header(figure_titles(results, others));
    for contestant in &results.contestants {
        table.add_row(figures(results, contestant, others));
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let rendered = table.trim_fmt();
    let mut lines = rendered.lines();
    let mut text = format!("{}\n", lines.next().unwrap_or_default());
    for contestant in &results.contestants {
        let verdict = results.verdict(contestant);
        push_wrapped(&mut text, "", &format!("{}: {verdict}", printable(&contestant.name)), width);
        text.push_str(lines.next().unwrap_or_default());
        text.push('\n');
    }
    for contestant in &results.unanswered {
        push_wrapped(&mut text, "", &format!("{}: {NO_ANSWERS}", printable(&contestant.name)), width);
    }
    text
}

/// A table without lines. Cells are never wrapped: a broken name could not be copied.
fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// The headings of [`figures`].
fn figure_titles(results: &Results, others: &[String]) -> Vec<String> {
    let mut titles = vec![title(results.decisive()), "Δ TO NONE".to_owned()];
    for metric in others {
        titles.push(title(metric));
    }
    titles.extend(["COLD P50/P95", "WARM P50", "USD/1000"].map(str::to_owned));
    titles
}

/// The figures of a contestant: the decisive metric, its difference to the first stage, `others`, times and price.
fn figures(results: &Results, contestant: &Contestant, others: &[String]) -> Vec<String> {
    let decisive = results.decisive();
    let mut figures = vec![decisive_cell(contestant, decisive), difference_cell(contestant, decisive)];
    for metric in others {
        figures.push(mean_score(contestant.estimate(metric)));
    }
    figures.extend(times(contestant));
    figures.push(price(contestant.cost.as_ref()));
    figures
}

/// The heading of the column of `metric`.
fn title(metric: &str) -> String {
    printable(metric).to_uppercase()
}

/// The mean of the decisive metric with its interval.
fn decisive_cell(contestant: &Contestant, metric: &str) -> String {
    match contestant.estimate(metric) {
        Some(estimate) => format!("{} {}", score(estimate.mean), interval(estimate)).trim_end().to_owned(),
        None => NOTHING.to_owned(),
    }
}

/// The difference of the decisive metric from the first stage's, with its interval.
fn difference_cell(contestant: &Contestant, metric: &str) -> String {
    match contestant.to_none.get(metric) {
        Some(difference) => signed_interval(*difference).join(" ").trim_end().to_owned(),
        None => NOTHING.to_owned(),
    }
}

/// Cold median and 95th percentile in one cell, warm median in the next, in milliseconds.
fn times(contestant: &Contestant) -> [String; 2] {
    let Some(latency) = &contestant.latency else {
        return [NOTHING.to_owned(), NOTHING.to_owned()];
    };
    let cold = format!("{}/{}", milliseconds(latency.cold.p50), milliseconds(latency.cold.p95));
    let warm = match &latency.warm {
        Some(warm) => milliseconds(warm.p50),
        None => NOTHING.to_owned(),
    };
    [cold, warm]
}

/// Columns of the widest line, counted in characters.
fn widest(text: &str) -> usize {
    let mut widest = 0;
    for line in text.lines() {
        widest = widest.max(line.chars().count());
    }
    widest
}

/// Appends `mark` and `sentence` to `text` in lines of at most `width` characters. A longer word gets its own line.
///
/// `mark` stands right before the sentence: nothing, a line end for a blank line above, or the sign of a warning.
fn push_wrapped(text: &mut String, mark: &str, sentence: &str, width: usize) {
    text.push_str(mark);
    // Continuation lines start below the sentence, not below its mark.
    let indent = mark.trim_start_matches('\n').len();
    let mut used = indent;
    for (index, word) in sentence.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 {
            if used + 1 + length > width {
                text.push_str(&format!("\n{:indent$}", ""));
                used = indent;
            } else {
                text.push(' ');
                used += 1;
            }
        }
        text.push_str(word);
        used += length;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::super::collection::LeftOut;
    use super::super::super::results::{Estimate, Kind};
    use super::super::sample;
    use super::*;

    /// The line that starts with `start`, with single blanks.
    fn line(text: &str, start: &str) -> String {
        let Some(line) = text.lines().find(|line| line.trim_start().starts_with(start)) else {
            panic!("{start}: {text}")
        };
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_row_has_what_was_measured() {
        let mut results = sample::results(300);
        let best = &mut results.contestants[0];
        best.metrics.insert("ndcg@10".to_owned(), Estimate { mean: 0.7311, low: 0.6949, high: 0.7702 });
        best.metrics.insert("r@10".to_owned(), Estimate { mean: 0.8, low: 0.7, high: 0.9 });
        let text = table(&results, 200);
        let header = "MODEL NDCG@10 Δ TO NONE MAP MRR@10 R@10 COLD P50/P95 WARM P50 USD/1000 VERDICT";
        assert_eq!(line(&text, "MODEL"), header);
        let row = line(&text, "cohere/rerank-v4.0-pro ");
        assert!(row.starts_with("cohere/rerank-v4.0-pro 0.731 [0.69, 0.77] "), "{row}");
        assert!(row.ends_with(" 0.800 412/948 0.21 $2.50 best; answered 297 of 300"), "{row}");
        let silent = line(&text, "mixedbread/");
        assert_eq!(silent, "mixedbread/mxbai-rerank-large-v2 – – – – – – – – no answers");
        assert!(line(&text, "voyage/rerank-2.5 ").ends_with("268/616 0.21 $0.41 as good as the best"), "{text}");
        assert!(line(&text, "none ").contains(" – – – "), "{text}");
        assert!(line(&text, "local ").ends_with("0.84/1.9 0.84 free worse, p<0.001; not better than none"), "{text}");
        assert!(line(&text, "jina/").contains(" not known worse, p<0.001"), "{text}");
        assert!(line(&text, "none ").ends_with("– – – worse, p<0.001"), "{text}");
    }

    #[test]
    fn plain_sentences_say_what_the_figures_mean() {
        let text = table(&sample::results(300), 400);
        for sentence in [
            "cohere/rerank-v4.0-pro ranks best, but voyage/rerank-2.5 may be as good (4 queries without a judgment left out, 2 queries without candidates counted as 0).",
            "Collection help-centre: 300 queries (4 more without a judgment) over 12,408 passages, judged by qrels/test.tsv; candidates: bm25, 50 a query.",
            "! 2 judged queries have no candidates: each counts 0 for everybody, as with trec_eval -c.",
            "! mixedbread/mxbai-rerank-large-v2: not a single answer (5 upstream_unauthorized), so it is not compared. The first failure: upstream mixedbread refused the key",
            "No reranker can find more than 88.7 % of the relevant passages: no more are among these candidates.",
            "AutoRAG's rules, which take every difference for real, choose among those within 800 ms a query on average: cohere/rerank-v4.0-pro by mean, normalize_mean and rank.",
            "As good as the best: the difference from it may well be chance (adjusted p of 0.05 or more), so price and speed may decide.",
            "! cohere/rerank-v4.0-pro: 3 queries without an answer (1 rate_limited, 2 upstream_timeout); there the order of the first stage counts. The first failure: upstream cohere took longer than 10 s",
            "! 3 judgments name passages that the collection does not hold, such as d98; they count as not found.",
            "! voyage/rerank-2.5: 4 answers are a fallback's, because a target before it failed; the next run asks again.",
            "! voyage/rerank-2.5: its figures mix the answers of voyage/rerank-2.5 and voyage/rerank-2.5-lite.",
            "! jina/jina-reranker-v2-base-multilingual: 5 degraded answers, less than what was asked for.",
        ] {
            assert!(text.lines().any(|line| line == sentence), "{sentence}\n{text}");
        }
        assert!(!text.contains("small differences"), "{text}");
        assert!(table(&sample::results(49), 400).contains("With only 49 queries, small differences mean nothing"));
    }

    #[test]
    fn a_narrow_terminal_loses_metrics_and_no_more() {
        let results = sample::results(60);
        let width = widest(&rows(&results, &[]));
        let text = table(&results, u16::try_from(width).unwrap());
        assert_eq!(line(&text, "MODEL"), "MODEL NDCG@10 Δ TO NONE COLD P50/P95 WARM P50 USD/1000 VERDICT");
        assert!(text.contains("Left out for want of space: map, mrr@10, r@10."), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
        assert!(!table(&results, 200).contains("Left out for want of space"));
    }

    #[test]
    fn at_80_columns_names_and_verdicts_stand_above_their_figures() {
        let text = table(&sample::results(60), 80);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(line(&text, "NDCG@10"), "NDCG@10 Δ TO NONE COLD P50/P95 WARM P50 USD/1000");
        let mut lines = text.lines().skip_while(|line| !line.starts_with("voyage/rerank-2.5: best"));
        assert!(lines.next().is_some(), "{text}");
        assert!(lines.next().unwrap().trim_start().starts_with("0."), "{text}");
        assert!(text.contains("\nmixedbread/mxbai-rerank-large-v2: no answers\n"), "{text}");
        assert!(text.contains("Left out for want of space: map, mrr@10, r@10."), "{text}");
    }

    #[test]
    fn nothing_is_printed_that_is_no_number_and_nothing_steers_the_terminal() {
        let mut results = sample::results(2);
        results.metrics[0] = "x\u{1b}[31m".to_owned();
        results.collection.name = "a\u{1b}]0;b\u{7}".to_owned();
        for contestant in &mut results.contestants {
            contestant.name.push('\u{9b}');
            contestant.metrics.values_mut().for_each(|estimate| estimate.mean = f64::NAN);
            if let Some(comparison) = &mut contestant.against_best {
                comparison.p_adjusted = f64::NAN;
            }
        }
        results.collection.candidates_per_query = f64::NAN;
        results.collection.recall_ceiling = Some(f64::NAN);
        let text = table(&results, 100);
        assert!(!text.contains("NaN") && !text.chars().any(|it| it.is_control() && it != '\n'), "{text:?}");
        results.contestants.retain(|contestant| contestant.kind == Kind::None);
        results.collection.left_out = LeftOut::default();
        assert!(table(&results, 0).contains("Only the order of the first stage was\nevaluated."));
        results.contestants.clear();
        results.metrics.clear();
        assert!(table(&results, 100).contains("Nothing was evaluated."));
    }
}
