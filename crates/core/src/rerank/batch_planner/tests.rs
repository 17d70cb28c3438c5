use proptest::prelude::*;

use super::*;
use crate::types::index::ListIndex;
use crate::upstream::size::{MeasureSet, TextSize};

const NO_LIMITS: CallLimits = CallLimits::NONE;

fn named(about: MeasureSet) -> SizeRefusal {
    SizeRefusal { about, stated_passages: None, is_named: true }
}

const UNEXPLAINED: SizeRefusal = SizeRefusal { about: MeasureSet::ALL, stated_passages: None, is_named: false };

fn sizes(lengths: &[usize]) -> FlightSizes {
    let passages: Vec<_> = lengths.iter().map(|length| TextSize::of(&"x".repeat(*length))).collect();
    FlightSizes { query: TextSize::of("query"), passages: passages.into() }
}

/// The places with these numbers.
fn at(numbers: impl IntoIterator<Item = usize>) -> Vec<FlightIndex> {
    numbers.into_iter().map(FlightIndex::of).collect()
}

/// The fate of the places of one flight, and the sizes of its calls in passages.
#[derive(Debug, Default)]
struct Outcome {
    calls: Vec<usize>,
    scored: Vec<FlightIndex>,
    refused: Vec<FlightIndex>,
    failed: Vec<FlightIndex>,
}

/// Lets a planner work through passages of `lengths`. `refusal` decides about each call; `None` accepts it.
fn run(lengths: &[usize], mut refusal: impl FnMut(&[FlightIndex]) -> Option<SizeRefusal>) -> Outcome {
    let mut planner = BatchPlanner::of_calls(vec![at(0..lengths.len())], NO_LIMITS);
    let mut outcome = Outcome::default();
    let settle = |outcome: &mut Outcome, settled: Settled| {
        outcome.refused.extend(settled.refused);
        outcome.failed.extend(settled.failed);
    };
    while let Some(batch) = planner.next() {
        outcome.calls.push(batch.places.len());
        match refusal(&batch.places) {
            None => {
                outcome.scored.extend(&batch.places);
                let refused = planner.accepted(&batch);
                settle(&mut outcome, Settled { refused, failed: Vec::new() });
            }
            Some(refusal) => {
                if planner.needs_sizes() {
                    planner.measured(sizes(lengths));
                }
                settle(&mut outcome, planner.refused(batch, refusal, Instant::now()));
            }
        }
    }
    settle(&mut outcome, planner.give_up());
    outcome
}

#[test]
fn nothing_is_searched_while_nothing_is_refused() {
    let outcome = run(&[10; 50], |_| None);
    assert_eq!((outcome.calls, outcome.scored.len()), (vec![50], 50));
}

#[test]
fn a_limit_on_passages_is_found_by_binary_search_and_used_for_the_rest() {
    let outcome = run(&[100; 64], |call| (call.len() > 20).then(|| named(MeasureSet::ALL)));
    assert_eq!(outcome.scored.len(), 64);
    assert_eq!(outcome.calls, [64, 32, 16, 24, 16, 16, 16], "calls of 20 would be no fewer");
}

#[test]
fn a_stated_limit_is_tried_first() {
    let stated = SizeRefusal { stated_passages: Some(20), ..named(MeasureSet::PASSAGES) };
    let outcome = run(&[100; 64], |call| (call.len() > 20).then_some(stated));
    assert_eq!(outcome.calls, [64, 20, 20, 20, 4]);
    // One that is not true does no harm.
    let wrong = SizeRefusal { stated_passages: Some(60), ..named(MeasureSet::PASSAGES) };
    let outcome = run(&[100; 64], |call| (call.len() > 20).then_some(wrong));
    assert_eq!(outcome.scored.len(), 64);
}

#[test]
fn passages_far_longer_than_a_refused_one_are_not_sent() {
    let lengths = [50, 50, 50, 50, 50, 1_000, 1_100, 5_000, 9_000];
    let too_long = |call: &[FlightIndex]| call.iter().any(|place| lengths[place.number()] > 800);
    let outcome = run(&lengths, |call| too_long(call).then(|| named(MeasureSet::TEXT)));
    assert_eq!(outcome.scored, at(0..5));
    let mut refused = outcome.refused;
    refused.sort_unstable();
    assert_eq!(refused, at(5..9));
    assert_eq!(outcome.calls, [9, 5, 2, 1, 1], "1,100 may pass where 1,000 does not; 5,000 does not");
}

#[test]
fn an_unexplained_refusal_of_everything_costs_three_calls_and_fails_the_request() {
    let outcome = run(&[100; 300], |_| Some(UNEXPLAINED));
    assert_eq!((outcome.calls, outcome.failed.len()), (vec![300, 1, 1], 300));
}

#[test]
fn a_named_refusal_of_everything_ends_with_two_single_passages() {
    let outcome = run(&[100; 256], |_| Some(named(MeasureSet::ALL)));
    assert_eq!(outcome.refused.len(), 256);
    assert_eq!(outcome.calls, [256, 128, 64, 32, 16, 8, 4, 2, 1, 1]);
}

#[test]
fn a_call_with_a_passage_that_is_refused_by_itself_teaches_nothing_else() {
    let mut planner = BatchPlanner::of_calls(vec![at(0..4)], NO_LIMITS);
    planner.measured(sizes(&[400, 400, 400, 4_000]));
    while let Some(batch) = planner.next() {
        if batch.places.contains(&FlightIndex::of(3)) {
            planner.refused(batch, named(MeasureSet::ALL), Instant::now());
        } else {
            planner.accepted(&batch);
        }
    }
    let lessons = planner.take_lessons();
    assert_eq!(lessons.iter().map(|lesson| lesson.size.passages()).collect::<Vec<_>>(), [1]);
}

/// Takes the next call, which must be planned, and tells that it was refused.
fn refuse_next(planner: &mut BatchPlanner, refusal: SizeRefusal) -> (Vec<FlightIndex>, Settled) {
    let batch = planner.next().unwrap();
    let places = batch.places.clone();
    (places, planner.refused(batch, refusal, Instant::now()))
}

/// Takes the next call, which must be planned, and tells that it was accepted.
fn accept_next(planner: &mut BatchPlanner) -> (Vec<FlightIndex>, Vec<FlightIndex>) {
    let batch = planner.next().unwrap();
    let refused = planner.accepted(&batch);
    (batch.places, refused)
}

fn measured_planner(calls: Vec<Vec<FlightIndex>>, lengths: &[usize]) -> BatchPlanner {
    let mut planner = BatchPlanner::of_calls(calls, NO_LIMITS);
    planner.measured(sizes(lengths));
    planner
}

#[test]
fn an_unexplained_refusal_teaches_only_if_something_is_accepted() {
    let mut planner = measured_planner(vec![at(0..4)], &[100; 4]);
    refuse_next(&mut planner, UNEXPLAINED);
    assert!(planner.take_lessons().is_empty());

    let mut planner = measured_planner(vec![at(0..4)], &[100; 4]);
    refuse_next(&mut planner, UNEXPLAINED);
    accept_next(&mut planner);
    let lessons = planner.take_lessons();
    assert_eq!(lessons.iter().map(|lesson| lesson.size.passages()).collect::<Vec<_>>(), [4]);
    assert!(planner.take_lessons().is_empty(), "each is told once");
}

#[test]
fn a_refusal_of_another_upstream_is_no_lesson_about_this_one() {
    let mut planner = measured_planner(vec![at(0..8)], &[100; 8]);
    refuse_next(&mut planner, named(MeasureSet::ALL));
    refuse_next(&mut planner, named(MeasureSet::ALL));
    planner.drop_last_lesson();
    let lessons = planner.take_lessons();
    assert_eq!(lessons.iter().map(|lesson| lesson.size.passages()).collect::<Vec<_>>(), [8]);
}

#[test]
fn what_an_abandoned_probe_left_is_still_sent() {
    let mut planner = measured_planner(vec![at(0..8)], &[100; 8]);
    refuse_next(&mut planner, named(MeasureSet::ALL));
    let probe = planner.next().unwrap();
    assert_eq!((probe.places.len(), probe.purpose), (4, Purpose::Probe));
    assert_eq!(planner.next(), None, "the next call depends on it");
    planner.abandoned(&probe);
    let mut sent = probe.places;
    while !planner.is_done() {
        sent.extend(accept_next(&mut planner).0);
    }
    sent.sort_unstable();
    assert_eq!(sent, at(0..8));
}

/// The request itself may be to blame, so a passage that may not be tried alone is not told to be.
#[test]
fn a_probe_that_may_not_be_sent_fails_its_place_while_the_refusal_is_in_doubt() {
    let mut planner = measured_planner(vec![at(0..2)], &[100; 2]);
    refuse_next(&mut planner, UNEXPLAINED);
    let abandoned = planner.next().unwrap();
    planner.abandoned(&abandoned);
    let unsent = planner.next().unwrap();
    assert_eq!((&unsent.places, unsent.purpose), (&at([1]), Purpose::Probe));
    assert_eq!(planner.give_up_unsent(unsent), Settled { refused: Vec::new(), failed: at([1]) });
    assert!(planner.is_done());
}

#[test]
fn calls_that_were_cut_before_a_refusal_are_cut_anew() {
    let mut planner = measured_planner(vec![at(0..4), at(4..8)], &[100; 8]);
    refuse_next(&mut planner, named(MeasureSet::ALL));
    let mut largest = 0;
    while !planner.is_done() {
        let (places, _) = accept_next(&mut planner);
        largest = largest.max(places.len());
    }
    assert!(largest < 4, "{largest}");
}

#[test]
fn a_suspect_is_refused_when_another_passage_is_accepted() {
    let mut planner = measured_planner(vec![at(0..3)], &[100, 200, 300]);
    refuse_next(&mut planner, UNEXPLAINED);
    let (suspect, settled) = refuse_next(&mut planner, UNEXPLAINED);
    assert_eq!((&suspect, settled), (&at([0]), Settled::default()));
    let (accepted, refused) = accept_next(&mut planner);
    assert_eq!((accepted, refused), (at([1]), suspect));
}

#[test]
fn where_only_the_number_is_limited_calls_keep_the_order_of_the_request() {
    let lengths = [10, 100].repeat(16);
    let mut planner = measured_planner(vec![at(0..32)], &lengths);
    let mut calls = Vec::new();
    while let Some(batch) = planner.next() {
        if batch.places.len() > 4 {
            planner.refused(batch, named(MeasureSet::PASSAGES), Instant::now());
            continue;
        }
        planner.accepted(&batch);
        if batch.purpose == Purpose::Scores {
            calls.push(batch.places);
        }
    }
    let in_order = calls.concat();
    assert!(in_order.is_sorted() && in_order.len() >= 16, "{calls:?}");
    assert!(in_order.windows(2).any(|pair| lengths[pair[0].number()] > lengths[pair[1].number()]));
}

#[test]
fn a_provider_that_refuses_what_it_took_before_is_searched_anew() {
    let calls = vec![at(0..10), at(10..15)];
    let mut planner = measured_planner(calls, &[100; 15]);
    accept_next(&mut planner);
    refuse_next(&mut planner, named(MeasureSet::ALL));
    assert_eq!(planner.next().unwrap().places.len(), 2, "half of what can be, not all but one");
}

#[test]
fn a_refused_call_of_less_text_than_accepted_ones_is_searched_for_its_longest_passages() {
    let lengths = [vec![200; 10], vec![50; 3], vec![300, 310, 320, 330]].concat();
    let mut planner = measured_planner(vec![at(0..10), at(10..17)], &lengths);
    accept_next(&mut planner);
    refuse_next(&mut planner, named(MeasureSet::TEXT));
    let (probe, _) = refuse_next(&mut planner, named(MeasureSet::TEXT));
    assert_eq!(probe, at(10..15), "the three short ones, and half of the others that may be accepted");
    let (probe, _) = accept_next(&mut planner);
    assert_eq!(probe, at(10..14), "all but the one to blame, if there is only one");
}

#[test]
fn a_list_that_is_expected_to_be_refused_costs_one_call() {
    let mut evidence = SizeEvidence::default();
    let known = sizes(&[1_000]);
    evidence.refuse(known.call(&at([0])).measures(), MeasureSet::TEXT, Instant::now());
    let lengths = [1_100, 1_200, 1_300];
    let mut planner = BatchPlanner::informed(at(0..3), sizes(&lengths), evidence, NO_LIMITS);
    let (probe, settled) = refuse_next(&mut planner, named(MeasureSet::TEXT));
    assert_eq!(probe, at([0]), "the shortest");
    assert_eq!(settled.refused.len(), 3);
    assert!(planner.is_done());
}

proptest! {
    /// Providers that contradict themselves: the search ends, and every passage is settled once.
    #[test]
    fn every_passage_is_settled_once_whatever_the_provider_says(
        lengths in proptest::collection::vec(0usize..500, 1..60), seed in any::<u64>(), refusing in 0.0f64..1.0,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let outcome = run(&lengths, |_| {
            let about = [MeasureSet::ALL, MeasureSet::PASSAGES, MeasureSet::TEXT][random.usize(0..3)];
            let stated_passages = random.bool().then(|| random.usize(1..80));
            let refusal = SizeRefusal { about, stated_passages, is_named: random.bool() };
            (random.f64() < refusing).then_some(refusal)
        });
        let mut settled = [outcome.scored, outcome.refused, outcome.failed].concat();
        settled.sort_unstable();
        prop_assert_eq!(settled, at(0..lengths.len()));
        prop_assert!(outcome.calls.len() <= 3 * lengths.len() + 3);
    }
}
