//! The evaluation as one self-contained HTML page: no script, no other file, no network.

mod axis;
mod by_label;
mod chart;
mod citation;
mod definitions;
mod deltas;
mod markup;
mod movement;
mod overview;
mod queries;
mod tradeoff;

use markup::{HtmlSection, each, escape, paragraphs};
use rerankd_core::text::{counted, printable};

use super::super::results::Results;
use super::summary::{choice, collection, finding, left_out, outcome, reading};
use super::warnings::warnings;

/// Content security policy of the page. It allows the inline style sheet and the empty icon and nothing else, so that
/// markup in a hostile text would still not act.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// The page, which is HTML and well-formed XML at once.
#[must_use]
pub fn html(results: &Results) -> String {
    let mut sections = vec![overview::section(results)];
    sections.extend(tradeoff::latency(results));
    sections.push(notes(results));
    sections.push(overview::all_metrics(results));
    sections.extend(tradeoff::cost(results));
    sections.extend(by_label::section(results));
    sections.extend(deltas::section(results));
    sections.extend(queries::section(results));
    sections.push(definitions::section(results));
    sections.extend(citation::section(results));
    let links = each(&sections, |section| format!("<li><a href=\"#{}\">{}</a></li>", section.id, section.title));
    let main = each(&sections, HtmlSection::html);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\" />\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n\
         <meta name=\"color-scheme\" content=\"light dark\" />\n\
         <meta name=\"referrer\" content=\"no-referrer\" />\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\" />\n<style>\n{style}</style>\n</head>\n<body>\n\
         <header>\n<p class=\"eyebrow\">rerankd eval · {name}</p>\n<h1>{headline}{left_out}</h1>\n\
         <div class=\"lead\">{finding}</div>\n\
         {mind}<nav aria-label=\"Parts of this page\"><ul>{links}</ul></nav>\n</header>\n<main>\n{main}</main>\n\
         <footer><p>Made by rerankd {version}.</p></footer>\n</body>\n</html>\n",
        title = escape(&format!("{}: rerankers compared", printable(&results.collection.name))),
        style = include_str!("style.css"),
        name = escape(&results.collection.name),
        headline = unbroken(&outcome(results)),
        left_out = match left_out(results) {
            Some(left_out) => format!(" <small>({})</small>", escape(&left_out)),
            None => String::new(),
        },
        finding = paragraphs(&finding(results)),
        mind = mind(results),
        version = escape(&results.rerankd),
    )
}

/// `text` as HTML in which a name breaks at its hyphens and slashes only if it is wider than the screen.
fn unbroken(text: &str) -> String {
    let mut html = String::new();
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 {
            html.push(' ');
        }
        let escaped = escape(word);
        if word.contains(['-', '/']) {
            // An inline block in the style sheet, which breaks only if it does not fit on a line.
            html.push_str(&format!("<span>{escaped}</span>"));
        } else {
            html.push_str(&escaped);
        }
    }
    html
}

/// The link from the headline to the warnings, if there are any: they stand below the table and the chart.
fn mind(results: &Results) -> String {
    match warnings(results).len() {
        0 => String::new(),
        count => format!(
            "<p class=\"mind\"><a href=\"#warnings\">{} to mind</a></p>\n",
            escape(&counted(count, "thing", "things"))
        ),
    }
}

/// The collection, the choice and the warnings.
fn notes(results: &Results) -> HtmlSection {
    let facts = [collection(results), choice(results), reading(results)].concat();
    let warnings = warnings(results);
    let mut body = format!("<div class=\"notes\">{}</div>\n", paragraphs(&facts));
    if !warnings.is_empty() {
        let items = each(&warnings, |warning| format!("<li>{}</li>", escape(warning)));
        body.push_str(&format!(
            "<aside class=\"warnings\" aria-labelledby=\"warnings\">\
             <h3 id=\"warnings\">Mind these</h3><ul>{items}</ul></aside>\n"
        ));
    }
    HtmlSection { id: "notes", title: "What was compared", body }
}

#[cfg(test)]
mod tests;
