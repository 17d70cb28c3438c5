//! Schedule of faults: scripts, and the clock and count that run them.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::fault::Fault;

/// Faults in turn. After the last phase everything is clean, unless [`Script::then`] or [`Script::cycle`] says
/// otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    phases: Vec<(Span, Fault)>,
    end: End,
}

/// Length of a phase.
#[derive(Clone, Copy, Debug)]
enum Span {
    Requests(usize),
    Time(Duration),
}

#[derive(Clone, Debug)]
enum End {
    Forever(Fault),
    Cycle,
}

impl Script {
    /// No fault, ever.
    pub(crate) fn new() -> Self {
        Self { phases: Vec::new(), end: End::Forever(Fault::Clean) }
    }

    /// One fault for every request.
    pub(crate) fn always(fault: Fault) -> Self {
        Self::new().then(fault)
    }

    /// For every request one of these faults, by weight.
    pub(crate) fn mix(choices: Vec<(u32, Fault)>) -> Self {
        Self::always(Fault::Mix(choices))
    }

    /// A phase that ends with its `count`th request: the next begins as soon as that has arrived.
    pub(crate) fn requests(self, count: usize, fault: Fault) -> Self {
        assert!(count > 0, "a phase of no requests would never be over");
        assert!(!fault.refuses(), "who is refused makes no request to be counted: give Refuse a duration");
        self.phase(Span::Requests(count), fault)
    }

    /// A phase that ends after `length`, however many requests came.
    pub(crate) fn during(self, length: Duration, fault: Fault) -> Self {
        assert!(length > Duration::ZERO, "a phase of no length could be cycled through forever");
        self.phase(Span::Time(length), fault)
    }

    /// After the last phase it is this fault, forever.
    pub(crate) fn then(mut self, fault: Fault) -> Self {
        check(&fault);
        self.end = End::Forever(fault);
        self
    }

    /// After the last phase comes the first.
    pub(crate) fn cycle(mut self) -> Self {
        assert!(!self.phases.is_empty(), "there is nothing to begin again with");
        self.end = End::Cycle;
        self
    }

    fn phase(mut self, span: Span, fault: Fault) -> Self {
        check(&fault);
        self.phases.push((span, fault));
        self
    }
}

/// A mix is drawn from when a request has arrived: too late to refuse its connection.
fn check(fault: &Fault) {
    if let Fault::Mix(choices) = fault {
        assert!(!fault.refuses(), "Refuse cannot be part of a mix");
        assert!(choices.iter().any(|(weight, _)| *weight > 0), "a mix needs a weight");
        for (_, fault) in choices {
            check(fault);
        }
    }
}

/// A script under way.
pub(super) struct Timeline {
    script: Script,
    chance: Rng,
    /// Place in the script's phases; behind them it is its end.
    phase: usize,
    since: Instant,
    drawn: usize,
}

/// The fault that one request meets.
pub(super) struct Draw {
    pub(super) fault: Fault,
    /// Random numbers of the exchange. Each request has its own, so that the next request does not depend on it.
    pub(super) chance: Rng,
}

impl Timeline {
    pub(super) fn new(script: Script, seed: u64, now: Instant) -> Self {
        Self { script, chance: Rng::with_seed(seed), phase: 0, since: now, drawn: 0 }
    }

    /// The fault of the request that has just arrived.
    pub(super) fn draw(&mut self, now: Instant) -> Draw {
        let fault = self.fault(now).clone();
        // One number for each request, whatever its fault: the nth request has the same luck in every script.
        let mut chance = self.chance.fork();
        self.drawn += 1;
        if matches!(self.script.phases.get(self.phase), Some((Span::Requests(count), _)) if self.drawn >= *count) {
            self.turn(now);
        }
        Draw { fault: fault.settle(&mut chance), chance }
    }

    /// The fault that a request would meet now.
    pub(super) fn fault(&mut self, now: Instant) -> &Fault {
        while let Some(end) = self.ends_at().filter(|end| *end <= now) {
            self.turn(end);
        }
        match (self.script.phases.get(self.phase), &self.script.end) {
            (Some((_, fault)), _) | (None, End::Forever(fault)) => fault,
            (None, End::Cycle) => &Fault::Clean, // `turn` never leaves a cycle there
        }
    }

    /// End of the phase by the clock.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        match self.script.phases.get(self.phase)? {
            (Span::Time(length), _) => self.since.checked_add(*length),
            (Span::Requests(_), _) => None,
        }
    }

    fn turn(&mut self, now: Instant) {
        self.phase += 1;
        if self.phase == self.script.phases.len() && matches!(self.script.end, End::Cycle) {
            self.phase = 0;
        }
        (self.since, self.drawn) = (now, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn draw(timeline: &mut Timeline, at: Instant, count: usize) -> Vec<Fault> {
        (0..count).map(|_| timeline.draw(at).fault).collect()
    }

    #[test]
    fn phases_end_by_count_and_by_clock() {
        let start = Instant::now();
        let script = Script::new()
            .requests(2, Fault::Reset)
            .during(5 * SECOND, Fault::Refuse)
            .during(SECOND, Fault::Html)
            .then(Fault::Garbage);
        let mut timeline = Timeline::new(script, 0, start);
        assert_eq!(draw(&mut timeline, start + SECOND, 2), [Fault::Reset, Fault::Reset]);
        assert_eq!(
            timeline.ends_at(),
            Some(start + 6 * SECOND),
            "the second phase began with the last request of the first"
        );
        assert_eq!(*timeline.fault(start + 5 * SECOND), Fault::Refuse);
        assert_eq!(draw(&mut timeline, start + 6 * SECOND, 1), [Fault::Html]);
        assert_eq!(draw(&mut timeline, start + 7 * SECOND, 1), [Fault::Garbage]);
        assert_eq!(timeline.ends_at(), None);
    }

    #[test]
    fn cycle_keeps_its_period_after_a_long_pause() {
        let start = Instant::now();
        let script = Script::new().during(5 * SECOND, Fault::Reset).during(5 * SECOND, Fault::Clean).cycle();
        let mut timeline = Timeline::new(script, 0, start);
        assert_eq!(draw(&mut timeline, start + 1004 * SECOND, 1), [Fault::Reset]);
        assert_eq!(draw(&mut timeline, start + 1005 * SECOND, 1), [Fault::Clean]);
        assert_eq!(timeline.ends_at(), Some(start + 1010 * SECOND));
        let counted = Script::new().requests(1, Fault::Reset).requests(2, Fault::Clean).cycle();
        let drawn = draw(&mut Timeline::new(counted, 0, start), start, 5);
        assert_eq!(drawn, [Fault::Reset, Fault::Clean, Fault::Clean, Fault::Reset, Fault::Clean]);
    }

    #[test]
    fn same_seed_draws_the_same_faults() {
        let script = Script::mix(vec![
            (1, Fault::Reset),
            (2, Fault::Tail { share: 0.5, latency: SECOND }),
            (0, Fault::Html),
            (1, Fault::Latency { base: SECOND, jitter: SECOND }),
        ]);
        let now = Instant::now();
        let drawn = |seed| draw(&mut Timeline::new(script.clone(), seed, now), now, 400);
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        let share = |wanted: &Fault| drawn(7).iter().filter(|fault| *fault == wanted).count();
        assert!((70..130).contains(&share(&Fault::Reset)), "about a quarter");
        assert!((70..130).contains(&share(&Fault::Clean)), "about half of a half");
        assert_eq!(share(&Fault::Html), 0);
    }

    #[test]
    fn nth_request_draws_the_same_chance_in_every_script() {
        let now = Instant::now();
        let failing = |first| Script::new().requests(1, first).then(Fault::Failing { share: 0.5, status: 500 });
        let drawn = |first| draw(&mut Timeline::new(failing(first), 7, now), now, 50).split_off(1);
        assert_eq!(drawn(Fault::Clean), drawn(Fault::Mix(vec![(1, Fault::Html), (1, Fault::Reset)])));
    }
}
