//! Requests that differ in nothing but numbers: the message is written once, and each request puts in its own.

use std::io::Write;
use std::ops::Range;

use serde::Deserialize;
use serde_json::json;

use crate::handler::score;
use crate::passages::passage;

/// Digits of a number, which are the same for all so that its place never moves.
const DIGITS: usize = 16;
/// Passages that one query may have numbers for.
const PASSAGES_OF_QUERY: u64 = 10_000;
/// Requests that a known workload repeats.
const REPEATED: u64 = 16;
/// Most results that a request wants.
const TOP_N: usize = 10;

/// The share of a request's pairs that rerankd has scores for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Nothing,
    Half,
    All,
}

/// Requests of one size.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    passages: usize,
    known: Known,
    /// Head and body of a request with numbers of zeros.
    message: Vec<u8>,
    body_bytes: usize,
    /// Places of the query's number and of each passage's.
    numbers_at: Vec<Range<usize>>,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Scored>,
}

#[derive(Deserialize)]
struct Scored {
    index: usize,
    relevance_score: f64,
}

impl Known {
    pub(crate) const ALL: [Self; 3] = [Self::Nothing, Self::Half, Self::All];

    /// Name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "cold",
            Self::Half => "half warm",
            Self::All => "warm",
        }
    }
}

impl Workload {
    pub(crate) fn new(passages: usize, known: Known) -> Self {
        let zeros = "0".repeat(DIGITS);
        let documents: Vec<String> = (0..passages).map(|index| passage(&zeros, index)).collect();
        let body = json!({ "query": query(&zeros), "documents": documents, "top_n": TOP_N }).to_string();
        let head = "POST /v2/rerank HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ";
        let message = format!("{head}{}\r\n\r\n{body}", body.len());
        let query_number = message.find(&query(&zeros)).unwrap() + query("").len();
        let mut numbers_at = Vec::with_capacity(1 + passages);
        numbers_at.push(query_number..query_number + DIGITS);
        for (start, found) in message.match_indices(&format!("passage {zeros}")) {
            let end = start + found.len();
            numbers_at.push(end - DIGITS..end);
        }
        assert_eq!(numbers_at.len(), passages + 1);
        Self { passages, known, body_bytes: body.len(), message: message.into_bytes(), numbers_at }
    }

    /// The requests that must have been made before those of `numbers`, so that the right share of these is known.
    pub(crate) fn primer(&self, numbers: &Range<u64>) -> Option<(Self, Range<u64>)> {
        match self.known {
            Known::Nothing => None,
            // The same queries with the first half of their passages.
            Known::Half => Some((Self::new(self.passages / 2, Known::Nothing), numbers.clone())),
            Known::All => Some((self.clone(), 0..REPEATED)),
        }
    }

    /// Length of a request's body.
    pub(crate) fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// A message for [`Self::number`].
    pub(crate) fn message(&self) -> Vec<u8> {
        self.message.clone()
    }

    /// Turns a message into that of request `number`.
    pub(crate) fn number(&self, message: &mut [u8], number: u64) {
        let query = self.query_number(number);
        for (index, place) in self.numbers_at.iter().enumerate() {
            let number = if index == 0 { query } else { passage_number(query, index - 1) };
            write!(&mut message[place.clone()], "{number:0DIGITS$}").unwrap();
        }
    }

    /// Returns true if this is the right answer to request `number`.
    pub(crate) fn is_right(&self, number: u64, answer: &[u8]) -> bool {
        let Ok(Answer { results }) = serde_json::from_slice(answer) else { return false };
        let number = self.query_number(number);
        let query = query(&format!("{number:0DIGITS$}"));
        let mut least = f64::INFINITY;
        for Scored { index, relevance_score } in &results {
            let text = passage(&format!("{:0DIGITS$}", passage_number(number, *index)), *index);
            let millionths = u32::try_from(score(&query, &text)).unwrap();
            let is_own_score = relevance_score.total_cmp(&(f64::from(millionths) / 1e6)).is_eq();
            if !is_own_score || *relevance_score > least || *index >= self.passages {
                return false;
            }
            least = *relevance_score;
        }
        results.len() == TOP_N.min(self.passages)
    }

    /// Number of the query of request `number`.
    fn query_number(&self, number: u64) -> u64 {
        if self.known == Known::All { number % REPEATED } else { number }
    }
}

fn query(number: &str) -> String {
    format!("query {number}")
}

fn passage_number(query: u64, index: usize) -> u64 {
    query * PASSAGES_OF_QUERY + index as u64
}
