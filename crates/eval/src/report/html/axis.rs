//! Axes of a drawing: conversion of values to coordinates, ticks and their texts.

use super::super::figures::{dollars, fixed, milliseconds};

/// Smallest value on a logarithmic axis, in milliseconds, because zero has no logarithm.
const MIN_LOGARITHMIC: f64 = 0.01;
/// Least length of a logarithmic axis, in decades: nearly equal latencies must not look far apart.
const MIN_DECADES: f64 = 0.4;

/// One axis of a drawing.
#[derive(Debug)]
pub(super) struct Axis {
    /// Values at both ends, as decimal logarithms if `logarithmic`. Finite, the first below the second.
    ends: (f64, f64),
    /// Coordinates of both ends, in pixels. A vertical axis starts at the bottom, where the coordinate is larger.
    drawn: (f64, f64),
    logarithmic: bool,
}

impl Axis {
    /// An axis over all finite `values`, drawn from coordinate `from` to coordinate `to`.
    pub(super) fn linear(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let ends = match extremes(values) {
            None => (0.0, 1.0),
            // A single value is drawn in the middle of an axis of some length.
            Some((low, high)) if high - low < 1e-6 => (low - 0.05, high + 0.05),
            Some(ends) => ends,
        };
        Self { ends, drawn: (from, to), logarithmic: false }
    }

    /// The same with a logarithmic scale. Values below [`MIN_LOGARITHMIC`] count as that.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let logarithms = values.map(|value| value.max(MIN_LOGARITHMIC).log10());
        let (low, high) = extremes(logarithms).unwrap_or((0.0, 1.0));
        let margin = if high - low < MIN_DECADES { (MIN_DECADES - (high - low)) / 2.0 } else { 0.0 };
        Self { ends: (low - margin, high + margin), drawn: (from, to), logarithmic: true }
    }

    /// The axis with a margin at each end, as a share of its length.
    pub(super) fn padded(mut self, share: f64) -> Self {
        let length = self.ends.1 - self.ends.0;
        self.ends.0 -= length * share;
        self.ends.1 += length * share;
        self
    }

    /// The coordinate of `value` in pixels, clamped to the axis. A value that is not finite is drawn at its start.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(MIN_LOGARITHMIC).log10() } else { value };
        let share = (value - self.ends.0) / (self.ends.1 - self.ends.0);
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self.drawn.0 + share * (self.drawn.1 - self.drawn.0)
    }

    /// Round values on the axis. A linear axis has at most `max_ticks`; a logarithmic one has more if it spans more
    /// decades.
    pub(super) fn ticks(&self, max_ticks: usize) -> Vec<f64> {
        if self.logarithmic { self.logarithmic_ticks(max_ticks) } else { self.linear_ticks(max_ticks) }
    }

    /// Multiples of the smallest round step that gives at most `max_ticks` ticks.
    fn linear_ticks(&self, max_ticks: usize) -> Vec<f64> {
        // Steps from 1e-6, the length of the shortest axis, to 5e8, more than any metric or price needs.
        for exponent in -6..9 {
            for digit in [1.0, 2.0, 5.0] {
                // One more than allowed is enough to see that the step is too small.
                let ticks = self.multiples(digit * 10_f64.powi(exponent), max_ticks + 1);
                if ticks.len() <= max_ticks {
                    return ticks;
                }
            }
        }
        Vec::new()
    }

    /// The first `limit` multiples of `step` on the axis.
    fn multiples(&self, step: f64, limit: usize) -> Vec<f64> {
        let mut ticks = Vec::new();
        // Counting whole steps, because adding `step` again and again would add up its rounding errors.
        let mut count = (self.ends.0 / step).ceil();
        while ticks.len() < limit && count * step <= self.ends.1 {
            ticks.push(count * step);
            count += 1.0;
        }
        ticks
    }

    /// The densest set of leading digits in every decade with at most `max_ticks` ticks, else powers of ten alone.
    fn logarithmic_ticks(&self, max_ticks: usize) -> Vec<f64> {
        let sets: [&[f64]; 4] = [&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], &[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
        let mut ticks = Vec::new();
        for digits in sets {
            ticks = self.in_every_decade(digits);
            if ticks.len() <= max_ticks {
                break;
            }
        }
        ticks
    }

    /// Values on the axis that begin with one of `digits`.
    fn in_every_decade(&self, digits: &[f64]) -> Vec<f64> {
        let mut ticks = Vec::new();
        // From below MIN_LOGARITHMIC to ten days in milliseconds.
        for exponent in -3..9 {
            for digit in digits {
                let tick = digit * 10_f64.powi(exponent);
                if (self.ends.0..=self.ends.1).contains(&tick.log10()) {
                    ticks.push(tick);
                }
            }
        }
        ticks
    }
}

/// The smallest and the largest finite value; `None` if no value is finite.
fn extremes(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let mut extremes: Option<(f64, f64)> = None;
    for value in values {
        if value.is_finite() {
            let (low, high) = extremes.unwrap_or((value, value));
            extremes = Some((value.min(low), value.max(high)));
        }
    }
    extremes
}

/// A coordinate or length in pixels, to a tenth; `0` if it is not finite.
pub(super) fn coordinate(value: f64) -> String {
    let value = if value.is_finite() { value } else { 0.0 };
    let text = fixed(value, 1);
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// Text of a tick for a value of a metric, without trailing zeros: `0.55`.
pub(super) fn tick_score(value: f64) -> String {
    let text = fixed(value, 3);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() { "0".to_owned() } else { text.to_owned() }
}

/// Text of a tick in milliseconds, without unit and trailing zeros: `0.3`.
pub(super) fn tick_milliseconds(value: f64) -> String {
    let text = milliseconds(value);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Text of a tick in US dollars, without cents if there are none: `$1`.
pub(super) fn tick_dollars(value: f64) -> String {
    let text = dollars(value);
    match text.strip_suffix(".00") {
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_drawn_in_proportion() {
        let axis = Axis::linear([0.5, f64::NAN, 0.7].into_iter(), 100.0, 0.0);
        assert_eq!(
            [0.5, 0.6, 0.7, 9.0, f64::NAN].map(|value| coordinate(axis.at(value))),
            ["100", "50", "0", "0", "100"]
        );
        let axis = Axis::logarithmic([1.0, 100.0].into_iter(), 0.0, 200.0);
        assert_eq!([0.0, 1.0, 10.0, 100.0].map(|value| coordinate(axis.at(value))), ["0", "0", "100", "200"]);
    }

    #[test]
    fn lengths_are_numbers() {
        assert_eq!([1.25, 3.0, -0.01, f64::NAN, f64::INFINITY].map(coordinate), ["1.2", "3", "0", "0", "0"]);
    }

    #[test]
    fn an_axis_of_one_value_or_none_has_length() {
        for values in [vec![], vec![0.0], vec![0.3, 0.3], vec![f64::NAN, f64::INFINITY]] {
            for axis in
                [Axis::linear(values.clone().into_iter(), 0.0, 10.0), Axis::logarithmic(values.into_iter(), 0.0, 10.0)]
            {
                assert!(axis.ends.1 > axis.ends.0, "{axis:?}");
                assert!(axis.ticks(6).iter().all(|tick| tick.is_finite()), "{axis:?}");
            }
        }
    }

    #[test]
    fn ticks_are_round_and_few() {
        let texts =
            |axis: Axis, most, write: fn(f64) -> String| axis.ticks(most).into_iter().map(write).collect::<Vec<_>>();
        assert_eq!(
            texts(Axis::linear([0.512, 0.731].into_iter(), 0.0, 1.0), 6, tick_score),
            ["0.55", "0.6", "0.65", "0.7"]
        );
        assert_eq!(
            texts(Axis::linear([0.0, 2.6].into_iter(), 0.0, 1.0), 6, tick_dollars),
            ["$0", "$0.50", "$1", "$1.50", "$2", "$2.50"]
        );
        assert_eq!(
            texts(Axis::logarithmic([0.8, 400.0].into_iter(), 0.0, 1.0), 7, tick_milliseconds),
            ["1", "3", "10", "30", "100", "300"]
        );
        assert_eq!(
            texts(Axis::logarithmic([90.0, 400.0].into_iter(), 0.0, 1.0), 7, tick_milliseconds),
            ["90", "100", "200", "300", "400"]
        );
    }
}
