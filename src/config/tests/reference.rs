//! `config/default.toml` and `config/providers/README.md` as the reference of keys, words and defaults.

use rerankd_core::embedded::hybrid::Scripts;
use rerankd_core::provider::{InstructionSupport, ScoreScale, Scoring};
use rerankd_core::route::settings::OnDeadline;

use super::*;
use crate::config::{provider_facts, resolve, upstreams};

/// The reference of a provider's keys.
const PROVIDERS_REFERENCE: &str = include_str!("../../../config/providers/README.md");

/// The words of a text, names with underscores in one piece.
fn words(text: &str) -> Vec<&str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect()
}

/// The comment on `key`: what follows it on its line, and the indented comments below.
fn comment_on(text: &str, key: &str) -> String {
    let is_about = |line: &&str| {
        let rest = line.trim_start_matches("# ").strip_prefix(key);
        rest.is_some_and(|rest| rest.starts_with(' '))
    };
    let mut lines = text.lines().skip_while(|line| !is_about(line));
    let mut comment = lines.next().unwrap_or_else(|| panic!("{key} is not documented")).to_owned();
    for line in lines.take_while(|line| line.trim_start_matches('#').starts_with("    ")) {
        comment.push_str(line);
    }
    comment
}

fn names<T>(words: &[(&'static str, T)]) -> Vec<&'static str> {
    words.iter().map(|(name, _)| *name).collect()
}

#[test]
fn every_word_that_a_key_takes_is_documented_with_it() {
    for (text, key, names) in [
        (DEFAULT_TOML, "log_format", names(&resolve::LOG_FORMATS)),
        (DEFAULT_TOML, "access_log", names(&resolve::ACCESS_LOGS)),
        (DEFAULT_TOML, "scripts", names(&Scripts::NAMES)),
        (DEFAULT_TOML, "long_passages", names(&upstreams::LONG_PASSAGES)),
        (DEFAULT_TOML, "on_failure", names(&OnFailure::NAMES)),
        (DEFAULT_TOML, "on_deadline", names(&OnDeadline::NAMES)),
        (PROVIDERS_REFERENCE, "scoring", names(&Scoring::NAMES)),
        (PROVIDERS_REFERENCE, "scale", names(&ScoreScale::NAMES)),
        (PROVIDERS_REFERENCE, "instruction", names(&InstructionSupport::NAMES)),
        (PROVIDERS_REFERENCE, "blank_passages", names(&provider_facts::BLANK_PASSAGES)),
    ] {
        let comment = comment_on(text, key);
        let documented = comment.split_once('#').map_or(comment.as_str(), |(_, comment)| comment);
        for name in names {
            assert!(words(documented).contains(&name), "{key}: {name}\n{comment}");
        }
    }
}

/// Keys are named where they are read and nowhere else, so the source tells them all.
#[test]
fn every_key_that_is_read_stands_in_the_reference() {
    let reference: Vec<&str> = [DEFAULT_TOML, PROVIDERS_REFERENCE, REFUSALS_TOML].into_iter().flat_map(words).collect();
    let mut count = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/config")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let source: String = std::fs::read_to_string(&path).unwrap().split_whitespace().collect();
        for call in [".read(\"", ".read_or(\"", ".require(\"", ".section(\"", ".tables(\"", ".items(\""] {
            for rest in source.split(call).skip(1) {
                let key = rest.split('"').next().unwrap();
                assert!(reference.contains(&key), "{}: {key}", path.display());
                count += 1;
            }
        }
    }
    assert!(count > 80, "{count}");
}

/// A key without which a configuration is refused has its default in the file. The others have theirs in the code.
#[test]
fn defaults_in_the_code_are_those_of_the_reference() {
    let reference = load_text(&uncommented(), &[("COHERE_API_KEY", "k")]).unwrap().settings;
    let without = load_text(
        "[models.default]\ntargets = [{ upstream = 'local' }]\n\
         shadow = { target = { upstream = 'local' }, sample = 0.05 }",
        &[],
    );
    let without = without.unwrap().settings;
    let (target, limits) = without.models[0].shadow.as_ref().unwrap();
    assert_eq!(reference.models[0].shadow.as_ref().unwrap().1, *limits);
    let comments = DEFAULT_TOML.replace('#', " ");
    assert!(words(&comments).contains(&"weight") && comments.contains(&format!("weight = {} ", target.weight)));
    assert_eq!(target.revision, "");
}

#[test]
fn default_toml_alone_is_valid_and_documents_every_key() {
    let loaded = load_text(DEFAULT_TOML, &[]).unwrap();
    assert_eq!(default_target(&loaded).0, "local");
    // The commented examples are valid too, so a reader can copy them.
    let loaded = load_text(&uncommented(), &[("COHERE_API_KEY", "k")]).unwrap();
    assert_eq!(default_target(&loaded), ("cohere".into(), "rerank-v4.0-fast".into()));
    assert_eq!(loaded.settings.upstreams.len(), 1);
}

/// default.toml with its examples.
fn uncommented() -> String {
    let mut text = String::new();
    for line in DEFAULT_TOML.lines() {
        text.push_str(line.strip_prefix("# ").filter(|rest| is_example(rest)).unwrap_or(line));
        text.push('\n');
    }
    text
}

/// Returns true if a comment of default.toml is a commented-out piece of configuration.
fn is_example(line: &str) -> bool {
    let starts = [
        "[",
        "]",
        "{",
        "  {",
        "\"",
        "provider =",
        "base_url =",
        "path =",
        "request =",
        "reply =",
        "api_key =",
        "max_passages =",
        "max_call_characters =",
        "max_passage_characters =",
        "max_query_characters =",
        "targets =",
        "on_failure =",
        "aliases =",
        "target =",
        "sample =",
        "max_concurrency =",
        "max_usd_per_day =",
    ];
    starts.iter().any(|start| line.starts_with(start))
}
