//! The wire shape of a provider: `path`, `headers`, `[request]` and `[reply]` of its table.
//!
//! Every key of a table is read before the first `?`, so that one pass over the configuration finds all faults.

use http::{HeaderMap, HeaderName, HeaderValue};
use rerankd_core::provider::{
    CallShape, Constant, KeyPlacement, KeyScheme, Pointer, ReplyShape, RequestShape, SuccessMember, Wire, WireFault,
};
use rerankd_core::upstream::endpoint::is_key_parameter;
use toml::Value;

use super::reader::{Section, boolean, count, text, texts};
use super::values::pairs;

/// The wire shape in a provider's table, which is the operator's own or compiled in; `None` if it has faults.
pub(super) fn wire(name: &str, section: &Section<'_>, is_operators: bool) -> Option<Wire> {
    let faults_before = section.fault_count();
    let call = call(section);
    let request = section.section("request", request);
    let mut reply = section.section("reply", reply);
    reply.id_prefix.clone_from(&request.id_prefix);
    let made = match call {
        Some(call) => Wire::new(name, call, &request, &reply),
        // Its own faults hide none of the others.
        None => Err(Wire::faults(&request, &reply)),
    };
    if is_operators && reply.index.is_none() && reply.id.is_none() {
        section.warn("reply", "has neither index nor id, so results are taken in the order of the passages: is it so?");
    }
    match made {
        // A value that cannot be read was reported; what is judged by the wire must not suffer for it.
        Ok(_) if section.fault_count() > faults_before => None,
        Ok(wire) if is_operators => Some(wire.of_operator()),
        Ok(wire) => Some(wire),
        Err(faults) => {
            // All before the first is reported: what is looked for are values that cannot be read.
            let new: Vec<_> = faults.into_iter().filter(|fault| !follows(section, fault)).collect();
            for fault in new {
                section.fault_below(fault.section, fault.key, fault.message);
            }
            None
        }
    }
}

/// Returns true if a fault follows from a value that cannot be read, which has been reported.
fn follows(section: &Section<'_>, fault: &WireFault) -> bool {
    let mut causes = CAUSES.iter().filter(|(key, ..)| *key == fault.key);
    section.is_faulty_below(fault.section, fault.key) || causes.any(|(_, of, cause)| section.is_faulty_below(of, cause))
}

/// Keys that are judged by others: a key, and the section and name of the other. If that cannot be read, the first is
/// judged by nothing.
const CAUSES: [(&str, &str, &str); 6] = [
    ("id", "request", "ids"),
    ("id_prefix", "request", "ids"),
    ("instruction_json", "request", "instruction"),
    ("max_tokens_per_doc_limit", "request", "max_tokens_per_doc"),
    ("score", "reply", "index"),
    ("score", "reply", "id"),
];

/// The call without its body; `None` if a key is wrong.
fn call(section: &Section<'_>) -> Option<CallShape> {
    let path = section.require("path", path);
    let query_parameters = section.read_or("query_parameters", Vec::new(), pairs);
    let headers = section.read_or("headers", HeaderMap::new(), headers);
    let header = section.read_or("key_header", http::header::AUTHORIZATION, header_name);
    let scheme = section.read("key_scheme", text);
    let header = header?;
    if OWN_HEADERS.contains(&header) {
        section.fault("key_header", format!("must not be {header}, which rerankd sets itself"));
        return None;
    }
    let scheme = match scheme {
        Some(word) if word.is_empty() => KeyScheme::Bare,
        Some(word) if word.eq_ignore_ascii_case("basic") => KeyScheme::Basic,
        Some(word) if !word.bytes().all(|byte| byte.is_ascii_graphic()) => {
            section.fault("key_scheme", "must be one word, such as \"Bearer\", \"Basic\" or \"ApiKey\"");
            return None;
        }
        Some(word) => KeyScheme::Word(word),
        // Other headers are made for a key alone.
        None if header == http::header::AUTHORIZATION => KeyPlacement::bearer().scheme,
        None => KeyScheme::Bare,
    };
    if let Some(headers) = &headers
        && headers.contains_key(&header)
    {
        section.fault("headers", format!("{header} is the header of the key, which upstreams set by api_key"));
        return None;
    }
    let key = KeyPlacement { header, scheme };
    Some(CallShape { path: path?, query_parameters: query_parameters?, headers: headers?, key })
}

fn request(section: &Section<'_>) -> RequestShape {
    RequestShape {
        model: section.read("model", pointer),
        query: section.read("query", pointer),
        passages: section.read("passages", pointer),
        ids: section.read("ids", pointer),
        id_prefix: section.read("id_prefix", text).unwrap_or_default(),
        instruction: section.read("instruction", pointer),
        instruction_json: section.read("instruction_json", text),
        max_tokens_per_doc: section.read("max_tokens_per_doc", pointer),
        max_tokens_per_doc_limit: section
            .read("max_tokens_per_doc_limit", count(1..=1_000_000))
            .and_then(|limit| u32::try_from(limit).ok()),
        count: section.read("count", pointer),
        always: section.read("always", constants).unwrap_or_default(),
        always_each: section.read("always_each", constants).unwrap_or_default(),
    }
}

fn reply(section: &Section<'_>) -> ReplyShape {
    ReplyShape {
        results: section.read("results", pointers).unwrap_or_default(),
        index: section.read("index", pointer),
        id: section.read("id", pointer),
        id_prefix: String::new(),
        score: section.read("score", pointer),
        text_scores: section.read("text_scores", boolean).unwrap_or_default(),
        tokens: section.read("tokens", pointer),
        tokens_header: section.read("tokens_header", header_name),
        search_units: section.read("search_units", pointer),
        cost_usd: section.read("cost_usd", pointer),
        model_version: section.read("model_version", pointer),
        success: if section.has("success") { section.section("success", success) } else { None },
    }
}

fn success(section: &Section<'_>) -> Option<SuccessMember> {
    let at = section.require("at", pointer);
    let values = section.require("is", texts);
    Some(SuccessMember { at: at?, values: values? })
}

fn pointer(value: &Value) -> Result<Pointer, String> {
    Pointer::parse(&text(value)?)
}

/// Parses one pointer, or a list of them.
fn pointers(value: &Value) -> Result<Vec<Pointer>, String> {
    let Value::Array(items) = value else { return Ok(vec![pointer(value)?]) };
    items.iter().map(pointer).collect()
}

/// Parses a path that starts at the root.
fn path(value: &Value) -> Result<String, String> {
    let path = text(value)?;
    if !path.starts_with('/') || path.contains(['?', '#']) {
        return Err("must start with a slash, such as \"/v1/rerank\", and hold no query".to_owned());
    }
    for part in path.split('{').skip(1) {
        let closed = part.split_once('}');
        if closed.is_none_or(|(name, behind)| name.is_empty() || behind.contains('}')) {
            return Err("holds braces that are not a pair around a name, such as {model}".to_owned());
        }
    }
    if path.split('{').next().is_some_and(|start| start.contains('}')) {
        return Err("holds a } without a {".to_owned());
    }
    Ok(path)
}

fn header_name(value: &Value) -> Result<HeaderName, String> {
    text(value)?.parse().map_err(|_| "must be the name of a header, such as \"api-key\"".to_owned())
}

/// Headers that the HTTP client sets, or that say what the body is.
const OWN_HEADERS: [HeaderName; 5] = [
    http::header::HOST,
    http::header::CONTENT_LENGTH,
    http::header::CONTENT_TYPE,
    http::header::TRANSFER_ENCODING,
    http::header::CONNECTION,
];

fn headers(value: &Value) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs(value)? {
        let header: HeaderName = name.parse().map_err(|_| format!("{name:?} is not the name of a header"))?;
        let value = HeaderValue::from_str(&value).map_err(|_| {
            format!("the value of {name} cannot stand in a header: write printable ASCII characters only")
        })?;
        if OWN_HEADERS.contains(&header) || is_key_parameter(header.as_str()) {
            return Err(format!("must not hold {name}, which rerankd sets itself; keys belong in api_key"));
        }
        headers.insert(header, value);
    }
    Ok(headers)
}

/// Parses a table of constants, of any depth.
fn constants(value: &Value) -> Result<Vec<Constant>, String> {
    let mut constants = Vec::new();
    let table = value.as_table().ok_or("must be a table of constants, such as { return_documents = false }")?;
    for (name, value) in table {
        add_constants(vec![name.clone()], value, &mut constants)?;
    }
    Ok(constants)
}

fn add_constants(path: Vec<String>, value: &Value, constants: &mut Vec<Constant>) -> Result<(), String> {
    if let Value::Table(table) = value
        && !table.is_empty()
    {
        for (name, value) in table {
            let mut below = path.clone();
            below.push(name.clone());
            add_constants(below, value, constants)?;
        }
        return Ok(());
    }
    if matches!(value, Value::Datetime(_)) {
        return Err(format!("{} is a date, which JSON lacks; write it as a text", path.join(".")));
    }
    let json = serde_json::to_string(value).map_err(|_| format!("{} cannot be written as JSON", path.join(".")))?;
    constants.push(Constant { path, json });
    Ok(())
}
