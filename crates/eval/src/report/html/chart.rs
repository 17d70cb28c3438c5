//! A chart of quality against time or cost: numbered points with whiskers, the front of the best, and the first stage
//! as a dashed line.
//!
//! A list below the chart gives the names. Each chart is drawn twice, for wide and for narrow screens; the style sheet
//! shows one of them.

use super::super::super::results::Estimate;
use super::axis::{Axis, coordinate, tick_score};
use super::markup::escape;

/// Radius of a point in pixels: it holds its number.
const MARKER: f64 = 8.0;

/// One chart. All texts are plain text.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    /// Prefix of the element ids, unique on the page.
    pub id: &'static str,
    pub title: String,
    pub description: String,
    pub across: Across,
    pub up_title: &'a str,
    pub points: Vec<Point<'a>>,
    /// Mean of the first stage's order.
    pub none: Option<f64>,
}

/// The horizontal axis.
#[derive(Debug)]
pub(super) struct Across {
    pub title: &'static str,
    pub logarithmic: bool,
    pub tick: fn(f64) -> String,
}

/// One contestant.
#[derive(Debug)]
pub(super) struct Point<'a> {
    pub name: &'a str,
    /// Time and cost, for the list of names.
    pub note: String,
    pub across: f64,
    pub up: Estimate,
    /// True if the point is on the Pareto front, and drawn filled.
    pub on_front: bool,
}

/// Size of a drawing, in pixels.
#[derive(Clone, Copy, Debug)]
struct Format {
    class: &'static str,
    width: f64,
    height: f64,
    ticks: usize,
}

const FORMATS: [Format; 2] = [
    Format { class: "wide", width: 940.0, height: 420.0, ticks: 8 },
    Format { class: "narrow", width: 350.0, height: 400.0, ticks: 5 },
];

impl Chart<'_> {
    /// Both drawings, and the list of names.
    pub(super) fn html(&self) -> String {
        let mut html = String::new();
        for format in FORMATS {
            html.push_str(&Drawing::new(self, format).svg());
        }
        html.push_str("<ol class=\"legend\">");
        for point in &self.points {
            let name = escape(point.name);
            let note = escape(&point.note);
            html.push_str(&format!("<li><b>{name}</b> <small>{note}</small></li>"));
        }
        html.push_str("</ol>");
        if let Some(mean) = self.none {
            let mean = escape(&tick_score(mean));
            html.push_str(&format!("<p class=\"key\">Dashed line: none, the order of the first stage ({mean}).</p>"));
        }
        html
    }
}

/// One chart in one size.
struct Drawing<'a> {
    chart: &'a Chart<'a>,
    format: Format,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    across: Axis,
    up: Axis,
}

impl<'a> Drawing<'a> {
    fn new(chart: &'a Chart<'a>, format: Format) -> Self {
        let left = 44.0;
        let top = 30.0;
        let right = format.width - 12.0;
        let bottom = format.height - 50.0;
        let values = chart.points.iter().map(|point| point.across);
        let across = if chart.across.logarithmic {
            Axis::logarithmic(values, left, right)
        } else {
            Axis::linear(values, left, right)
        };
        let mut ups = Vec::new();
        for point in &chart.points {
            ups.extend([point.up.low, point.up.mean, point.up.high]);
        }
        ups.extend(chart.none);
        let up = Axis::linear(ups.into_iter(), bottom, top).padded(0.08, 0.08);
        Self { chart, format, left, top, right, bottom, across: across.padded(0.07, 0.07), up }
    }

    fn svg(&self) -> String {
        let Format { class, width, height, .. } = self.format;
        let id = format!("{}-{class}", self.chart.id);
        format!(
            "<svg class=\"chart {class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{id}-title {id}-desc\">\
             <title id=\"{id}-title\">{}</title><desc id=\"{id}-desc\">{}</desc>{}{}{}{}</svg>",
            escape(&self.chart.title),
            escape(&self.chart.description),
            self.grid(),
            self.none(),
            self.front(),
            self.points()
        )
    }

    fn grid(&self) -> String {
        let Self { left, top, right, bottom, .. } = *self;
        let mut svg = String::new();
        for tick in self.up.ticks(6) {
            let y = coordinate(self.up.at(tick));
            svg.push_str(&format!(
                "<path class=\"grid\" d=\"M{left} {y}H{right}\" />\
                 <text class=\"tick\" x=\"{}\" y=\"{y}\" dy=\".35em\" text-anchor=\"end\">{}</text>",
                left - 8.0,
                escape(&tick_score(tick))
            ));
        }
        for tick in self.across.ticks(self.format.ticks) {
            let x = coordinate(self.across.at(tick));
            svg.push_str(&format!(
                "<path class=\"axis\" d=\"M{x} {bottom}v5\" />\
                 <text class=\"tick\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 20.0,
                escape(&(self.chart.across.tick)(tick))
            ));
        }
        svg.push_str(&format!(
            "<path class=\"axis\" d=\"M{left} {bottom}H{right}\" />\
             <text class=\"caption\" x=\"0\" y=\"{}\">{}</text>\
             <text class=\"caption\" x=\"{right}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            top - 16.0,
            escape(self.chart.up_title),
            bottom + 42.0,
            escape(self.chart.across.title)
        ));
        svg
    }

    fn none(&self) -> String {
        let Some(mean) = self.chart.none else { return String::new() };
        let y = coordinate(self.up.at(mean));
        format!("<path class=\"none\" d=\"M{} {y}H{}\" />", self.left, self.right)
    }

    /// Corners of the stepped line: the best mean among the points up to each horizontal position.
    fn corners(&self) -> Vec<(f64, f64)> {
        let mut points: Vec<_> = self.chart.points.iter().map(|point| (point.across, point.up.mean)).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0).then(other.1.total_cmp(&one.1)));
        let mut corners: Vec<(f64, f64)> = Vec::new();
        for (across, up) in points {
            let x = self.across.at(across);
            let y = self.up.at(up);
            match corners.last().copied() {
                None => corners.push((x, y)),
                Some((_, last)) if y < last => corners.extend([(x, last), (x, y)]),
                Some(_) => {}
            }
        }
        corners
    }

    fn front(&self) -> String {
        let mut corners = Vec::new();
        for (x, y) in self.corners() {
            corners.push(format!("{} {}", coordinate(x), coordinate(y)));
        }
        let Some(last) = corners.last() else { return String::new() };
        format!(
            "<path class=\"front-line\" d=\"M{}\" /><path class=\"front-line rest\" d=\"M{last}H{}\" />",
            corners.join("L"),
            self.right,
        )
    }

    /// Intervals first, so that no marker is crossed out.
    fn points(&self) -> String {
        let numbers = self.numbers();
        let mut intervals = String::new();
        let mut markers = String::new();
        for (index, point) in self.chart.points.iter().enumerate() {
            let x = coordinate(self.across.at(point.across));
            let low = coordinate(self.up.at(point.up.low));
            let mean = coordinate(self.up.at(point.up.mean));
            let high = coordinate(self.up.at(point.up.high));
            let number_x = coordinate(numbers[index].0);
            let number_y = coordinate(numbers[index].1);
            let class = if point.on_front { "point on-front" } else { "point" };
            intervals.push_str(&format!(
                "<path class=\"error\" d=\"M{x} {low}V{high}m-4 0h8M{x} {low}m-4 0h8\" />\
                 <path class=\"leader\" d=\"M{x} {mean}L{number_x} {number_y}\" />",
            ));
            markers.push_str(&format!(
                "<g class=\"{class}\"><title>{}</title>\
                 <circle cx=\"{number_x}\" cy=\"{number_y}\" r=\"{MARKER}\" />\
                 <text class=\"number\" x=\"{number_x}\" y=\"{number_y}\" dy=\".35em\" \
                 text-anchor=\"middle\">{}</text></g>",
                escape(&format!("{}: {}", point.name, point.note)),
                index + 1
            ));
        }
        intervals + &markers
    }

    /// Centres of the numbered markers: on their points, or moved along the horizontal axis until none covers another.
    fn numbers(&self) -> Vec<(f64, f64)> {
        let step = MARKER * 2.0 + 2.0;
        let mut placed: Vec<(f64, f64)> = Vec::new();
        for point in &self.chart.points {
            let y = self.up.at(point.up.mean);
            let mut x = self.across.at(point.across);
            // Away from the edge that is nearer, so that a row of equal points stays within the drawing.
            let away = if x > f64::midpoint(self.left, self.right) { -step } else { step };
            while placed.iter().any(|other| (other.0 - x).abs() < step && (other.1 - y).abs() < step) {
                x += away;
            }
            placed.push((x, y));
        }
        placed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<Point<'_>>) -> Chart<'_> {
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

    fn point(name: &str, across: f64, mean: f64) -> Point<'_> {
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
    fn numbers_of_equal_points_stand_side_by_side() {
        for across in [1.0, 100.0] {
            let mut points = vec![point("first", 1.0, 0.6), point("last", 100.0, 0.6)];
            points.resize_with(10, || point("same", across, 0.6));
            let chart = chart(points);
            for format in FORMATS {
                let drawing = Drawing::new(&chart, format);
                let numbers = drawing.numbers();
                for (index, number) in numbers.iter().enumerate() {
                    let is_covered = |other: &(f64, f64)| {
                        (other.0 - number.0).abs() < 2.0 * MARKER && (other.1 - number.1).abs() < 2.0 * MARKER
                    };
                    assert!(!numbers[..index].iter().any(is_covered), "{} {numbers:?}", format.class);
                    assert!(number.0 > drawing.left && number.0 < drawing.right, "{} {numbers:?}", format.class);
                }
            }
        }
    }

    #[test]
    fn the_list_below_names_the_points_in_their_order() {
        let html = chart(vec![point("a<b", 1.0, 0.5), point("c", 2.0, 0.6)]).html();
        let list = &html[html.find("<ol").unwrap()..];
        assert!(list.find("a&lt;b").unwrap() < list.find("<b>c</b>").unwrap(), "{list}");
        assert!(html.contains(">1</text>") && html.contains(">2</text>"), "{html}");
    }

    #[test]
    fn a_latency_of_zero_is_drawn() {
        let chart = chart(vec![point("a", 0.0, 0.5), point("b", 10.0, 0.6)]);
        assert!(!chart.html().contains("NaN"));
    }
}
