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
use rerankd_core::text::{of_file, printable};
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::{RerankResponse, milliseconds};
use tokio::time::Instant;
use unicode_width::UnicodeWidthChar;
use uuid::Uuid;

use super::passages::{self, PassageFile};
use super::{CommandFailure, ConfigArgs, print, runtime};
use crate::assemble::assemble;
use crate::dialect::Dialect;
use crate::dialect::native;

/// Columns of the table where no terminal tells its width.
const DEFAULT_WIDTH: u16 = 100;
/// Index of the table's column that holds the passages.
const PASSAGE_COLUMN: usize = 3;
/// Columns of the terminal that rank, score and line number take.
const OTHER_COLUMNS: u16 = 24;
/// Fewest columns of a passage, however narrow the terminal is.
const MIN_PASSAGE_COLUMNS: u16 = 20;
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
    #[arg(long, short = 'n', value_name = "N")]
    top_n: Option<usize>,
    /// The model to ask.
    #[arg(long, short = 'm')]
    model: Option<String>,
    /// Print the answer of the HTTP API, documents included.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &RerankArgs) -> Result<(), CommandFailure> {
    let loaded = args.config.load(None)?;
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
    print(&table(&lines, &request, &response))
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
    let width = match terminal_size::terminal_size() {
        Some((width, _)) => width.0,
        None => DEFAULT_WIDTH,
    };
    let text_width = width.saturating_sub(OTHER_COLUMNS).max(MIN_PASSAGE_COLUMNS);
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["RANK", "SCORE", "LINE", "PASSAGE"]);
    for (rank, ranked) in (1..).zip(&response.ranking) {
        let score = match ranked.score {
            Some(score) => format!("{score:.4}"),
            None => "-".to_owned(),
        };
        // A passage may hold line ends, or sequences that steer a terminal.
        let passage = printable(request.passages.get(ranked.position).text);
        let text = shortened(&passage, usize::from(text_width));
        table.add_row([rank.to_string(), score, lines[ranked.position].to_string(), text]);
    }
    if let Some(column) = table.column_mut(PASSAGE_COLUMN) {
        column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(text_width)));
    }
    let mut text = format!("{}\n", table.trim_fmt());
    let provenance = &response.provenance;
    for warning in &provenance.warnings {
        text.push_str(&format!("! {warning}\n"));
    }
    let scale = match provenance.score_scale {
        Some(scale) => scale.name(),
        None => "none",
    };
    let by = provenance.upstream.as_deref().unwrap_or("nobody");
    let model = provenance.upstream_model.as_deref().unwrap_or("-");
    text.push_str(&format!(
        "\n{} passages by {by}/{model}, score scale {scale}, {:.1} ms\n",
        request.passages.len(),
        milliseconds(provenance.timings.total)
    ));
    text
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
    use unicode_width::UnicodeWidthStr;

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
