//! The directory of a model's weights, and the places where it is looked for.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rerankd_core::embedded::NEEDS_CROSS_ENCODER;

/// The graph and its weights, in the Open Neural Network Exchange format.
const GRAPH: &str = "model.onnx";
/// The tokenizer, as Hugging Face writes it.
const TOKENIZER: &str = "tokenizer.json";
/// The directory of a system-wide installation, and of the container image.
const SYSTEM_DIRECTORY: &str = "/usr/share/rerankd/model";

/// A directory that holds the files of a model. Their contents are checked on first use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelDirectory(PathBuf);

impl ModelDirectory {
    /// The directory at `path`.
    ///
    /// # Errors
    /// A sentence that says which file is missing, or that this build has no cross-encoder to read them.
    pub fn at(path: &Path) -> Result<Self, String> {
        if !cfg!(feature = "cross-encoder") {
            return Err(NEEDS_CROSS_ENCODER.to_owned());
        }
        let absolute = std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))?;
        match [GRAPH, TOKENIZER].into_iter().find(|file| !absolute.join(file).is_file()) {
            None => Ok(Self(absolute)),
            Some(missing) => Err(format!(
                "{} holds no {missing}; a model is {GRAPH} and {TOKENIZER}, and `rerankd model fetch` gets one",
                path.display()
            )),
        }
    }

    /// The directories in which a model is looked for, in order: `rerankd/model` in the user's data directory, if there
    /// is one, then `/usr/share/rerankd/model`. `variable` reads the environment.
    #[must_use]
    pub fn default_places(variable: impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
        let mut places = Vec::with_capacity(2);
        if let Some(data) = data_directory(variable) {
            places.push(data.join("rerankd/model"));
        }
        places.push(PathBuf::from(SYSTEM_DIRECTORY));
        places
    }

    /// The first of the default places that holds a model.
    #[must_use]
    pub fn found(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        Self::default_places(variable).iter().find_map(|place| Self::at(place).ok())
    }

    /// The directory itself, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A hash of the model's files, in hexadecimal. It changes with every byte of them.
    ///
    /// # Errors
    /// The error of reading one of the files.
    pub fn digest(&self) -> io::Result<String> {
        let mut hasher = blake3::Hasher::new();
        // Evaluations keep answers by it: another order of the files would make all of them unused.
        for file in [self.graph(), self.tokenizer()] {
            // A hash of hashes, so that no byte can move from one file to the other unnoticed.
            hasher.update(blake3::hash(&fs::read(file)?).as_bytes());
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    pub(super) fn graph(&self) -> PathBuf {
        self.0.join(GRAPH)
    }

    pub(super) fn tokenizer(&self) -> PathBuf {
        self.0.join(TOKENIZER)
    }
}

/// The user's data directory: `XDG_DATA_HOME`, else `.local/share` in `HOME` (XDG Base Directory Specification).
fn data_directory(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    // The specification treats an empty variable like one that is not set.
    if let Some(data) = variable("XDG_DATA_HOME")
        && !data.is_empty()
    {
        return Some(PathBuf::from(data));
    }
    let home = variable("HOME")?;
    if home.is_empty() {
        return None;
    }
    Some(PathBuf::from(home).join(".local/share"))
}

#[cfg(feature = "cross-encoder")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_one_of_the_files_is_told_which() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert!(ModelDirectory::at(path).unwrap_err().contains("holds no model.onnx"));
        fs::write(path.join("model.onnx"), "").unwrap();
        assert!(ModelDirectory::at(path).unwrap_err().contains("holds no tokenizer.json"));
        fs::write(path.join("tokenizer.json"), "").unwrap();
        assert_eq!(ModelDirectory::at(path).unwrap().path(), path);
    }

    #[test]
    fn the_data_directory_comes_before_the_home_directory() {
        let home = tempfile::tempdir().unwrap();
        let place = |data: &str| {
            let place = home.path().join(data).join("rerankd/model");
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("model.onnx"), "").unwrap();
            fs::write(place.join("tokenizer.json"), "").unwrap();
            place
        };
        let home_path = home.path().display().to_string();
        let found = |data: Option<&str>| {
            let absolute = |data: &str| home.path().join(data).display().to_string();
            let data = data.map(|data| if data.is_empty() { String::new() } else { absolute(data) });
            ModelDirectory::found(|name| match name {
                "XDG_DATA_HOME" => data.clone(),
                "HOME" => Some(home_path.clone()),
                _ => None,
            })
        };
        let own = place(".local/share");
        assert_eq!(found(None).unwrap().path(), own);
        assert_eq!(found(Some("")).unwrap().path(), own, "empty is as good as unset");
        let other = place("data");
        assert_eq!(found(Some("data")).unwrap().path(), other);
    }
}
