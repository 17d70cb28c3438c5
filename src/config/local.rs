//! `[local]`: the embedded scorer.

use std::num::NonZeroUsize;
use std::path::Path;

use rerankd_core::embedded::hybrid::{Mix, Scripts};
use rerankd_local::cross_encoder::{CrossEncoderFiles, ModelDirectory};
use rerankd_local::settings::{CrossEncoderSettings, LocalSettings};

use super::Environment;
use super::reader::{Section, count, one_of, share, text};

/// The value of `model_dir` that declines a cross-encoder even if there is one.
const DECLINED: &str = "none";

/// The settings of the embedded scorer; `None` if one of its keys is missing or wrong.
pub(super) fn local(section: &Section<'_>, environment: &Environment) -> Option<LocalSettings> {
    // The directory of the weights if there are any, and true if none is wanted.
    let directory = section.require("model_dir", |value| match text(value)?.as_str() {
        "" => Ok((ModelDirectory::found(|variable| environment.get(variable).map(str::to_owned)), false)),
        DECLINED => Ok((None, true)),
        path => Ok((Some(ModelDirectory::at(Path::new(path))?), false)),
    });
    let threads = section.require("threads", count(0..=1_024));
    let max_queue = section.require("max_queue", count(0..=1_000_000));
    let max_tokens = section.require("max_tokens", count(16..=8_192));
    let head = section.require("head", count(1..=10_000));
    let lexical_share = section.require("lexical_share", |value| match share(value)? {
        1.0 => Err("must be below 1: local/lexical is the lexical scorer by itself".to_owned()),
        share => Ok(share),
    });
    let scripts = section.require("scripts", one_of(&Scripts::NAMES));
    let (directory, is_declined) = directory?;
    // 0 threads are as many as there are processors.
    let threads = NonZeroUsize::new(threads?);
    let max_queue = max_queue?;
    let max_tokens = max_tokens?;
    let cross_encoder = directory.map(|directory| {
        let files = CrossEncoderFiles { directory, max_tokens };
        CrossEncoderSettings { files, threads, max_queue }
    });
    let mix = Mix { head: head?, lexical_share: lexical_share? };
    Some(LocalSettings { cross_encoder, is_declined, mix, scripts: scripts? })
}
