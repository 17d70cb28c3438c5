//! A scatter chart of quality against cost or latency: points with error bars, the front of the best, and the first
//! stage as a line.
//!
//! Each chart is drawn twice, for wide and for narrow screens; the style sheet shows one of them.

use super::super::super::results::Estimate;
use super::axis::{Axis, coordinate, tick_score};
use super::markup::escape;
use super::place::{Area, text_width};
use crate::eval::exact;

/// Size of the names, in pixels.
pub(super) const FONT_SIZE: f64 = 12.5;
/// Height of a line of text, in pixels.
pub(super) const LINE: f64 = 15.0;
/// Radius of a point, in pixels.
pub(super) const MARKER: f64 = 6.0;

/// The contents of a chart. All texts are plain text.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    /// Prefix of the ids of its elements, unique in the page.
    pub id: &'static str,
    pub title: String,
    /// Read aloud by screen readers after the title.
    pub description: String,
    pub across: Across,
    /// Title of the vertical axis.
    pub up_title: &'a str,
    pub points: Vec<Point<'a>>,
    /// Mean of the first stage, drawn as a horizontal line.
    pub none: Option<f64>,
}

/// The horizontal axis.
#[derive(Debug)]
pub(super) struct Across {
    pub title: &'static str,
    pub logarithmic: bool,
    /// Formats the value of a tick.
    pub tick: fn(f64) -> String,
}

/// The point of a contestant.
#[derive(Debug)]
pub(super) struct Point<'a> {
    pub name: &'a str,
    /// The second line of its label.
    pub note: String,
    /// Value on the horizontal axis.
    pub across: f64,
    /// Value on the vertical axis, with its interval.
    pub up: Estimate,
    /// True if the point is on the Pareto front and so drawn filled.
    pub on_front: bool,
}

/// A size of drawing. All lengths are in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    /// Class in the style sheet, which shows it on screens of that width.
    pub(super) class: &'static str,
    width: f64,
    /// Height with up to six points.
    height: f64,
    /// Height added for the label of each further point.
    height_of_more: f64,
    /// Share of the width that stays free for labels to the right of the points.
    room: f64,
    /// Most characters of a name.
    pub(super) longest: usize,
    /// Most ticks of the horizontal axis.
    ticks: usize,
}

pub(super) const FORMATS: [Format; 2] = [
    Format { class: "wide", width: 940.0, height: 420.0, height_of_more: 16.0, room: 0.2, longest: 30, ticks: 8 },
    Format { class: "narrow", width: 350.0, height: 400.0, height_of_more: 44.0, room: 0.1, longest: 24, ticks: 5 },
];

impl Chart<'_> {
    pub(super) fn html(&self) -> String {
        FORMATS.iter().map(|format| Drawing::new(self, *format).svg()).collect()
    }
}

/// A chart in one size.
pub(super) struct Drawing<'a> {
    pub(super) chart: &'a Chart<'a>,
    pub(super) format: Format,
    /// The area within the axes.
    pub(super) plot: Area,
    pub(super) across: Axis,
    pub(super) up: Axis,
}

impl<'a> Drawing<'a> {
    pub(super) fn new(chart: &'a Chart<'a>, mut format: Format) -> Self {
        format.height += format.height_of_more * exact(chart.points.len().saturating_sub(6));
        let plot = Area { left: 44.0, top: 30.0, width: format.width - 56.0, height: format.height - 80.0 };
        let values = chart.points.iter().map(|point| point.across);
        let across = if chart.across.logarithmic {
            Axis::logarithmic(values, plot.left, plot.right())
        } else {
            Axis::linear(values, plot.left, plot.right())
        };
        let ups = chart.points.iter().flat_map(|point| [point.up.low, point.up.mean, point.up.high]).chain(chart.none);
        let up = Axis::linear(ups, plot.bottom(), plot.top).padded(0.08, 0.08);
        Self { chart, format, plot, across: across.padded(0.07, format.room), up }
    }

    fn svg(&self) -> String {
        let Format { class, width, height, .. } = self.format;
        let id = format!("{}-{class}", self.chart.id);
        format!(
            "<svg class=\"chart {class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\
             <title id=\"{id}-title\">{}</title><desc id=\"{id}-desc\">{}</desc>{}{}{}{}{}</svg>",
            escape(&self.chart.title),
            escape(&self.chart.description),
            self.grid(),
            self.none(),
            self.front(),
            self.points(),
            self.labels()
        )
    }

    fn grid(&self) -> String {
        let Area { left, top, .. } = self.plot;
        let (right, bottom) = (self.plot.right(), self.plot.bottom());
        let mut svg = String::new();
        for tick in self.up.ticks(6) {
            let y = coordinate(self.up.at(tick));
            svg.push_str(&format!(
                "<path class=\"grid\" d=\"M{left} {y}H{right}\" /><text class=\"tick\" x=\"{}\" y=\"{y}\" dy=\".35em\" text-anchor=\"end\">{}</text>",
                left - 8.0,
                escape(&tick_score(tick))
            ));
        }
        for tick in self.across.ticks(self.format.ticks) {
            let x = coordinate(self.across.at(tick));
            svg.push_str(&format!(
                "<path class=\"axis\" d=\"M{x} {bottom}v5\" /><text class=\"tick\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 20.0,
                escape(&(self.chart.across.tick)(tick))
            ));
        }
        svg.push_str(&format!(
            "<path class=\"axis\" d=\"M{left} {bottom}H{right}\" /><text class=\"caption\" x=\"0\" y=\"{}\">{}</text>\
             <text class=\"caption\" x=\"{right}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            top - 16.0,
            escape(self.chart.up_title),
            bottom + 42.0,
            escape(self.chart.across.title)
        ));
        svg
    }

    /// Vertical position of the first stage's line, and the area of its label: above or below the line, at its left or
    /// right end if no point is there, else somewhere between.
    pub(super) fn none_label(&self) -> Option<(f64, Area)> {
        let y = self.up.at(self.chart.none?);
        let width = text_width(NONE, FONT_SIZE - 1.0);
        let place = |left: f64, top: f64| Area { left, top, width, height: LINE };
        let (left, right) = (self.plot.left + 2.0, self.plot.right() - width);
        let along = |share: f64| [y - 17.0, y + 2.0].map(|top| place(left + share * (right - left), top));
        let places: Vec<Area> = [0.0, 1.0, 0.5, 0.25, 0.75, 0.125, 0.875].into_iter().flat_map(along).collect();
        let is_free = |area: &&Area| {
            area.top >= self.plot.top
                && area.bottom() <= self.plot.bottom()
                && !self.chart.points.iter().any(|point| area.overlaps(&self.whisker(point)))
        };
        Some((y, *places.iter().find(is_free).unwrap_or(&places[0])))
    }

    fn none(&self) -> String {
        let Some((y, label)) = self.none_label() else { return String::new() };
        let is_right = label.right() > self.plot.right() - 1.0;
        let (x, anchor) = if is_right { (label.right(), "end") } else { (label.left, "start") };
        format!(
            "<path class=\"none\" d=\"M{} {y}H{}\" /><text class=\"none-label\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{NONE}</text>",
            self.plot.left,
            self.plot.right(),
            coordinate(x),
            coordinate(label.bottom() - 3.5),
            y = coordinate(y)
        )
    }

    /// The area of a point: its marker and its error bar.
    pub(super) fn whisker(&self, point: &Point) -> Area {
        let [low, mean, high] = [point.up.low, point.up.mean, point.up.high].map(|up| self.up.at(up));
        let (top, bottom) = (high.min(mean - MARKER), low.max(mean + MARKER));
        Area { left: self.across.at(point.across) - MARKER, top, width: MARKER * 2.0, height: bottom - top }
    }

    /// Corners of the stepped line through the best mean up to each horizontal position, in pixels from the left.
    pub(super) fn corners(&self) -> Vec<(f64, f64)> {
        let mut points: Vec<_> = self.chart.points.iter().map(|point| (point.across, point.up.mean)).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0).then(other.1.total_cmp(&one.1)));
        let mut corners: Vec<(f64, f64)> = Vec::new();
        for (across, up) in points {
            let (x, y) = (self.across.at(across), self.up.at(up));
            match corners.last().copied() {
                None => corners.push((x, y)),
                Some((_, last)) if y < last => corners.extend([(x, last), (x, y)]),
                Some(_) => {}
            }
        }
        corners
    }

    fn front(&self) -> String {
        let corners = self.corners().into_iter().map(|(x, y)| format!("{} {}", coordinate(x), coordinate(y)));
        let corners: Vec<_> = corners.collect();
        let Some(last) = corners.last() else { return String::new() };
        format!(
            "<path class=\"front-line\" d=\"M{}\" /><path class=\"front-line rest\" d=\"M{last}H{}\" />",
            corners.join("L"),
            self.plot.right(),
        )
    }

    fn points(&self) -> String {
        let drawn = self.chart.points.iter().map(|point| {
            let x = coordinate(self.across.at(point.across));
            let [low, mean, high] = [point.up.low, point.up.mean, point.up.high].map(|up| coordinate(self.up.at(up)));
            let class = if point.on_front { "point on-front" } else { "point" };
            format!(
                "<g><title>{}</title><path class=\"error\" d=\"M{x} {low}V{high}m-4 0h8M{x} {low}m-4 0h8\" />\
                 <circle class=\"{class}\" cx=\"{x}\" cy=\"{mean}\" r=\"{MARKER}\" /></g>",
                escape(&format!("{}: {}", point.name, point.note))
            )
        });
        drawn.collect()
    }
}

/// Label of the first stage's line.
const NONE: &str = "none: order of the first stage";

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn chart(points: Vec<Point<'_>>) -> Chart<'_> {
        let across = Across { title: "ms", logarithmic: true, tick: tick_score };
        Chart {
            id: "x",
            title: "x".to_owned(),
            description: "x".to_owned(),
            across,
            up_title: "x",
            points,
            none: Some(0.4),
        }
    }

    pub(in super::super) fn point(name: &str, across: f64, mean: f64) -> Point<'_> {
        let up = Estimate { mean, low: mean - 0.03, high: mean + 0.03 };
        Point { name, note: "118 ms · cost not known".to_owned(), across, up, on_front: true }
    }

    #[test]
    fn the_front_rises_in_steps() {
        let points =
            vec![point("b", 10.0, 0.6), point("worse", 20.0, 0.55), point("a", 1.0, 0.5), point("c", 100.0, 0.7)];
        let chart = chart(points);
        let drawing = Drawing::new(&chart, FORMATS[0]);
        let at = |across, up| (drawing.across.at(across), drawing.up.at(up));
        let expected = [at(1.0, 0.5), at(10.0, 0.5), at(10.0, 0.6), at(100.0, 0.6), at(100.0, 0.7)];
        assert_eq!(drawing.corners(), expected);
    }

    #[test]
    fn the_label_of_none_keeps_off_the_whiskers_at_both_ends() {
        let chart = chart(vec![point("a", 1.0, 0.4), point("b", 100.0, 0.42)]);
        let drawing = Drawing::new(&chart, FORMATS[0]);
        let (_, label) = drawing.none_label().unwrap();
        assert!(!chart.points.iter().any(|point| label.overlaps(&drawing.whisker(point))), "{label:?}");
    }

    #[test]
    fn a_latency_of_zero_has_a_place() {
        let chart = chart(vec![point("a", 0.0, 0.5), point("b", 10.0, 0.6)]);
        assert!(!chart.html().contains("NaN"));
    }
}
