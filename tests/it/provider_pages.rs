//! The pages about the providers are made of their rows: the table of `docs/providers.md`, and `docs/provider-list.md`.
//!
//! `RERANKD_RENEW_DOCS=1 cargo test --test it provider_pages` writes them anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use rerankd::config::PROVIDER_FILES;
use toml::{Table, Value};

use crate::contract::{read, repository};

const TABLE_PAGE: &str = "docs/providers.md";
const LIST_PAGE: &str = "docs/provider-list.md";
const TABLE_START: &str = "<!-- made from config/providers/ by tests/it/provider_pages.rs -->\n";
const TABLE_END: &str = "<!-- end -->\n";
/// Most characters of a line of the table.
const MOST_COLUMNS: usize = 160;

/// The groups: name in a row, heading, what one of them is, what several are called in a sum.
const GROUPS: [(&str, &str, &str, &str); 4] = [
    ("hosted", "Hosted services", "a hosted service", "of hosted services"),
    ("self-hosted", "Servers that you run", "a server that you run", "of servers that you run"),
    ("search-engine", "Search engines", "a search engine", "of search engines"),
    ("gateway", "Gateways", "a gateway", "of gateways"),
];
/// Kinds of evidence: name in a row, in the table, in a section.
const EVIDENCE: [(&str, &str, &str); 6] = [
    ("server", "real server", "a real server was run"),
    ("sdk", "SDK", "the publisher's SDK"),
    ("spec", "spec", "the publisher's specification"),
    ("source", "source", "the server's source"),
    ("documentation", "docs", "documentation only"),
    ("peer", "other client", "another client does it so"),
];
const SCALES: [(&str, &str); 6] = [
    ("probability", "0 to 1"),
    ("cosine", "-1 to 1"),
    ("logit", "logit"),
    ("lexical", "lexical"),
    ("unknown", "unknown"),
    ("none", "no scores"),
];
const INSTRUCTIONS: [(&str, &str); 3] = [("none", "–"), ("prepend", "before the query"), ("field", "field")];
/// Statuses that every hosted provider's edge may send; not repeated in each section.
const EDGE_STATUSES: std::ops::RangeInclusive<i64> = 520..=529;

/// A provider's file.
struct Row {
    name: &'static str,
    table: Table,
}

/// The rows of a group, by name.
fn rows(group: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, text) in PROVIDER_FILES {
        let table: Table = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        if table["group"].as_str() == Some(group) {
            rows.push(Row { name, table });
        }
    }
    rows.sort_by_key(|row| row.name);
    rows
}

/// The word for `name` in a table of words.
fn word<'a>(words: &[(&str, &'a str)], name: &str) -> &'a str {
    words.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no word for {name}")).1
}

/// `1000` as `1,000`.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A list of names, each in code, the last two joined by `or`.
fn named(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match &quoted[..] {
        [before @ .., last] if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        _ => quoted.concat(),
    }
}

/// A sentence of a row, for Markdown.
fn prose(text: &str) -> String {
    text.replace('<', "\\<").replace('*', "\\*")
}

impl Row {
    fn text(&self, key: &str) -> Option<&str> {
        self.table.get(key).and_then(Value::as_str)
    }

    fn texts(&self, key: &str) -> Vec<&str> {
        self.table.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    fn number(&self, key: &str) -> Option<i64> {
        self.table.get(key).and_then(Value::as_integer)
    }

    fn section(&self, key: &str) -> Option<&Table> {
        self.table.get(key).and_then(Value::as_table)
    }

    /// A place in the body of a request.
    fn place(&self, key: &str) -> Option<&str> {
        self.section("request")?.get(key)?.as_str()
    }

    fn models(&self) -> Vec<(&String, &Table)> {
        let models = self.section("models").into_iter().flatten();
        models.map(|(name, facts)| (name, facts.as_table().unwrap())).collect()
    }

    /// A fact of a model; one that is left out is that of other models.
    fn fact<'a>(&'a self, model: &'a Table, key: &str) -> &'a str {
        let fact = model.get(key).or_else(|| self.section("other_models")?.get(key));
        fact.and_then(Value::as_str).unwrap_or_else(|| panic!("{}: other_models.{key} is missing", self.name))
    }

    /// A fact of all listed models, in words; `differing` if they have several.
    fn common(&self, key: &str, words: &[(&str, &'static str)], differing: &'static str) -> &'static str {
        let none = Table::new();
        let mut found = BTreeSet::new();
        for (_, model) in self.models() {
            found.insert(word(words, self.fact(model, key)));
        }
        if found.is_empty() {
            found.insert(word(words, self.fact(&none, key)));
        }
        if found.len() == 1 { found.pop_first().unwrap() } else { differing }
    }

    /// The path, with the query that is always sent.
    fn path(&self) -> String {
        let mut path = self.text("path").unwrap().to_owned();
        for (place, (name, value)) in self.section("query_parameters").into_iter().flatten().enumerate() {
            let mark = if place == 0 { '?' } else { '&' };
            write!(path, "{mark}{name}={}", value.as_str().unwrap()).unwrap();
        }
        path
    }

    /// The header with the key.
    fn key_header(&self) -> String {
        let header = self.text("key_header").unwrap_or("authorization");
        let usual = if header == "authorization" { "Bearer" } else { "" };
        match self.text("key_scheme").unwrap_or(usual) {
            "" => format!("`{header}: KEY`"),
            "Basic" => format!("`{header}: Basic …`, where the key is USER:PASSWORD"),
            scheme => format!("`{header}: {scheme} KEY`"),
        }
    }

    /// True for a model that neither the body nor the path names.
    fn model_is_a_label(&self) -> bool {
        self.place("model").is_none() && !self.text("path").unwrap().contains("{model")
    }

    /// A line of the table. Its path is cut in the middle where the line would be too long.
    fn line(&self) -> String {
        let scorings = [("pointwise", "pointwise"), ("listwise", "listwise"), ("selector", "selector")];
        let evidence = EVIDENCE.map(|(name, short, _)| (name, short));
        let before = format!("| [`{}`] | {} | {} | ", self.name, self.text("title").unwrap(), {
            self.common("scoring", &scorings, "by model")
        });
        let after = format!(
            " | {} | {} | {} | {} | {} |",
            self.texts("key_variables").first().map_or("–".to_owned(), |variable| format!("`{variable}`")),
            grouped(self.number("max_passages").unwrap()),
            self.common("scale", &SCALES, "by model"),
            self.common("instruction", &INSTRUCTIONS, "by model"),
            word(&evidence, self.text("evidence").unwrap()),
        );
        let room = MOST_COLUMNS - before.chars().count() - after.chars().count() - 2;
        format!("{before}`{}`{after}", shortened(self.text("path").unwrap(), room))
    }

    /// The first paragraph of a section.
    fn introduction(&self, kind: &str) -> String {
        let call = match self.text("base_url") {
            Some(base_url) => format!("`POST {base_url}{}`", self.path()),
            None => format!("`POST {}` on your host", self.path()),
        };
        let mut text = format!("{}, {kind}: {call}", self.text("title").unwrap());
        let variables = self.texts("key_variables");
        let needs_key = !variables.is_empty() || self.text("key_scheme").is_some() || kind == GROUPS[0].2;
        if needs_key {
            write!(text, " with {}", self.key_header()).unwrap();
        }
        text.push('.');
        if !variables.is_empty() {
            write!(text, " The key is customarily in {}.", named(&variables)).unwrap();
        }
        for (name, variable) in self.section("path_variables").into_iter().flatten() {
            write!(text, " `{{{name}}}` is customarily in `{}`.", variable.as_str().unwrap()).unwrap();
        }
        write!(text, " {}", self.limits()).unwrap();
        if let Some(day) = self.text("retired_on") {
            write!(text, " **It ended on {day}.**").unwrap();
            if let Some(successor) = self.text("successor") {
                write!(text, " Instead: {}.", prose(successor)).unwrap();
            }
        }
        text
    }

    fn limits(&self) -> String {
        let mut limits = vec![format!("{} passages", grouped(self.number("max_passages").unwrap()))];
        for (key, unit) in [("max_call_bytes", "bytes"), ("max_call_characters", "characters")] {
            limits.extend(self.number(key).map(|most| format!("{} {unit}", grouped(most))));
        }
        if let Some(tokens) = self.section("other_models").and_then(|others| others.get("max_call_tokens")) {
            limits.push(format!("{} tokens", grouped(tokens.as_integer().unwrap())));
        }
        let mut text = format!("At most {} a call", limits.join(", "));
        for (key, of) in [("max_query_characters", "query"), ("max_passage_characters", "passage")] {
            if let Some(most) = self.number(key) {
                write!(text, ", {} characters a {of}", grouped(most)).unwrap();
            }
        }
        text.push('.');
        text
    }

    /// The lines of a configuration that use the provider.
    fn example(&self) -> String {
        let name = self.name;
        let mut text = format!("[upstreams.{name}]\nprovider = \"{name}\"\n");
        let is_hosted = self.text("group") == Some("hosted");
        match self.text("example_base_url") {
            Some(base_url) => writeln!(text, "base_url = \"{base_url}\"").unwrap(),
            None => assert!(self.text("base_url").is_some(), "{name}: neither base_url nor example_base_url"),
        }
        let own = format!("{}_API_KEY", name.to_uppercase().replace('-', "_"));
        let variable = self.texts("key_variables").first().copied();
        if variable.is_some() || is_hosted || self.text("key_scheme") == Some("Basic") {
            writeln!(text, "api_key = \"env:{}\"", variable.unwrap_or(&own)).unwrap();
        }
        for part in self.text("path").unwrap().split('{').skip(1) {
            let value = part.split('}').next().unwrap();
            let has_variable = self.section("path_variables").is_some_and(|known| known.contains_key(value));
            if value != "model" && !value.starts_with("model:") && !has_variable {
                writeln!(text, "path_values = {{ {value} = \"default\" }}").unwrap();
            }
        }
        if self.model_is_a_label() && self.text("default_model").is_some() {
            return format!("{text}\n[models.default]\ntargets = [{{ upstream = \"{name}\" }}]\n");
        }
        let model = self.text("example_model").or(self.text("default_model"));
        let model = model.unwrap_or_else(|| panic!("{name}: neither example_model nor default_model"));
        format!("{text}\n[models.default]\ntargets = [{{ upstream = \"{name}\", model = \"{model}\" }}]\n")
    }

    /// The facts about the models, as a table.
    fn model_table(&self) -> String {
        let date = self.text("price_date").map_or("list price".to_owned(), |day| format!("list price, {day}"));
        let mut text = format!("| model | kind | scale | instruction | {date} | remarks |\n");
        text.push_str("| --- | --- | --- | --- | --- | --- |\n");
        let models = self.models();
        let others = self.section("other_models").unwrap();
        for (name, model) in &models {
            text.push_str(&self.model_line(&format!("`{name}`"), model, &self.remarks(model)));
        }
        let name = if models.is_empty() { "any" } else { "others" };
        text.push_str(&self.model_line(name, others, ""));
        text
    }

    fn model_line(&self, name: &str, model: &Table, remarks: &str) -> String {
        let scale = word(&SCALES, self.fact(model, "scale"));
        let instruction = word(&INSTRUCTIONS, self.fact(model, "instruction"));
        let cells = [name, self.fact(model, "scoring"), scale, instruction, &price(model), remarks];
        format!("| {} |\n", cells.join(" | ")).replace("|  |", "| |")
    }

    fn remarks(&self, model: &Table) -> String {
        let mut remarks = Vec::new();
        let text = |key: &str| model.get(key).and_then(Value::as_str);
        if let Some(other) = text("silent_alias_of") {
            remarks.push(format!("answered by `{other}`"));
        }
        if let Some(day) = text("retired_on") {
            remarks.push(format!("until {day}"));
        }
        if let Some(successor) = text("successor") {
            let is_model = self.models().iter().any(|(name, _)| *name == successor);
            let named = if is_model { format!("`{successor}`") } else { prose(successor) };
            // Without a day it is known to be on its way out, and no more.
            remarks.push(if text("retired_on").is_some() {
                format!("then {named}")
            } else {
                format!("deprecated, use {named}")
            });
        }
        for (key, unit) in [("max_passages", "passages"), ("max_call_tokens", "tokens")] {
            if let Some(most) = model.get(key).and_then(Value::as_integer) {
                remarks.push(format!("{} {unit} a call", grouped(most)));
            }
        }
        remarks.join(", ")
    }

    /// What goes into which field, where clients may set it.
    fn fields(&self) -> String {
        let mut sentences = Vec::new();
        if let Some(place) = self.place("instruction") {
            sentences.push(format!("An instruction goes to `{place}`."));
        }
        if let Some(place) = self.place("max_tokens_per_doc") {
            let most = self.section("request").and_then(|request| request.get("max_tokens_per_doc_limit"));
            let most = most.and_then(Value::as_integer).map(|most| format!(", as {} at most", grouped(most)));
            sentences.push(format!("`max_tokens_per_doc` goes to `{place}`{}.", most.unwrap_or_default()));
        }
        sentences.join(" ")
    }

    fn retried(&self) -> String {
        let statuses = self.table.get("retry_statuses").and_then(Value::as_array);
        let statuses = statuses.into_iter().flatten().filter_map(Value::as_integer);
        let own: Vec<String> =
            statuses.filter(|status| !EDGE_STATUSES.contains(status)).map(|status| status.to_string()).collect();
        format!("Retried: {}.", own.join(", "))
    }

    fn section_of_page(&self, kind: &str) -> String {
        let mut text = format!("### {}\n\n{}\n\n", self.name, self.introduction(kind));
        write!(text, "```toml\n{}```\n\n", self.example()).unwrap();
        for note in self.texts("notes") {
            writeln!(text, "- {}", prose(note)).unwrap();
        }
        let fields = self.fields();
        if !fields.is_empty() {
            writeln!(text, "- {fields}").unwrap();
        }
        writeln!(text, "- {}", self.retried()).unwrap();
        let evidence = EVIDENCE.map(|(name, _, long)| (name, long));
        let kind = word(&evidence, self.text("evidence").unwrap());
        let source = self.text("evidence_note").map_or(String::new(), |note| format!("; {}", prose(note)));
        write!(text, "- Evidence: {kind}{source}.\n\n{}\n", self.model_table()).unwrap();
        text
    }
}

/// The price of a model, in words.
fn price(model: &Table) -> String {
    for (key, unit) in [
        ("usd_per_search_unit", "a search unit"),
        ("usd_per_million_tokens", "a million tokens"),
        ("usd_per_call", "a call"),
    ] {
        if let Some(usd) = model.get(key) {
            return format!("${usd} {unit}");
        }
    }
    let is_free = model.get("free").and_then(Value::as_bool) == Some(true);
    if is_free { "free".to_owned() } else { "not known".to_owned() }
}

/// `path`, with as many of its middle segments left out as it takes to fit into `room`.
fn shortened(path: &str, room: usize) -> String {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let mut shown = path.to_owned();
    let mut kept = segments.len() - 1;
    while shown.chars().count() > room {
        kept = kept.checked_sub(1).unwrap_or_else(|| panic!("{path} does not fit into {room} columns"));
        let start = segments[..kept].join("/");
        let mark = if start.is_empty() { "…" } else { "/…" };
        shown = format!("/{start}{mark}/{}", segments.last().unwrap());
    }
    shown
}

/// The table of all providers, with the targets of its links.
fn table() -> String {
    let mut text =
        "| name | vendor | kind | call | key variable | passages | scale | instruction | evidence |\n".to_owned();
    text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    let mut links = String::new();
    for (group, heading, _, _) in GROUPS {
        writeln!(text, "| **{heading}** | | | | | | | | |").unwrap();
        for row in rows(group) {
            writeln!(text, "{}", row.line()).unwrap();
            writeln!(links, "[`{0}`]: provider-list.md#{0}", row.name).unwrap();
        }
    }
    format!("\n{text}\n{links}\n")
}

/// The page with a section for each provider.
fn list() -> String {
    let mut text = "# Provider list\n\n\
        Every provider that is compiled in, with the lines that use it, its traps, and what its row rests on. Made from\n\
        [`config/providers/`](../config/providers/README.md); [Providers](providers.md) has them in one table, and says what\n\
        pointwise, listwise and the scales mean. `rerankd check --show-call NAME` prints a call. Statuses 520 to 529, of which\n\
        some edges answer, are retried beside those that are listed.\n\n"
        .to_owned();
    for (group, heading, kind, _) in GROUPS {
        write!(text, "## {heading}\n\n").unwrap();
        for row in rows(group) {
            text.push_str(&row.section_of_page(kind));
        }
    }
    format!("{}\n", text.trim_end())
}

#[test]
fn provider_pages_match_the_rows() {
    let page = read(TABLE_PAGE);
    let (before, rest) = page.split_once(TABLE_START).unwrap_or_else(|| panic!("{TABLE_PAGE} lacks {TABLE_START}"));
    let (_, after) = rest.split_once(TABLE_END).unwrap_or_else(|| panic!("{TABLE_PAGE} lacks {TABLE_END}"));
    let pages = [(TABLE_PAGE, format!("{before}{TABLE_START}{}{TABLE_END}{after}", table())), (LIST_PAGE, list())];
    for (path, expected) in pages {
        if std::env::var_os("RERANKD_RENEW_DOCS").is_some() {
            fs::write(repository(path), expected).unwrap();
            continue;
        }
        let command = "RERANKD_RENEW_DOCS=1 cargo test --test it provider_pages";
        assert!(read(path) == expected, "{path} is not what the rows say; run {command}");
    }
}

#[test]
fn table_of_providers_can_be_read_as_it_stands() {
    for line in table().lines() {
        assert!(line.chars().count() <= MOST_COLUMNS, "{line}");
    }
}

/// The sum of all providers, and that of each group, wherever they are named.
#[test]
fn number_of_providers_is_named_rightly() {
    let count = PROVIDER_FILES.len();
    let groups = GROUPS.map(|(group, .., several)| format!("{} {several}", rows(group).len()));
    let [hosted, own, engines, gateways] = groups;
    let sum = format!("{hosted}, {own}, {engines}, {gateways}");
    for page in ["README.md", TABLE_PAGE] {
        let text = read(page).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&sum), "{page} should say: {sum}");
    }
    for page in ["README.md", TABLE_PAGE, "docs/comparison.md", "docs/clients.md", "docs/faq.md"] {
        assert!(read(page).contains(&format!("{count} rerank APIs")), "{page} should say: {count} rerank APIs");
    }
}
