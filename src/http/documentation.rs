//! The page at `/docs`: Swagger UI over the OpenAPI document. It loads nothing from other hosts.

use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rerankd_core::error::{Error, ErrorKind};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::handler_error::HandlerError;
use super::{App, paths};

/// The routes of the page.
pub(super) fn routes() -> Router<Arc<App>> {
    // The page's badge would ask a public validator about the document.
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json").validator_url("none"));
    Router::from(page).layer(from_fn(serve_file))
}

/// Answers a request for a file of the page. The binary holds them compressed: they are unpacked for a client that does
/// not take gzip.
///
/// # Errors
/// `not_found` with the nearest path, where the page's own handler sends a 404 without a body.
async fn serve_file(request: Request, next: Next) -> Result<Response, HandlerError> {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let takes_gzip = takes_gzip(request.headers());
    let mut response = next.run(request).await;
    if response.status() == StatusCode::NOT_FOUND {
        return Err(HandlerError::native(paths::not_found(&method, &path)));
    }
    if response.headers().contains_key(header::CONTENT_ENCODING) {
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if !takes_gzip {
            return unpack(response).await;
        }
    }
    Ok(response)
}

/// Returns true if the client takes gzip by name. One that says nothing takes it by RFC 9110, but seldom in fact.
fn takes_gzip(headers: &HeaderMap) -> bool {
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for coding in value.to_str().unwrap_or_default().split(',') {
            let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
            let is_refused = matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
            if name.trim().eq_ignore_ascii_case("gzip") && !is_refused {
                return true;
            }
        }
    }
    false
}

/// The response with its body decompressed.
///
/// # Errors
/// `internal`, which no file of the binary leads to.
async fn unpack(response: Response) -> Result<Response, HandlerError> {
    let (mut head, body) = response.into_parts();
    let broken = || HandlerError::native(Error::new(ErrorKind::Internal, "a file of the documentation is broken"));
    let packed = to_bytes(body, usize::MAX).await.map_err(|_| broken())?;
    let mut plain = Vec::new();
    GzDecoder::new(&packed[..]).read_to_end(&mut plain).map_err(|_| broken())?;
    head.headers.remove(header::CONTENT_ENCODING);
    Ok(Response::from_parts(head, Body::from(plain)))
}
