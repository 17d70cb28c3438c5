//! `POST /rerank`: one request from bytes to bytes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::callers::Caller;
use super::dispatch::no_room;
use super::layers::{request_id, write_error};
use super::schema::{RerankAnswer, RerankBody};
use super::{App, body, json};
use crate::cache::control::CacheControl;
use crate::dialect::Dialect;
use crate::dialect::choose::{DIALECT_HEADER, Signs};
use crate::dialect::problem::Problem;
use crate::dialect::read::{Decoded, ReceivedBody, out_of_time};
use crate::error::{Error, ErrorKind};
use crate::rerank::RequestContext;
use crate::rerank::offload::{OFFLOAD_WIRE_BYTES, offload, offload_while_wanted};
use crate::rerank::request::RerankRequest;
use crate::rerank::response::{Provenance, RerankResponse};
use crate::telemetry::metrics::{InFlight, Metrics, NO_MODEL, RequestOutcome};

/// The client's own deadline, in milliseconds from now; the body's `timeout_ms` by another way.
const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-request-timeout-ms");
/// Why an answer is less than what was asked for: the answers of many dialects have no place for it.
const DEGRADED_HEADER: HeaderName = HeaderName::from_static("x-rerankd-degraded");

/// Score each document for the query and return them best first.
#[utoipa::path(
    post,
    path = "/rerank",
    tag = "rerank",
    operation_id = "rerank",
    params(
        ("x-request-timeout-ms" = u64, Header, minimum = 1, description = "Deadline in milliseconds; the lowest of this, `timeout_ms` and the server's holds.", example = 300),
        ("cache-control" = String, Header, description = "`no-cache` scores afresh and stores, `no-store` keeps nothing, `only-if-cached` asks no upstream.", example = "no-cache"),
        ("x-request-id" = String, Header, description = "Taken over as the request's id if it is at most 128 visible ASCII characters.", example = "0198f4a2-6c1e-7d3a-9a55-2f6f1f0c7f11"),
    ),
    request_body(content = RerankBody, description = "A query and its passages. The Content-Type is not looked at."),
    responses(
        (status = 200, description = "The documents, best first.", body = RerankAnswer, headers(("x-rerank-dialect" = String, description = "The dialect that the request was taken for."), ("x-rerankd-degraded" = String, description = "Why the answer is less than what was asked for; only in such answers."))),
        (status = 400, description = "`invalid_json`, `invalid_request`, `too_many_documents` or `upstream_rejected`.", body = Problem<'static>, content_type = "application/problem+json"),
        (status = 401, description = "`unauthorized`", body = Problem<'static>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`", body = Problem<'static>, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_model` or `not_found`", body = Problem<'static>, content_type = "application/problem+json"),
        (status = 405, description = "`method_not_allowed`", body = Problem<'static>, content_type = "application/problem+json"),
        (status = 408, description = "`body_timeout`", body = Problem<'static>, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Problem<'static>, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported_encoding`", body = Problem<'static>, content_type = "application/problem+json"),
        (status = 429, description = "`upstream_rate_limited` or `overloaded`; `Retry-After` says when to come back", body = Problem<'static>, content_type = "application/problem+json", headers(("retry-after" = u32, description = "Whole seconds, at least 1."))),
        (status = 500, description = "`internal`", body = Problem<'static>, content_type = "application/problem+json"),
        (status = 502, description = "`upstream_unauthorized`, `upstream_quota_exhausted`, `upstream_misconfigured`, `upstream_unavailable` or `upstream_invalid_reply`", body = Problem<'static>, content_type = "application/problem+json"),
        (status = 503, description = "`upstream_circuit_open`; `Retry-After` says when to come back", body = Problem<'static>, content_type = "application/problem+json", headers(("retry-after" = u32, description = "Whole seconds, at least 1."))),
        (status = 504, description = "`upstream_timeout`, `deadline_exceeded` or `not_cached`", body = Problem<'static>, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn rerank(
    app: &App,
    caller: Caller,
    (signs, model): (Signs, Option<String>),
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let id = request_id(&parts.headers);
    let mut account = Account::open(&app.reranker.metrics, signs.best_guess(&parts.headers, caller.dialect));
    let mut answer = match answer(app, caller, &parts.headers, body, (signs, model), &mut account).await {
        Ok((_permit, request, response)) => {
            account.close_with(&response);
            log_losses(id, &account, &response);
            let degraded = response.provenance.degraded.clone();
            let written = encode(account.dialect, id, request, response).await;
            let mut answer = json(app.memory.reservation().hold_answer(written));
            for reason in degraded {
                answer.headers_mut().append(DEGRADED_HEADER, HeaderValue::from_static(reason));
            }
            answer
        }
        Err(error) => {
            account.close(RequestOutcome::Error(error.kind));
            log(id, &account, &error);
            write_error(account.dialect, id, &error)
        }
    };
    answer.headers_mut().insert(DIALECT_HEADER, HeaderValue::from_static(account.dialect.name()));
    answer
}

/// An answer that had to do without a target is good for the client and news for the operator.
fn log_losses(request_id: &str, account: &Account<'_>, response: &RerankResponse) {
    let Provenance { fallbacks, degraded, warnings, .. } = &response.provenance;
    if *fallbacks > 0 || !degraded.is_empty() {
        let reason = warnings.join("; ");
        let (model, dialect) = (&*account.model, account.dialect.name());
        tracing::warn!(request.id = request_id, model, dialect, fallbacks, ?degraded, "{reason}");
    }
}

/// What a client did wrong is its own business; what an upstream or we did wrong is the operator's.
fn log(request_id: &str, account: &Account<'_>, error: &Error) {
    let (code, model, dialect) = (error.kind.code(), &*account.model, account.dialect.name());
    if error.kind.status().is_server_error()
        || matches!(error.kind, ErrorKind::UpstreamRateLimited | ErrorKind::Overloaded)
    {
        tracing::warn!(request.id = request_id, model, dialect, code, "{}", error.message);
    } else {
        tracing::info!(request.id = request_id, model, dialect, code, "{}", error.message);
    }
}

async fn answer<'a>(
    app: &'a App,
    caller: Caller,
    headers: &HeaderMap,
    body: Body,
    (signs, model): (Signs, Option<String>),
    account: &mut Account<'_>,
) -> Result<(SemaphorePermit<'a>, Arc<RerankRequest>, RerankResponse), Error> {
    let fixed = signs.fixed(headers, caller.dialect)?;
    let mut deadline = account.started + app.server.request_timeout;
    if let Some(timeout) = header_timeout(headers)? {
        deadline = deadline.min(account.started + timeout);
    }
    let max_body_bytes = app.server.max_body_bytes;
    let received = body::receive(headers, body, max_body_bytes, &app.memory, deadline).await?;
    let permit = app.room.try_acquire().map_err(|_| no_room(app))?;
    let body::TextBody { text, halves } = received.text(max_body_bytes, &app.memory, deadline).await?;
    let decoded = decode(ReceivedBody { text, halves, fixed, signs, started: account.started }, deadline).await;
    account.dialect = decoded.dialect.unwrap_or(account.dialect);
    let mut request = decoded.request?;
    request.model = request.model.or(model.map(Into::into));
    request.return_documents |= app.server.always_return_documents;
    if let Some(timeout) = request.timeout {
        deadline = deadline.min(account.started + timeout);
    }
    let route = app.reranker.routes.resolve(request.model.as_deref())?;
    account.model.clone_from(&route.label);
    let context = RequestContext {
        started: account.started,
        deadline,
        control: CacheControl::from_headers(headers),
        scope: caller.scope,
    };
    let request = Arc::new(request);
    let reranked = timeout_at(deadline, app.reranker.rerank(&route, &request, &context)).await;
    let response = reranked.unwrap_or_else(|_| Err(Error::new(ErrorKind::DeadlineExceeded, "the deadline passed")))?;
    app.reranker.cast_shadow(&route, &request, &context, &response);
    Ok((permit, request, response))
}

/// Reads the body: here if that is little work, else on another thread, until the deadline.
async fn decode(body: ReceivedBody, deadline: Instant) -> Decoded {
    if let Some(decoded) = body.read_small(OFFLOAD_WIRE_BYTES) {
        return decoded;
    }
    let read = offload_while_wanted(move |is_wanted| body.read(is_wanted));
    timeout_at(deadline, read).await.unwrap_or_else(|_| Decoded { dialect: None, request: Err(out_of_time()) })
}

/// Documents that are sent back can make the answer as large as the request.
async fn encode(
    dialect: &'static dyn Dialect,
    request_id: &str,
    request: Arc<RerankRequest>,
    response: RerankResponse,
) -> Bytes {
    let request_id = request_id.to_owned();
    offload(request.echoed_bytes(), OFFLOAD_WIRE_BYTES, move || dialect.encode(&request_id, &request, &response)).await
}

fn header_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    // Blank is what a variable that is not set leaves.
    let is_filled_in = |value: &&HeaderValue| !value.as_bytes().trim_ascii().is_empty();
    let Some(value) = headers.get(TIMEOUT_HEADER).filter(is_filled_in) else { return Ok(None) };
    let milliseconds =
        value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok()).filter(|number| *number > 0);
    let milliseconds = milliseconds.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidRequest,
            format!("the header {TIMEOUT_HEADER} must be a whole number of milliseconds above 0"),
        )
    })?;
    // More than the server's own limit changes nothing.
    Ok(Some(Duration::from_millis(milliseconds.min(u32::MAX.into()))))
}

/// Counts one request, once, however it ends: also when the client leaves and the handler is dropped.
struct Account<'a> {
    metrics: &'a Metrics,
    dialect: &'static dyn Dialect,
    started: Instant,
    model: String,
    closed: bool,
    _in_flight: InFlight,
}

impl<'a> Account<'a> {
    fn open(metrics: &'a Metrics, dialect: &'static dyn Dialect) -> Self {
        Self {
            metrics,
            dialect,
            started: Instant::now(),
            model: NO_MODEL.to_owned(),
            closed: false,
            _in_flight: metrics.in_flight(),
        }
    }

    fn close_with(&mut self, response: &RerankResponse) {
        let provenance = &response.provenance;
        self.metrics.pairs(provenance.pairs);
        for reason in &provenance.degraded {
            self.metrics.degraded(&self.model, reason);
        }
        self.close(if provenance.degraded.is_empty() { RequestOutcome::Ok } else { RequestOutcome::Degraded });
    }

    fn close(&mut self, outcome: RequestOutcome) {
        self.closed = true;
        self.metrics.request(&self.model, self.dialect.name(), outcome, self.started.elapsed());
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        if !self.closed {
            let defect = std::thread::panicking().then_some(RequestOutcome::Error(ErrorKind::Internal));
            self.close(defect.unwrap_or(RequestOutcome::Abandoned));
        }
    }
}
