//! Lists the files of `config/providers/`, so that a new provider costs a file of data and no line of Rust.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Writes `provider_files.rs`, which holds the name and the text of each file.
pub(crate) fn write() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("config/providers");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    let mut list = String::from("/// The compiled-in providers: the name of each, and the text of its file.\n");
    list.push_str("pub const PROVIDER_FILES: &[(&str, &str)] = &[\n");
    for path in &files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        writeln!(list, "    ({name:?}, include_str!({:?})),", path.display().to_string())?;
    }
    list.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("provider_files.rs"), list)?;
    Ok(())
}
