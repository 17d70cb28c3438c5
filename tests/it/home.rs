//! The page at `/`.

use http::header;
use reqwest::{Method, StatusCode};

use crate::support::Gateway;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// The status of a page of the documentation. Without them, a sentence names the feature of the build.
const DOCUMENTATION: StatusCode = if cfg!(feature = "docs") { StatusCode::OK } else { StatusCode::NOT_FOUND };

/// The values of `href` and `src` in the page.
fn links(page: &str) -> Vec<&str> {
    let mut links = Vec::new();
    for attribute in ["href=\"", "src=\""] {
        for rest in page.split(attribute).skip(1) {
            links.push(rest.split('"').next().unwrap());
        }
    }
    links
}

#[tokio::test]
async fn browsers_get_a_page_whose_files_and_links_are_there() {
    let gateway = Gateway::start("").await;
    let page = gateway.client.get(gateway.url("/")).header(header::ACCEPT, BROWSER).send().await.unwrap();
    assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(page.headers()[header::VARY], "accept");
    let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
    let page = page.text().await.unwrap();
    assert!(page.contains(env!("CARGO_PKG_VERSION")) && !page.contains("{version}"));
    let links = links(&page);
    assert!(links.len() > 8, "{links:?}");
    for link in links {
        assert!(!link.contains(':') && !link.starts_with('/'), "{link}: a prefix of a proxy would be lost");
        let answer = gateway.client.get(gateway.url(&format!("/{link}"))).send().await.unwrap();
        let expected = if link == "docs/" { DOCUMENTATION } else { StatusCode::OK };
        assert_eq!(answer.status(), expected, "{link}");
    }
    assert!(
        !page.contains("<style") && !page.contains(" style=") && !page.contains("onclick"),
        "the policy forbids them"
    );
}

#[tokio::test]
async fn other_clients_get_the_paths_as_json_without_a_key() {
    let gateway = Gateway::start("[server]\napi_keys = ['env:KEY']").await;
    let answer = gateway.send(gateway.client.get(gateway.url("/"))).await;
    assert_eq!((answer.status.as_u16(), answer.body["name"].as_str()), (200, Some("rerankd")));
    for (name, expected) in [
        ("rerank", StatusCode::UNAUTHORIZED),
        ("models", StatusCode::UNAUTHORIZED),
        ("documentation", DOCUMENTATION),
        ("openapi", StatusCode::OK),
    ] {
        let path = answer.body[name].as_str().unwrap();
        let found = gateway.client.get(gateway.url(path)).send().await.unwrap().status();
        assert_eq!(found, expected, "{path}");
    }
    let head = gateway.client.head(gateway.url("/")).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.text().await.unwrap().as_str()), (200, ""));
    assert_eq!(gateway.client.get(gateway.url("/livez")).send().await.unwrap().text().await.unwrap(), "ok");
    let icon = gateway.client.get(gateway.url("/favicon.ico")).send().await.unwrap();
    assert_eq!(icon.headers()[header::CONTENT_TYPE], "image/svg+xml");
}

#[tokio::test]
async fn post_to_the_bare_address_is_told_the_path() {
    let gateway = Gateway::start("").await;
    let answer = gateway.send(gateway.client.post(gateway.url("/")).body("{}")).await;
    assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (405, Some("method_not_allowed")));
    assert_eq!(answer.body["detail"], "POST does not work here; did you mean /rerank?");
}

#[tokio::test]
async fn other_methods_at_the_bare_address_are_not_allowed() {
    let gateway = Gateway::start("").await;
    let answer = gateway.send(gateway.client.request(Method::TRACE, gateway.url("/"))).await;
    assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (405, Some("method_not_allowed")));
}
