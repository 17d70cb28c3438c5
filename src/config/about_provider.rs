//! Information for readers about a provider: `title`, `group`, `evidence` and `notes` of its table.

use super::reader::{Section, one_of, text, texts};

/// Information for readers about a provider.
#[derive(Clone, Debug, Default)]
pub struct AboutProvider {
    /// The name that its users know; empty if its table gives none.
    pub title: String,
    /// Kind of service; `None` if its table gives none.
    pub group: Option<ProviderGroup>,
    /// Kind of source that its wire shape rests on; `None` if its table gives none.
    pub evidence: Option<Evidence>,
    /// The source itself, with its version or date.
    pub evidence_note: String,
    /// Traps, limits, and what is not confirmed; a sentence or two each.
    pub notes: Vec<String>,
    /// A model for examples.
    pub example_model: Option<String>,
    /// An address for examples.
    pub example_base_url: Option<String>,
    /// Environment variable of each value in its path, by the value's name.
    pub path_variables: Vec<(String, String)>,
}

/// The kind of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProviderGroup {
    /// A service on hosts of others, for a key.
    Hosted,
    /// Software that one runs oneself.
    SelfHosted,
    /// A search engine that reranks.
    SearchEngine,
    /// A gateway to other services.
    Gateway,
}

impl ProviderGroup {
    /// The groups by their names in the configuration.
    pub const NAMES: [(&'static str, Self); 4] = [
        (Self::Hosted.name(), Self::Hosted),
        (Self::SelfHosted.name(), Self::SelfHosted),
        (Self::SearchEngine.name(), Self::SearchEngine),
        (Self::Gateway.name(), Self::Gateway),
    ];

    /// Name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hosted => "hosted",
            Self::SelfHosted => "self-hosted",
            Self::SearchEngine => "search-engine",
            Self::Gateway => "gateway",
        }
    }
}

/// The kind of source that a wire shape rests on, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// A real server was run against it.
    Server,
    /// The publisher's SDK.
    Sdk,
    /// The publisher's machine-readable specification.
    Spec,
    /// The server's source.
    Source,
    /// Documentation alone.
    Documentation,
    /// Another client or gateway that does it so.
    Peer,
}

impl Evidence {
    /// The kinds by their names in the configuration.
    pub const NAMES: [(&'static str, Self); 6] = [
        (Self::Server.name(), Self::Server),
        (Self::Sdk.name(), Self::Sdk),
        (Self::Spec.name(), Self::Spec),
        (Self::Source.name(), Self::Source),
        (Self::Documentation.name(), Self::Documentation),
        (Self::Peer.name(), Self::Peer),
    ];

    /// Name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Sdk => "sdk",
            Self::Spec => "spec",
            Self::Source => "source",
            Self::Documentation => "documentation",
            Self::Peer => "peer",
        }
    }
}

/// The information for readers in a provider's table.
pub(super) fn about(section: &Section<'_>) -> AboutProvider {
    AboutProvider {
        title: section.read("title", text).unwrap_or_default(),
        group: section.read("group", one_of(&ProviderGroup::NAMES)),
        evidence: section.read("evidence", one_of(&Evidence::NAMES)),
        evidence_note: section.read("evidence_note", text).unwrap_or_default(),
        notes: section.read("notes", texts).unwrap_or_default(),
        example_model: section.read("example_model", text),
        example_base_url: section.read("example_base_url", text),
        path_variables: section.read("path_variables", super::values::pairs).unwrap_or_default(),
    }
}
