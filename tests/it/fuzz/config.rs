//! Configuration files: any text loads or is refused, and no secret stands in what is said about it.

use std::fmt;
use std::fs;

use bolero::{Driver, ValueGenerator};
use rerankd::config::{DEFAULT_TOML, Environment, Sources, load};
use toml::{Table, Value};

use super::grammar::Grammar;
use super::mutate::{Mutator, Seed, word};
use super::{FEATHER, kept};
use crate::contract::read;

/// A secret where secrets belong.
const KEY: &str = "sk-0123456789";
/// Another, because a key may stand there only once.
const OTHER_KEY: &str = "sk-01234567890";
/// A bit of everything, with a canary for every key.
const RICH: &str = r#"
[server]
listen = "localhost:0"
request_timeout = "20s"
api_keys = ["canary canary", { key = "canary", dialect = "infinity" }]
[cache]
ttl = "1h"
max_bytes = 2097152
[telemetry]
log_format = "json"
log_filter = "rerankd=debug,warn"
[upstream_defaults]
max_attempts = 2
[upstreams.cohere]
provider = "cohere"
api_key = "canary"
max_passages = 10
[upstreams."my-tei"]
provider = "tei"
base_url = "http://tei:80/v1"
attempt_timeout = "250ms"
[model_defaults]
on_failure = "original_order"
[models.default]
aliases = ["rerank-v3.5", "nvidia/*", "*"]
[models.best]
targets = [{ upstream = "cohere", model = "m", revision = "2" }, { upstream = "my-tei" }, { upstream = "local" }]
on_failure = "error"
[providers.jina]
max_passages = 7
[providers.jina.models]
"BAAI/bge-reranker-v2-m3" = { scoring = "pointwise", scale = "probability", usd_per_million_tokens = 0.1 }
"#;
/// Names of environment variables; the first is no setting.
const VARIABLES: [&str; 11] = [
    "PATH",
    "RERANKD__SERVER__LISTEN",
    "RERANKD__SERVER__API_KEYS",
    "RERANKD__SERVER",
    "RERANKD__UPSTREAMS__COHERE__API_KEY",
    "RERANKD__UPSTREAMS__X__PROVIDER",
    "RERANKD__MODELS__DEFAULT__TARGETS",
    "RERANKD__MODELS__DEFAULT__ALIASES",
    "RERANKD__PROVIDERS__COHERE__KEY_VARIABLES",
    "RERANKD__TELEMETRY__LOG_FILTER",
    "RERANKD____",
];

/// A file and a variable.
struct Given {
    file: Vec<u8>,
    variable: (&'static str, String),
}

impl fmt::Debug for Given {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} and b\"{}\"", self.variable, self.file.escape_ascii())
    }
}

struct Givens(Mutator);

impl ValueGenerator for Givens {
    type Output = Given;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Given> {
        let name = if driver.produce()? { 0 } else { (0..VARIABLES.len()).generate(driver)? };
        let word = word(driver, Grammar::TOML.words)?;
        // As TOML would have it and as a shell has it.
        let value = if driver.produce()? { word } else { word.trim_matches('"') };
        Some(Given { file: self.0.mutated(driver)?.1, variable: (VARIABLES[name], value.to_owned()) })
    }
}

#[test]
fn kept_configurations_load_or_fail_without_leaking_secrets() {
    for (path, file) in kept("configs") {
        let given = Given { file, variable: ("PATH", String::new()) };
        assert!(std::panic::catch_unwind(|| leaks_no_secret(&given)).is_ok(), "{}: {given:?}", path.display());
    }
}

#[test]
fn mutated_configurations_load_or_fail_without_leaking_secrets() {
    let sound =
        RICH.replace("\"canary canary\"", "\"env:VOYAGE_API_KEY\"").replace("\"canary\"", "\"env:COHERE_API_KEY\"");
    let texts = [DEFAULT_TOML, RICH, &sound, &read("config/example.toml")].map(|text| text.as_bytes().to_vec());
    let kept = kept("configs").into_iter().map(|(_, file)| file);
    let seeds = texts.into_iter().chain(kept).map(|text| Seed { reader: "", text }).collect();
    let givens = Givens(Mutator { seeds, grammar: Grammar::TOML });
    bolero::check!().with_generator(givens).with_iterations(1_000).for_each(leaks_no_secret);
}

fn leaks_no_secret(given: &Given) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &given.file).unwrap();
    let (name, value) = &given.variable;
    let pairs = [("COHERE_API_KEY", KEY), ("VOYAGE_API_KEY", OTHER_KEY), (name, value)];
    let environment: Environment = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let said = match load(&Sources { file: Some(file.path().to_owned()), environment, listen: None }) {
        // What `rerankd check` prints, and what a log could.
        Ok(loaded) => format!("{}\n{:?}", loaded.effective, loaded.settings),
        Err(error) => error.to_string(),
    };
    assert!(!said.contains(KEY), "{said}");
    let text = String::from_utf8_lossy(&given.file);
    let is_open = text.parse::<Table>().is_ok_and(|table| stands_outside_keys(&table)) || value.contains(FEATHER);
    assert!(is_open || !said.contains(FEATHER), "{said}");
}

/// True if the canary stands outside any key: as a name, in a reference, in a setting that is no key.
fn stands_outside_keys(table: &Table) -> bool {
    let is_open = |value: &Value| match value {
        Value::Table(table) => stands_outside_keys(table),
        Value::Array(items) => {
            items.iter().any(|item| item.as_table().map_or(item.to_string().contains(FEATHER), stands_outside_keys))
        }
        other => other.to_string().contains(FEATHER),
    };
    let is_hidden = |value: &Value| match value {
        Value::String(text) => !text.starts_with("env:") && !text.starts_with("file:"),
        Value::Array(items) => items.iter().all(|item| item.as_str().is_some_and(|text| !text.starts_with("env:"))),
        _ => false,
    };
    table.iter().any(|(name, value)| {
        let holds_a_key = matches!(name.as_str(), "api_key" | "api_keys" | "key") && is_hidden(value);
        name.contains(FEATHER) || (!holds_a_key && is_open(value))
    })
}
