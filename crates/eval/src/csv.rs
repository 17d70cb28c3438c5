//! The results as CSV (RFC 4180), for spreadsheets and data frames.

use super::results::{Contestant, Estimate, Results};

/// A line for each model and metric: the mean, its interval, and the difference from the order of the first stage. The
/// p-values are those of the decisive metric; other cells of theirs are empty.
#[must_use]
pub fn results(results: &Results) -> String {
    let mut csv = Csv::default();
    csv.row(&[
        "model",
        "metric",
        "queries",
        "mean",
        "low",
        "high",
        "to_none",
        "to_none_low",
        "to_none_high",
        "to_none_p",
        "to_none_p_adjusted",
        "to_best_p_adjusted",
    ]);
    for contestant in &results.contestants {
        for (number, metric) in results.metrics.iter().enumerate() {
            let mut cells = vec![contestant.name.clone(), metric.clone(), defined(contestant, metric).to_string()];
            cells.extend(estimate_cells(contestant.metrics.get(metric)));
            cells.extend(estimate_cells(contestant.to_none.get(metric)));
            let against_none = contestant.against_none.filter(|_| number == 0);
            let against_best = contestant.against_best.filter(|_| number == 0);
            cells.push(figure(against_none.map(|comparison| comparison.p)));
            cells.push(figure(against_none.map(|comparison| comparison.p_adjusted)));
            cells.push(figure(against_best.map(|comparison| comparison.p_adjusted)));
            csv.row(&cells);
        }
    }
    csv.0
}

/// A line for each model and query, with a column for each metric. A metric that is not defined for a query is empty.
#[must_use]
pub fn per_query(results: &Results) -> String {
    let mut csv = Csv::default();
    let mut header = vec!["model", "query"];
    header.extend(results.metrics.iter().map(String::as_str));
    csv.row(&header);
    for contestant in &results.contestants {
        for (query, values) in results.queries.iter().zip(&contestant.by_query) {
            let mut cells = vec![contestant.name.clone(), query.id.clone()];
            for metric in &results.metrics {
                cells.push(figure(values.get(metric).copied()));
            }
            csv.row(&cells);
        }
    }
    csv.0
}

/// The number of queries for which the metric is defined.
fn defined(contestant: &Contestant, metric: &str) -> usize {
    contestant.by_query.iter().filter(|values| values.contains_key(metric)).count()
}

fn estimate_cells(estimate: Option<&Estimate>) -> [String; 3] {
    [
        figure(estimate.map(|estimate| estimate.mean)),
        figure(estimate.map(|estimate| estimate.low)),
        figure(estimate.map(|estimate| estimate.high)),
    ]
}

/// A number in full, or nothing.
fn figure(value: Option<f64>) -> String {
    match value {
        Some(value) if value.is_finite() => value.to_string(),
        Some(_) | None => String::new(),
    }
}

/// Lines of cells.
#[derive(Default)]
struct Csv(String);

impl Csv {
    fn row(&mut self, cells: &[impl AsRef<str>]) {
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            let cell = cell.as_ref();
            if cell.contains([',', '"', '\n', '\r']) {
                self.0.push_str(&format!("\"{}\"", cell.replace('"', "\"\"")));
            } else {
                self.0.push_str(cell);
            }
        }
        self.0.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::sample;
    use super::*;

    #[test]
    fn cells_are_quoted_only_where_they_must_be() {
        let mut csv = Csv::default();
        csv.row(&["a b", "a,b", "say \"x\"", "two\nlines", ""]);
        assert_eq!(csv.0, "a b,\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",\r\n");
    }

    #[test]
    fn every_model_has_a_line_for_each_metric_and_for_each_query() {
        let sample = sample::results(3);
        let text = results(&sample);
        assert_eq!(text.lines().count(), 1 + sample.contestants.len() * sample.metrics.len());
        let first = format!("{},ndcg@10,3,", sample.contestants[0].name);
        assert!(text.lines().nth(1).unwrap().starts_with(&first), "{text}");
        assert!(text.lines().all(|line| line.split(',').count() == 12), "{text}");
        let text = per_query(&sample);
        assert_eq!(text.lines().next(), Some("model,query,ndcg@10,map,mrr@10,r@10"));
        assert_eq!(text.lines().count(), 1 + sample.contestants.len() * 3);
    }
}
