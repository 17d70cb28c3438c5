//! Examples, links and tables of the documentation agree with the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::contract::{read, repository};
use crate::support::Gateway;

/// Every file that people meet first: those at the root, and all pages of the documentation.
fn pages() -> Vec<String> {
    let mut pages: Vec<_> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "packaging/README.md"].map(str::to_owned).into();
    for folder in ["docs", "docs/decisions"] {
        for entry in std::fs::read_dir(repository(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.strip_suffix(".md").is_some() {
                pages.push(format!("{folder}/{name}"));
            }
        }
    }
    pages
}

/// The folders of the code that is shipped, one for each crate.
pub(crate) const SOURCE_FOLDERS: [&str; 4] = ["src", "crates/core/src", "crates/local/src", "crates/eval/src"];

#[test]
fn every_relative_link_points_to_an_existing_file() {
    for page in pages() {
        let text = read(&page);
        let folder = repository(&page).parent().unwrap().to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap();
            if !path.is_empty() && !path.contains("://") {
                assert!(folder.join(path).exists(), "{page} links to {target}");
            }
        }
    }
}

#[test]
fn every_toml_example_is_a_valid_configuration() {
    for page in pages() {
        for example in fenced(&read(&page), "toml") {
            if example.starts_with("{{#include ") {
                continue; // a file of the configuration, which has tests of its own
            }
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &example).unwrap();
            let mut variables =
                vec!["COHERE_API_KEY", "VOYAGE_API_KEY", "JINA_API_KEY", "PINECONE_API_KEY", "CLOUDFLARE_ACCOUNT_ID"];
            for rest in example.split("\"env:").skip(1) {
                variables.push(rest.split('"').next().unwrap());
            }
            let sources = rerankd::config::Sources {
                file: Some(file.path().to_owned()),
                environment: variables.into_iter().map(|name| (name.to_owned(), format!("key-{name}"))).collect(),
                listen: None,
            };
            rerankd::config::load(&sources).unwrap_or_else(|error| panic!("{page}\n{example}\n{error}"));
        }
    }
}

#[tokio::test]
async fn every_json_request_example_works() {
    let gateway = Gateway::start("").await;
    let mut requests = vec![read("examples/request.json")];
    for page in pages() {
        let text = read(&page);
        requests.extend(fenced(&text, "json").into_iter().filter(|example| example.contains("\"documents\"")));
        // Bodies of curl commands.
        for example in fenced(&text, "sh") {
            let bodies = example.split("/rerank -d '").skip(1).filter_map(|rest| rest.split('\'').next());
            requests.extend(bodies.map(str::to_owned));
        }
    }
    assert!(requests.len() > 3, "{}", requests.len());
    for request in requests {
        let mut body: Value = serde_json::from_str(&request).unwrap_or_else(|error| panic!("{request}\n{error}"));
        body["model"] = "local".into(); // the examples' own models need keys
        let answer = gateway.rerank_with(body).await;
        assert!(!answer["results"].as_array().unwrap().is_empty(), "{request}");
    }
}

/// The last columns of the table of bounds: keys that exist, and tests that exist.
#[test]
fn every_bound_has_its_key_and_its_test() {
    let page = read("docs/guarantees.md");
    let table = page.split("## Bounds").nth(1).unwrap();
    let mut sources = String::new();
    for folder in ["src", "crates", "tests"] {
        sources.extend(source_files(&repository(folder)).into_values());
    }
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert!(rows.len() > 20, "{}", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, _, keys, test] = cells[..] else { panic!("{row}") };
        for key in keys.split(", ").filter(|key| *key != "–") {
            let name = key.trim_matches('`').rsplit('.').next().unwrap();
            assert!(rerankd::config::DEFAULT_TOML.contains(&format!("\n{name} =")), "no such key: {row}");
        }
        let name = test.trim_matches('`').rsplit("::").next().unwrap();
        assert!(sources.contains(&format!("fn {name}(")), "no such test: {row}");
    }
}

/// The text of every source file below `folder`, by its path.
pub(crate) fn source_files(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(source_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.insert(path.display().to_string(), std::fs::read_to_string(&path).unwrap());
        }
    }
    files
}

/// A source text up to its inline tests.
pub(crate) fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap()
}

#[test]
fn source_files_stay_within_350_lines() {
    for folder in SOURCE_FOLDERS {
        for (path, text) in source_files(&repository(folder)) {
            let lines = without_tests(&text).lines().count();
            assert!(lines <= 350, "{path} has {lines} lines");
        }
    }
}

/// The modules that each top module below `folder` imports, tests not counted.
fn imports_by_module(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let root = repository(folder);
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in source_files(&root) {
        let inside = Path::new(&path).strip_prefix(&root).unwrap().with_extension("");
        let parts: Vec<_> = inside.iter().map(|part| part.to_str().unwrap()).collect();
        if parts.iter().any(|part| matches!(*part, "lib" | "main" | "tests" | "simulation")) {
            continue;
        }
        let imported = imports.entry(parts[0].to_owned()).or_default();
        for line in without_tests(&text).lines() {
            let code = line.split("//").next().unwrap();
            for rest in code.split("crate::").skip(1) {
                let module = rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap();
                imported.insert(module.to_owned());
            }
        }
        imported.remove(parts[0]);
    }
    imports
}

/// The modules of a crate in the order of its `lib.rs`.
fn declared_modules(folder: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for line in read(&format!("{folder}/lib.rs")).lines() {
        let declaration = line.strip_prefix("pub ").unwrap_or(line);
        if let Some(name) = declaration.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            modules.push(name.to_owned());
        }
    }
    modules
}

/// Each `lib.rs` lists its modules from the top to the ground floor, so there is no cycle either.
#[test]
fn modules_import_downwards_only() {
    let mut count = 0;
    for folder in SOURCE_FOLDERS {
        let order = declared_modules(folder);
        let floor = |module: &String| order.iter().position(|known| known == module);
        for (module, imported) in imports_by_module(folder) {
            count += 1;
            for other in imported.iter().filter(|other| floor(other).is_some()) {
                assert!(floor(other) > floor(&module), "{folder}: {module} imports {other}, which stands above it");
            }
        }
    }
    assert!(count > 20, "{count}");
}

/// The names of the crates that a crate of this workspace depends on, without those of its tests.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let manifest: toml::Table = read(manifest).parse().unwrap();
    manifest["dependencies"].as_table().unwrap().keys().cloned().collect()
}

#[test]
fn the_core_knows_no_server_and_no_model_runtime() {
    let core = dependencies("crates/core/Cargo.toml");
    assert!(core.contains("tower") && core.contains("reqwest"), "{core:?}");
    for (kind, crates) in [
        ("HTTP server", ["axum", "hyper-util", "tower-http"]),
        ("description of an API", ["utoipa", "pulldown-cmark", "toml"]),
        ("model runtime", ["rten", "rten-tensor", "tokenizers"]),
        ("part of an evaluation", ["parquet", "indicatif", "comfy-table"]),
    ] {
        for name in crates {
            assert!(!core.contains(name), "rerankd-core depends on {name}, a {kind}");
        }
    }
    let local = dependencies("crates/local/Cargo.toml");
    assert!(local.contains("rten") && !local.contains("reqwest") && !local.contains("tokio"), "{local:?}");
}

/// `core/`, `local/` and `eval/` in `ARCHITECTURE.md` stand for the `src` folders of those crates; other paths are below
/// `src/` or begin at the root.
#[test]
fn every_path_in_the_architecture_exists() {
    let mut paths = 0;
    for quoted in read("ARCHITECTURE.md").split('`').skip(1).step_by(2) {
        let is_path = quoted.contains('/')
            && quoted.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-".contains(letter));
        if !is_path || quoted.starts_with('/') {
            continue;
        }
        paths += 1;
        let inside = match quoted.split_once('/') {
            Some((package @ ("core" | "local" | "eval"), rest)) => format!("crates/{package}/src/{rest}"),
            _ => format!("src/{quoted}"),
        };
        let exists = repository(&inside).exists() || repository(quoted).exists();
        assert!(exists, "ARCHITECTURE.md names {quoted}, which does not exist");
    }
    assert!(paths > 40, "{paths}");
}

#[test]
fn every_path_in_the_notice_exists() {
    let notice = read("NOTICE");
    let mut paths = 0;
    for word in notice.split_whitespace().filter(|word| word.starts_with("crates/") || word.starts_with("scripts/")) {
        paths += 1;
        assert!(repository(word.trim_end_matches('.')).exists(), "NOTICE names {word}");
    }
    assert!(paths > 0, "{paths}");
}

/// The contents of every fenced block of `language`.
fn fenced(text: &str, language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    text.split(&start).skip(1).filter_map(|rest| rest.split("\n```").next()).map(str::to_owned).collect()
}
