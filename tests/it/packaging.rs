//! One version everywhere, and an image whose recipe agrees with the workspace. `packaging/test` installs the packages themselves.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::contract::{read, repository};
use crate::docs::{SOURCE_FOLDERS, source_files, without_tests};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The value of `key` in a table of the root `Cargo.toml`.
fn manifest(table: &[&str], key: &str) -> toml::Value {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let mut found = &manifest;
    for name in table {
        found = found[*name].as_table().unwrap();
    }
    found[key].clone()
}

#[test]
fn one_version_stands_everywhere() {
    for name in ["rerankd-core", "rerankd-eval", "rerankd-local"] {
        let dependency = manifest(&["workspace", "dependencies"], name);
        assert_eq!(dependency["version"].as_str(), Some(VERSION), "{name} in Cargo.toml");
    }
    let compose = read("docker-compose.yml");
    assert!(compose.contains(&format!("image: rerankd/rerankd:{VERSION}\n")), "docker-compose.yml");
    let script = read("packaging/install.sh");
    assert!(script.contains(&format!("version=${{RERANKD_VERSION:-{VERSION}}}\n")), "packaging/install.sh");
    // The wheel, the npm packages and the Debian package take it from Cargo.toml when they are packed.
    for template in ["packaging/wheel/METADATA", "packaging/deb/control", "packaging/deb/changelog"] {
        assert!(read(template).contains("{version}") && !read(template).contains(VERSION), "{template}");
    }
}

#[test]
fn one_address_of_the_repository_stands_everywhere() {
    let address = manifest(&["workspace", "package"], "repository");
    let address = address.as_str().unwrap();
    for file in ["packaging/install.sh", "packaging/deb/copyright"] {
        assert!(read(file).contains(address), "{file} does not name {address}");
    }
}

#[test]
fn the_notes_of_a_release_are_its_section_of_the_changelog() {
    let notes = |version: &str| {
        let output = Command::new(repository("packaging/notes")).arg(version).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(notes("0.0.0"), (false, String::new()), "a version that was never cut");
    assert!(!notes("Unreleased").0, "changes that were not cut yet");
    if read("CHANGELOG.md").contains(&format!("\n## [{VERSION}] - ")) {
        let notes = notes(VERSION).1;
        assert!(notes.contains("### Added") && !notes.contains("\n## "), "{notes}");
    }
}

/// The paths that `COPY` takes from the repository before the binary is built.
fn copied_for_the_build() -> Vec<PathBuf> {
    let dockerfile = read("Dockerfile");
    let stage = dockerfile.split("\nFROM ").find(|stage| stage.contains("cargo build")).unwrap();
    let copies = stage.lines().filter_map(|line| line.strip_prefix("COPY "));
    let mut sources = Vec::new();
    for copy in copies {
        let mut words: Vec<_> = copy.split_whitespace().collect();
        words.pop();
        sources.extend(words.into_iter().map(PathBuf::from));
    }
    sources
}

#[test]
fn the_image_is_built_from_all_that_the_build_reads() {
    let copied = copied_for_the_build();
    let ignored = read(".dockerignore");
    for source in &copied {
        assert!(repository(source.to_str().unwrap()).exists(), "the Dockerfile copies {}", source.display());
        assert!(!ignored.lines().any(|line| Path::new(line) == source), ".dockerignore hides {}", source.display());
    }
    let is_copied = |path: &Path| copied.iter().any(|source| path.starts_with(source));
    for member in manifest(&["workspace"], "members").as_array().unwrap() {
        let manifest = Path::new(member.as_str().unwrap()).join("Cargo.toml");
        let manifest = manifest.strip_prefix(".").unwrap_or(&manifest);
        assert!(is_copied(manifest), "the Dockerfile does not copy {}", manifest.display());
    }
    let targets: toml::Table = read("Cargo.toml").parse().unwrap();
    for kind in ["bench", "test", "example"] {
        for target in targets[kind].as_array().unwrap() {
            assert!(
                target.get("path").is_some(),
                "without a path cargo looks for the file of {target}, also in the image"
            );
        }
    }
    for folder in SOURCE_FOLDERS {
        for (file, text) in source_files(&repository(folder)) {
            for name in without_tests(&text).split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next())
            {
                let included = Path::new(&file).with_file_name(name).canonicalize().unwrap();
                let included = included.strip_prefix(repository("").canonicalize().unwrap()).unwrap().to_owned();
                let name = included.display();
                assert!(is_copied(&included), "{file} includes {name}, which the Dockerfile does not copy");
            }
        }
    }
}
