//! Which of several rerankers is chosen, by the strategies of AutoRAG (`autorag/strategy.py`).
//!
//! They are AutoRAG's formulas without the noise of floating point: sums of the same parts in another order differ in their last
//! digits, and AutoRAG lets that decide. Here what lies within 1e-12 is a tie, and the first of those that tie wins.

use std::{fmt, str::FromStr};

use super::statistics::{exact, mean};

/// What lies so close counts as equal.
const NOISE: f64 = 1e-12;

/// How the metrics of a contestant become the one value by which it is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// The mean of its metrics.
    #[default]
    Mean,
    /// The sum over the metrics of 1 / its rank among the contestants. Those that tie share the mean of their ranks.
    Rank,
    /// The sum over the metrics of its place between the worst contestant (0) and the best (1). A metric in which all tie gives
    /// nothing to anyone.
    NormalizeMean,
}

/// One contestant.
#[derive(Clone, Debug, PartialEq)]
pub struct Contestant {
    /// The mean of each metric over the queries, finite; the same metrics in the same order for all contestants.
    pub metrics: Vec<f64>,
    /// What a query takes, in seconds, on average.
    pub seconds: f64,
}

/// Who was chosen, and from what.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The index of the chosen contestant.
    pub best: usize,
    /// The value by which it was chosen, of each contestant; `None` if it was left out as too slow.
    pub values: Vec<Option<f64>>,
    /// Every contestant was slower than the threshold, so none was left out.
    pub all_too_slow: bool,
}

/// The best contestant; `None` if there is none.
///
/// Those whose queries take longer than `slowest` (seconds, on average) are left out before anything is ranked or normalised,
/// unless that leaves none.
#[must_use]
pub fn choose(contestants: &[Contestant], strategy: Strategy, slowest: Option<f64>) -> Option<Choice> {
    let too_slow = |contestant: &Contestant| slowest.is_some_and(|slowest| contestant.seconds > slowest);
    let all_too_slow = !contestants.is_empty() && contestants.iter().all(too_slow);
    let stays = |contestant: &Contestant| all_too_slow || !too_slow(contestant);
    let (indices, rivals): (Vec<usize>, Vec<&Contestant>) =
        contestants.iter().enumerate().filter(|(_, contestant)| stays(contestant)).unzip();
    let chosen_by: Vec<f64> = rivals.iter().map(|rival| value(rival, &rivals, strategy)).collect();
    let highest = chosen_by.iter().copied().max_by(f64::total_cmp)?;
    let best = chosen_by.iter().position(|value| *value >= highest - NOISE)?;
    let mut values = vec![None; contestants.len()];
    for (&index, value) in indices.iter().zip(chosen_by) {
        values[index] = Some(value);
    }
    Some(Choice { best: indices[best], values, all_too_slow })
}

/// The value of one among its rivals, itself included.
fn value(contestant: &Contestant, rivals: &[&Contestant], strategy: Strategy) -> f64 {
    let metrics = contestant.metrics.iter().enumerate();
    let all = |metric: usize| rivals.iter().filter_map(move |rival| rival.metrics.get(metric).copied());
    match strategy {
        Strategy::Mean => mean(&contestant.metrics),
        Strategy::Rank => metrics.map(|(metric, own)| 1.0 / rank(*own, all(metric))).fold(0.0, |sum, part| sum + part),
        Strategy::NormalizeMean => {
            metrics.map(|(metric, own)| place(*own, all(metric))).fold(0.0, |sum, part| sum + part)
        }
    }
}

/// The rank of a value among all, from 1, highest first; the mean of the ranks of those that tie.
fn rank(own: f64, all: impl Iterator<Item = f64>) -> f64 {
    let (mut above, mut level) = (0, 0);
    for other in all {
        above += usize::from(other > own + NOISE);
        level += usize::from((other - own).abs() <= NOISE);
    }
    exact(above) + (exact(level) + 1.0) / 2.0
}

/// Where a value lies between the lowest and the highest of all, from 0 to 1; 0 if all tie.
fn place(own: f64, all: impl Iterator<Item = f64>) -> f64 {
    let (lowest, highest) = all.fold((own, own), |(lowest, highest), other| (other.min(lowest), other.max(highest)));
    if highest - lowest > NOISE { (own - lowest) / (highest - lowest) } else { 0.0 }
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mean, Self::Rank, Self::NormalizeMean];

    /// AutoRAG's name for it, as its configuration files say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Rank => "rank",
            Self::NormalizeMean => "normalize_mean",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A name that no [`Strategy`] has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownStrategy {
    /// What was asked for.
    pub name: String,
}

impl fmt::Display for UnknownStrategy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Strategy::ALL.map(Strategy::name).join(", ");
        write!(formatter, "`{}` is no strategy; there are {known}", self.name)
    }
}

impl std::error::Error for UnknownStrategy {}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        let known = Self::ALL.into_iter().find(|strategy| strategy.name() == name);
        known.ok_or_else(|| UnknownStrategy { name: name.to_owned() })
    }
}
