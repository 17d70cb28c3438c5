//! Means for the queries of each language, domain or whatever else the collection says of its queries.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::results::{Contestant, Kind, Results};
use super::super::facts::FEW_QUERIES;
use super::super::figures::{NOTHING, score, signed};
use super::markup::{Section, each, escape, scrollable};
use crate::eval::exact;

/// Labels with fewer values divide nothing, labels with more are names.
const VALUES: std::ops::RangeInclusive<usize> = 2..=12;
/// Differences from `none` from which a cell is tinted, and more strongly.
const TINTS: [f64; 3] = [0.02, 0.08, 0.2];

pub(super) fn section(results: &Results) -> Option<Section> {
    let names: BTreeSet<&str> =
        results.queries.iter().flat_map(|query| query.labels.keys().map(String::as_str)).collect();
    let tables: String = names.into_iter().filter_map(|name| table(results, name)).collect();
    if tables.is_empty() {
        return None;
    }
    let none = if results.first_stage().is_some() {
        " Small figures are differences from none; the cell is tinted by them. The best of a row is bold."
    } else {
        " The best of a row is bold."
    };
    let body = format!(
        "<p class=\"key\">Means of {}.{none} In groups of fewer than {FEW_QUERIES} queries small differences mean nothing.</p>{tables}",
        escape(results.decisive())
    );
    Some(Section { id: "labels", title: "By label", body })
}

/// Places of the queries with each value of a label.
fn groups<'a>(results: &'a Results, name: &str) -> BTreeMap<&'a str, Vec<usize>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, query) in results.queries.iter().enumerate() {
        if let Some(value) = query.labels.get(name) {
            groups.entry(value).or_default().push(place);
        }
    }
    groups
}

fn table(results: &Results, name: &str) -> Option<String> {
    let groups = groups(results, name);
    if !VALUES.contains(&groups.len()) {
        return None;
    }
    let head = each(&results.contestants, |contestant| {
        format!("<th scope=\"col\" class=\"number\">{}</th>", escape(&contestant.name))
    });
    let rows = each(&groups, |(value, places)| row(results, value, places));
    let label = escape(name);
    let table = format!(
        "<table class=\"labels\"><thead><tr><th scope=\"col\">{label}</th><th scope=\"col\" class=\"number\">Queries</th>{head}</tr></thead>\
         <tbody>{rows}</tbody></table>"
    );
    Some(format!("<h3>{label}</h3>{}", scrollable(&format!("Means by {name}"), &table)))
}

fn row(results: &Results, value: &str, places: &[usize]) -> String {
    let means: Vec<_> =
        results.contestants.iter().map(|contestant| mean(contestant, results.decisive(), places)).collect();
    let best = means.iter().copied().flatten().fold(f64::NEG_INFINITY, f64::max);
    let none = results.contestants.iter().zip(&means).find(|(it, _)| it.kind == Kind::None).and_then(|(_, mean)| *mean);
    let cells = each(results.contestants.iter().zip(&means), |(contestant, mean)| {
        cell(*mean, none.filter(|_| contestant.kind != Kind::None), best)
    });
    format!("<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td>{cells}</tr>", escape(value), places.len())
}

fn cell(mean: Option<f64>, none: Option<f64>, best: f64) -> String {
    let Some(mean) = mean else { return format!("<td class=\"number\">{NOTHING}</td>") };
    let figure = if mean >= best { format!("<b>{}</b>", score(mean)) } else { score(mean) };
    let Some(difference) = none.map(|none| mean - none) else {
        return format!("<td class=\"number\">{figure}</td>");
    };
    let strength = TINTS.iter().filter(|least| difference.abs() >= **least).count();
    let direction = if difference > 0.0 { "up" } else { "down" };
    let tint = if strength == 0 { String::new() } else { format!(" {direction}-{strength}") };
    format!("<td class=\"number{tint}\">{figure} <small>{}</small></td>", signed(difference))
}

fn mean(contestant: &Contestant, metric: &str, places: &[usize]) -> Option<f64> {
    let values = places.iter().filter_map(|&place| contestant.by_query.get(place)?.get(metric).copied());
    let values: Vec<_> = values.filter(|value| value.is_finite()).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / exact(values.len()))
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
