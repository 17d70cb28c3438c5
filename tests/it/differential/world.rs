//! One gateway before one scripted upstream, as a day has them.

use std::collections::HashSet;
use std::fmt;

use fastrand::Rng;

use crate::support::gateway::{targets, upstream};
use crate::support::{FakeUpstream, Gateway, SHAPES};

/// The scale that a model's numbers stand on, and with it what dialects make of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Probability,
    Cosine,
    Logit,
}

/// The provider and model behind the gateway.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) provider: &'static str,
    pub(super) model: &'static str,
    pub(super) scale: Scale,
    /// True if a score depends on query and passage alone.
    pub(super) is_pointwise: bool,
    /// True if an instruction is written before the query.
    pub(super) is_instructed: bool,
    /// True if blank passages are not sent to the provider.
    pub(super) rejects_blanks: bool,
}

/// A pointwise model of probabilities that takes neither instructions nor blanks.
const PLAIN: Setting = Setting {
    provider: "cohere",
    model: "rerank-v3.5",
    scale: Scale::Probability,
    is_pointwise: true,
    is_instructed: false,
    rejects_blanks: true,
};

const SETTINGS: [Setting; 10] = [
    PLAIN,
    Setting { model: "declared-logit", scale: Scale::Logit, ..PLAIN },
    Setting { model: "undeclared", is_pointwise: false, ..PLAIN },
    Setting { provider: "jina", model: "jina-reranker-v2-base-multilingual", rejects_blanks: false, ..PLAIN },
    Setting {
        provider: "jina",
        model: "jina-reranker-v3",
        scale: Scale::Cosine,
        is_pointwise: false,
        rejects_blanks: false,
        ..PLAIN
    },
    Setting { provider: "jina", model: "declared-logit", scale: Scale::Logit, rejects_blanks: false, ..PLAIN },
    Setting { provider: "voyage", model: "rerank-2.5", is_instructed: true, ..PLAIN },
    Setting { provider: "voyage", model: "rerank-2", ..PLAIN },
    Setting { provider: "mixedbread", model: "mixedbread-ai/mxbai-rerank-large-v2", rejects_blanks: false, ..PLAIN },
    Setting { provider: "tei", model: "tei", rejects_blanks: false, ..PLAIN },
];

/// Every provider stands among the settings.
pub(super) fn settings_are_complete() {
    for name in SHAPES {
        assert!(SETTINGS.iter().any(|setting| setting.provider == name), "{name}: say what is right for it");
    }
}

/// Configuration lines that a day draws beside its setting.
#[derive(Clone, Copy, Debug)]
struct Options {
    cache: &'static str,
    limit: &'static str,
}

/// One gateway and its upstream.
pub(super) struct World {
    pub(super) setting: Setting,
    pub(super) gateway: Gateway,
    pub(super) fake: FakeUpstream,
    /// True if every stored score stays cached.
    pub(super) remembers: bool,
    /// Pairs or whole lists that the gateway has stored.
    pub(super) known: HashSet<String>,
    options: Options,
}

impl World {
    /// One of the settings, with a cache and limits of its own.
    pub(super) async fn drawn(rng: &mut Rng) -> Self {
        let cache = ["", "", "", "enabled = false", "max_bytes = 1048576"][rng.usize(..5)];
        let setting = SETTINGS[rng.usize(..SETTINGS.len())];
        let limit = ["", "max_passages = 1\n", "max_passages = 3\n", "max_passages = 7\n"][rng.usize(..4)];
        Self::start(setting, Options { cache, limit }).await
    }

    /// The same world restarted with an empty cache.
    pub(super) async fn restarted(&self) -> Self {
        Self::start(self.setting, self.options).await
    }

    async fn start(setting: Setting, options: Options) -> Self {
        let fake = FakeUpstream::start(setting.provider).await;
        let Options { cache, limit } = options;
        let declared = format!(
            "[providers.{}.models]\ndeclared-logit = {{ scoring = 'pointwise', scale = 'logit' }}\n",
            setting.provider
        );
        let config = format!(
            "[cache]\n{cache}\n{}{}{}{}",
            upstream("up", setting.provider, &fake.url()),
            if setting.is_pointwise { limit } else { "" },
            targets("default", &[("up", setting.model)]),
            declared,
        );
        let gateway = Gateway::start(&config).await;
        Self { setting, gateway, fake, remembers: cache.is_empty(), known: HashSet::new(), options }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.provider, self.model)
    }
}
