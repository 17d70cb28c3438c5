//! A model at an upstream: what a route asks.

use std::sync::Arc;

use url::Url;

use super::StackTarget;
use super::settings::TargetSettings;
use crate::cache::key::ScoreSpace;
use crate::embedded::hybrid::HybridSettings;
use crate::embedded::{self, LocalModel, SCORES_REVISION};
use crate::provider::{ModelFacts, ProviderFacts, Scoring};
use crate::types::date::Date;
use crate::types::lifecycle::Lifecycle;
use crate::upstream::model_versions::LatestVersion;
use crate::upstream::settings::LongPassages;
use crate::upstream::{Backend, LocalScorer, Upstream};

/// The name in metrics of all models that the registry does not list.
const OTHER_MODEL: &str = "other";

/// A model at an upstream.
#[derive(Clone, Debug)]
pub struct Target {
    /// The upstream that is asked.
    pub upstream: Arc<Upstream>,
    /// The upstream's name for the model.
    pub model: String,
    /// Properties of the model, by the registry and the configuration.
    pub facts: ModelFacts,
    /// True if the registry lists the model. If not, it counts as listwise unless the provider says otherwise.
    pub listed: bool,
    /// Address of its calls, if the model has one of its own; `None` for the upstream's.
    pub url: Option<Arc<Url>>,
    /// Identity of the target's scores: targets with the same space give the same scores.
    pub space: ScoreSpace,
    /// Version of the model, as its replies tell it. Part of the score space beside `space`, as it may change.
    pub version: Arc<LatestVersion>,
    /// Share of the requests among targets of one score space, relative to the weights of the others. 0: asked only if
    /// the others of the space fail.
    pub weight: u32,
    /// The two models behind the embedded scorer's hybrid; `None` for every other target, those two included.
    pub hybrid: Option<HybridParts>,
}

/// The two models of the embedded scorer that its hybrid asks.
#[derive(Clone, Debug)]
pub struct HybridParts {
    /// The lexical scorer. Picks the head of the list, and ranks queries that the cross-encoder cannot read.
    pub lexical: Arc<Target>,
    /// The cross-encoder. Scores the head of the list.
    pub cross_encoder: StackTarget,
    /// The mix of their scores, and the scripts that the cross-encoder reads.
    pub settings: HybridSettings,
}

impl Target {
    /// The target of `settings` at `upstream`; `None` if that is the embedded scorer and has no such model, or if the
    /// model's name cannot stand in an address and must.
    #[must_use]
    pub fn new(upstream: Arc<Upstream>, settings: &TargetSettings) -> Option<Self> {
        let TargetSettings { model, revision, scores, weight, .. } = settings;
        let (facts, listed, hybrid) = match &upstream.backend {
            Backend::Stack(stack) => {
                let (facts, listed) = stack.facts.model(model);
                (facts, listed, None)
            }
            Backend::Local(embedded) => match embedded.models().find(|known| known.name() == model)? {
                // The cross-encoder is an upstream of its own, with a stack like any other.
                LocalModel::CrossEncoder => return Self::new(embedded.cross_encoder.clone()?, settings),
                LocalModel::Hybrid => (LocalModel::Hybrid.facts(), true, Some(HybridParts::new(&upstream, embedded)?)),
                LocalModel::Lexical => (LocalModel::Lexical.facts(), true, None),
            },
        };
        let url = match &upstream.backend {
            Backend::Stack(stack) => match &stack.model_address {
                Some(address) => Some(Arc::new(address.url(model).ok()?)),
                None => None,
            },
            Backend::Local(_) => None,
        };
        // No upstream has an empty name, so shared scores are never taken for those of an upstream.
        let (owner, name) = match (scores, &upstream.backend) {
            (Some(shared), _) => (String::new(), shared.as_str()),
            // Two names of one model share its scores.
            (None, Backend::Stack(stack)) => (upstream.name.clone(), stack.facts.answering(model)),
            (None, Backend::Local(_)) => (upstream.name.clone(), model.as_str()),
        };
        let revision = match scores {
            None if upstream.name == embedded::NAME => format!("{SCORES_REVISION} {revision}"),
            _ => revision.clone(),
        };
        let space = ScoreSpace { upstream: owner, model: name.to_owned(), revision, scale: facts.scale };
        let version = match &upstream.backend {
            Backend::Stack(stack) => stack.model_versions.of(stack.facts.answering(model)),
            Backend::Local(_) => Arc::default(),
        };
        Some(Self { upstream, model: model.clone(), facts, listed, url, space, version, weight: *weight, hybrid })
    }

    /// `model` at `upstream`, as clients address it directly.
    #[must_use]
    pub fn direct(upstream: &Arc<Upstream>, model: &str) -> Option<Self> {
        let settings = TargetSettings {
            upstream: upstream.name.clone(),
            model: model.to_owned(),
            revision: String::new(),
            scores: None,
            weight: 1,
        };
        Self::new(upstream.clone(), &settings)
    }

    /// The target to ask for `query`: the lexical scorer if this is the embedded hybrid and its cross-encoder cannot
    /// read the query's script, else the target itself.
    #[must_use]
    pub fn suited_to(self: Arc<Self>, query: &str) -> Arc<Self> {
        match &self.hybrid {
            Some(parts) if !parts.settings.scripts.hold(query) => parts.lexical.clone(),
            _ => self,
        }
    }

    /// Returns true for the lexical scorer, whose answers take hardly any time.
    #[must_use]
    pub fn answers_at_once(&self) -> bool {
        matches!(self.upstream.backend, Backend::Local(_)) && self.hybrid.is_none()
    }

    /// `UPSTREAM/MODEL`, the name under which the target can always be addressed.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}/{}", self.upstream.name, self.model)
    }

    /// The model's name, if the registry lists it: another may be a client's own text.
    #[must_use]
    pub fn listed_model(&self) -> Option<&str> {
        self.listed.then_some(&*self.model)
    }

    /// The model's name in metrics: `other` for models that the registry does not list, whose names clients may invent.
    #[must_use]
    pub fn model_label(&self) -> &str {
        self.listed_model().unwrap_or(OTHER_MODEL)
    }

    /// The facts about the model's end; `None` if nothing is known.
    #[must_use]
    pub fn lifecycle(&self) -> Option<&Lifecycle> {
        match &self.upstream.backend {
            Backend::Stack(stack) => stack.facts.lifecycles.get(&self.model),
            Backend::Local(_) => None,
        }
    }

    /// The sentences that the operator should read about the end of the model and of its provider, as of `today`; of
    /// those that are not due only if `far_too`.
    #[must_use]
    pub fn lifecycle_notices(&self, today: Date, far_too: bool) -> Vec<String> {
        let Backend::Stack(stack) = &self.upstream.backend else { return Vec::new() };
        let service = &stack.facts.service_lifecycle;
        let mut notices = Vec::new();
        if far_too || service.is_due(today) {
            notices.extend(service.notice(&format!("the service behind {}", self.upstream.name), today));
        }
        if let Some(lifecycle) = self.lifecycle()
            && (far_too || lifecycle.is_due(today))
        {
            notices.extend(lifecycle.notice(&self.address(), today));
        }
        notices
    }

    /// The statement that the model is retired, with the way out. Names the model only if the registry lists it:
    /// another may be the client's own text.
    pub(crate) fn retirement_advice(&self) -> String {
        let successor = match self.lifecycle() {
            Some(Lifecycle { successor: Some(successor), .. }) => &**successor,
            _ => "another",
        };
        let model = if self.listed { &*self.model } else { "the model" };
        format!("{model} is retired; use {successor} in the targets of your models")
    }

    /// Returns true if the model counts as listwise only because it is not in the registry.
    #[must_use]
    pub fn is_guessed_listwise(&self) -> bool {
        !self.listed && self.facts.scoring == Scoring::Listwise
    }

    /// Returns true if pairs may be asked for in several calls, which would change the order of a model of whole lists.
    #[must_use]
    pub fn may_split(&self) -> bool {
        self.facts.scoring == Scoring::Pointwise
    }

    /// Most passages of one call. A listwise model, and the embedded scorer, always get one call.
    #[must_use]
    pub fn passages_per_call(&self) -> usize {
        match &self.upstream.backend {
            Backend::Stack(stack) if self.may_split() => self.facts.max_passages.unwrap_or(stack.facts.max_passages),
            Backend::Stack(_) | Backend::Local(_) => usize::MAX,
        }
    }

    /// Returns true if calls are cut by the size of their texts, too.
    pub(crate) fn limits_call_text(&self) -> bool {
        match &self.upstream.backend {
            Backend::Stack(stack) if self.may_split() => {
                let ProviderFacts { max_call_bytes, max_call_characters, .. } = &stack.facts;
                self.facts.max_call_tokens.or(*max_call_bytes).or(*max_call_characters).is_some()
            }
            Backend::Stack(_) | Backend::Local(_) => false,
        }
    }

    /// Returns true if the model must not see blank passages.
    pub(crate) fn rejects_blank_passages(&self) -> bool {
        match &self.upstream.backend {
            Backend::Stack(stack) => stack.facts.rejects_blank_passages,
            // The lexical scorer gives them 0 itself.
            Backend::Local(_) => self.hybrid.is_some(),
        }
    }

    /// Treatment of long passages. A listwise model's passages are never cut: its list must stay whole.
    #[must_use]
    pub fn long_passages(&self) -> LongPassages {
        match &self.upstream.backend {
            Backend::Stack(stack) if self.facts.scoring == Scoring::Pointwise => stack.long_passages,
            _ => LongPassages::Provider,
        }
    }

    /// Returns true if the upstream takes a limit on the tokens of a passage.
    pub(crate) fn limits_passage_tokens(&self) -> bool {
        matches!(&self.upstream.backend, Backend::Stack(stack) if stack.format.limits_passage_tokens())
    }
}

impl HybridParts {
    /// The models of `upstream`, which is the embedded scorer; `None` without a cross-encoder.
    fn new(upstream: &Arc<Upstream>, embedded: &LocalScorer) -> Option<Self> {
        let lexical = Target::direct(upstream, LocalModel::Lexical.name())?;
        let cross_encoder = Arc::new(Target::direct(upstream, LocalModel::CrossEncoder.name())?);
        let cross_encoder = StackTarget::of(&cross_encoder)?;
        Some(Self { lexical: Arc::new(lexical), cross_encoder, settings: embedded.hybrid })
    }
}
