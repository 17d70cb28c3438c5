mod sequences;

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::cache::key::{CacheScope, ScoreSpace};
use crate::error::{Error, ErrorKind};
use crate::provider::ScoreScale;
use crate::types::index::ListIndex;
use crate::types::request::ScoringOptions;
use crate::upstream::call::RetryMode;

impl Flights {
    /// Asserts that the registry holds nothing but pairs in flight.
    fn check(&self) {
        for shard in &self.0.shards {
            sync::lock(shard).values().for_each(QueryFlights::check);
        }
    }
}

fn query() -> QueryKey {
    let space =
        ScoreSpace { upstream: "u".into(), model: "m".into(), revision: String::new(), scale: ScoreScale::Probability };
    QueryKey::new(CacheScope::SHARED, &space, &ScoringOptions::default(), "q")
}

fn keys(names: &str) -> IndexVec<SlotIndex, PairKey> {
    names.chars().map(|name| query().pair(&name.to_string())).collect::<Vec<_>>().into()
}

fn waiter() -> Waiter {
    Waiter {
        deadline: Instant::now() + Duration::from_mins(1),
        retry_mode: RetryMode::Wait,
        store: true,
        scope: CacheScope::SHARED,
    }
}

fn claim(flights: &Flights, names: &str) -> Claim {
    claim_with(flights, names, "one", false, waiter())
}

fn claim_with(flights: &Flights, names: &str, upstream: &str, bypasses_others: bool, waiter: Waiter) -> Claim {
    let keys = keys(names);
    let slots: Vec<_> = keys.indices().collect();
    flights.claim(&ClaimRequest { query: &query(), keys: &keys, slots: &slots, upstream, bypasses_others, waiter })
}

/// Delivers scores for `places`: each pair's letter as a number.
fn land(lead: &Lead, names: &str, places: &[FlightIndex]) {
    let letters = names.as_bytes();
    let mut scores = Vec::new();
    for place in places {
        scores.push(f64::from(letters[lead.slots()[*place].number()]));
    }
    lead.land(places, &scores);
}

/// Waits for all pairs and returns their scores, sorted by slot.
async fn outcome(subscriptions: Vec<Subscription>) -> Result<Vec<(SlotIndex, f64)>, Error> {
    let mut scores = Vec::new();
    for mut subscription in subscriptions {
        loop {
            let news = subscription.next().await.map_err(Arc::unwrap_or_clone)?;
            if news.is_empty() {
                break;
            }
            for (slot, landing) in news {
                match landing {
                    PairOutcome::Scored(score) | PairOutcome::Known(score) => scores.push((slot, score)),
                    PairOutcome::Refused(error) => return Err(Arc::unwrap_or_clone(error)),
                    PairOutcome::OtherVersion => unreachable!("these tests know one version"),
                }
            }
        }
    }
    scores.sort_by_key(|(slot, _)| *slot);
    Ok(scores)
}

fn letters(names: &str) -> Vec<(SlotIndex, f64)> {
    (0..).map(SlotIndex::of).zip(names.bytes().map(f64::from)).collect()
}

/// The places with these numbers.
fn at<const N: usize>(numbers: [usize; N]) -> [FlightIndex; N] {
    numbers.map(FlightIndex::of)
}

/// Numbers of the slots that `lead` leads, in the order of their places.
fn slots(lead: &Lead) -> Vec<usize> {
    lead.slots().iter().map(|slot| slot.number()).collect()
}

fn failure() -> Error {
    Error::new(ErrorKind::UpstreamUnavailable, "told to fail")
}

#[tokio::test]
async fn a_pair_in_flight_is_followed_and_not_led_again() {
    let flights = Flights::default();
    let first = claim(&flights, "abc");
    let second = claim(&flights, "bcd");
    let third = claim(&flights, "abcd");
    let lead_one = first.lead.unwrap();
    let lead_two = second.lead.unwrap();
    assert_eq!((slots(&lead_one), slots(&lead_two)), (vec![0, 1, 2], vec![2]));
    assert!(third.lead.is_none(), "everything is in flight");
    assert_eq!(flights.len(), 4);
    land(&lead_two, "bcd", &at([0]));
    land(&lead_one, "abc", &at([2]));
    land(&lead_one, "abc", &at([0, 1]));
    assert_eq!(outcome(third.subscriptions).await.unwrap(), letters("abcd"));
    assert_eq!(outcome(second.subscriptions).await.unwrap(), letters("bcd"));
    assert_eq!(outcome(first.subscriptions).await.unwrap(), letters("abc"));
    assert!(flights.is_empty());
    assert!(claim(&flights, "a").lead.is_some(), "what has landed is not in flight");
}

#[tokio::test]
async fn pairs_in_no_flight_are_told_from_those_in_one() {
    let flights = Flights::default();
    let wanted = keys("abcd");
    let slots: Vec<_> = wanted.indices().collect();
    let free = |flights: &Flights| {
        flights.not_in_flight(&query(), &wanted, &slots).into_iter().map(ListIndex::number).collect::<Vec<_>>()
    };
    assert_eq!(free(&flights), [0, 1, 2, 3]);
    let Claim { lead, subscriptions } = claim(&flights, "bx");
    let lead = lead.unwrap();
    assert_eq!(free(&flights), [0, 2, 3]);
    let second = claim(&flights, "db");
    assert_eq!(free(&flights), [0, 2]);
    flights.check();
    land(&lead, "bx", &at([0, 1]));
    drop((lead, subscriptions, second));
    assert_eq!(free(&flights), [0, 1, 2, 3]);
}

#[tokio::test]
async fn each_flight_gets_one_subscription_however_its_pairs_alternate() {
    let flights = Flights::default();
    let leaders = [claim(&flights, "ad"), claim(&flights, "be"), claim(&flights, "cf")];
    let follower = claim(&flights, "abcdef");
    assert!(follower.lead.is_none());
    let waiting = |subscription: &Subscription| subscription.waiting().map(ListIndex::number).collect::<Vec<_>>();
    let by_flight: Vec<_> = follower.subscriptions.iter().map(waiting).collect();
    assert_eq!(by_flight, [[0, 3], [1, 4], [2, 5]]);
    drop(leaders);
}

#[tokio::test]
async fn a_leader_that_leaves_harms_nobody() {
    let flights = Flights::default();
    let first = claim(&flights, "ab");
    let second = claim(&flights, "b");
    drop(first.subscriptions);
    let lead = first.lead.unwrap();
    let abandoned = tokio::time::timeout(Duration::from_millis(1), lead.abandoned(&at([0, 1]))).await;
    assert!(abandoned.is_err(), "somebody waits for b");
    land(&lead, "ab", &at([0, 1]));
    assert_eq!(outcome(second.subscriptions).await.unwrap(), letters("b"));
}

#[tokio::test]
async fn what_nobody_waits_for_is_given_up_call_by_call() {
    let flights = Flights::default();
    let first = claim(&flights, "abcd");
    let second = claim(&flights, "c");
    let lead = first.lead.unwrap();
    drop(first.subscriptions);
    lead.abandoned(&at([0, 1])).await;
    let again = claim(&flights, "ad");
    assert_eq!(
        slots(again.lead.as_ref().unwrap()),
        [0],
        "a was given up; d has its call still, though nobody waited for it"
    );
    land(&lead, "abcd", &at([2, 3]));
    land(again.lead.as_ref().unwrap(), "ad", &at([0]));
    assert_eq!(outcome(again.subscriptions).await.unwrap(), letters("ad"));
    assert_eq!(outcome(second.subscriptions).await.unwrap(), letters("c"));
    drop((lead, again.lead));
    assert!(flights.is_empty());
}

#[tokio::test]
async fn a_failure_is_told_once_to_all_who_wait_and_then_forgotten() {
    let flights = Flights::default();
    let first = claim(&flights, "ab");
    let others = [claim(&flights, "a"), claim(&flights, "ab")];
    let lead = first.lead.unwrap();
    lead.fail(&at([0, 1]), failure());
    let again = claim(&flights, "ab");
    assert!(again.lead.is_some(), "whoever comes now starts anew");
    for subscriptions in others.into_iter().map(|claim| claim.subscriptions).chain([first.subscriptions]) {
        assert_eq!(outcome(subscriptions).await, Err(failure()));
    }
}

#[tokio::test]
async fn what_landed_before_a_failure_is_told_first() {
    let flights = Flights::default();
    let Claim { lead, mut subscriptions } = claim(&flights, "ab");
    let lead = lead.unwrap();
    land(&lead, "ab", &at([1]));
    lead.fail(&at([0]), failure());
    assert_eq!(subscriptions[0].next().await.unwrap().len(), 1);
    assert_eq!(*subscriptions[0].next().await.unwrap_err(), failure());
}

#[tokio::test]
async fn a_lead_that_dies_fails_its_pairs() {
    let flights = Flights::default();
    let first = claim(&flights, "a");
    drop(first.lead);
    assert_eq!(outcome(first.subscriptions).await.unwrap_err().kind, ErrorKind::Internal);
    assert!(flights.is_empty());
}

#[tokio::test]
async fn who_is_in_a_hurry_does_not_wait_for_another_attempt() {
    let flights = Flights::default();
    let patient = claim(&flights, "a");
    let hurried = claim_with(&flights, "a", "one", false, Waiter { retry_mode: RetryMode::FailFast, ..waiter() });
    let lead = patient.lead.unwrap();
    assert_eq!(lead.waiters().retry_mode(), RetryMode::Wait, "somebody can wait");
    let retry_notice = lead.waiters().notify_retry(failure());
    assert_eq!(outcome(hurried.subscriptions).await, Err(failure()));
    drop(retry_notice);
    assert_eq!(lead.waiters().retry_notice(), None, "that is over");
    land(&lead, "a", &at([0]));
    assert_eq!(outcome(patient.subscriptions).await.unwrap(), letters("a"));
}

#[tokio::test]
async fn who_insists_asks_its_own_upstream_and_leaves_the_other_call_alone() {
    let flights = Flights::default();
    let slow = claim(&flights, "ab");
    let same = claim_with(&flights, "a", "one", true, waiter());
    assert!(same.lead.is_none(), "its own upstream is being asked already");
    let insisting = claim_with(&flights, "ab", "two", true, waiter());
    let lead = insisting.lead.unwrap();
    assert_eq!((slots(&lead), insisting.subscriptions[0].upstream()), (vec![0, 1], "two"));
    let later = [claim_with(&flights, "a", "two", true, waiter()), claim(&flights, "a")];
    assert!(later.iter().all(|claim| claim.lead.is_none()), "both are asked already");
    assert_eq!(later.map(|claim| claim.subscriptions[0].upstream().to_owned()), ["two", "one"], "each follows its own");
    land(&lead, "ab", &at([0, 1]));
    assert_eq!(outcome(insisting.subscriptions).await.unwrap(), letters("ab"));
    assert!(claim(&flights, "a").lead.is_none(), "the other call is still under way");
    let slow_lead = slow.lead.unwrap();
    land(&slow_lead, "ab", &at([0, 1]));
    assert_eq!(outcome(slow.subscriptions).await.unwrap(), letters("ab"));
    assert!(flights.is_empty());
}

#[tokio::test]
async fn a_flight_goes_on_for_the_last_deadline() {
    let flights = Flights::default();
    let early = Waiter { deadline: Instant::now(), ..waiter() };
    let first = claim_with(&flights, "a", "one", false, early);
    let waiters = first.lead.as_ref().unwrap().waiters().clone();
    assert_eq!(waiters.deadline(), early.deadline);
    let _second = claim(&flights, "a");
    assert!(waiters.deadline() > early.deadline);
}

/// The letters of the pairs at `places` whose scores may be stored. Asserts that each pair comes with its own score.
fn storable(lead: &Lead, names: &str, places: &[FlightIndex]) -> String {
    let scores: Vec<_> = (0u32..).take(places.len()).map(f64::from).collect();
    let mut kept = String::new();
    for (key, score) in lead.storable(places, &scores) {
        let place = places.iter().zip(&scores).find(|(_, own)| own.total_cmp(&score).is_eq());
        assert_eq!(place.map(|(place, _)| lead.keys()[*place]), Some(key), "each pair with its own score");
        kept.extend(names.chars().find(|name| query().pair(&name.to_string()) == key));
    }
    kept
}

#[tokio::test]
async fn a_score_may_be_kept_if_somebody_who_waits_for_its_pair_allows_it() {
    let flights = Flights::default();
    let discreet = Waiter { store: false, ..waiter() };
    let first = claim_with(&flights, "abc", "one", false, discreet);
    let lead = first.lead.unwrap();
    let all = at([0, 1, 2]);
    assert_eq!(storable(&lead, "abc", &all), "");
    let _also_discreet = claim_with(&flights, "abc", "one", false, discreet);
    assert_eq!(storable(&lead, "abc", &all), "", "nobody allows it yet");
    let second = claim(&flights, "b");
    let third = claim(&flights, "bc");
    assert_eq!(storable(&lead, "abc", &all), "bc");
    assert_eq!(storable(&lead, "abc", &at([0, 1])), "b", "of the call's own pairs");
    drop(third.subscriptions);
    assert_eq!(storable(&lead, "abc", &all), "b", "nobody who allows it waits for c any more");
    drop(second.subscriptions);
    assert_eq!(storable(&lead, "abc", &all), "");
    drop(first.subscriptions);
    let other = claim(&flights, "xy");
    let _follower = claim_with(&flights, "xyz", "one", false, discreet);
    assert_eq!(storable(other.lead.as_ref().unwrap(), "xy", &at([0, 1])), "xy", "who leads allows it");
}

/// No pair leaks and no task hangs, however many requests leave before their scores come.
#[tokio::test]
async fn ten_thousand_requests_dropped_in_flight_leave_nothing_behind() {
    let flights = Flights::default();
    let mut random = fastrand::Rng::with_seed(11);
    let mut leads = Vec::new();
    for round in 0..10_000 {
        let names: String = ('a'..='h').filter(|_| random.bool()).collect();
        let Claim { lead, mut subscriptions } = claim(&flights, &names);
        if let Some(lead) = lead {
            leads.push(tokio::spawn(async move {
                let places: Vec<FlightIndex> = lead.keys().indices().collect();
                lead.abandoned(&places).await;
            }));
            tokio::task::yield_now().await;
        }
        if round % 2 == 0 {
            for subscription in &mut subscriptions {
                drop(futures_util::FutureExt::now_or_never(subscription.next()));
            }
        }
        drop(subscriptions);
    }
    for lead in leads {
        lead.await.unwrap();
    }
    assert!(flights.is_empty());
}
