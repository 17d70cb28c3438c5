//! The headers of an answer that tell the origin of its scores. Every dialect has them: the bodies of most have no
//! place for it.

use std::fmt::Write;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rerankd_core::types::facts::ScoreScale;
use rerankd_core::types::response::{PairCounts, Provenance, Timings, milliseconds};

/// Header with the upstream and its model, `UPSTREAM/MODEL`. Absent if the answer was not reranked.
const MODEL_HEADER: HeaderName = HeaderName::from_static("x-rerankd-model");
/// Header with the scale of the answer's scores. Absent if the answer was not reranked.
const SCALE_HEADER: HeaderName = HeaderName::from_static("x-rerankd-scale");
/// Header that says `ranks` where the numbers of an answer are made of ranks: the model is a selector and gives no
/// scores, and clients of the dialect need numbers. Absent otherwise.
const SCORES_HEADER: HeaderName = HeaderName::from_static("x-rerankd-scores");
/// Header with the counts of pairs by the source of their scores, as a dictionary of RFC 9651.
const CACHE_HEADER: HeaderName = HeaderName::from_static("x-rerankd-cache");
/// Header with the number of targets that were given up before the answer.
const FALLBACKS_HEADER: HeaderName = HeaderName::from_static("x-rerankd-fallbacks");
/// Header with the cost in US dollars: what upstreams say they charged, else at list price. Absent if unknown.
const COST_HEADER: HeaderName = HeaderName::from_static("x-rerankd-cost-usd");
/// Header with a reason of a degraded answer, one for each reason. Absent in a good answer.
const DEGRADED_HEADER: HeaderName = HeaderName::from_static("x-rerankd-degraded");
/// Header with the name of the model that was asked for, where the default one answered in its place.
const SUBSTITUTED_HEADER: HeaderName = HeaderName::from_static("x-rerankd-substituted");
/// Longest value of [`SUBSTITUTED_HEADER`], in bytes; a longer name is cut.
const MAX_SUBSTITUTED_BYTES: usize = 200;
/// Header with the times of the parts of the request, in milliseconds, which browsers show in their network panel.
const TIMING_HEADER: HeaderName = HeaderName::from_static("server-timing");
/// Header that lets web pages read the others, where pages may read answers at all.
const EXPOSED_HEADER: HeaderName = HeaderName::from_static("access-control-expose-headers");
/// The value of [`EXPOSED_HEADER`].
const EXPOSED_NAMES: &str = "x-request-id, x-rerank-dialect, x-rerankd-model, x-rerankd-scale, x-rerankd-scores, \
    x-rerankd-cache, x-rerankd-fallbacks, x-rerankd-cost-usd, x-rerankd-degraded, x-rerankd-substituted, \
    server-timing, retry-after";

/// Characters of a model's name that are percent-encoded in headers. Those beyond ASCII always are.
const ENCODED_IN_NAMES: &AsciiSet = &CONTROLS.add(b' ').add(b'%');
/// Bytes of all values together in a usual answer.
const USUAL_BYTES: usize = 256;
/// Headers of an answer, those of other modules included.
const MAX_HEADERS: usize = 16;

/// Adds the headers of an answer whose scores come from `provenance` and stand on `scale`.
pub(super) fn add(headers: &mut HeaderMap, provenance: &Provenance, scale: Option<ScoreScale>) {
    headers.reserve(MAX_HEADERS);
    let mut values = Values { headers, buffer: BytesMut::with_capacity(USUAL_BYTES) };
    if let (Some(upstream), Some(model)) = (&provenance.upstream, &provenance.upstream_model) {
        let upstream = utf8_percent_encode(upstream, ENCODED_IN_NAMES);
        let model = utf8_percent_encode(model, ENCODED_IN_NAMES);
        values.insert(MODEL_HEADER, format_args!("{upstream}/{model}"));
    }
    if let Some(scale) = scale {
        values.headers.insert(SCALE_HEADER, HeaderValue::from_static(scale.name()));
    }
    let PairCounts { total, hit, coalesced, scored, stale, unscored } = provenance.pairs;
    values.insert(
        CACHE_HEADER,
        format_args!(
            "total={total}, hit={hit}, coalesced={coalesced}, scored={scored}, stale={stale}, unscored={unscored}"
        ),
    );
    values.headers.insert(FALLBACKS_HEADER, HeaderValue::from(provenance.fallbacks));
    if let Some(cost) = provenance.cost.spent_usd {
        values.insert(COST_HEADER, format_args!("{}", dollars(cost)));
    }
    let Timings { cache, upstream, total } = provenance.timings;
    let cache = milliseconds(cache);
    let upstream = milliseconds(upstream);
    let total = milliseconds(total);
    values.insert(TIMING_HEADER, format_args!("cache;dur={cache}, upstream;dur={upstream}, total;dur={total}"));
    for reason in &provenance.degraded {
        headers.append(DEGRADED_HEADER, HeaderValue::from_static(reason.code()));
    }
}

/// Adds the header that the numbers of the answer are made of ranks.
pub(super) fn add_numbered_ranks(headers: &mut HeaderMap) {
    headers.insert(SCORES_HEADER, HeaderValue::from_static("ranks"));
}

/// Adds the header that the default model answered in place of `model`, which nobody knows.
pub(super) fn add_substituted(headers: &mut HeaderMap, model: &str) {
    let mut encoded = String::new();
    let mut buffer = [0; 4];
    for character in model.chars() {
        let end = encoded.len();
        encoded.extend(utf8_percent_encode(character.encode_utf8(&mut buffer), ENCODED_IN_NAMES));
        if encoded.len() > MAX_SUBSTITUTED_BYTES {
            encoded.truncate(end);
            break;
        }
    }
    // Percent-encoded, so it can always stand in a header.
    if let Ok(value) = HeaderValue::try_from(encoded) {
        headers.insert(SUBSTITUTED_HEADER, value);
    }
}

/// Lets the web page that asked read these headers of the answer.
pub(super) fn expose(headers: &mut HeaderMap) {
    headers.insert(EXPOSED_HEADER, HeaderValue::from_static(EXPOSED_NAMES));
}

/// An amount of US dollars to a billionth, without the remainders that sums of fractions have.
pub(super) fn dollars(amount: f64) -> f64 {
    (amount * 1e9).round() / 1e9
}

/// Headers whose values share one buffer.
struct Values<'a> {
    headers: &'a mut HeaderMap,
    buffer: BytesMut,
}

impl Values<'_> {
    /// Inserts a header. One whose value cannot stand in a header is left out.
    fn insert(&mut self, name: HeaderName, value: std::fmt::Arguments<'_>) {
        // Writing to a buffer that grows cannot fail.
        let written = self.buffer.write_fmt(value);
        debug_assert!(written.is_ok());
        if let Ok(value) = HeaderValue::from_maybe_shared(self.buffer.split().freeze()) {
            self.headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rerankd_core::types::outcomes::DegradedReason;
    use rerankd_core::types::response::AnswerCost;

    use super::*;

    fn headers(provenance: &Provenance) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        add(&mut headers, provenance, provenance.score_scale);
        let mut pairs = Vec::new();
        for (name, value) in &headers {
            pairs.push((name.to_string(), value.to_str().unwrap().to_owned()));
        }
        pairs.sort();
        pairs
    }

    fn expected<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    #[test]
    fn an_answer_tells_its_model_scale_counts_cost_and_times() {
        let provenance = Provenance {
            upstream: Some("cohere".to_owned()),
            upstream_model: Some("rerank v4 50% \u{e9}\n".to_owned()),
            score_scale: Some(ScoreScale::Probability),
            reranked: true,
            degraded: vec![DegradedReason::StaleScores, DegradedReason::PassagesRefused],
            pairs: PairCounts { total: 50, hit: 12, coalesced: 1, scored: 36, stale: 1, unscored: 0 },
            fallbacks: 2,
            timings: Timings {
                cache: Duration::from_micros(100),
                upstream: Duration::from_millis(84),
                total: Duration::from_nanos(84_600_499),
            },
            cost: AnswerCost { spent_usd: Some(0.1 + 0.2), ..AnswerCost::default() },
            ..Provenance::default()
        };
        let expected = expected([
            ("server-timing", "cache;dur=0.1, upstream;dur=84, total;dur=84.6"),
            ("x-rerankd-cache", "total=50, hit=12, coalesced=1, scored=36, stale=1, unscored=0"),
            ("x-rerankd-cost-usd", "0.3"),
            ("x-rerankd-degraded", "passages_refused"),
            ("x-rerankd-degraded", "stale_scores"),
            ("x-rerankd-fallbacks", "2"),
            ("x-rerankd-model", "cohere/rerank%20v4%2050%25%20%C3%A9%0A"),
            ("x-rerankd-scale", "probability"),
        ]);
        assert_eq!(headers(&provenance), expected);
    }

    #[test]
    fn an_answer_in_input_order_names_no_model_and_no_unknown_cost() {
        let expected = expected([
            ("server-timing", "cache;dur=0, upstream;dur=0, total;dur=0"),
            ("x-rerankd-cache", "total=0, hit=0, coalesced=0, scored=0, stale=0, unscored=0"),
            ("x-rerankd-fallbacks", "0"),
        ]);
        assert_eq!(headers(&Provenance::default()), expected);
    }

    #[test]
    fn a_substituted_name_is_encoded_and_cut_between_characters() {
        let long = "m".repeat(198);
        for (model, value) in [
            ("rerank-v3.5", "rerank-v3.5"),
            ("a b\u{e9}%\n", "a%20b%C3%A9%25%0A"),
            (&format!("{long}\u{e9}x"), &long),
            (&"m".repeat(201), &"m".repeat(200)),
        ] {
            let mut headers = HeaderMap::new();
            add_substituted(&mut headers, model);
            assert_eq!(headers[SUBSTITUTED_HEADER], value);
        }
    }

    /// Small amounts must not be written as `1e-7`, which clients do not expect.
    #[test]
    fn amounts_are_decimal_numbers() {
        for (amount, text) in [(0.0, "0"), (1e-7, "0.0000001"), (2.0, "2"), (0.002_000_000_000_000_1, "0.002")] {
            assert_eq!(dollars(amount).to_string(), text);
        }
    }

    #[test]
    fn every_header_is_among_those_that_pages_may_read() {
        let named: Vec<_> = EXPOSED_NAMES.split(", ").collect();
        for name in [
            MODEL_HEADER,
            SCALE_HEADER,
            SCORES_HEADER,
            CACHE_HEADER,
            FALLBACKS_HEADER,
            COST_HEADER,
            DEGRADED_HEADER,
            SUBSTITUTED_HEADER,
            TIMING_HEADER,
        ] {
            assert!(named.contains(&name.as_str()), "{name}");
        }
    }
}
