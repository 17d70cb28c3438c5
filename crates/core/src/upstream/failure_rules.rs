//! The sorting of failures that an upstream tells of: by the rules of its provider, by words, and by the status.
//!
//! ```text
//!  a status other than success   the provider's rules ─▶ words of a retired model ─▶ the status, and words for size
//!  a status of success           the provider's rules ─▶ words of a retired model ─▶ words for size ─▶ as it is
//! ```

use std::sync::Arc;

use super::error::UpstreamError;
use super::response_class::{ResponseClass, kind_of_status};
use super::size_refusal::{RefusalWords, SizeRefusal};
use crate::error::ErrorKind;
use crate::provider::Explanation;
use crate::provider::error_rules::first_match;
use crate::types::error_rule::{ErrorClass, ErrorRule};

/// The rules and words that decide about the failures of one upstream.
#[derive(Clone, Debug, Default)]
pub(super) struct FailureRules {
    /// Statuses other than success after which another attempt may succeed.
    pub(super) retry_statuses: Vec<u16>,
    /// Rules of the provider; the first that matches decides.
    pub(super) error_rules: Vec<ErrorRule>,
    /// Words by which refusals for size and retired models are recognised.
    pub(super) words: Arc<RefusalWords>,
}

/// A failure that has been sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SortedFailure {
    /// Kind of the error that the client sees.
    pub(super) kind: ErrorKind,
    class: ResponseClass,
    retryable: bool,
    is_model_missing: bool,
    size_refusal: Option<SizeRefusal>,
}

impl SortedFailure {
    /// A failure that would repeat, and is not about size.
    fn lasting(kind: ErrorKind, class: ResponseClass) -> Self {
        Self { kind, class, retryable: false, is_model_missing: false, size_refusal: None }
    }

    /// The error, with a message in our words.
    pub(super) fn into_error(self, what: impl Into<String>) -> UpstreamError {
        UpstreamError {
            class: self.class,
            retryable: self.retryable,
            is_model_missing: self.is_model_missing,
            size_refusal: self.size_refusal,
            ..UpstreamError::lasting(self.kind, what)
        }
    }
}

impl FailureRules {
    /// Sorts a reply of `status`, which is none of success, to a call of `sent` passages.
    pub(super) fn of_status(&self, status: u16, said: Option<&Explanation>, sent: usize) -> SortedFailure {
        if let Some(rule) = first_match(&self.error_rules, status, said) {
            return self.by_rule(rule, status, said, sent);
        }
        if self.words.retirement.say_so(status, said) {
            return SortedFailure::lasting(ErrorKind::UpstreamModelRetired, ResponseClass::ModelRetired);
        }
        let kind = kind_of_status(status);
        // A 404 for an unknown model is the client's mistake, and not one in `base_url`.
        let is_model_missing = kind == ErrorKind::UpstreamMisconfigured && said.is_some_and(is_about_model);
        let kind = if is_model_missing { ErrorKind::UpstreamRejected } else { kind };
        let size_refusal = self.words.classify(status, said, sent);
        let is_named = size_refusal.is_some_and(|refusal| refusal.is_named);
        SortedFailure {
            // Some servers refuse a call for its size with a status 500.
            kind: if is_named { ErrorKind::UpstreamRejected } else { kind },
            class: ResponseClass::of_status(status, kind, size_refusal.is_some()),
            // The same call would be too large again.
            retryable: self.retry_statuses.contains(&status) && !is_named,
            is_model_missing,
            size_refusal,
        }
    }

    /// Sorts a reply with a `status` of success that holds no scores; `None` if what the provider `said` decides
    /// nothing. Qianfan, DashScope and some gateways report errors like that.
    pub(super) fn of_success(&self, status: u16, said: Option<&Explanation>, sent: usize) -> Option<SortedFailure> {
        if let Some(rule) = first_match(&self.error_rules, status, said) {
            return Some(self.by_rule(rule, status, said, sent));
        }
        let said = said?;
        if self.words.retirement.hold_for(said) {
            return Some(SortedFailure::lasting(ErrorKind::UpstreamModelRetired, ResponseClass::ModelRetired));
        }
        let refusal = self.words.classify_success(said, sent)?;
        let rejected = SortedFailure::lasting(ErrorKind::UpstreamRejected, ResponseClass::CallRefused);
        Some(SortedFailure { size_refusal: Some(refusal), ..rejected })
    }

    fn by_rule(&self, rule: &ErrorRule, status: u16, said: Option<&Explanation>, sent: usize) -> SortedFailure {
        let kind = match rule.class {
            ErrorClass::Rejected | ErrorClass::TooLarge | ErrorClass::ModelMissing => ErrorKind::UpstreamRejected,
            ErrorClass::RateLimited => ErrorKind::UpstreamRateLimited,
            ErrorClass::Unauthorized => ErrorKind::UpstreamUnauthorized,
            ErrorClass::QuotaExhausted => ErrorKind::UpstreamQuotaExhausted,
            ErrorClass::Unavailable => ErrorKind::UpstreamUnavailable,
            ErrorClass::ModelRetired => ErrorKind::UpstreamModelRetired,
        };
        let is_passing = match rule.class {
            ErrorClass::RateLimited | ErrorClass::Unavailable => self.may_pass(status, kind),
            _ => false,
        };
        SortedFailure {
            kind,
            class: ResponseClass::of_status(status, kind, rule.class == ErrorClass::TooLarge),
            retryable: rule.retry.unwrap_or(is_passing),
            is_model_missing: rule.class == ErrorClass::ModelMissing,
            size_refusal: (rule.class == ErrorClass::TooLarge).then(|| self.words.declared(said, sent)),
        }
    }

    /// Returns true if another attempt may succeed after a failure that a rule calls passing. `retry_statuses` decide
    /// that for a status that means so by itself; another status stands there for a lasting failure.
    fn may_pass(&self, status: u16, kind: ErrorKind) -> bool {
        let is_usual = kind_of_status(status) == kind;
        !is_usual || self.retry_statuses.is_empty() || self.retry_statuses.contains(&status)
    }
}

/// Returns true if a 404 is about the model's name and not about the address.
fn is_about_model(said: &Explanation) -> bool {
    said.message.to_lowercase().contains("model") || said.codes.iter().any(|code| code.contains("model"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::explain;
    use crate::types::error_rule::CodePattern;
    use crate::upstream::breaker::CallOutcome;

    fn rule(statuses: &[u16], code: &str, class: ErrorClass, retry: Option<bool>) -> ErrorRule {
        let code = (!code.is_empty()).then(|| CodePattern::of(code));
        ErrorRule { statuses: statuses.to_vec(), code, says: None, class, retry }
    }

    fn rules(error_rules: Vec<ErrorRule>) -> FailureRules {
        FailureRules { retry_statuses: vec![429, 500, 503], error_rules, words: Arc::default() }
    }

    /// Kind, class and retry decision of a failure with this body.
    fn sorted(rules: &FailureRules, status: u16, body: &str) -> (&'static str, ResponseClass, bool) {
        let said = explain(body.as_bytes());
        let failure = match said {
            said if status < 300 => rules.of_success(status, said.as_ref(), 3).unwrap(),
            said => rules.of_status(status, said.as_ref(), 3),
        };
        (failure.kind.code(), failure.class, failure.retryable)
    }

    #[test]
    fn each_class_of_a_rule_is_that_kind_with_its_consequences() {
        const KEY: ResponseClass = ResponseClass::KeyRefused { has_next_key: false };
        const RATE: ResponseClass = ResponseClass::RateLimited { has_next_key: false };
        for (class, status, code, response_class, retryable) in [
            (ErrorClass::Rejected, 500, "upstream_rejected", ResponseClass::CallRefused, false),
            (ErrorClass::RateLimited, 400, "upstream_rate_limited", RATE, true),
            (ErrorClass::RateLimited, 200, "upstream_rate_limited", RATE, true),
            (ErrorClass::Unauthorized, 400, "upstream_unauthorized", KEY, false),
            (ErrorClass::QuotaExhausted, 429, "upstream_quota_exhausted", KEY, false),
            (ErrorClass::Unavailable, 200, "upstream_unavailable", ResponseClass::Failed, true),
            (ErrorClass::Unavailable, 503, "upstream_unavailable", ResponseClass::Overloaded, true),
            (ErrorClass::Unavailable, 501, "upstream_unavailable", ResponseClass::Failed, false),
            (ErrorClass::TooLarge, 500, "upstream_rejected", ResponseClass::CallRefused, false),
            (ErrorClass::ModelMissing, 400, "upstream_rejected", ResponseClass::CallRefused, false),
            (ErrorClass::ModelRetired, 500, "upstream_model_retired", ResponseClass::ModelRetired, false),
        ] {
            let rules = rules(vec![rule(&[status], "X", class, None)]);
            let body = r#"{"code":"x","message":"m"}"#;
            assert_eq!(sorted(&rules, status, body), (code, response_class, retryable), "{class:?} {status}");
        }
        let missing = rules(vec![rule(&[], "", ErrorClass::ModelMissing, None)]);
        assert!(missing.of_status(400, None, 3).is_model_missing);
        let size = rules(vec![rule(&[], "", ErrorClass::TooLarge, None)]);
        assert!(size.of_status(424, None, 3).size_refusal.is_some_and(|refusal| refusal.is_named));
    }

    #[test]
    fn permanent_server_error_is_neither_retried_nor_evidence_against_the_circuit() {
        let body = r#"{"detail":"rerank hasn't support `max_chunks_per_doc` parameter."}"#;
        let plain = rules(Vec::new());
        assert_eq!(sorted(&plain, 500, body), ("upstream_unavailable", ResponseClass::Failed, true));
        let rejecting = rules(vec![rule(&[500], "", ErrorClass::Rejected, None)]);
        let (code, class, retryable) = sorted(&rejecting, 500, body);
        assert_eq!((code, retryable), ("upstream_rejected", false));
        assert_eq!(class.call_outcome(None), Some(CallOutcome::Success));
        let once = rules(vec![rule(&[500], "", ErrorClass::Unavailable, Some(false))]);
        let (_, class, retryable) = sorted(&once, 500, body);
        assert_eq!((class.call_outcome(None), retryable), (Some(CallOutcome::Failure), false));
    }

    #[test]
    fn failure_with_a_success_status_is_sorted_by_the_rules_or_left_alone() {
        let rules = rules(vec![
            rule(&[], "Arrearage", ErrorClass::QuotaExhausted, None),
            rule(&[], "Throttling*", ErrorClass::RateLimited, None),
        ]);
        let quota = r#"{"code":"Arrearage","message":"Access denied","request_id":"r"}"#;
        assert_eq!(sorted(&rules, 200, quota).0, "upstream_quota_exhausted");
        let rate = r#"{"code":"Throttling.RateQuota","message":"slow down"}"#;
        assert_eq!((sorted(&rules, 200, rate).0, sorted(&rules, 200, rate).2), ("upstream_rate_limited", true));
        let other = explain(br#"{"code":"InvalidParameter","message":"bad"}"#).unwrap();
        assert_eq!(rules.of_success(200, Some(&other), 3), None);
        assert_eq!(rules.of_success(200, None, 3), None);
    }
}
