//! `rerankd rerank`: one ranking without a server.

use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use faststr::FastStr;
use rerankd_core::cache::control::CacheControl;
use rerankd_core::cache::key::CacheScope;
use rerankd_core::rerank::RequestContext;
use rerankd_core::route::{Route, cross_encoder_hint};
use rerankd_core::text::{counted, of_file, printable};
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::{CountingChunk, RerankResponse, ResultExplanation, milliseconds};
use tokio::time::Instant;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
use uuid::Uuid;

use super::banner::has_providers;
use super::passages::{self, PassageFile};
use super::{CommandFailure, ConfigArgs, print, runtime, table_columns};
use crate::assemble::assemble;
use crate::dialect::Dialect;
use crate::dialect::native;

/// Columns of the terminal that rank, score and line number take.
const OTHER_COLUMNS: usize = 24;
/// Columns of the terminal around the text of a cell.
const PADDING: usize = 2;
/// Headings of the columns of `--explain`, which stand before the passage.
const EXPLAINED: [&str; 4] = ["WAS", "SOURCE", "SCORED", "WORDS"];
/// Most columns of the words of the query that a passage holds.
const MAX_WORDS_COLUMNS: usize = 20;
/// The content of a cell without a value.
const NO_VALUE: &str = "-";
/// The cell of a result without a score.
const NO_SCORE: &str = "–";
/// Fewest columns of a passage, however narrow the terminal is.
const MIN_PASSAGE_COLUMNS: usize = 20;
/// The selector that turns the character before it into an emoji of two columns.
const EMOJI_SELECTOR: char = '\u{fe0f}';

#[derive(Debug, Args)]
pub(super) struct RerankArgs {
    /// The search text.
    query: String,
    /// Passages: one a line, or JSON lines with a `text`; `-` is standard input.
    #[arg(default_value = "-", value_name = "FILE")]
    file: PathBuf,
    /// How many results to print; all if left out.
    #[arg(long, short = 'n', value_name = "N", help_heading = "Output")]
    top_n: Option<usize>,
    /// The model to ask.
    #[arg(long, short = 'm')]
    model: Option<String>,
    /// Print the answer of the HTTP API, documents included.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Tell for each result the source of its score, its rank before, the characters that were scored, and the words of
    /// the query that the lexical scorer found.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &RerankArgs) -> Result<(), CommandFailure> {
    let loaded = args.config.load_and_warn()?;
    let name = if args.file.as_os_str() == "-" { "standard input".into() } else { args.file.display().to_string() };
    let bytes = read(&args.file).map_err(|error| CommandFailure::new(format!("{name} cannot be read: {error}")))?;
    let text = of_file(bytes).map_err(|reason| CommandFailure::new(format!("{name} {reason}")))?;
    let PassageFile { passages, lines, warnings } =
        passages::parse(&text).map_err(|reason| CommandFailure::new(format!("{name}: {reason}")))?;
    let request = Arc::new(RerankRequest {
        model: args.model.as_deref().map(FastStr::new),
        query: FastStr::new(&args.query),
        passages,
        top_n: args.top_n,
        return_documents: true,
        explain: args.explain,
        warnings,
        ..RerankRequest::default()
    });
    let reranker = assemble(&loaded.settings).map_err(CommandFailure::new)?;
    let route = reranker.routes.resolve(args.model.as_deref()).map_err(|error| CommandFailure::new(error.message))?;
    let started = Instant::now();
    let context = RequestContext {
        started,
        deadline: started + loaded.settings.server.request_timeout,
        control: CacheControl::default(),
        scope: CacheScope::SHARED,
    };
    let response = runtime()?
        .block_on(reranker.rerank(&route, &request, &context))
        .map_err(|error| CommandFailure::new(error.message))?;
    if args.json {
        let id = Uuid::now_v7().to_string();
        let body = native::BARE.encode(&id, &request, &response);
        return print(&format!("{}\n", String::from_utf8_lossy(&body)));
    }
    let mut text = table(&lines, &request, &response);
    if !has_providers(&reranker.routes)
        && let Some(hint) = hint(&route, &response)
    {
        text.push_str(&format!("{hint}\n"));
    }
    print(&text)
}

/// A hint at a better model than the one that answered; `None` if there is none, or if a warning about scores of 0 has
/// told the way already.
fn hint(route: &Route, response: &RerankResponse) -> Option<&'static str> {
    let best = response.ranking.first()?;
    if best.score == Some(0.0) {
        return None;
    }
    cross_encoder_hint(route.targets.first()?)
}

/// The bytes of a file, or of standard input for `-`.
fn read(file: &PathBuf) -> io::Result<Vec<u8>> {
    if file.as_os_str() != "-" {
        return std::fs::read(file);
    }
    // Without it the command would look as if it hung.
    if io::stdin().is_terminal() {
        eprint_hint();
    }
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Tells that standard input is read from the keyboard.
fn eprint_hint() {
    drop(io::Write::write_all(&mut io::stderr(), b"reading passages from the keyboard, one a line; end with Ctrl-D\n"));
}

/// The ranking as a table with a summary below it. `lines` holds the line number of each passage of the request.
fn table(lines: &[usize], request: &RerankRequest, response: &RerankResponse) -> String {
    let explained = explained_cells(request, response);
    let text_width =
        usize::from(table_columns()).saturating_sub(OTHER_COLUMNS + columns_of(&explained)).max(MIN_PASSAGE_COLUMNS);
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut headings = vec!["RANK", "SCORE", "LINE"];
    if request.explain {
        headings.extend(EXPLAINED);
    }
    headings.push("PASSAGE");
    let passage_column = headings.len() - 1;
    table.set_header(headings);
    for (at, ranked) in response.ranking.iter().enumerate() {
        let score = match response.score_of(ranked) {
            Some(score) => format!("{score:.4}"),
            None => NO_SCORE.to_owned(),
        };
        let mut row = vec![(at + 1).to_string(), score, lines[ranked.position].to_string()];
        if let Some(cells) = explained.get(at) {
            row.extend_from_slice(cells);
        }
        // A passage may hold line ends, or sequences that steer a terminal.
        let passage = printable(request.passages.get(ranked.position).text);
        row.push(shortened(&passage, text_width));
        table.add_row(row);
    }
    if let Some(column) = table.column_mut(passage_column) {
        // Never reached: a passage has fewer columns than a `u16` holds.
        let bound = u16::try_from(text_width).unwrap_or(u16::MAX);
        column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(bound)));
    }
    let mut text = format!("{}\n", table.trim_fmt());
    let provenance = &response.provenance;
    for warning in &provenance.warnings {
        let wrapping =
            textwrap::Options::new(usize::from(table_columns())).initial_indent("! ").subsequent_indent("  ");
        text.push_str(&textwrap::fill(warning, wrapping));
        text.push('\n');
    }
    text.push('\n');
    for target in &provenance.targets_tried {
        text.push_str(&format!("tried {}/{}: {}\n", target.upstream, target.upstream_model, target.outcome.code()));
    }
    let scale = match provenance.score_scale {
        Some(scale) => scale.name(),
        None => "none",
    };
    let by = provenance.upstream.as_deref().unwrap_or("nobody");
    let model = provenance.upstream_model.as_deref().unwrap_or("-");
    text.push_str(&format!(
        "{} by {by}/{model}, score scale {scale}, {:.1} ms\n",
        counted(request.passages.len(), "passage", "passages"),
        milliseconds(provenance.timings.total)
    ));
    text
}

/// The cells of `--explain` for each result; none without it.
fn explained_cells(request: &RerankRequest, response: &RerankResponse) -> Vec<[String; EXPLAINED.len()]> {
    if !request.explain {
        return Vec::new();
    }
    let mut rows = Vec::with_capacity(response.ranking.len());
    for (at, ranked) in response.ranking.iter().enumerate() {
        let was = (ranked.position + 1).to_string();
        let source = ranked.source.name().to_owned();
        let mut scored = NO_VALUE.to_owned();
        let mut words = NO_VALUE.to_owned();
        if let Some(explanation) = response.explanations.get(at) {
            scored = scored_cell(explanation);
            if let Some(matched) = &explanation.matched_words
                && !matched.is_empty()
            {
                words = shortened(&printable(&matched.join(" ")), MAX_WORDS_COLUMNS);
            }
        }
        rows.push([was, source, scored, words]);
    }
    rows
}

/// The characters that were scored, and the part of the passage that they are.
fn scored_cell(explanation: &ResultExplanation) -> String {
    let characters = explanation.scored_characters;
    match explanation.is_picked {
        Some(true) => return format!("{characters}, picked"),
        Some(false) => return format!("{characters}, left out"),
        None => {}
    }
    match explanation.chunk {
        Some(CountingChunk { number, of }) => format!("{characters}, chunk {number} of {of}"),
        None => match explanation.is_truncated {
            Some(true) => format!("{characters}, cut"),
            Some(false) => characters.to_string(),
            None => format!("{characters}, or less"),
        },
    }
}

/// The columns of the terminal that cells of `--explain` take.
fn columns_of(rows: &[[String; EXPLAINED.len()]]) -> usize {
    if rows.is_empty() {
        return 0;
    }
    let mut sum = 0;
    for (column, heading) in EXPLAINED.iter().enumerate() {
        let widest = rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
        sum += widest.max(heading.len()) + PADDING;
    }
    sum
}

/// At most `width` columns of `text`, with an ellipsis if it was longer.
fn shortened(text: &str, width: usize) -> String {
    let mut used = 0;
    // End of the longest beginning that leaves a column for the ellipsis.
    let mut end = 0;
    for (at, character) in text.char_indices() {
        used += columns(character);
        if used > width {
            return format!("{}…", &text[..end]);
        }
        if used < width {
            end = at + character.len_utf8();
        }
    }
    text.to_owned()
}

/// The columns that a character adds to a line at most.
fn columns(character: char) -> usize {
    match character {
        EMOJI_SELECTOR => 1,
        // A character without a width of its own: the table counts one column.
        _ => character.width().unwrap_or(1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_that_fits_is_not_cut() {
        for (text, columns) in [("abc", 3), ("12 € – “…”", 10), ("日本", 4), ("e\u{301}te\u{301}", 3), ("☎\u{fe0f}", 2)]
        {
            assert_eq!(shortened(text, columns), text);
        }
    }

    #[test]
    fn a_longer_text_is_cut_at_its_last_column() {
        for (text, columns, expected) in
            [("abcd", 3, "ab…"), ("€€€€", 3, "€€…"), ("日本語", 5, "日本…"), ("日本語", 4, "日…")]
        {
            assert_eq!(shortened(text, columns), expected);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_wider_than_its_column(text in "\\PC{0,40}", width in 1_usize..30) {
            prop_assert!(shortened(&text, width).width() <= width);
        }
    }
}
