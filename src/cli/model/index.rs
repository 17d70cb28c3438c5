//! The Python package index: where a wheel lies (PEP 503, or its JSON form PEP 691).

use percent_encoding::percent_decode_str;
use reqwest::Response;
use serde::Deserialize;
use url::Url;

use super::connection::{client, refused, shown, unreachable};
use super::package::Package;
use crate::config::Environment;

/// The index that is asked if nothing names another.
const DEFAULT_INDEX: &str = "https://pypi.org/simple";
/// Variables that name an index, those of uv and then that of pip, in the order in which they are read.
const INDEX_VARIABLES: [&str; 3] = ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"];
/// Both forms of a page, JSON before HTML.
const PAGE_TYPES: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// A project's page in JSON.
#[derive(Deserialize)]
struct Page {
    files: Vec<ListedFile>,
}

/// A file of a project's page.
#[derive(Deserialize)]
struct ListedFile {
    /// Its address, perhaps relative to that of the page.
    url: String,
    filename: String,
    #[serde(default)]
    hashes: Hashes,
}

#[derive(Default, Deserialize)]
struct Hashes {
    sha256: Option<String>,
}

/// The index to ask: `option`, else the first variable that is set, else the public one.
///
/// # Errors
/// A sentence: what was given is no address.
pub(super) fn chosen_index(option: Option<&str>, environment: &Environment) -> Result<Url, String> {
    let mut source = "--index";
    let mut text = option.unwrap_or_default();
    for variable in INDEX_VARIABLES {
        if text.is_empty() {
            source = variable;
            text = environment.get(variable).unwrap_or_default().trim();
        }
    }
    if text.is_empty() {
        text = DEFAULT_INDEX;
    }
    let mut url = Url::parse(text).map_err(|_| format!("{source} is no address; write https://HOST/simple"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("{source} is no address of http or https; write https://HOST/simple"));
    }
    // `join` would replace the last part of a path without it.
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// The address of the package's wheel, as `index` lists it.
///
/// # Errors
/// A sentence with the way out: the index does not answer, or lists no such wheel or another one.
pub(super) async fn wheel_address(package: &Package, index: &Url, environment: &Environment) -> Result<Url, String> {
    let address = index.join(&format!("{}/", package.project)).map_err(|error| format!("{}: {error}", shown(index)))?;
    let client = client(&address, environment)?;
    let sent = client.get(address.clone()).header("accept", PAGE_TYPES).send().await;
    let response = sent.map_err(|error| unreachable(&address, &error))?;
    if !response.status().is_success() {
        return Err(refused(&address, response.status()));
    }
    let (page, files) = listed_files(response).await.map_err(|reason| format!("{} {reason}", shown(&address)))?;
    let Some(listed) = files.into_iter().find(|file| file.filename == package.wheel) else {
        return Err(format!(
            "{} lists no {}; --index names another index, and --from the file itself",
            shown(&address),
            package.wheel
        ));
    };
    if let Some(sha256) = listed.hashes.sha256
        && !sha256.eq_ignore_ascii_case(package.sha256)
    {
        return Err(format!(
            "{} lists another {} than the pinned one: its SHA-256 is {sha256:.64}, and not {}; nothing was downloaded",
            shown(&address),
            package.wheel,
            package.sha256
        ));
    }
    let mut wheel = page.join(&listed.url).map_err(|error| format!("{} lists no address: {error}", shown(&address)))?;
    wheel.set_fragment(None);
    // Credentials are for the host that they were given for, and for no other.
    if wheel.origin() == index.origin() && wheel.username().is_empty() {
        let copied = wheel.set_username(index.username()).and_then(|()| wheel.set_password(index.password()));
        debug_assert!(copied.is_ok(), "only an address without a host has no credentials");
    }
    Ok(wheel)
}

/// The address of a page after redirects, and the files that it lists.
///
/// # Errors
/// The end of a sentence that begins with the address.
async fn listed_files(response: Response) -> Result<(Url, Vec<ListedFile>), String> {
    let page = response.url().clone();
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(|value| value.contains("json"));
    let text = response.text().await.map_err(|_| "broke off in the middle of its answer; try again".to_owned())?;
    if !is_json {
        return Ok((page, files_of_html(&text)));
    }
    match serde_json::from_str::<Page>(&text) {
        Ok(parsed) => Ok((page, parsed.files)),
        Err(_) => Err("does not answer as a package index does (PEP 691); --index names another".to_owned()),
    }
}

/// The files that a page of links lists (PEP 503): the name is the end of the address, the hash is its fragment.
fn files_of_html(html: &str) -> Vec<ListedFile> {
    let mut files = Vec::new();
    for rest in html.split("href=").skip(1) {
        let Some(quote) = rest.chars().next().filter(|&first| first == '"' || first == '\'') else { continue };
        let Some(link) = rest[1..].split(quote).next() else { continue };
        let link = link.replace("&amp;", "&");
        let (url, fragment) = link.split_once('#').unwrap_or((&link, ""));
        let name = url.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        files.push(ListedFile {
            url: url.to_owned(),
            filename: percent_decode_str(name).decode_utf8_lossy().into_owned(),
            hashes: Hashes { sha256: fragment.strip_prefix("sha256=").map(str::to_owned) },
        });
    }
    files
}
