//! The documentation at `/docs/`: every page is there, every link leads somewhere, and nothing comes from elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::header;
use rerankd_core::error::ErrorKind;
use serde_json::json;

use crate::contract::{read, repository};
use crate::support::Gateway;

/// The values of an attribute in an HTML text.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    html.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// The pages that can be reached from the index by links, by their addresses.
async fn crawl(gateway: &Gateway) -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let mut open = vec![url::Url::parse(&gateway.url("/docs/")).unwrap()];
    while let Some(address) = open.pop() {
        let path = address.path().to_owned();
        if pages.contains_key(&path) || path.starts_with("/docs/api/") {
            continue;
        }
        let html = gateway.get_text(&path).await;
        for link in values(&html, "href").into_iter().chain(values(&html, "src")) {
            let mut target = address.join(link).unwrap();
            target.set_fragment(None);
            if target.origin() == address.origin() {
                open.push(target);
            }
        }
        pages.insert(path, html);
    }
    pages
}

#[tokio::test]
async fn every_link_and_anchor_of_the_pages_leads_somewhere() {
    let gateway = Gateway::start("").await;
    let pages = crawl(&gateway).await;
    assert!(pages.len() > 30, "{}", pages.len());
    let mut count = 0;
    for (path, html) in &pages {
        let base = url::Url::parse(&gateway.url(path)).unwrap();
        let ids: Vec<_> = values(html, "id");
        assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "{path} has an id twice");
        for link in values(html, "href") {
            let target = base.join(link).unwrap();
            if target.origin() != base.origin() || target.path().starts_with("/docs/api/") {
                continue;
            }
            count += 1;
            let page = pages.get(target.path()).unwrap_or_else(|| panic!("{path} links to {link}"));
            if let Some(anchor) = target.fragment() {
                assert!(values(page, "id").contains(&anchor), "{path} links to {link}, which has no such heading");
            }
        }
    }
    assert!(count > 1000, "{count}");
}

/// `SUMMARY.md` is the table of contents of the pages here and of the public site.
#[test]
fn every_page_is_in_the_table_of_contents() {
    let contents = read("docs/SUMMARY.md");
    for folder in ["docs", "docs/decisions"] {
        for entry in std::fs::read_dir(repository(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(repository("docs")).unwrap().display().to_string();
            if name.strip_suffix(".md").is_some() && name != "SUMMARY.md" {
                assert!(contents.contains(&format!("]({name})")), "docs/SUMMARY.md lacks {name}");
            }
        }
    }
}

#[tokio::test]
async fn type_of_every_error_leads_to_its_explanation() {
    let gateway = Gateway::start("").await;
    let answer = gateway.try_rerank(json!({})).await;
    assert_eq!(answer.body["type"], "/docs/errors#invalid_request");
    let page = gateway.get_text("/docs/errors").await;
    for kind in ErrorKind::ALL {
        let heading = format!("<code>{}</code> ({})", kind.code(), kind.status().as_u16());
        let anchored = format!("<span id=\"{code}\"></span><a href=\"#{code}\">{heading}", code = kind.code());
        assert!(page.contains(&anchored), "{anchored}");
    }
}

#[tokio::test]
async fn pages_load_nothing_from_other_hosts_and_run_no_script() {
    let gateway = Gateway::start("").await;
    for (path, html) in crawl(&gateway).await {
        assert!(!html.contains("<script") && !html.contains(" style=\""), "{path}");
        for source in values(&html, "src") {
            assert!(!source.contains("//"), "{path} loads {source}");
        }
        // Relative, so that a proxy may serve them below a prefix.
        for link in values(&html, "href") {
            assert!(!link.starts_with('/'), "{path} links to {link}");
        }
    }
    let style = gateway.get_text("/docs/style.css").await;
    assert!(style.contains("prefers-color-scheme:dark") && !style.contains("url("), "{style}");
}

#[tokio::test]
async fn a_page_says_what_a_browser_may_do_with_it() {
    let gateway = Gateway::start("").await;
    let pages = ["/docs/", "/docs/errors", "/docs/errors.html", "/docs/errors.md", "/docs/style.css", "/llms.txt"];
    for path in pages.into_iter().chain(["/docs/api/", "/docs/api/swagger-ui-bundle.js"]) {
        let page = gateway.client.get(gateway.url(path)).send().await.unwrap();
        assert_eq!(page.status(), 200, "{path}");
        let policy = page.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert_eq!(page.headers()["x-content-type-options"], "nosniff");
        let tag = page.headers()["etag"].clone();
        let again = gateway.client.get(gateway.url(path)).header(header::IF_NONE_MATCH, &tag).send().await.unwrap();
        assert_eq!((again.status().as_u16(), &again.headers()["etag"]), (304, &tag), "{path}");
        assert_eq!(again.text().await.unwrap(), "");
    }
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (path, target) in [("/docs", "docs/"), ("/docs/api", "api/")] {
        let answer = client.get(gateway.url(path)).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (308, target));
    }
}

/// Swagger UI comes with a dozen files, most of which no page loads.
#[tokio::test]
async fn page_of_the_api_loads_its_files_and_the_binary_holds_no_others() {
    let gateway = Gateway::start("").await;
    let address = url::Url::parse(&gateway.url("/docs/api/")).unwrap();
    let page = gateway.get_text(address.path()).await;
    let links = [values(&page, "href"), values(&page, "src")].concat();
    assert_eq!(links.len(), 7, "{links:?}");
    for link in links {
        let target = address.join(link).unwrap();
        let answer = gateway.client.get(target.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{target}");
    }
    for unused in ["swagger-ui-es-bundle.js", "swagger-ui-standalone-preset.js", "oauth2-redirect.html"] {
        let answer = gateway.client.get(address.join(unused).unwrap()).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{unused}");
    }
}

/// The form of llmstxt.org: a title, a summary, lists of links.
#[tokio::test]
async fn llms_txt_lists_every_page_as_markdown() {
    let gateway = Gateway::start("").await;
    let list = gateway.get_text("/llms.txt").await;
    assert!(list.starts_with("# rerankd\n\n> "), "{list}");
    assert_eq!(gateway.get_text("/docs/llms.txt").await, list);
    let all = gateway.get_text("/docs/llms-full.txt").await;
    let mut count = 0;
    for line in list.lines().filter(|line| line.starts_with("- [")) {
        count += 1;
        let path = line.split("](").nth(1).unwrap().split(')').next().unwrap();
        let page = gateway.get_text(path).await;
        assert!(page.starts_with("# ") && all.contains(&page), "{path}");
        let about = line.split("): ").nth(1).unwrap();
        assert!(!about.is_empty() && about.len() < 400, "{line}");
    }
    assert!(count > 30, "{count}");
    assert!(all.contains("max_body_bytes = "), "included files are there");
}
