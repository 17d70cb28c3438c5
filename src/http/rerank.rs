//! `POST /rerank`: one request, from the bytes of its body to the bytes of its answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use rerankd_core::blocking::offload::{OFFLOAD_WIRE_BYTES, offload, offload_while_wanted};
use rerankd_core::cache::control::CacheControl;
use rerankd_core::error::{Error, ErrorKind};
use rerankd_core::rerank::RequestContext;
use rerankd_core::telemetry::metrics::{InFlight, Metrics, NO_MODEL};
use rerankd_core::types::facts::ScoreScale;
use rerankd_core::types::outcomes::RequestOutcome;
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::RerankResponse;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::callers::Caller;
use super::dispatch::overloaded;
use super::handler_error::HandlerError;
use super::middleware::request_id;
use super::request_log::RerankFacts;
use super::{App, answer_headers, body, json, request_log};
use crate::dialect::Dialect;
use crate::dialect::choose::{DIALECT_HEADER, DialectChoice};
use crate::dialect::cohere_family::Answer;
use crate::dialect::problem::Problem;
use crate::dialect::read::{Decoded, ReceivedBody, out_of_time};
use crate::dialect::unread_fields::STRICT_HEADER;

/// Header with the client's own timeout, in milliseconds from now; the same as `timeout_ms` in the body.
const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-request-timeout-ms");

/// The facts about a rerank request that are known before its body is read.
pub(super) struct RerankHead {
    pub(super) caller: Caller,
    pub(super) dialect: DialectChoice,
    /// The model that the path names, if it does. A model in the body takes precedence.
    pub(super) model: Option<String>,
}

/// A ranking with the request that it answers.
struct RankedRequest<'a> {
    request: Arc<RerankRequest>,
    response: RerankResponse,
    /// Held until the answer is encoded.
    permit: SemaphorePermit<'a>,
}

/// Score each document for the query and return them best first.
#[utoipa::path(
    post,
    path = "/rerank",
    tag = "rerank",
    operation_id = "rerank",
    params(
        ("x-request-timeout-ms" = u64, Header, minimum = 1,
            description = "Deadline in milliseconds; the lowest of this, `timeout_ms` and the server's holds.",
            example = 300),
        ("x-rerankd-strict" = bool, Header,
            description = "True to refuse fields that are not read, which are ignored otherwise.", example = true),
        ("cache-control" = String, Header,
            description = "`no-cache` scores afresh and stores, `no-store` keeps nothing, `only-if-cached` asks no \
                upstream.",
            example = "no-cache"),
        ("x-request-id" = String, Header,
            description = "Taken over as the request's id if it is at most 128 visible ASCII characters.",
            example = "0198f4a2-6c1e-7d3a-9a55-2f6f1f0c7f11"),
    ),
    request_body(
        content = ref("#/components/schemas/RerankBody"),
        description = "A query and its passages. The Content-Type is not looked at."
    ),
    responses(
        (status = 200, description = "The documents, best first.", body = Answer<'static>, headers(
            ("x-rerank-dialect" = String, description = "The dialect that the request was taken for."),
            ("x-rerankd-model" = String,
                description = "The upstream and its model that scored, `UPSTREAM/MODEL`, percent-encoded where a \
                    header needs it. Absent in an answer that was not reranked."),
            ("x-rerankd-scale" = String,
                description = "The scale of the scores in this answer. Absent in an answer that was not reranked."),
            ("x-rerankd-scores" = String,
                description = "`ranks` where the numbers of the answer are made of ranks, since a selector gives no \
                    scores and clients of the dialect need numbers. Absent otherwise."),
            ("x-rerankd-cache" = String,
                description = "Counts of distinct pairs by the source of their scores: a dictionary of RFC 9651 such \
                    as `total=50, hit=12, coalesced=0, scored=38, stale=0, unscored=0`."),
            ("x-rerankd-fallbacks" = u32,
                description = "Number of targets that were given up before the answer."),
            ("x-rerankd-cost-usd" = f64,
                description = "US dollars that the upstream says it charged, else at list price; absent where neither \
                    is known."),
            ("x-rerankd-degraded" = String,
                description = "Why the answer is less than what was asked for; only in such answers."),
            ("x-rerankd-substituted" = String,
                description = "The name of the model that was asked for, where nobody knows it and the default one \
                    answered in its place; percent-encoded, at most 200 bytes. Only in such answers."),
            ("server-timing" = String,
                description = "Times of the parts of the request, in milliseconds: \
                    `cache;dur=0.1, upstream;dur=84, total;dur=84.6`."))),
        (status = 400,
            description = "`invalid_json`, `invalid_request`, `too_many_documents` or `upstream_rejected`.",
            body = Problem<'static>, content_type = "application/problem+json"),
        (status = 401, description = "`unauthorized`",
            body = Problem<'static>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`",
            body = Problem<'static>, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_model` or `not_found`",
            body = Problem<'static>, content_type = "application/problem+json"),
        (status = 405, description = "`method_not_allowed`",
            body = Problem<'static>, content_type = "application/problem+json"),
        (status = 408, description = "`body_timeout`",
            body = Problem<'static>, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`",
            body = Problem<'static>, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported_encoding`",
            body = Problem<'static>, content_type = "application/problem+json"),
        (status = 429,
            description = "`upstream_rate_limited` or `overloaded`; `Retry-After` says when to retry",
            body = Problem<'static>, content_type = "application/problem+json",
            headers(("retry-after" = u32, description = "Whole seconds, at least 1."))),
        (status = 500, description = "`internal`",
            body = Problem<'static>, content_type = "application/problem+json"),
        (status = 502,
            description = "`upstream_unauthorized`, `upstream_quota_exhausted`, `upstream_misconfigured`, \
                `upstream_model_retired`, `upstream_unavailable` or `upstream_invalid_reply`",
            body = Problem<'static>, content_type = "application/problem+json"),
        (status = 503, description = "`upstream_circuit_open`; `Retry-After` says when to retry",
            body = Problem<'static>, content_type = "application/problem+json",
            headers(("retry-after" = u32, description = "Whole seconds, at least 1."))),
        (status = 504, description = "`upstream_timeout`, `deadline_exceeded` or `not_cached`",
            body = Problem<'static>, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn rerank(app: &App, head: RerankHead, request: Request) -> Result<Response, HandlerError> {
    let (parts, body) = request.into_parts();
    let id = request_id(&parts.headers);
    let mut record = RequestRecord::new(&app.reranker.metrics, head.dialect.provisional());
    let ranked = match decode_and_rank(app, head, &parts.headers, body, &mut record).await {
        Ok(ranked) => ranked,
        Err(error) => {
            record.finish(RequestOutcome::Error(error.kind));
            return Err(HandlerError { error, dialect: record.dialect, model: Some(record.model.clone()) });
        }
    };
    record.finish_with(&ranked.response);
    let mut answer = json(Body::empty());
    let scale = record.dialect.scale(&ranked.request, ranked.response.provenance.score_scale);
    answer_headers::add(answer.headers_mut(), &ranked.response.provenance, scale);
    if scale == Some(ScoreScale::None) && record.dialect.numbers_ranks() {
        answer_headers::add_numbered_ranks(answer.headers_mut());
    }
    if ranked.response.provenance.model_substituted
        && let Some(model) = &ranked.request.model
    {
        answer_headers::add_substituted(answer.headers_mut(), model);
    }
    if let Some(facts) = RerankFacts::of(app, record.dialect, &record.model, &ranked.response) {
        answer.extensions_mut().insert(facts);
    }
    let encoded = encode(record.dialect, id, ranked.request, ranked.response).await;
    *answer.body_mut() = app.memory.reservation().hold_answer(encoded).into();
    // Before the answer is written: the work is done, and a client that reads slowly must not occupy a permit.
    drop(ranked.permit);
    answer.headers_mut().insert(DIALECT_HEADER, HeaderValue::from_static(record.dialect.name()));
    Ok(answer)
}

/// Reads, decodes, routes and ranks one request.
async fn decode_and_rank<'a>(
    app: &'a App,
    head: RerankHead,
    headers: &HeaderMap,
    body: Body,
    record: &mut RequestRecord<'_>,
) -> Result<RankedRequest<'a>, Error> {
    head.dialect.check()?;
    let mut deadline = record.started + app.server.request_timeout;
    if let Some(timeout) = header_timeout(headers)? {
        deadline = deadline.min(record.started + timeout);
    }
    let is_strict = is_strict(headers)?;
    let max_body_bytes = app.server.max_body_bytes;
    let received = body::receive(headers, body, max_body_bytes, &app.memory, deadline).await?;
    // Only now: a client that sends its body slowly must not occupy a permit meanwhile.
    let permit = app.in_flight_limit.try_acquire().map_err(|_| overloaded(app))?;
    let body::TextBody { text, lone_surrogates } = received.text(max_body_bytes, &app.memory, deadline).await?;
    let undecoded = ReceivedBody { text, lone_surrogates, dialect: head.dialect, started: record.started, is_strict };
    let decoded = decode(undecoded, deadline).await;
    // Before the error is returned, so that it is written in the dialect of the body.
    if let Some(dialect) = decoded.dialect {
        record.dialect = dialect;
    }
    let mut request = decoded.request?;
    if request.model.is_none() {
        request.model = head.model.map(Into::into);
    }
    // The setting is for clients that need documents and cannot ask for them, so it wins over a `false`.
    request.return_documents |= app.server.always_return_documents;
    if let Some(timeout) = request.timeout {
        deadline = deadline.min(record.started + timeout);
    }
    let (route, substitution) = app.reranker.routes.resolve_or_substitute(request.model.as_deref())?;
    let model_substituted = substitution.is_some();
    request.warnings.extend(substitution);
    if model_substituted && let Some(model) = &request.model {
        request_log::tell_of_substitution(model);
    }
    record.model.clone_from(&route.label);
    let context = RequestContext {
        started: record.started,
        deadline,
        control: CacheControl::from_headers(headers),
        scope: head.caller.scope,
    };
    let request = Arc::new(request);
    let Ok(reranked) = timeout_at(deadline, app.reranker.rerank(&route, &request, &context)).await else {
        return Err(Error::new(ErrorKind::DeadlineExceeded, "the deadline passed"));
    };
    let mut response = reranked?;
    response.provenance.model_substituted = model_substituted;
    app.reranker.compare_with_shadow(&route, &request, &context, &response);
    Ok(RankedRequest { request, response, permit })
}

/// Decodes the body: a small one on this thread, a large one on another, until the deadline.
async fn decode(body: ReceivedBody, deadline: Instant) -> Decoded {
    if let Some(decoded) = body.read_small(OFFLOAD_WIRE_BYTES) {
        return decoded;
    }
    let read = offload_while_wanted(move |is_wanted| body.read(is_wanted));
    match timeout_at(deadline, read).await {
        Ok(decoded) => decoded,
        Err(_) => Decoded { dialect: None, request: Err(out_of_time()) },
    }
}

/// Encodes the answer. Documents that are sent back can make it as large as the request, hence the other thread.
async fn encode(
    dialect: &'static dyn Dialect,
    request_id: &str,
    request: Arc<RerankRequest>,
    response: RerankResponse,
) -> Bytes {
    let request_id = request_id.to_owned();
    offload(request.echoed_bytes(), OFFLOAD_WIRE_BYTES, move || dialect.encode(&request_id, &request, &response)).await
}

/// The client's timeout in [`TIMEOUT_HEADER`], if there is one.
///
/// # Errors
/// `invalid_request` if the header is not a whole number above 0.
fn header_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get(TIMEOUT_HEADER) else { return Ok(None) };
    // A template whose variable is not set leaves a blank header.
    if value.as_bytes().trim_ascii().is_empty() {
        return Ok(None);
    }
    let Ok(Ok(milliseconds @ 1..)) = value.to_str().map(|text| text.trim().parse::<u64>()) else {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("the header {TIMEOUT_HEADER} must be a whole number of milliseconds above 0"),
        ));
    };
    // The sum with an `Instant` must not overflow. Values above the server's own limit change nothing anyway.
    Ok(Some(Duration::from_millis(milliseconds.min(u32::MAX.into()))))
}

/// Returns true if the client wants no field ignored.
///
/// # Errors
/// `invalid_request` if the header is neither true nor false.
fn is_strict(headers: &HeaderMap) -> Result<bool, Error> {
    let Some(value) = headers.get(STRICT_HEADER) else { return Ok(false) };
    match value.as_bytes().trim_ascii() {
        b"true" | b"1" => Ok(true),
        b"false" | b"0" | b"" => Ok(false),
        _ => {
            let message = format!("the header {STRICT_HEADER} must be true or false");
            Err(Error::new(ErrorKind::InvalidRequest, message))
        }
    }
}

/// The dialect and model of a request as known so far; recorded in the metrics once, also on drop.
struct RequestRecord<'a> {
    metrics: &'a Metrics,
    /// The provisional dialect, until the body has told its own.
    dialect: &'static dyn Dialect,
    /// Arrival of the request's headers. All deadlines count from here.
    started: Instant,
    /// The route's label; [`NO_MODEL`] until there is one. Never the client's own text, which could be anything.
    model: String,
    /// True once the metrics have the outcome; otherwise `drop` records one.
    is_recorded: bool,
    /// Counts the request in the gauge of those in flight until it is dropped.
    _in_flight: InFlight,
}

impl<'a> RequestRecord<'a> {
    fn new(metrics: &'a Metrics, dialect: &'static dyn Dialect) -> Self {
        Self {
            metrics,
            dialect,
            started: Instant::now(),
            model: NO_MODEL.to_owned(),
            is_recorded: false,
            _in_flight: metrics.in_flight(),
        }
    }

    /// Records an answer: its pairs, each reason for which it is degraded, and the outcome.
    fn finish_with(&mut self, response: &RerankResponse) {
        let provenance = &response.provenance;
        self.metrics.pairs(provenance.pairs);
        for reason in &provenance.degraded {
            self.metrics.degraded(&self.model, *reason);
        }
        self.finish(if provenance.degraded.is_empty() { RequestOutcome::Ok } else { RequestOutcome::Degraded });
    }

    /// Records the outcome; called once.
    fn finish(&mut self, outcome: RequestOutcome) {
        self.is_recorded = true;
        self.metrics.request(&self.model, self.dialect.name(), outcome, self.started.elapsed());
    }
}

impl Drop for RequestRecord<'_> {
    fn drop(&mut self) {
        if self.is_recorded {
            return;
        }
        // An unrecorded request was stopped by a panic, or its connection ended under it: the client disconnected, it
        // took or sent nothing for too long, or the server cut it off at the end of its shutdown.
        self.finish(if std::thread::panicking() {
            RequestOutcome::Error(ErrorKind::Internal)
        } else {
            RequestOutcome::Abandoned
        });
    }
}
