//! The documentation at `/docs/`: the pages that `build.rs` renders from `docs/`, and Swagger UI over the OpenAPI
//! document at `/docs/api/`. No page loads anything from other hosts.

use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use rerankd_core::error::{Error, ErrorKind};

use super::handler_error::HandlerError;
use super::{App, paths};

/// A file of the documentation.
struct File {
    /// The path, relative to `/docs/`; empty for the index.
    path: &'static str,
    media_type: &'static str,
    /// The value of `ETag`.
    tag: &'static str,
    /// The content, compressed with gzip.
    packed: &'static [u8],
}

// `FILES`, made by `build/site.rs`.
include!(concat!(env!("OUT_DIR"), "/site.rs"));

/// The policy of our pages: a style sheet and pictures of this server, and nothing else.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";
/// The policy of Swagger UI, which runs its script, sets styles and asks this server.
const API_POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The routes of the documentation.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        // Relative, because a proxy may serve all of it below a prefix; the links of the pages are relative, too.
        .route("/docs", get(async || (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "docs/")])))
        .route("/docs/", get(async |headers: HeaderMap| page("", &headers)))
        .route("/docs/api", get(async || (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "api/")])))
        .route("/docs/{*path}", get(async |Path(path): Path<String>, headers: HeaderMap| page(&path, &headers)))
        .route("/docs/llms-full.txt", get(all_pages))
        .route("/llms.txt", get(async |headers: HeaderMap| page("llms.txt", &headers)))
}

/// Answers a request for a page, by the path of a file, with or without `.html`.
///
/// # Errors
/// `not_found` with the nearest path.
fn page(path: &str, headers: &HeaderMap) -> Result<Response, HandlerError> {
    let name = path.strip_suffix(".html").unwrap_or(path);
    let Some(file) = FILES.iter().find(|file| file.path == name) else {
        return Err(HandlerError::native(paths::not_found(&Method::GET, &format!("{}{path}", paths::DOCUMENTATION))));
    };
    let tag = HeaderValue::from_static(file.tag);
    let is_known = headers.get_all(header::IF_NONE_MATCH).iter().any(|known| names_tag(known, file.tag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else if takes_gzip(headers) {
        ([(header::CONTENT_ENCODING, "gzip")], file.packed).into_response()
    } else {
        unpacked(file.packed)?.into_response()
    };
    let answered = response.headers_mut();
    answered.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    answered.insert(header::ETAG, tag);
    add_headers(answered, if file.path.starts_with("api/") { API_POLICY } else { PAGE_POLICY });
    Ok(response)
}

/// Returns true if a value of `If-None-Match` names this tag or every one.
fn names_tag(value: &HeaderValue, tag: &str) -> bool {
    value
        .to_str()
        .unwrap_or_default()
        .split(',')
        .any(|known| matches!(known.trim(), known if known == tag || known == "*"))
}

/// All pages as one Markdown file, in the order of the table of contents.
///
/// # Errors
/// `internal`, which no file of the binary leads to.
async fn all_pages() -> Result<Response, HandlerError> {
    let mut text = Vec::new();
    for file in FILES.iter().filter(|file| file.media_type.starts_with("text/markdown")) {
        text.extend(unpacked(file.packed)?);
        text.push(b'\n');
    }
    let mut response = text.into_response();
    let media_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    add_headers(response.headers_mut(), PAGE_POLICY);
    Ok(response)
}

/// Adds the headers that every file of the documentation has.
fn add_headers(headers: &mut HeaderMap, policy: &'static str) {
    let fixed: [(HeaderName, &'static str); 5] = [
        (header::VARY, "accept-encoding"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
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

/// A file of the binary, decompressed.
///
/// # Errors
/// `internal`, which no file of the binary leads to.
fn unpacked(packed: &[u8]) -> Result<Vec<u8>, HandlerError> {
    let mut plain = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut plain).map_err(|_| broken_file())?;
    Ok(plain)
}

fn broken_file() -> HandlerError {
    HandlerError::native(Error::new(ErrorKind::Internal, "a file of the documentation is broken"))
}
