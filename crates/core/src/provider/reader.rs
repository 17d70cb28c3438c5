//! The one reader of all replies: strict about scores and positions, tolerant of everything beside them.
//!
//! Counts are read if they can be, whatever their type, and unknown members are skipped. A position may be written in
//! another way (`0.0`, `"0"`); a score may not. Of two names for a score the documented one counts.

use std::fmt;

use memchr::{memchr2, memchr3};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::counts::Group;
use super::loose::Name;
use super::pointer::Step;
use super::readout::{Beside, Readout, readout};
use super::reply_template::ReplyTemplate;
use super::result_list::List;
use super::{WireReply, quick_reader};
use crate::text::bytes_without_mark;

/// Reads the results of a reply, and what stands beside them.
///
/// # Errors
/// The defect of the body.
pub(super) fn read(template: &ReplyTemplate, reply: &WireReply) -> Result<Readout, serde_json::Error> {
    if let Some(readout) = quick_reader::read(template, reply) {
        return Ok(readout);
    }
    read_thoroughly(template, reply)
}

/// Reads what [`read`] does, in any spelling.
fn read_thoroughly(template: &ReplyTemplate, reply: &WireReply) -> Result<Readout, serde_json::Error> {
    let seed = Body { template, reply };
    let body = bytes_without_mark(&reply.body);
    let error = match parse(body, seed) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    // Only a reply that failed is searched for Python's numbers, so that valid replies cost nothing more.
    match without_python_numbers(body) {
        Some(repaired) => parse(&repaired, seed),
        None => Err(error),
    }
}

/// Parses all of `body` by `seed`. Anything behind its value is an error.
fn parse<'de, S: DeserializeSeed<'de>>(body: &'de [u8], seed: S) -> Result<S::Value, serde_json::Error> {
    // One check of the whole body costs much less than one of every name in it. A body that fails may still be good:
    // what nobody reads need not be UTF-8.
    match str::from_utf8(body) {
        Ok(text) => parse_from(serde_json::Deserializer::from_str(text), seed),
        Err(_) => parse_from(serde_json::Deserializer::from_slice(body), seed),
    }
}

fn parse_from<'de, R: serde_json::de::Read<'de>, S: DeserializeSeed<'de>>(
    mut deserializer: serde_json::Deserializer<R>,
    seed: S,
) -> Result<S::Value, serde_json::Error> {
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// `body` with `1e999` in place of the numbers that Python writes and JSON lacks (`NaN`, `Infinity`), or `None` if
/// there are none. `1e999` is out of range: no score, and harmless elsewhere.
pub(super) fn without_python_numbers(body: &[u8]) -> Option<Vec<u8>> {
    let mut repaired = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(offset) = memchr3(b'"', b'N', b'I', &body[at..]) {
        at += offset;
        let rest = &body[at..];
        if rest[0] == b'"' {
            // In a string the words are text.
            at = end_of_string(body, at);
            continue;
        }
        let word: &[u8] = if rest.starts_with(b"NaN") {
            b"NaN"
        } else if rest.starts_with(b"Infinity") {
            b"Infinity"
        } else {
            at += 1;
            continue;
        };
        repaired.extend_from_slice(&body[copied..at]);
        repaired.extend_from_slice(b"1e999");
        at += word.len();
        copied = at;
    }
    repaired.extend_from_slice(&body[copied..]);
    (copied > 0).then_some(repaired)
}

/// The index behind the string whose quotation mark is at `start`.
fn end_of_string(body: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    // A backslash may be the last byte, and `at` then points beyond the end.
    while let Some(rest) = body.get(at..) {
        let Some(offset) = memchr2(b'"', b'\\', rest) else { break };
        at += offset;
        if body[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    body.len()
}

/// The whole reply.
#[derive(Clone, Copy)]
struct Body<'t> {
    template: &'t ReplyTemplate,
    reply: &'t WireReply,
}

impl<'t> Body<'t> {
    /// The reader of the list that begins with the member `name`; `None` if none does.
    fn list_in(self, name: &str) -> Option<List<'t>> {
        for list in &self.template.shape.results {
            if let [Step::Member(first), steps @ ..] = list.steps()
                && first == name
            {
                return Some(List { steps, template: self.template });
            }
        }
        None
    }

    /// The reader of the list that is the root itself; `None` if the root is an object.
    fn list_at_root(self) -> Option<List<'t>> {
        let list = self.template.shape.results.iter().find(|list| list.first_member().is_none())?;
        Some(List { steps: list.steps(), template: self.template })
    }
}

impl<'de> DeserializeSeed<'de> for Body<'_> {
    type Value = Readout;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Readout, D::Error> {
        if !self.template.reads_root_again {
            return deserializer.deserialize_any(self);
        }
        let root = <&RawValue>::deserialize(deserializer)?;
        let mut json = serde_json::Deserializer::from_str(root.get());
        let Some(list) = self.list_at_root().filter(|_| root.get().starts_with('[')) else {
            return json.deserialize_any(self).map_err(D::Error::custom);
        };
        let mut results = Vec::with_capacity(self.reply.passages);
        list.into_results(&mut results).deserialize(&mut json).map_err(D::Error::custom)?;
        Ok(readout(self.template, self.reply, results, &Beside::of_root(root)))
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = Readout;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the documented shape")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Readout, A::Error> {
        let list = self.list_at_root().ok_or_else(|| A::Error::custom("a list"))?;
        let mut results = Vec::with_capacity(self.reply.passages);
        list.into_results(&mut results).visit_seq(items)?;
        Ok(readout(self.template, self.reply, results, &Beside::default()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Readout, A::Error> {
        let mut results = None;
        let mut beside = Beside::default();
        while let Some(Name(name)) = members.next_key()? {
            let is_other = self.template.others.iter().any(|other| *other == name);
            let Some(list) = self.list_in(&name) else {
                let group = Group::Root.member(&name);
                if is_other || group != Group::Nowhere {
                    let value = members.next_value()?;
                    beside.add(self.template, group, name, value);
                } else {
                    members.next_value::<IgnoredAny>()?;
                }
                continue;
            };
            let has_alternatives = self.template.shape.results.len() > 1;
            let mut scored = Vec::with_capacity(self.reply.passages);
            if has_alternatives || is_other {
                let value: &RawValue = members.next_value()?;
                // Another of the alternatives may be the one.
                if has_alternatives && value.get() == "null" {
                    continue;
                }
                let mut json = serde_json::Deserializer::from_str(value.get());
                list.into_results(&mut scored).deserialize(&mut json).map_err(A::Error::custom)?;
                beside.add(self.template, Group::Nowhere, name, value);
            } else {
                members.next_value_seed(list.into_results(&mut scored))?;
            }
            if results.replace(scored).is_some() {
                return Err(A::Error::custom("the list is there twice"));
            }
        }
        let results = results.ok_or_else(|| A::Error::custom("the list is missing"))?;
        Ok(readout(self.template, self.reply, results, &beside))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pointer::Pointer;
    use super::super::reply_template::ReplyShape;
    use super::*;

    /// A template of these lists, whose results hold `index` and the score at `score`.
    fn template(lists: &[&str], score: &str) -> ReplyTemplate {
        let pointer = |text: &str| Pointer::parse(text).unwrap();
        ReplyTemplate::new(&ReplyShape {
            results: lists.iter().map(|list| pointer(list)).collect(),
            index: Some(pointer("/index")),
            score: Some(pointer(score)),
            ..ReplyShape::default()
        })
        .unwrap()
    }

    /// A result in many spellings, most of them plain.
    fn result() -> impl Strategy<Value = String> {
        let index = prop_oneof![8 => "[0-9]{1,2}", 1 => "-?[0-9]{1,20}", 1 => r#"1e0|1\.0|"2"|01|null"#];
        let score = prop_oneof![
            6 => r"-?(0|[1-9][0-9]{0,3})\.[0-9]{1,20}",
            2 => r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,3})?",
            1 => "[-+.eE0-9]{1,6}",
            1 => "NaN|null|\"0.5\"",
        ];
        let name = prop_oneof![8 => Just("score"), 1 => Just("relevance_score"), 1 => Just("sc\\u006fre")];
        let more = prop_oneof![6 => Just(""), 1 => Just(",\"x\":[1,{}]"), 1 => Just(",\"index\":0")];
        (index, score, name, more, any::<bool>(), "[ \n]?").prop_map(|(index, score, name, more, is_first, blank)| {
            if is_first {
                format!("{{\"index\":{blank}{index}{blank},\"{name}\":{score}{more}}}{blank}")
            } else {
                format!("{{{blank}\"{name}\"{blank}:{score},\"index\":{index}{more}}}")
            }
        })
    }

    /// A reply in many spellings, one byte of which may be another.
    fn reply() -> impl Strategy<Value = WireReply> {
        let results = proptest::collection::vec(result(), 0..4);
        let head = prop_oneof![2 => Just("{"), 1 => Just("{\"id\":\"\\u00e9\",\"usage\":{\"total_tokens\":5},")];
        let tail = prop_oneof![
            3 => Just("}"),
            1 => Just(",\"meta\":{\"billed_units\":{\"search_units\":1}} } "),
            1 => Just(",\"n\":1e9}"),
            1 => Just(",\"data\":[]}"),
            1 => Just("}}"),
        ];
        let spoilt = proptest::option::weighted(0.3, (any::<proptest::sample::Index>(), any::<u8>()));
        (results, head, tail, any::<bool>(), spoilt).prop_map(|(results, head, tail, is_list, spoilt)| {
            let results = results.join(",");
            let body = if is_list { format!("[{results}]") } else { format!("{head}\"data\":[{results}]{tail}") };
            let mut body = body.into_bytes();
            if let Some((at, byte)) = spoilt {
                let at = at.index(body.len());
                body[at] = byte;
            }
            WireReply { body: body.into(), passages: 2, ..WireReply::default() }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Law 6: what the quick reader takes in, the other one takes in alike, to the bit.
        #[test]
        fn law_6_the_quick_reader_reads_nothing_otherwise(reply in reply()) {
            let bits = |scores: &[(i64, f64)]| scores.iter().map(|(i, s)| (*i, s.to_bits())).collect::<Vec<_>>();
            let template = template(&["[]", "/data[]"], "/score");
            if let Some(quick) = quick_reader::read(&template, &reply) {
                let (quick, other) = (quick.decoded, read_thoroughly(&template, &reply).unwrap().decoded);
                prop_assert_eq!(bits(&quick.scores), bits(&other.scores));
                prop_assert_eq!((quick.tokens, quick.search_units), (other.tokens, other.search_units));
            }
        }
    }

    #[test]
    fn the_documented_replies_are_read_by_the_quick_reader() {
        for body in [
            r#"{"id":"1","results":[{"index":1,"relevance_score":0.5},{"index":0,"relevance_score":-1e-3}],"meta":{}}"#,
            "{ \"results\" : [\n{\"relevance_score\": 0, \"index\": 0}\n] }\n",
        ] {
            let reply = WireReply { body: body.into(), ..WireReply::default() };
            let readout = quick_reader::read(&template(&["/results[]"], "/relevance_score"), &reply).unwrap();
            assert_eq!(readout.decoded.scores, read_body(body).unwrap());
        }
    }

    fn read_body(body: &str) -> Option<Vec<(i64, f64)>> {
        let reply = WireReply { body: body.to_owned().into(), ..WireReply::default() };
        let readout = read(&template(&["/results[]"], "/relevance_score"), &reply).ok()?;
        Some(readout.decoded.scores)
    }

    #[test]
    fn what_nobody_reads_need_not_be_utf_8() {
        let read = |body: &[u8]| {
            let reply = WireReply { body: body.to_vec().into(), passages: 1, ..WireReply::default() };
            read(&template(&["[]"], "/score"), &reply).ok().map(|readout| readout.decoded.scores)
        };
        assert_eq!(read(b"[{\"index\":0,\"score\":0.9,\"text\":\"\xFF\"}]"), Some(vec![(0, 0.9)]));
        assert_eq!(read(b"[{\"index\":0,\"score\":0.9,\"\xFF\":\"text\"}]"), None);
    }

    /// Python's `json` writes `NaN` where JSON has nothing: beside the scores it cost them all.
    #[test]
    fn numbers_of_python_are_passed_over_where_no_score_is_meant() {
        for body in [
            r#"{"results":[{"index":0,"relevance_score":0.9,"score":NaN,"margin":-Infinity}]}"#,
            r#"{"usage":{"cost":NaN,"total_tokens":Infinity},"results":[{"index":0,"relevance_score":0.9}]}"#,
            r#"{"note":"\"NaN \\","cost":NaN,"results":[{"index":0,"relevance_score":0.9}]}"#,
        ] {
            assert_eq!(read_body(body), Some(vec![(0, 0.9)]), "{body}");
        }
        for body in [
            r#"{"results":[{"index":0,"relevance_score":NaN}]}"#,
            r#"{"results":[{"index":0,"relevance_score":NaN,"score":0.9}]}"#,
            r#"{"results":[{"index":NaN,"relevance_score":0.9}]}"#,
            r#"{"results":[{"index":0,"relevance_score":-Infinity}]}"#,
            r#"{"results":[{"index":0,"relevance_score":"NaN"}],"x":NaN}"#,
            r#"{"results":[{"index":0,"relevance_score":0.9}],"x":"NaN"#,
            r#"{"results":NaN"#,
        ] {
            assert_eq!(read_body(body), None, "{body}");
        }
    }
}
