//! A provider that limits the size of its calls, and says so in its own words.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rerankd_core::error::ErrorKind;
use rerankd_core::provider::Explanation;
use rerankd_core::upstream::UpstreamError;
use rerankd_core::upstream::call::{Call, Payload, Scores};
use rerankd_core::upstream::size_refusal::RefusalWords;
use serde_json::Value;
use tokio::time::sleep;
use tower::Service;

use super::super::faults::score_of;

#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    Bytes,
    Characters,
    Tokens,
}

/// The part of the query in a limit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Query {
    WithEachPassage,
    Once,
    Never,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    Passages(usize),
    Call(usize, Unit, Query),
    Passage(usize, Unit, Query),
}

/// The words of a provider that refuses a call as too large. `#` stands for the passages sent, `@` for the limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wording {
    status: u16,
    message: &'static str,
    code: &'static str,
}

pub(super) const COUNT_WORDINGS: [Wording; 5] = [
    Wording { status: 422, message: "batch size # > maximum allowed batch size @", code: "validation" },
    Wording { status: 422, message: "List should have at most @ items after validation, not #", code: "too_long" },
    Wording { status: 400, message: "documents must contain at most @ items", code: "" },
    Wording { status: 400, message: "too many documents", code: "bad_request" },
    Wording { status: 413, message: "the number of documents is over what we take", code: "" },
];
pub(super) const TEXT_WORDINGS: [Wording; 6] = [
    Wording { status: 400, message: "input is larger than the max context size", code: "exceed_context_size_error" },
    Wording { status: 500, message: "input is too large to process. increase the physical batch size", code: "" },
    Wording { status: 400, message: "The decoder prompt is longer than the maximum model length", code: "" },
    Wording { status: 413, message: "`inputs` must have less than 512 units", code: "" },
    Wording { status: 422, message: "String should be shorter", code: "string_too_long" },
    Wording { status: 400, message: "please reduce the length of the documents", code: "" },
];
pub(super) const ANY_WORDINGS: [Wording; 6] = [
    Wording { status: 413, message: "", code: "" },
    Wording { status: 413, message: "Request Entity Too Large", code: "" },
    Wording { status: 400, message: "", code: "" },
    Wording { status: 400, message: "Bad Request", code: "" },
    Wording { status: 422, message: "unprocessable", code: "e1742" },
    Wording { status: 422, message: "문서를 처리할 수 없습니다", code: "" },
];

/// One provider.
#[derive(Debug)]
pub(super) struct LimitedProvider {
    pub(super) limit: Mutex<Option<Limit>>,
    pub(super) wording: Wording,
    pub(super) words: RefusalWords,
    pub(super) calls: AtomicUsize,
    pub(super) refusals: AtomicUsize,
}

pub(super) fn length(text: &str, unit: Unit) -> usize {
    let ascii = text.bytes().filter(u8::is_ascii).count();
    match unit {
        Unit::Bytes => text.len(),
        Unit::Characters => text.chars().count(),
        // A tokenizer that takes four letters of English, or one of Korean, for a token.
        Unit::Tokens => ascii.div_ceil(4) + (text.len() - ascii) / 3,
    }
}

impl Limit {
    pub(super) fn admits(self, query: &str, passages: &[&str]) -> bool {
        match self {
            Self::Passages(most) => passages.len() <= most,
            Self::Call(most, unit, counted) => {
                let times = match counted {
                    Query::WithEachPassage => passages.len(),
                    Query::Once => 1,
                    Query::Never => 0,
                };
                let mut total = times * length(query, unit);
                for passage in passages {
                    total += length(passage, unit);
                }
                total <= most
            }
            Self::Passage(most, unit, counted) => {
                let query_length = if matches!(counted, Query::Never) { 0 } else { length(query, unit) };
                passages.iter().all(|passage| query_length + length(passage, unit) <= most)
            }
        }
    }
}

impl LimitedProvider {
    pub(super) fn admits(&self, query: &str, passages: &[&str]) -> bool {
        self.limit.lock().unwrap().is_none_or(|limit| limit.admits(query, passages))
    }

    /// Calls of a client that knows the limit and asks for every passage: full ones in input order, and one for each
    /// passage that is refused.
    pub(super) fn ideal_calls(&self, query: &str, passages: &[String]) -> usize {
        let mut calls = 0;
        let mut current: Vec<&str> = Vec::new();
        for passage in passages {
            if !self.admits(query, &[passage]) {
                calls += 1;
                continue;
            }
            current.push(passage);
            if current.len() == 1 || !self.admits(query, &current) {
                calls += 1;
                current = vec![passage];
            }
        }
        calls
    }

    fn refusal(&self, sent: usize) -> UpstreamError {
        let most = match *self.limit.lock().unwrap() {
            Some(Limit::Passages(most)) => most,
            _ => 0,
        };
        let message = self.wording.message.replace('#', &sent.to_string()).replace('@', &most.to_string());
        let codes = if self.wording.code.is_empty() { Vec::new() } else { vec![self.wording.code.to_owned()] };
        let said = Explanation { message, codes, locations: Vec::new() };
        let status = self.wording.status;
        let kind = if status >= 500 { ErrorKind::UpstreamUnavailable } else { ErrorKind::UpstreamRejected };
        let size_refusal = self.words.classify(status, Some(&said), sent);
        UpstreamError::of_status(status, kind, size_refusal, format!("answered with status {status}"))
    }

    async fn answer(&self, call: &Call) -> Result<Scores, UpstreamError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(10)).await;
        let Payload::Body(body) = &call.payload else { unreachable!("the upstream is a provider") };
        let body: Value = serde_json::from_slice(body).unwrap();
        let query = body["query"].as_str().unwrap();
        let mut documents = Vec::new();
        for text in body["documents"].as_array().unwrap() {
            documents.push(text.as_str().unwrap());
        }
        if !self.admits(query, &documents) {
            self.refusals.fetch_add(1, Ordering::Relaxed);
            return Err(self.refusal(documents.len()));
        }
        let scores = documents.iter().map(|text| score_of("limited", query, text)).collect();
        Ok(Scores { scores, search_units: Some(1), ..Scores::default() })
    }
}

#[derive(Clone, Debug)]
pub(super) struct LimitedTransport(pub(super) Arc<LimitedProvider>);

impl Service<Call> for LimitedTransport {
    type Response = Scores;
    type Error = UpstreamError;
    type Future = BoxFuture<'static, Result<Scores, UpstreamError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let provider = self.0.clone();
        Box::pin(async move { provider.answer(&call).await })
    }
}
