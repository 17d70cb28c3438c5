//! The policy of `docs/degradation.md`: the step to take after a target has failed, and the time that each target
//! leaves for the steps after it.
//!
//! ```text
//!  1  the target again       in the upstream's stack; a failure that comes here is final
//!  2  EquivalentTarget       another target of the same scores
//!  3  StaleScores            expired scores of the score space that has failed
//!  4  NextTarget             a target of other scores, with the whole request
//!  5  PartialScores          the scores that arrived before the deadline
//!  6  InputOrder             no scores at all
//!  7  Fail                   the error of the first target
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::RequestContext;
use crate::error::{Error, ErrorKind};
use crate::route::settings::{OnDeadline, OnFailure};
use crate::route::{Route, Target};
use crate::upstream::call::{RetryMode, Waiter};

/// Share of the time left that a target may not use, 0 to 1: it is kept for the next target, or for a degraded answer.
/// Law 10 (`docs/guarantees.md`) promises it, with [`KEPT_FOR_AN_ANSWER`].
const KEPT_SHARE: f64 = 0.2;
/// Most time kept for an answer made of the scores at hand, which takes hardly any.
const KEPT_FOR_AN_ANSWER: Duration = Duration::from_millis(50);
/// Most time kept for the lexical scorer, which takes milliseconds for usual lists.
const KEPT_FOR_THE_LEXICAL_SCORER: Duration = Duration::from_millis(200);

/// The failure of a target, and the scores that it left.
pub(super) struct TargetFailure<S> {
    pub(super) error: Error,
    /// `None` if no answer can be made of what the target left.
    pub(super) salvage: Option<Salvage<S>>,
    /// True if the target is still being asked, in the background.
    pub(super) is_under_way: bool,
}

/// Scores of a target that failed, from which a degraded answer can be made.
pub(super) enum Salvage<S> {
    /// A score for every passage, some of them expired.
    Stale(S),
    /// The scores that arrived before the deadline, and the refusal of a passage if there was one by then.
    Partial { scores: S, refusal: Option<Error> },
}

/// The target after the one that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FollowingTarget {
    /// It gives the same scores.
    SameScores,
    /// It gives other scores.
    OtherScores,
    /// There is none.
    Absent,
}

/// The step to take after a target has failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<S> {
    /// Step 2: asks the following target, which gives the same scores.
    EquivalentTarget,
    /// Step 3: answers with expired scores.
    StaleScores { scores: S, failure: Error },
    /// Step 4: asks the following target, which gives other scores.
    NextTarget,
    /// Step 5: answers with the scores that are there.
    PartialScores { scores: S, refusal: Option<Error>, failure: Error },
    /// Step 6: answers in input order.
    InputOrder(Error),
    /// Step 7: answers with the error.
    Fail(Error),
}

/// The policy of one request, with the failures and the scores of its targets so far.
pub(super) struct FallbackPolicy<S> {
    on_failure: OnFailure,
    /// The first target's failure, which says most, with the messages of the later ones after its own.
    failure: Option<Error>,
    /// Scores for every passage, some of them expired, of the latest target that left such.
    stale: Option<S>,
    /// The scores of the first target that was cut short, with its refusal of a passage.
    partial: Option<(S, Option<Error>)>,
}

impl FollowingTarget {
    /// The kind of `next`, by whether it is of the score space of the target that `failed`.
    pub(super) fn new(failed: &Target, next: Option<&Arc<Target>>) -> Self {
        match next {
            Some(next) if next.space == failed.space => Self::SameScores,
            Some(_) => Self::OtherScores,
            None => Self::Absent,
        }
    }
}

impl<S> Step<S> {
    /// Returns true if another target is asked.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self, Self::EquivalentTarget | Self::NextTarget)
    }
}

impl<S> FallbackPolicy<S> {
    pub(super) fn new(on_failure: OnFailure) -> Self {
        Self { on_failure, failure: None, stale: None, partial: None }
    }

    /// Takes in the failure of a target and the scores that it left. Returns the step to take.
    pub(super) fn step_after(
        &mut self,
        error: &Error,
        salvage: Option<Salvage<S>>,
        following: FollowingTarget,
    ) -> Step<S> {
        let failure = self.failure_with(error);
        match salvage {
            // The later target of a score space knows what the earlier one learnt.
            Some(Salvage::Stale(scores)) => self.stale = Some(scores),
            // Of partial scores the first are the best: they are from the target that was preferred.
            Some(Salvage::Partial { scores, refusal }) => {
                self.partial.get_or_insert((scores, refusal));
            }
            None => {}
        }
        if following == FollowingTarget::SameScores {
            self.failure = Some(failure);
            return Step::EquivalentTarget;
        }
        // Old scores of the same model come before new ones of another.
        if let Some(scores) = self.stale.take() {
            return Step::StaleScores { scores, failure };
        }
        if following == FollowingTarget::OtherScores {
            self.failure = Some(failure);
            return Step::NextTarget;
        }
        if let Some((scores, refusal)) = self.partial.take() {
            return Step::PartialScores { scores, refusal, failure };
        }
        // With `only-if-cached` the client asked for known scores or an error.
        if self.on_failure == OnFailure::OriginalOrder && failure.kind != ErrorKind::NotCached {
            return Step::InputOrder(failure);
        }
        Step::Fail(failure)
    }

    /// The failure of all targets so far, `error` of the last one included. Takes the one that is kept; the caller
    /// keeps the new one if another target follows.
    fn failure_with(&mut self, error: &Error) -> Error {
        match self.failure.take() {
            Some(mut first) => {
                first.message.push_str("; then ");
                first.message.push_str(&error.message);
                first
            }
            None => error.clone(),
        }
    }
}

impl<S> From<Error> for TargetFailure<S> {
    fn from(error: Error) -> Self {
        Self { error, salvage: None, is_under_way: false }
    }
}

/// The deadline and the retry mode of the request at one target. `next` is the target to be asked after it.
pub(super) fn waiter_for_target(next: Option<&Arc<Target>>, route: &Route, context: &RequestContext) -> Waiter {
    // `MAX` leaves the share alone, ZERO the whole time.
    let most_kept = match (next, route.on_failure, route.on_deadline) {
        (Some(next), ..) if next.answers_at_once() => KEPT_FOR_THE_LEXICAL_SCORER,
        (Some(_), ..) => Duration::MAX,
        // Without another target and another policy nothing follows but the error.
        (None, OnFailure::Error, OnDeadline::Error) => Duration::ZERO,
        (None, ..) => KEPT_FOR_AN_ANSWER,
    };
    Waiter {
        deadline: earlier_by_share(context.deadline, most_kept),
        // Backoff is worth its time only where nothing else can be asked.
        retry_mode: if next.is_none() { RetryMode::Wait } else { RetryMode::FailFast },
        store: context.control.store,
        scope: context.scope,
    }
}

/// `deadline`, brought forward so that an answer of the scores at hand can still be made.
pub(super) fn before_an_answer(deadline: Instant) -> Instant {
    earlier_by_share(deadline, KEPT_FOR_AN_ANSWER)
}

/// `deadline`, brought forward by a share of the time left, but by at most `most`.
fn earlier_by_share(deadline: Instant, most: Duration) -> Instant {
    let share = deadline.saturating_duration_since(Instant::now()).mul_f64(KEPT_SHARE);
    deadline.checked_sub(share.min(most)).unwrap_or(deadline)
}

#[cfg(test)]
mod tests {
    use super::FollowingTarget::{Absent, OtherScores, SameScores};
    use super::*;

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, kind.code())
    }

    fn refused() -> Error {
        error(ErrorKind::UpstreamRejected)
    }

    fn stale(scores: &'static str) -> Salvage<&'static str> {
        Salvage::Stale(scores)
    }

    fn partial(scores: &'static str) -> Salvage<&'static str> {
        Salvage::Partial { scores, refusal: Some(refused()) }
    }

    fn policy(on_failure: OnFailure) -> FallbackPolicy<&'static str> {
        FallbackPolicy::new(on_failure)
    }

    /// The columns of the table in `docs/degradation.md`, for one target that fails.
    #[test]
    fn each_policy_alone_gives_its_column_of_the_table() {
        let down = error(ErrorKind::UpstreamUnavailable);
        let late = error(ErrorKind::DeadlineExceeded);
        let failed = Step::Fail(down.clone());
        assert_eq!(policy(OnFailure::Error).step_after(&down, None, Absent), failed);
        let in_order = policy(OnFailure::OriginalOrder).step_after(&down, None, Absent);
        assert_eq!(in_order, Step::InputOrder(down.clone()));
        assert_eq!(policy(OnFailure::Error).step_after(&down, None, OtherScores), Step::NextTarget);
        let old = policy(OnFailure::Error).step_after(&down, Some(stale("old")), Absent);
        assert_eq!(old, Step::StaleScores { scores: "old", failure: down });
        let some = policy(OnFailure::Error).step_after(&late, Some(partial("some")), Absent);
        assert_eq!(some, Step::PartialScores { scores: "some", refusal: Some(refused()), failure: late });
    }

    /// Each step is taken although all later ones could be, too.
    #[test]
    fn an_earlier_step_comes_before_every_later_one() {
        let down = error(ErrorKind::UpstreamUnavailable);
        let mut all = policy(OnFailure::OriginalOrder);
        all.partial = Some(("some", None));
        assert_eq!(all.step_after(&down, Some(stale("old")), SameScores), Step::EquivalentTarget);
        let third = all.step_after(&down, None, OtherScores);
        assert!(matches!(third, Step::StaleScores { scores: "old", .. }), "{third:?}");
        assert_eq!(all.step_after(&down, None, OtherScores), Step::NextTarget);
        let fifth = all.step_after(&down, None, Absent);
        assert!(matches!(fifth, Step::PartialScores { scores: "some", .. }), "{fifth:?}");
        assert!(matches!(all.step_after(&down, None, Absent), Step::InputOrder(_)));
        all.on_failure = OnFailure::Error;
        assert!(matches!(all.step_after(&down, None, Absent), Step::Fail(_)));
    }

    #[test]
    fn stale_scores_of_the_latest_equivalent_target_answer() {
        let down = error(ErrorKind::UpstreamUnavailable);
        for (second, used) in [(Some(stale("second")), "second"), (None, "first")] {
            let mut walk = policy(OnFailure::Error);
            walk.step_after(&down, Some(stale("first")), SameScores);
            let step = walk.step_after(&down, second, OtherScores);
            assert!(matches!(step, Step::StaleScores { scores, .. } if scores == used), "{step:?}");
        }
    }

    #[test]
    fn partial_scores_of_the_first_target_answer_for_all() {
        let mut walk = policy(OnFailure::OriginalOrder);
        walk.step_after(&error(ErrorKind::UpstreamTimeout), Some(partial("first")), OtherScores);
        let step = walk.step_after(&error(ErrorKind::DeadlineExceeded), Some(partial("second")), Absent);
        assert!(matches!(step, Step::PartialScores { scores: "first", .. }), "{step:?}");
    }

    #[test]
    fn a_request_for_known_scores_never_gets_the_input_order() {
        let not_cached = error(ErrorKind::NotCached);
        let step = policy(OnFailure::OriginalOrder).step_after(&not_cached, None, Absent);
        assert_eq!(step, Step::Fail(not_cached));
    }

    #[test]
    fn the_first_error_is_told_with_the_messages_of_the_others() {
        let mut walk = policy(OnFailure::Error);
        walk.step_after(&error(ErrorKind::UpstreamTimeout), None, SameScores);
        walk.step_after(&error(ErrorKind::UpstreamUnavailable), None, OtherScores);
        let Step::Fail(failure) = walk.step_after(&error(ErrorKind::Overloaded), None, Absent) else {
            panic!("nothing is left but the error");
        };
        assert_eq!(failure.kind, ErrorKind::UpstreamTimeout);
        assert_eq!(failure.message, "upstream_timeout; then upstream_unavailable; then overloaded");
    }
}
