//! `rerankd check --show-call`: what a provider's row or a wire of the operator's own would send, without sending it.

use std::collections::BTreeMap;
use std::sync::Arc;

use rerankd_core::embedded;
use rerankd_core::provider::{InstructionSupport, KeyScheme, ProviderFacts, ReplyShape, ScoreBatch, Wire};
use rerankd_core::types::request::ScoringOptions;
use rerankd_core::upstream::call_address::{CallAddress, CallPath};
use rerankd_core::upstream::settings::UpstreamSettings;
use serde::Serialize;
use serde_json::value::RawValue;
use url::Url;

use super::{CommandFailure, print};
use crate::config::availability::ListedProvider;
use crate::config::provider_facts::KnownProvider;
use crate::config::settings::Settings;

/// The sample query.
const QUERY: &str = "capital of Korea";
/// The sample passages.
const PASSAGES: [&str; 2] = ["Busan is a port.", "Seoul is the capital of Korea."];
/// The sample instruction, for models that take one in a field.
const INSTRUCTION: &str = "Prefer passages that answer the question.";
/// The stand-in for a key.
const KEY_STAND_IN: &str = "<api_key>";
/// The stand-in for the address of software that one runs oneself.
const BASE_URL: &str = "http://your-server.example";
/// The stand-in for a model that nobody named.
const MODEL: &str = "MODEL";

/// A call that is shown, as JSON.
#[derive(Serialize)]
struct ShownCallBody<'a> {
    method: &'static str,
    url: &'a str,
    headers: BTreeMap<String, String>,
    /// As it would be sent: a tree would sort its members.
    body: &'a RawValue,
    reply: BTreeMap<&'static str, String>,
    notes: &'a [String],
}

/// A call that is shown and not made.
struct ShownCall {
    url: Url,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The made-up parts, in sentences.
    notes: Vec<String>,
    wire: Arc<Wire>,
}

/// Prints the call to `target`, which is `UPSTREAM[/MODEL]`, `PROVIDER[/MODEL]` or a configured model; as JSON if
/// `json`.
pub(super) fn run(settings: &Settings, target: &str, json: bool) -> Result<(), CommandFailure> {
    let call = shown_call(settings, target)?;
    let text = if json { call.to_json()? } else { call.to_text() };
    print(&text)
}

fn shown_call(settings: &Settings, target: &str) -> Result<ShownCall, CommandFailure> {
    let (name, model) = match settings.models.iter().find(|model| model.name == target) {
        Some(configured) => match configured.targets.first() {
            Some(first) => (first.upstream.as_str(), Some(first.model.as_str())),
            None => (target, None),
        },
        None => match target.split_once('/') {
            Some((name, model)) => (name, Some(model)),
            None => (target, None),
        },
    };
    let provider = |name: &str| settings.providers.iter().find(|provider| provider.name == name);
    if let Some(upstream) = settings.upstreams.iter().find(|upstream| upstream.name == name) {
        return of_upstream(upstream, provider(upstream.wire.name()), model);
    }
    if let Some(provider) = provider(name) {
        return of_provider(provider, model);
    }
    if name == embedded::NAME {
        return Err(CommandFailure::new(format!("{name} is the embedded scorer, which sends nothing")));
    }
    let upstreams = settings.upstreams.iter().map(|upstream| upstream.name.as_str());
    let known = upstreams.chain(settings.providers.iter().map(|provider| provider.name.as_str()));
    let hint = rerankd_core::suggestion::suggestion(name, known);
    Err(CommandFailure::new(format!(
        "no upstream, provider or model is called {name}{hint}; `rerankd models --providers` lists them"
    )))
}

/// The call of an upstream that is there.
fn of_upstream(
    upstream: &UpstreamSettings,
    provider: Option<&ListedProvider>,
    model: Option<&str>,
) -> Result<ShownCall, CommandFailure> {
    let example = provider.and_then(|provider| provider.known.about.example_model.as_deref());
    let model = chosen_model(model, &upstream.facts, example);
    let url = match &upstream.model_address {
        Some(address) => url_for(address, model)?,
        None => upstream.url.clone(),
    };
    let mut call = ShownCall::new(&upstream.wire, &upstream.facts, url, model, !upstream.api_keys.is_empty());
    if upstream.api_keys.is_empty() {
        call.notes.push(format!("upstreams.{} has no api_key, so none is sent.", upstream.name));
    }
    Ok(call)
}

/// The call of a provider without an upstream, with stand-ins for what is missing.
fn of_provider(provider: &ListedProvider, model: Option<&str>) -> Result<ShownCall, CommandFailure> {
    let ListedProvider { name, known, missing, .. } = provider;
    let KnownProvider { about, wire, facts } = known;
    let model = chosen_model(model, facts, about.example_model.as_deref());
    let mut values = BTreeMap::new();
    for value in placeholders(&wire.call().path) {
        values.insert(value.to_owned(), value.to_uppercase());
    }
    let address = CallAddress {
        upstream: name.clone(),
        base_url: facts.base_url.clone().unwrap_or_else(|| BASE_URL.to_owned()),
        path: CallPath::Documented(wire.call().path.clone()),
        values,
        variables: BTreeMap::new(),
        query_parameters: wire.call().query_parameters.iter().cloned().collect(),
    };
    let url = url_for(&address, model)?;
    let mut call = ShownCall::new(wire, facts, url, model, known.needs_key());
    if let Some(missing) = missing {
        call.notes.push(format!("No upstream of {name} is there yet: {missing}."));
    }
    if facts.base_url.is_none() {
        call.notes.push(format!("{BASE_URL} stands for base_url."));
    }
    Ok(call)
}

/// The model that was named, else the provider's usual one, else the one of its examples.
fn chosen_model<'a>(named: Option<&'a str>, facts: &'a ProviderFacts, example: Option<&'a str>) -> &'a str {
    named.or(facts.default_model.as_deref()).or(example).unwrap_or(MODEL)
}

fn url_for(address: &CallAddress, model: &str) -> Result<Url, CommandFailure> {
    address.url(model).map_err(|(_, message)| CommandFailure::new(message))
}

/// The names in braces of a path, but for those of the model.
fn placeholders(path: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for part in path.split('{').skip(1) {
        if let Some((name, _)) = part.split_once('}')
            && !name.starts_with("model")
        {
            names.push(name);
        }
    }
    names
}

impl ShownCall {
    fn new(wire: &Arc<Wire>, facts: &ProviderFacts, url: Url, model: &str, shows_key: bool) -> Self {
        let takes_instruction =
            facts.model(model).0.instruction == InstructionSupport::Field && wire.takes_instruction();
        let mut notes = Vec::new();
        if takes_instruction {
            notes.push("The instruction is sent if a client gives one.".to_owned());
        }
        if model == MODEL {
            notes.push(format!("{MODEL} stands for the model, which NAME/MODEL names."));
        }
        let batch = ScoreBatch {
            model,
            query: QUERY,
            instruction: takes_instruction.then_some(INSTRUCTION),
            passages: PASSAGES.map(Into::into).to_vec(),
            options: &ScoringOptions::default(),
        };
        let body = wire.encode(&batch);
        let mut headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
        ];
        for (name, value) in &wire.call().headers {
            headers.push((name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        }
        if shows_key {
            let key = &wire.call().key;
            let value = match &key.scheme {
                KeyScheme::Bare => KEY_STAND_IN.to_owned(),
                KeyScheme::Word(word) => format!("{word} {KEY_STAND_IN}"),
                KeyScheme::Basic => format!("Basic base64({KEY_STAND_IN})"),
            };
            headers.push((key.header.to_string(), value));
        }
        Self { url, headers, body, notes, wire: wire.clone() }
    }

    fn to_text(&self) -> String {
        let mut text = format!("POST {}\n", self.url);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text.push_str(&format!("\n{}\n\nThe reply is read at\n", indented(&self.body)));
        for (part, places) in reply_places(self.wire.reply_shape()) {
            text.push_str(&format!("  {part:14} {places}\n"));
        }
        for note in &self.notes {
            text.push_str(&format!("\n{note}"));
        }
        text.push_str("\nNothing was sent.\n");
        text
    }

    fn to_json(&self) -> Result<String, CommandFailure> {
        let shown = ShownCallBody {
            method: "POST",
            url: self.url.as_str(),
            headers: self.headers.iter().cloned().collect(),
            body: serde_json::from_slice(&self.body).map_err(CommandFailure::new)?,
            reply: reply_places(self.wire.reply_shape()).into_iter().collect(),
            notes: &self.notes,
        };
        let json = serde_json::to_vec(&shown).map_err(CommandFailure::new)?;
        Ok(format!("{}\n", indented(&json)))
    }
}

/// The places of a reply's parts, by the keys of `[reply]`.
fn reply_places(shape: &ReplyShape) -> Vec<(&'static str, String)> {
    let lists: Vec<_> = shape.results.iter().map(ToString::to_string).collect();
    let mut places = vec![("results", lists.join(" or "))];
    let in_order = "no member: results stand in the order of the passages";
    let no_score = "no member: the reply names passages and gives no scores";
    let absent = "";
    for (part, pointer, otherwise) in [
        ("index", &shape.index, if shape.id.is_some() { absent } else { in_order }),
        ("id", &shape.id, absent),
        ("score", &shape.score, no_score),
    ] {
        match pointer {
            Some(pointer) if pointer.as_str().is_empty() => places.push((part, "the result itself".to_owned())),
            Some(pointer) => places.push((part, format!("{pointer} of a result"))),
            None if otherwise.is_empty() => {}
            None => places.push((part, otherwise.to_owned())),
        }
    }
    for (part, pointer) in [
        ("tokens", &shape.tokens),
        ("search_units", &shape.search_units),
        ("cost_usd", &shape.cost_usd),
        ("model_version", &shape.model_version),
    ] {
        if let Some(pointer) = pointer {
            places.push((part, pointer.to_string()));
        }
    }
    if let Some(header) = &shape.tokens_header {
        places.push(("tokens_header", format!("the header {header}")));
    }
    if let Some(success) = &shape.success {
        places.push(("success", format!("{} is one of {:?}", success.at, success.values)));
    }
    places
}

/// JSON with a member or an element a line, in the order in which it is written.
fn indented(json: &[u8]) -> String {
    let text = String::from_utf8_lossy(json);
    let mut out = String::with_capacity(2 * text.len());
    let mut depth = 0;
    let mut in_string = false;
    let mut escaped = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if in_string {
            out.push(letter);
            in_string = escaped || letter != '"';
            escaped = letter == '\\' && !escaped;
            continue;
        }
        let is_empty = matches!(letter, '{' | '[') && letters.peek().is_some_and(|next| matches!(next, '}' | ']'));
        match letter {
            '{' | '[' if is_empty => {
                out.push(letter);
                out.extend(letters.next());
            }
            '{' | '[' => {
                depth += 1;
                out.push(letter);
                new_line(&mut out, depth);
            }
            '}' | ']' => {
                depth -= 1;
                new_line(&mut out, depth);
                out.push(letter);
            }
            ',' => {
                out.push(letter);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_string = letter == '"';
                out.push(letter);
            }
        }
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_in_its_own_order() {
        let json = br#"{"b":[1,{"x":"a,\"[{\\"}],"a":{},"c":[],"d":null}"#;
        let text = indented(json);
        assert_eq!(
            text,
            "{\n  \"b\": [\n    1,\n    {\n      \"x\": \"a,\\\"[{\\\\\"\n    }\n  ],\n  \"a\": {},\n  \"c\": [],\n  \"d\": null\n}"
        );
        let value: serde_json::Value = serde_json::from_slice(json).unwrap();
        assert_eq!(value, serde_json::from_str::<serde_json::Value>(&text).unwrap());
    }
}
