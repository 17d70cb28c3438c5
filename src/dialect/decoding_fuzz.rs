//! Bodies of every dialect, damaged: what is scanned is what `serde_json` reads, and everything that `serde_json`
//! refuses is refused with its words.
//!
//! `RERANKD_DECODING_CASES=10000000 cargo test --release --lib decoding_fuzz` tries more of them, from
//! `RERANKD_DECODING_SEED` on.

use std::fs;
use std::path::Path;

use fastrand::Rng;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::entries::{Entries, Value, of_body, scanned};
use super::entries_by_serde;
use super::raw::JsonKind;

/// Bodies of a usual run; some seconds.
const CASES: u64 = 200_000;
/// Most damages to one body.
const MAX_DAMAGES: usize = 4;
/// Deepest nesting that is put around a value, in levels; `serde_json` reads more than 128 of an unknown field.
const MAX_LEVELS: usize = 150;
/// Pieces of JSON, right and wrong, that are put into a body.
const PIECES: [&str; 54] = [
    "\"",
    "\\",
    "\\\\",
    "\\\"",
    "\\/",
    "\\u",
    "\\u00e9",
    "\\u0022",
    "\\uD83D\\uDE00",
    "\\ud83d",
    "\\udc00",
    "\\ud83dx",
    "\\u12g4",
    "\\x",
    "\\n",
    "\n",
    "\t",
    "\r",
    " ",
    "\u{0}",
    "\u{1f}",
    "\u{7f}",
    "\u{a0}",
    "\u{feff}",
    "é",
    "한국어",
    "😀",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "false",
    "nul",
    "NaN",
    "-",
    "0",
    "01",
    "-0",
    "1e999",
    "1E+5",
    "2.",
    ".5",
    "1e",
    "\"\"",
    "\"documents\":",
    "\"input\":",
    "\"qu\\u0065ry\":",
    "{\"documents\":",
    "[\"a\",",
    "\"texts\":[1],",
];
/// Bodies that no client has sent yet, with what the recorded ones lack.
const BODIES: [&str; 8] = [
    r#"{"query":"q","documents":["a","b \" \\ \u00e9 c",{"text":"t","id":7},["x"],null,true,-1.5e3,""],"top_n":2}"#,
    r#"{ "input" : { "query" : "q" , "documents" : [ "a" , "b" ] } , "parameters" : { "top_n" : 1 } , "model" : "m" }"#,
    r#"{"qu\u0065ry":"q","text\u0073":["a"],"unknown":{"a":[{"b":[[],{}]}],"c":"\ud83d"},"raw_scores":false}"#,
    r#"{"input":{"documents":{"a":1,"b":["c"]},"query":"q","query":"r"},"documents":"  ","texts":" ","passages":null}"#,
    r#"{"documents":true,"queries":5,"rank_fields":["a.b","c"],"parameters":"p\n","query":{"text":"q"}}"#,
    r#"{"passages":[{"text":"words of more than eight bytes, and a quote \" further on"}],"query":{"text":"q"}}"#,
    "{\"query\":\"\u{7f}한국어 words\",\n\t\"documents\" : [\r\n\"one\"\t,\"two\" ] }\n",
    r#"{"documents":[0,-0,0.0,1e5,1E-5,12345678901234567890,[[[[1]]]],{"a":{"b":{"c":{}}}}],"query":1,"explain":"on"}"#,
];

#[derive(Deserialize)]
struct Recording {
    exchanges: Vec<Exchange>,
}

#[derive(Deserialize)]
struct Exchange {
    body: Option<Box<RawValue>>,
}

/// The bodies of all recorded requests, and [`BODIES`].
fn bodies() -> Vec<Vec<u8>> {
    let mut bodies = Vec::from(BODIES.map(|body| body.as_bytes().to_vec()));
    for folder in ["tests/golden/dialects", "tests/golden/clients"] {
        for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let recording: Recording = serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap();
            for body in recording.exchanges.into_iter().filter_map(|exchange| exchange.body) {
                bodies.push(body.get().as_bytes().to_vec());
            }
        }
    }
    bodies
}

/// One damage at a place that is drawn.
fn damage(body: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.usize(..=body.len());
    let end = (at + 1 + rng.usize(..24)).min(body.len());
    match rng.u8(..9) {
        0 if at < end => body[at] = rng.u8(..),
        1 if at < end => body[at] ^= 1 << rng.u8(..8),
        2 => drop(body.drain(at..end)),
        3 => body.truncate(at),
        4 => {
            let copy = body[at..end].to_vec();
            let place = rng.usize(..=body.len());
            drop(body.splice(place..place, copy));
        }
        5 => {
            let levels = rng.usize(..MAX_LEVELS);
            let (opening, closing) = if rng.bool() { ("[", "]") } else { ("{\"a\":", "}") };
            let nested = format!("{}1{}", opening.repeat(levels), closing.repeat(levels));
            let end = if rng.bool() { at } else { end };
            drop(body.splice(at..end, nested.bytes()));
        }
        6 => drop(body.splice(at..end, PIECES[rng.usize(..PIECES.len())].bytes())),
        _ => drop(body.splice(at..at, PIECES[rng.usize(..PIECES.len())].bytes())),
    }
}

/// Returns true if a body that `serde_json` reads may be left to it.
fn is_left_to_serde(body: &str, entries: &Entries<'_>) -> bool {
    let is_rare = entries.iter().any(|entry| match &entry.value {
        Value::Object(inner) => is_left_to_serde("", inner),
        Value::Other(kind) => *kind != JsonKind::Null && *kind != JsonKind::Boolean,
        Value::Blank => true,
        Value::Plain(_) | Value::List(_) => false,
    });
    is_rare || body.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() > 128
}

/// Compares both readers. Returns true if the body is read.
fn check(body: &str) -> bool {
    match (scanned(body), entries_by_serde::of_body(body)) {
        (Some(scanned), Ok(read)) => assert_eq!(scanned, read),
        (Some(scanned), Err(error)) => panic!("{error}, but it was read as {scanned:?}"),
        (None, Ok(read)) => {
            assert!(is_left_to_serde(body, &read.0), "it was not scanned");
            assert_eq!(of_body(body).unwrap(), read);
        }
        (None, Err(error)) => {
            let refused = of_body(body).unwrap_err();
            assert_eq!((refused.kind, refused.message, refused.pointer), (error.kind, error.message, error.pointer));
            return false;
        }
    }
    true
}

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a whole number")))
}

#[test]
fn any_body_is_read_as_serde_json_reads_it() {
    let bodies = bodies();
    for body in &bodies {
        check(str::from_utf8(body).unwrap());
    }
    let first = number_of("RERANKD_DECODING_SEED").unwrap_or(0);
    let cases = number_of("RERANKD_DECODING_CASES").unwrap_or(CASES);
    let mut read = 0;
    for seed in first..first + cases {
        let mut rng = Rng::with_seed(seed);
        let mut body = bodies[rng.usize(..bodies.len())].clone();
        for _ in 0..rng.usize(1..=MAX_DAMAGES) {
            damage(&mut body, &mut rng);
        }
        // What is not UTF-8 is refused before.
        let body = String::from_utf8_lossy(&body);
        let outcome = std::panic::catch_unwind(|| check(&body));
        let Ok(is_read) = outcome else {
            panic!(
                "{body:?}\nonce more: RERANKD_DECODING_SEED={seed} RERANKD_DECODING_CASES=1 \
                 cargo test --lib decoding_fuzz"
            );
        };
        read += u64::from(is_read);
    }
    // Damage that left nothing readable, or everything, would prove little.
    assert!(cases < 1_000 || (cases / 10..cases / 10 * 9).contains(&read), "{read} of {cases} bodies were read");
}

#[test]
fn bodies_that_are_odd_in_size_or_depth_are_read_as_serde_json_reads_them() {
    for body in [
        format!("{{\"documents\":[{}0]}}", "0,".repeat(100_000)),
        format!("{{\"documents\":[\"{}\"]}}", "\\\\".repeat(100_000)),
        format!("{{\"documents\":[\"{}\"]}}", "\\ud55c".repeat(100_000)),
        format!("{{\"documents\":[{}{}]}}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{{\"documents\":[{}\"a\"{}]}}", "{\"a\":".repeat(128), "}".repeat(128)),
        format!("{{\"unknown\":{}\"a\"{}}}", "{\"a\":".repeat(129), "}".repeat(129)),
        format!("{{{}\"query\":\"q\"}}", " ".repeat(100_000)),
        format!("{{{}\"query\":\"q\"}}", "\"a\":1,".repeat(20_000)),
    ] {
        assert!(check(&body), "{}", &body[..40]);
    }
    for body in ["", "{", "[]", "null", "{}{}", "{} ,", "\u{feff}{}", &"[".repeat(100_000), &"{\"a\":".repeat(100_000)]
    {
        assert!(!check(body), "{body}");
    }
}
