//! Means for groups of queries that share a label, such as a language or a domain.

use std::collections::{BTreeMap, BTreeSet};

use rerankd_core::types::as_f64;

use super::super::super::results::{Contestant, Kind, Results};
use super::super::figures::{NOTHING, score, signed};
use super::super::standings::FEW_QUERIES;
use super::markup::{HtmlSection, each, escape, scrollable};

/// Numbers of values that a label may have. One value divides nothing; more than 12 are rather names than groups.
const VALUE_COUNTS: std::ops::RangeInclusive<usize> = 2..=12;
/// Absolute differences from the first stage at which the tint of a cell grows stronger. The style sheet has classes
/// for them: `up-1` to `up-3` and `down-1` to `down-3`.
const TINTS: [f64; 3] = [0.02, 0.08, 0.2];

/// The section with a table for each label that divides the queries; `None` if no label does.
pub(super) fn section(results: &Results) -> Option<HtmlSection> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for query in &results.queries {
        names.extend(query.labels.keys().map(String::as_str));
    }
    let mut tables = String::new();
    for name in names {
        if let Some(table) = table(results, name) {
            tables.push_str(&table);
        }
    }
    if tables.is_empty() {
        return None;
    }
    let legend = if results.first_stage().is_some() {
        "Small figures are differences from none; the cell is tinted by them. The best of a row is bold."
    } else {
        "The best of a row is bold."
    };
    let body = format!(
        "<p class=\"key\">Means of {}. {legend} \
         In groups of fewer than {FEW_QUERIES} queries small differences mean nothing.</p>{tables}",
        escape(results.decisive())
    );
    Some(HtmlSection { id: "labels", title: "By label", body })
}

/// Indexes of the queries with each value of the label `name`.
fn groups<'a>(results: &'a Results, name: &str) -> BTreeMap<&'a str, Vec<usize>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, query) in results.queries.iter().enumerate() {
        if let Some(value) = query.labels.get(name) {
            groups.entry(value).or_default().push(index);
        }
    }
    groups
}

/// A row for each value of the label `name` and a column for each contestant; `None` if it has too few or too many
/// values.
fn table(results: &Results, name: &str) -> Option<String> {
    let groups = groups(results, name);
    if !VALUE_COUNTS.contains(&groups.len()) {
        return None;
    }
    let head = each(&results.contestants, |contestant| {
        format!("<th scope=\"col\" class=\"number\">{}</th>", escape(&contestant.name))
    });
    let rows = each(&groups, |(value, queries)| row(results, value, queries));
    let label = escape(name);
    let table = format!(
        "<table class=\"labels\"><thead><tr><th scope=\"col\">{label}</th>\
         <th scope=\"col\" class=\"number\">Queries</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
    );
    Some(format!("<h3>{label}</h3>{}", scrollable(&format!("Means by {name}"), &table)))
}

/// Means of all contestants over one group of queries.
fn row(results: &Results, value: &str, queries: &[usize]) -> String {
    let metric = results.decisive();
    let first_stage = match results.first_stage() {
        Some(contestant) => mean(contestant, metric, queries),
        None => None,
    };
    let mut means = Vec::with_capacity(results.contestants.len());
    let mut best = f64::NEG_INFINITY;
    for contestant in &results.contestants {
        let mean = mean(contestant, metric, queries);
        if let Some(mean) = mean {
            best = best.max(mean);
        }
        means.push(mean);
    }
    let cells = each(results.contestants.iter().zip(means), |(contestant, mean)| match contestant.kind {
        // The first stage is no difference from itself.
        Kind::None => cell(mean, None, best),
        Kind::Model => cell(mean, first_stage, best),
    });
    format!("<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td>{cells}</tr>", escape(value), queries.len())
}

/// A mean, bold if it is `best`, with its difference from `first_stage` if that is known.
fn cell(mean: Option<f64>, first_stage: Option<f64>, best: f64) -> String {
    let Some(mean) = mean else { return format!("<td class=\"number\">{NOTHING}</td>") };
    // Contestants with the same mean are all bold.
    let figure = if mean >= best { format!("<b>{}</b>", score(mean)) } else { score(mean) };
    let Some(first_stage) = first_stage else {
        return format!("<td class=\"number\">{figure}</td>");
    };
    let difference = mean - first_stage;
    let strength = TINTS.iter().filter(|least| difference.abs() >= **least).count();
    let direction = if difference > 0.0 { "up" } else { "down" };
    let tint = if strength == 0 { String::new() } else { format!(" {direction}-{strength}") };
    format!("<td class=\"number{tint}\">{figure} <small>{}</small></td>", signed(difference))
}

/// The mean of a metric over `queries`, of which those without a finite value do not count; `None` if none is left.
fn mean(contestant: &Contestant, metric: &str, queries: &[usize]) -> Option<f64> {
    let mut sum = 0.0;
    let mut count = 0;
    for &query in queries {
        let Some(values) = contestant.by_query.get(query) else { continue };
        if let Some(&value) = values.get(metric)
            && value.is_finite()
        {
            sum += value;
            count += 1;
        }
    }
    (count > 0).then(|| sum / as_f64(count))
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    #[test]
    fn means_are_those_of_the_labelled_queries() {
        let mut results = sample::results(4);
        results.contestants.truncate(1);
        for (place, (language, value)) in [("de", 0.5), ("de", 0.7), ("ja", 0.2), ("", 0.9)].into_iter().enumerate() {
            results.queries[place].labels.clear();
            if !language.is_empty() {
                results.queries[place].labels.insert("language".to_owned(), language.to_owned());
            }
            let metric = results.decisive().to_owned();
            results.contestants[0].by_query[place].insert(metric, value);
        }
        let html = section(&results).unwrap().body;
        assert!(
            html.contains("<th scope=\"row\">de</th><td class=\"number\">2</td><td class=\"number\"><b>0.600</b>"),
            "{html}"
        );
        assert!(
            html.contains("<th scope=\"row\">ja</th><td class=\"number\">1</td><td class=\"number\"><b>0.200</b>"),
            "{html}"
        );
    }

    #[test]
    fn labels_that_divide_nothing_or_everything_are_left_out() {
        let mut results = sample::results(20);
        for (place, query) in results.queries.iter_mut().enumerate() {
            query.labels = [("same", "x".to_owned()), ("name", place.to_string())]
                .map(|(name, value)| (name.to_owned(), value))
                .into();
        }
        assert!(section(&results).is_none());
    }

    #[test]
    fn tints_follow_the_difference_from_none() {
        assert!(cell(Some(0.7), Some(0.4), 0.7).starts_with("<td class=\"number up-3\"><b>0.700</b> <small>+0.300"));
        assert!(cell(Some(0.35), Some(0.4), 0.7).starts_with("<td class=\"number down-1\">0.350 <small>−0.050"));
        assert!(cell(Some(0.41), Some(0.4), 0.7).starts_with("<td class=\"number\">"));
    }
}
