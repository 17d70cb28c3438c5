//! The circumstances of a run, for its report: when, how and where the figures came about.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use rerankd_core::route::Route;
use rerankd_eval::collection::{Checksums, Collection};
use rerankd_eval::results::{Machine, RunRecord};

use super::EvalArgs;
use super::asking::Asked;
use super::bill::price_days;

/// Characters of an argument that a shell takes as they are.
const SHELL_SAFE: &str = "-_./,:=@%+";

/// The record of this run.
pub(super) fn run_record(
    args: &EvalArgs,
    collection: &Collection,
    contestants: &[(String, Arc<Route>)],
    asked: &Asked,
) -> RunRecord {
    let mut models = BTreeMap::new();
    for entry in &asked.entries {
        let (name, fingerprint) = entry.identity();
        models.insert(name, fingerprint);
    }
    RunRecord {
        date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        command: command(env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned())),
        machine: machine(),
        settings: settings(args),
        checksums: Checksums::of(collection),
        models,
        answers_kept: asked.kept,
        answers_new: asked.new,
        prices_as_of: price_days(contestants),
    }
}

/// The options that the figures depend on.
fn settings(args: &EvalArgs) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    settings.insert("k".to_owned(), args.k.to_string());
    settings.insert("concurrency".to_owned(), args.concurrency.to_string());
    let candidates = match &args.candidates {
        Some(candidates) => candidates.to_string(),
        None => "the collection's own, else bm25:50".to_owned(),
    };
    settings.insert("candidates".to_owned(), candidates);
    if let Some(threshold) = args.speed_threshold {
        settings.insert("speed threshold".to_owned(), humantime::format_duration(threshold).to_string());
    }
    settings
}

/// The command line as typed, quoted as a shell needs it. The way to the program is left out, and so is what stands
/// before the host of an address, where a password could be.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut command = "rerankd".to_owned();
    for argument in arguments {
        let argument = without_user(&argument);
        command.push(' ');
        let is_plain = |character: char| character.is_alphanumeric() || SHELL_SAFE.contains(character);
        if !argument.is_empty() && argument.chars().all(is_plain) {
            command.push_str(&argument);
        } else {
            command.push_str(&format!("'{}'", argument.replace('\'', r"'\''")));
        }
    }
    command
}

/// `argument` without the user and password of an address in it.
fn without_user(argument: &str) -> String {
    let Some((scheme, rest)) = argument.split_once("://") else { return argument.to_owned() };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}"),
        None => argument.to_owned(),
    }
}

fn machine() -> Machine {
    let cpu = value_in("/proc/cpuinfo", "model name", ':').unwrap_or_else(|| env::consts::ARCH.to_owned());
    let os = value_in("/etc/os-release", "PRETTY_NAME", '=').unwrap_or_else(|| env::consts::OS.to_owned());
    Machine { cpu, cores: thread::available_parallelism().map_or(1, NonZero::get), os }
}

/// The value of the first line `name … value` of a file; `None` where the system has no such file or line.
fn value_in(file: &str, name: &str, separator: char) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    for line in text.lines() {
        if let Some((key, value)) = line.split_once(separator)
            && key.trim() == name
        {
            return Some(value.trim().trim_matches('"').to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_typed_again_and_holds_no_password() {
        let arguments = ["eval", "--data", "my data", "--models", "a/b,c", "x://me:secret@host/p", "it's", ""];
        assert_eq!(
            command(arguments.into_iter().map(str::to_owned)),
            r"rerankd eval --data 'my data' --models a/b,c x://host/p 'it'\''s' ''"
        );
    }
}
