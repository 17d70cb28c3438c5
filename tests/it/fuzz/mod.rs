//! Parsers on generated inputs. They must not panic, accept a wrong value, or quote the input.
//!
//! Inputs are the golden files, mutated along their grammar ([`mutate`]), and now and then plain noise. `cargo test`
//! tries a bounded number of them; `tests/README.md` says how to try for longer, and how to replay and keep what
//! failed.

mod config;
mod dialects;
mod grammar;
mod mutate;
mod providers;
mod small;

use std::fmt;
use std::fs;
use std::panic::{RefUnwindSafe, catch_unwind};
use std::path::PathBuf;

use bolero::{Driver, ValueGenerator};
use serde_json::Value;

use self::grammar::Grammar;
use self::mutate::{Mutator, Seed};
use crate::contract::repository;

/// Stands in inputs where a query, a passage or a key would; no error may hold even a part of it.
const CANARY: &str = "canarycanarycanary canarycanarycanary canarycanarycanary";
/// The part of it that is looked for.
const FEATHER: &str = "canary";

/// An input and the name of its reader. Both are drawn, so that a coverage-guided fuzzer reaches every reader.
struct Case {
    reader: &'static str,
    bytes: Vec<u8>,
}

/// As Rust and Python write bytes, to be kept as a file.
impl fmt::Debug for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} reads b\"{}\"", self.reader, self.bytes.escape_ascii())
    }
}

/// Draws cases.
struct Cases {
    readers: Vec<&'static str>,
    mutator: Mutator,
}

impl ValueGenerator for Cases {
    type Output = Case;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Case> {
        let (own, bytes) = self.mutator.mutated(driver)?;
        let any = self.readers[(0..self.readers.len()).generate(driver)?];
        // Whoever understands the seed gets further into what became of it.
        let reader = if !own.is_empty() && (0..3).generate(driver)? > 0 { own } else { any };
        Some(Case { reader, bytes })
    }
}

/// The files of a folder of `tests/golden/fuzz/`, which holds what once failed or well might.
fn kept(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = repository("tests/golden/fuzz").join(folder);
    let paths = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> =
        paths.map(|entry| entry.unwrap().path()).map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    files.sort();
    files
}

/// Has every reader read every kept file.
fn replay(folder: &str, readers: &[&'static str], check: impl Fn(&Case) + RefUnwindSafe) {
    for (path, bytes) in kept(folder) {
        for reader in readers {
            let case = Case { reader, bytes: bytes.clone() };
            assert!(catch_unwind(|| check(&case)).is_ok(), "{}: {case:?}", path.display());
        }
    }
}

/// A mutator of JSON that starts from `seeds`, from the same with the canary for every text, and from the kept files of
/// `folder`.
fn json_mutator(mut seeds: Vec<Seed>, folder: &str) -> Mutator {
    let mark = |seed: &Seed| {
        let value = serde_json::from_slice(&seed.text).ok()?;
        Some(Seed { reader: seed.reader, text: marked(value).to_string().into_bytes() })
    };
    let more: Vec<_> = seeds.iter().filter_map(mark).collect();
    seeds.extend(more);
    seeds.extend(kept(folder).into_iter().map(|(_, text)| Seed { reader: "", text }));
    // Folders are read in any order; the same random numbers must lead to the same input.
    seeds.sort_by(|one, other| one.text.cmp(&other.text));
    Mutator { seeds, grammar: Grammar::JSON }
}

fn marked(value: Value) -> Value {
    match value {
        Value::String(_) => CANARY.into(),
        Value::Array(items) => items.into_iter().map(marked).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, marked(value))).collect(),
        other => other,
    }
}
