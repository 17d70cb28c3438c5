//! Two finished evaluations side by side: before and after a change of a model, of its settings or of the collection.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use rerankd_core::text::{counted, printable};
use serde::Deserialize;

use super::collection::Checksums;
use super::judge::compare::{SEED, estimate, paired_differences};
use super::report::figures::{NOTHING, probability, score, signed, signed_interval};
use super::report::plain_text::listed;
use super::statistics::randomization_test;

/// Name of the results in a run folder.
pub const RESULTS_FILE: &str = "results.json";

/// The part of a `results.json` that a comparison needs.
#[derive(Debug, Deserialize)]
pub struct SavedRun {
    metrics: Vec<String>,
    contestants: Vec<SavedContestant>,
    queries: Vec<SavedQuery>,
    /// Missing in results of versions before checksums were kept.
    #[serde(default)]
    run: Option<SavedRecord>,
}

#[derive(Debug, Deserialize)]
struct SavedContestant {
    name: String,
    /// `null` stands for a value that was not finite.
    metrics: BTreeMap<String, SavedEstimate>,
    by_query: Vec<BTreeMap<String, Option<f64>>>,
}

#[derive(Debug, Deserialize)]
struct SavedEstimate {
    mean: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct SavedQuery {
    id: String,
    text: String,
}

#[derive(Debug, Deserialize)]
struct SavedRecord {
    #[serde(default)]
    checksums: Checksums,
    #[serde(default)]
    models: BTreeMap<String, String>,
}

impl SavedRun {
    /// Reads the results of a run folder, or the file itself.
    ///
    /// # Errors
    /// The file cannot be read, or is no `results.json` of this program.
    pub fn read(path: &Path) -> Result<Self, String> {
        let file = if path.is_dir() { path.join(RESULTS_FILE) } else { path.to_owned() };
        let bytes = fs::read(&file).map_err(|error| {
            format!("{}: {error}; --compare takes two run folders of rerankd eval (--out)", file.display())
        })?;
        // Without the reason of the parser, which may quote the file.
        serde_json::from_slice(&bytes)
            .map_err(|error| format!("{}, line {}: is no results.json of rerankd eval", file.display(), error.line()))
    }

    fn contestant(&self, name: &str) -> Option<&SavedContestant> {
        self.contestants.iter().find(|contestant| contestant.name == name)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.contestants.iter().map(|contestant| contestant.name.as_str())
    }
}

impl SavedContestant {
    fn mean(&self, metric: &str) -> Option<f64> {
        self.metrics.get(metric)?.mean
    }

    /// The finite values of the query at `index`.
    fn values(&self, index: usize) -> BTreeMap<String, f64> {
        let mut values = BTreeMap::new();
        for (metric, value) in self.by_query.get(index).into_iter().flatten() {
            if let Some(value) = value {
                values.insert(metric.clone(), *value);
            }
        }
        values
    }
}

/// The values of both runs for each model and metric that both have, with the difference of the second from the first,
/// and sentences on what the two do not have in common.
#[must_use]
pub fn compare(first: &SavedRun, second: &SavedRun) -> String {
    let common = common_queries(first, second);
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["MODEL", "METRIC", "RUN1", "RUN2", "DIFFERENCE", "95 % INTERVAL", "P"]);
    for before in &first.contestants {
        let Some(after) = second.contestant(&before.name) else { continue };
        for metric in &first.metrics {
            if second.metrics.contains(metric) {
                table.add_row(row(before, after, metric, &common));
            }
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("{}\n\n", table.trim_fmt());
    for sentence in sentences(first, second, common.len()) {
        text.push_str(&format!("{sentence}\n"));
    }
    text
}

/// Index of each query in both runs, for those with the same id and the same text.
fn common_queries(first: &SavedRun, second: &SavedRun) -> Vec<(usize, usize)> {
    let mut indices = HashMap::with_capacity(second.queries.len());
    for (index, query) in second.queries.iter().enumerate() {
        indices.insert((&query.id, &query.text), index);
    }
    let mut common = Vec::new();
    for (index, query) in first.queries.iter().enumerate() {
        if let Some(&other) = indices.get(&(&query.id, &query.text)) {
            common.push((index, other));
        }
    }
    common
}

fn row(before: &SavedContestant, after: &SavedContestant, metric: &str, common: &[(usize, usize)]) -> [String; 7] {
    let mut values_before = Vec::with_capacity(common.len());
    let mut values_after = Vec::with_capacity(common.len());
    for &(first, second) in common {
        values_before.push(before.values(first));
        values_after.push(after.values(second));
    }
    let differences = paired_differences(&values_after, &values_before, metric);
    let mean_before = before.mean(metric);
    let mean_after = after.mean(metric);
    let [difference, between, p] = if differences.is_empty() {
        // Without common queries only the means can be subtracted, and nothing says what that is worth.
        let difference = mean_after.zip(mean_before).map(|(after, before)| signed(after - before));
        [difference.unwrap_or_else(|| NOTHING.to_owned()), NOTHING.to_owned(), NOTHING.to_owned()]
    } else {
        let estimate = estimate(&differences);
        let [difference, between] = signed_interval(estimate);
        if estimate.has_interval() {
            [difference, between, probability(randomization_test(&differences, SEED))]
        } else {
            // One query says nothing of others.
            [difference, NOTHING.to_owned(), NOTHING.to_owned()]
        }
    };
    let mean = |mean: Option<f64>| mean.map_or_else(|| NOTHING.to_owned(), score);
    [printable(&before.name), printable(metric), mean(mean_before), mean(mean_after), difference, between, p]
}

/// Basis of the comparison, and differences between the two runs.
fn sentences(first: &SavedRun, second: &SavedRun, common: usize) -> Vec<String> {
    let mut sentences = Vec::new();
    if common == 0 {
        sentences.push("The runs have no query in common, so differences have no interval and mean little.".to_owned());
    } else {
        let queries = counted(common, "query", "queries");
        let of = match (first.queries.len() - common, second.queries.len() - common) {
            (0, 0) => String::new(),
            (only_first, only_second) => {
                format!(" that both runs have ({only_first} more are only in RUN1, {only_second} only in RUN2)")
            }
        };
        sentences.push(format!(
            "Differences are RUN2 less RUN1, over {queries}{of}; interval by paired bootstrap, p by the paired \
             randomisation test, not adjusted for the number of rows."
        ));
    }
    for (one, other, run) in [(first, second, "RUN1"), (second, first, "RUN2")] {
        let alone: Vec<&str> = one.names().filter(|name| other.contestant(name).is_none()).collect();
        if !alone.is_empty() {
            sentences.push(format!("Only in {run}: {}.", listed(alone)));
        }
    }
    let (Some(before), Some(after)) = (&first.run, &second.run) else {
        sentences.push(
            "! A run is without checksums (an earlier version wrote it), so whether both had the same collection is \
             not known."
                .to_owned(),
        );
        return sentences;
    };
    let mut differing = Vec::new();
    for ((part, one), (_, other)) in before.checksums.parts().into_iter().zip(after.checksums.parts()) {
        if one != other {
            differing.push(part);
        }
    }
    if differing.is_empty() {
        sentences.push("Both runs had the same collection, by its checksums.".to_owned());
    } else {
        sentences.push(format!(
            "! The collections differ by their checksums, in their {}: a difference may come from that.",
            listed(differing)
        ));
    }
    let mut changed = Vec::new();
    for (name, model) in &before.models {
        if after.models.get(name).is_some_and(|other| other != model) {
            changed.push(name);
        }
    }
    if !changed.is_empty() {
        sentences.push(format!("Another model or other settings behind the name: {}.", listed(changed)));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::super::report::sample;
    use super::super::results::Results;
    use super::*;

    fn saved(results: &Results) -> SavedRun {
        serde_json::from_str(&serde_json::to_string(results).unwrap()).unwrap()
    }

    #[test]
    fn a_run_is_as_good_as_itself() {
        let results = sample::results(20);
        let text = compare(&saved(&results), &saved(&results));
        assert!(text.contains("over 20 queries;") && text.contains("Both runs had the same collection"), "{text}");
        assert!(
            text.lines().skip(1).take(4).all(|line| line.contains(" 0.000 ") && line.ends_with("p=1.000")),
            "{text}"
        );
    }

    #[test]
    fn differences_are_paired_by_query_and_what_differs_is_told() {
        let results = sample::results(20);
        let mut better = results.clone();
        for contestant in &mut better.contestants {
            for values in &mut contestant.by_query {
                values.insert("ndcg@10".to_owned(), 1.0);
            }
        }
        // The order of the queries says nothing.
        better.queries.reverse();
        better.contestants.iter_mut().for_each(|contestant| contestant.by_query.reverse());
        better.contestants.retain(|contestant| contestant.name != "local");
        let run = better.run.as_mut().unwrap();
        run.checksums.judgments = "other".to_owned();
        run.models.insert("bge-m3".to_owned(), "other".to_owned());
        let text = compare(&saved(&results), &saved(&better));
        assert!(text.contains("p<0.001") && text.contains("Only in RUN1: local."), "{text}");
        assert!(text.contains("! The collections differ by their checksums, in their judgments:"), "{text}");
        assert!(text.contains("Another model or other settings behind the name: bge-m3."), "{text}");
        better.queries.iter_mut().for_each(|query| query.id.push('x'));
        better.run = None;
        let text = compare(&saved(&results), &saved(&better));
        assert!(text.contains("no query in common") && text.contains("! A run is without checksums"), "{text}");
    }
}
