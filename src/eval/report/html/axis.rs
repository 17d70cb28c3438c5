//! From values to places in a drawing.

use super::super::figures::{dollars, fixed, milliseconds};

/// Least latency that is drawn: a logarithm needs more than nothing.
const LEAST_MILLISECONDS: f64 = 0.01;

/// One direction of a drawing.
#[derive(Debug)]
pub(super) struct Axis {
    /// Values at the ends, logarithms if `logarithmic`.
    ends: (f64, f64),
    /// Where the ends are drawn.
    drawn: (f64, f64),
    logarithmic: bool,
}

impl Axis {
    /// Holds every finite one of `values`, drawn between `from` and `to`.
    pub(super) fn linear(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let ends = match extremes(values) {
            None => (0.0, 1.0),
            Some((low, high)) if high - low < 1e-6 => (low - 0.05, high + 0.05),
            Some(ends) => ends,
        };
        Self { ends, drawn: (from, to), logarithmic: false }
    }

    /// The same by magnitude. Values below [`LEAST_MILLISECONDS`] are drawn there.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = extremes(values.map(|value| value.max(LEAST_MILLISECONDS).log10())).unwrap_or((0.0, 1.0));
        let room = if high - low < 0.4 { (0.4 - (high - low)) / 2.0 } else { 0.0 };
        Self { ends: (low - room, high + room), drawn: (from, to), logarithmic: true }
    }

    /// With shares of its length more before and after.
    pub(super) fn padded(mut self, before: f64, after: f64) -> Self {
        let length = self.ends.1 - self.ends.0;
        self.ends = (self.ends.0 - length * before, self.ends.1 + length * after);
        self
    }

    /// Where `value` is drawn, between the ends whatever it is.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(LEAST_MILLISECONDS).log10() } else { value };
        let share = (value - self.ends.0) / (self.ends.1 - self.ends.0);
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self.drawn.0 + share * (self.drawn.1 - self.drawn.0)
    }

    /// Round values within, at most `most` if it is linear.
    pub(super) fn ticks(&self, most: usize) -> Vec<f64> {
        if self.logarithmic { self.magnitudes(most) } else { self.steps(most) }
    }

    fn steps(&self, most: usize) -> Vec<f64> {
        let within = |step: f64| {
            let first = (self.ends.0 / step).ceil();
            std::iter::successors(Some(first), |tick| Some(tick + 1.0))
                .map(move |tick| tick * step)
                .take_while(|tick| *tick <= self.ends.1)
        };
        let steps = (-6..9).flat_map(|exponent| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(exponent)));
        let fitting =
            steps.map(|step| within(step).take(most + 1).collect::<Vec<_>>()).find(|ticks| ticks.len() <= most);
        fitting.unwrap_or_default()
    }

    fn magnitudes(&self, most: usize) -> Vec<f64> {
        let within = |digits: &[f64]| -> Vec<f64> {
            let all = (-3..9).flat_map(|exponent| digits.iter().map(move |digit| digit * 10_f64.powi(exponent)));
            all.filter(|tick| (self.ends.0..=self.ends.1).contains(&tick.log10())).collect()
        };
        let sets: [&[f64]; 4] = [&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], &[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
        let all = sets.map(within);
        all.iter().find(|ticks| ticks.len() <= most).unwrap_or(&all[3]).clone()
    }
}

fn extremes(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// A length in a drawing, to a tenth of a pixel.
pub(super) fn coordinate(value: f64) -> String {
    let value = if value.is_finite() { value } else { 0.0 };
    let text = fixed(value, 1);
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// What is written at a tick.
pub(super) fn tick_score(value: f64) -> String {
    let text = fixed(value, 3);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() { "0".to_owned() } else { text.to_owned() }
}

/// What is written at a tick.
pub(super) fn tick_milliseconds(value: f64) -> String {
    let text = milliseconds(value);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// What is written at a tick.
pub(super) fn tick_dollars(value: f64) -> String {
    let text = dollars(value);
    text.strip_suffix(".00").map_or_else(|| text.clone(), str::to_owned)
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
