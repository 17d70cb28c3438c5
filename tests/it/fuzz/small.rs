//! Parsers of inputs other than bodies: headers, base URLs, names; and the filter of provider messages.

use std::collections::BTreeMap;

use faststr::FastStr;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use rerankd::dialect::choose::{DIALECT_HEADER, DialectChoice, PathDialects};
use rerankd::dialect::fields::Fields;
use rerankd::dialect::native;
use rerankd_core::cache::control::CacheControl;
use rerankd_core::route::alias::Alias;
use rerankd_core::upstream::call_address::{CallAddress, CallPath};
use rerankd_core::upstream::redact::{quotes, shortened};

use super::grammar::Grammar;
use super::mutate::{Mutator, Seed};
use super::{Case, Cases, FEATHER};

/// A quotation of this many letters and digits is found, wherever it begins.
const TELLING: usize = 8;
/// Longest text in bytes whose quotations are looked for; every one is looked for in every place.
const MOST: usize = 200;

fn cases(readers: &[&'static str], seeds: &[&str]) -> Cases {
    let seeds = seeds.iter().map(|seed| Seed { reader: "", text: seed.as_bytes().to_vec() }).collect();
    Cases { readers: readers.to_vec(), mutator: Mutator { seeds, grammar: Grammar::JSON } }
}

#[test]
fn fuzzed_headers_parse_or_fail_without_quoting() {
    let seeds = ["no-cache, no-store", "only-if-cached,max-age=0", "voyage", "VLLM", "canary", "2026-04"];
    let bodies = [r#"{"texts":[]}"#, r#"{"passages":[]}"#].map(FastStr::from_static_str);
    bolero::check!()
        .with_generator(cases(&["cache-control", "x-rerank-dialect"], &seeds))
        .with_iterations(5_000)
        .for_each(|case| {
            let Ok(value) = HeaderValue::from_bytes(&case.bytes) else { return };
            let is_blank = value.as_bytes().trim_ascii().is_empty();
            let name = HeaderName::from_static(case.reader);
            let headers = HeaderMap::from_iter([(name.clone(), value.clone()), (header::ACCEPT, value)]);
            let control = CacheControl::from_headers(&headers);
            assert!(name == header::CACHE_CONTROL || control == CacheControl::default());
            let path = PathDialects { prefix: None, default: &native::BARE };
            let choice = DialectChoice::before_body(path, &headers, None);
            match choice.check() {
                Ok(()) => {
                    // A dialect that the header names is the same for bodies of different dialects.
                    let [one, other] = bodies.each_ref().map(|body| choice.after_body(&Fields::read(body).unwrap()));
                    assert_eq!(one.name() == other.name(), name == DIALECT_HEADER && !is_blank);
                }
                Err(error) => assert!(!error.message.contains(FEATHER), "{error}"),
            }
        });
}

/// Parts of the last path segment of every provider's rerank URL.
const CALLS: [&str; 4] = ["rank", "score", "predict", "invo"];

/// The address of calls to `path` under `base_url`.
fn endpoint(base_url: &str, path: &str) -> Result<url::Url, String> {
    let address = CallAddress {
        upstream: "up".to_owned(),
        base_url: base_url.to_owned(),
        path: CallPath::Documented(path.to_owned()),
        values: BTreeMap::new(),
        variables: BTreeMap::new(),
        query_parameters: BTreeMap::new(),
    };
    address.url("model").map_err(|(_, message)| message)
}

#[test]
fn fuzzed_base_urls_lose_credentials_and_end_in_the_call() {
    let seeds = [
        "https://api.cohere.com",
        "http://[::1]:8080/v1/",
        "https://canary:canary@host/v2/rerank?a=b#c",
        "http://host/vision",
    ];
    bolero::check!().with_generator(cases(&["/v2/rerank", "/v1/reranking"], &seeds)).with_iterations(5_000).for_each(
        |case| {
            let text = String::from_utf8_lossy(&case.bytes);
            match endpoint(&text, case.reader) {
                Ok(url) => {
                    let last = url.path().rsplit('/').next().unwrap();
                    assert!(CALLS.iter().any(|call| last.to_ascii_lowercase().contains(call)), "{url}");
                    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{url}");
                    assert_eq!(endpoint(url.as_str(), case.reader), Ok(url.clone()), "an address is its own base");
                }
                Err(message) => assert!(!message.contains(FEATHER), "{message}"),
            }
            if let Ok(alias) = Alias::new(&text) {
                assert_eq!(alias.is(&text), !alias.is_pattern());
                assert!(!alias.is_pattern() || alias.fit(&text).is_some());
            }
        },
    );
}

/// Law 11.
#[test]
fn quotation_of_eight_letters_is_found_wherever_it_is_cut() {
    let seeds = [
        "A long passage that nobody but the owner should ever read in a log, and more of it.",
        "환자 김철의 주민등록번호와 병력은 비밀로 하며 누구도 제삼자에게 누설할 수 없다.",
        "slides\u{b}have\u{b}vertical tabs\u{b}between\u{b}their lines",
        "name: Kim Cheol\nssn:\t900101-12\n\n hiv: positive\nward: 7 east b ",
    ];
    bolero::check!().with_generator(cases(&["quotes"], &seeds)).with_iterations(5_000).for_each(quotation_is_found);
}

fn quotation_is_found(case: &Case) {
    let text = String::from_utf8_lossy(&case.bytes[..case.bytes.len().min(MOST)]);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shortened(&line).chars().count() <= 301);
    let found = |message: &str| quotes(message, &std::iter::once(&*text), &[]);
    let letters: Vec<_> = line.char_indices().filter(|(_, letter)| letter.is_alphanumeric()).collect();
    for quoted in letters.windows(TELLING).step_by(5) {
        let (start, _) = quoted[0];
        let (end, last) = quoted[TELLING - 1];
        let quotation = &line[start..end + last.len_utf8()];
        // What is shown is three hundred characters; "document" tells nothing.
        if quotation.len() < 280 && !"documents".contains(&*quotation.to_lowercase()) {
            assert!(found(&format!("bad: {quotation}…")), "{quotation:?} of {line:?}");
        }
    }
}
