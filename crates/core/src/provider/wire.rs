//! The one reader of all replies: strict about scores and positions, tolerant of everything beside them.
//!
//! Counts are read if they can be, whatever their type, and unknown members are skipped. A position may be written in
//! another way (`0.0`, `"0"`); a score may not. Of two names for a score the documented one counts.

use std::fmt;

use memchr::{memchr2, memchr3};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::counts::{Counts, Group};
use super::loose::{Loose, Name};
use super::{Decoded, WireReply, plain};
use crate::text::bytes_without_mark;

/// A provider's name for the score of a passage.
#[derive(Clone, Copy)]
pub(super) enum ScoreName {
    RelevanceScore,
    Score,
}

impl ScoreName {
    const fn name(self) -> &'static str {
        match self {
            Self::RelevanceScore => "relevance_score",
            Self::Score => "score",
        }
    }

    /// The name as a JSON string.
    pub(super) const fn quoted(self) -> &'static [u8] {
        match self {
            Self::RelevanceScore => b"\"relevance_score\"",
            Self::Score => b"\"score\"",
        }
    }
}

/// Reads `{"LIST": [{"index": 0, "SCORE": 0.5}], "usage": …, "meta": …}`.
pub(super) fn read_object(
    reply: &WireReply,
    list: &'static str,
    score: ScoreName,
) -> Result<Decoded, serde_json::Error> {
    if let Some(decoded) = plain::read_object(reply, list, score) {
        return Ok(decoded);
    }
    read(reply, Body { list, results: Results { score, passages: reply.passages } })
}

/// Reads `[{"index": 0, "SCORE": 0.5}]`.
pub(super) fn read_list(reply: &WireReply, score: ScoreName) -> Result<Vec<(i64, f64)>, serde_json::Error> {
    if let Some(scores) = plain::read_list(reply, score) {
        return Ok(scores);
    }
    read(reply, Results { score, passages: reply.passages })
}

/// Parses the body of a reply by `seed`: once more if Python's numbers may have spoilt the first time.
fn read<S: Copy + for<'de> DeserializeSeed<'de, Value = T>, T>(
    reply: &WireReply,
    seed: S,
) -> Result<T, serde_json::Error> {
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
fn without_python_numbers(body: &[u8]) -> Option<Vec<u8>> {
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
struct Body {
    /// Name of the list of results.
    list: &'static str,
    results: Results,
}

impl<'de> DeserializeSeed<'de> for Body {
    type Value = Decoded;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Decoded, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Body {
    type Value = Decoded;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an object with {}", self.list)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Decoded, A::Error> {
        let mut scores = None;
        let mut counts = Counts::default();
        while let Some(Name(name)) = members.next_key()? {
            if name == self.list {
                if scores.is_some() {
                    return Err(A::Error::duplicate_field(self.list));
                }
                scores = Some(members.next_value_seed(self.results)?);
            } else {
                match Group::Root.member(&name) {
                    Group::Nowhere => drop(members.next_value::<IgnoredAny>()?),
                    group => counts.read(group, members.next_value()?),
                }
            }
        }
        let scores = scores.ok_or_else(|| A::Error::missing_field(self.list))?;
        Ok(Decoded { scores, tokens: counts.tokens(), search_units: counts.search_units() })
    }
}

/// The list of scored passages: position and score of each, in the upstream's order.
#[derive(Clone, Copy)]
struct Results {
    score: ScoreName,
    /// Number of passages of the call, so of results in a good reply.
    passages: usize,
}

impl<'de> DeserializeSeed<'de> for Results {
    type Value = Vec<(i64, f64)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Results {
    type Value = Vec<(i64, f64)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of scores")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut scores = Vec::with_capacity(self.passages);
        while let Some(scored) = items.next_element_seed(Scored(self.score))? {
            scores.push(scored);
        }
        Ok(scores)
    }
}

/// A member of a scored passage.
enum Member {
    Index,
    /// The score under its documented name.
    DocumentedScore,
    /// A score under another provider's name.
    OtherScore,
    Unread,
}

/// The name of a member of a scored passage, with the documented name of the score.
struct MemberName(ScoreName);

impl<'de> DeserializeSeed<'de> for MemberName {
    type Value = Member;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberName {
    type Value = Member;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Member, E> {
        Ok(match name {
            "index" => Member::Index,
            _ if name == self.0.name() => Member::DocumentedScore,
            "relevance_score" | "score" => Member::OtherScore,
            _ => Member::Unread,
        })
    }
}

/// One scored passage.
struct Scored(ScoreName);

impl<'de> DeserializeSeed<'de> for Scored {
    type Value = (i64, f64);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(i64, f64), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Scored {
    type Value = (i64, f64);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with index and score")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(i64, f64), A::Error> {
        let mut index = None;
        // The score under the documented name.
        let mut documented = None;
        // Kept raw: it is parsed only if the documented name brings no score.
        let mut other = None;
        let documented_name = self.0.name();
        while let Some(member) = members.next_key_seed(MemberName(self.0))? {
            match member {
                Member::Index => {
                    let Some(position) = members.next_value::<Loose>()?.whole() else {
                        return Err(A::Error::custom("an index is no whole number"));
                    };
                    // A repeated member does no harm unless the two differ.
                    if index.is_some_and(|earlier| earlier != position) {
                        return Err(A::Error::duplicate_field("index"));
                    }
                    index = Some(position);
                }
                Member::DocumentedScore => {
                    let score = members.next_value::<Loose>()?;
                    if documented.is_some_and(|earlier| earlier != score) {
                        return Err(A::Error::duplicate_field(documented_name));
                    }
                    documented = Some(score);
                }
                Member::OtherScore => other = Some(members.next_value::<&RawValue>()?),
                Member::Unread => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        let index = index.ok_or_else(|| A::Error::missing_field("index"))?;
        let score = match documented {
            None | Some(Loose::Null) => other.map(Loose::of),
            // Even if it is no number: the other name must not make up for a broken score.
            found => found,
        };
        match score {
            Some(Loose::Number(score)) => Ok((index, score)),
            _ => Err(A::Error::missing_field(documented_name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            let results = Results { score: ScoreName::Score, passages: 2 };
            if let Some(quick) = plain::read_list(&reply, ScoreName::Score) {
                prop_assert_eq!(bits(&quick), bits(&read(&reply, results).unwrap()));
            }
            if let Some(quick) = plain::read_object(&reply, "data", ScoreName::Score) {
                let other = read(&reply, Body { list: "data", results }).unwrap();
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
            let decoded = plain::read_object(&reply, "results", ScoreName::RelevanceScore).unwrap();
            assert_eq!(decoded.scores, read_body(body).unwrap());
        }
    }

    fn read_body(body: &str) -> Option<Vec<(i64, f64)>> {
        let reply = WireReply { body: body.to_owned().into(), ..WireReply::default() };
        read_object(&reply, "results", ScoreName::RelevanceScore).ok().map(|decoded| decoded.scores)
    }

    #[test]
    fn what_nobody_reads_need_not_be_utf_8() {
        let read = |body: &[u8]| {
            let reply = WireReply { body: body.to_vec().into(), passages: 1, ..WireReply::default() };
            read_list(&reply, ScoreName::Score).ok()
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
