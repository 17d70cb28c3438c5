//! Grammar that mutations follow: places of values, and the values that could replace them.

use std::ops::Range;

/// A language.
pub(super) struct Grammar {
    /// Values to put in place of others, one a line.
    pub(super) words: &'static str,
    /// Finds the ranges of names with their values.
    pub(super) members: fn(&[u8]) -> Vec<Range<usize>>,
    /// Separator of two members.
    pub(super) separator: &'static [u8],
    /// Opening and closing text of a value around another.
    pub(super) around: [(&'static str, &'static str); 2],
}

impl Grammar {
    pub(super) const JSON: Self =
        Self { words: JSON, members: json_members, separator: b",", around: [("[", "]"), ("{\"text\":", "}")] };
    pub(super) const TOML: Self =
        Self { words: TOML, members: lines, separator: b"\n", around: [("[", "]"), ("{ text = ", " }")] };
}

const JSON: &str = r#"null
true
false
0
-1
-0.0
1.0
2
1e999
-1e999
1e308
1e-400
NaN
Infinity
9223372036854775807
9223372036854775808
-9223372036854775809
18446744073709551616
0.1e
01
""
" "
"2"
"NaN"
"true"
"\ud800"
"\udc00\ud800"
"\u0000"
"\n\r\u001b[2J"
"canary"
"a canary\n"
["canary"]
[]
{}
[[]]
{"text":"canary"}
{"canary":"canary"}
{"text":{"canary":1}}
{"text":"a","text":"b"}
{"text":"\ud800"}
{"id":1e999,"text":"a"}
{"content":[{"type":"text","text":"canary"}]}
{"image":"canary"}
[{"index":0,"relevance_score":1,"score":2}]
{"message":"canary"}"#;

const TOML: &str = r#"true
0
-1
1.5
nan
inf
1979-05-27T07:32:00Z
9223372036854775807
9223372036854775808
0xff
""
" "
"\u001b\u0000"
"""
"canary"
["canary"]
{ canary = "canary" }
[]
{}
"0s"
"1e9y"
"99999999999999999999s"
"env:"
"env:COHERE_API_KEY"
"file:"
"http://[::1"
"http://canary:canary@host"
"https://h/v1/"
"local"
"cohere"
"voyage"
"tei"
["*"]
["a*b"]
["default"]
[{ upstream = "cohere" }]
[{ upstream = "canary", model = "canary" }]
{ key = "env:COHERE_API_KEY", dialect = "tei" }
"warn,["
api_key
models
upstreams
"a.b""#;

/// Ranges of values and names: strings, words, numbers, and bracketed parts. A broken text has some too.
pub(super) fn values(text: &[u8]) -> Vec<Range<usize>> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_');
    let (mut found, mut open, mut end) = (Vec::new(), Vec::new(), 0);
    while let Some(byte) = text.get(end) {
        let start = end;
        end += 1;
        match byte {
            b'"' => {
                end = end_of_string(text, end);
                found.push(start..end);
            }
            b'[' | b'{' => open.push(start),
            b']' | b'}' => found.extend(open.pop().map(|start| start..end)),
            byte if is_word(byte) => {
                end += text[end..].iter().take_while(|byte| is_word(byte)).count();
                found.push(start..end);
            }
            _ => {}
        }
    }
    found
}

fn end_of_string(text: &[u8], mut end: usize) -> usize {
    while let Some(byte) = text.get(end) {
        end += 1;
        match byte {
            b'\\' => end += 1,
            b'"' => break,
            _ => {}
        }
    }
    end.min(text.len())
}

fn json_members(text: &[u8]) -> Vec<Range<usize>> {
    let values = values(text);
    let after = |place: usize| place + text[place..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let member = |name: &Range<usize>| {
        let colon = after(name.end);
        let start = (text.get(colon) == Some(&b':')).then(|| after(colon + 1))?;
        values.iter().find(|value| value.start == start).map(|value| name.start..value.end)
    };
    values.iter().filter(|value| text[value.start] == b'"').filter_map(member).collect()
}

fn lines(text: &[u8]) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut line = |line: &[u8]| {
        let place = start..start + line.len();
        start = place.end + 1;
        place
    };
    text.split(|byte| *byte == b'\n').map(&mut line).collect()
}
