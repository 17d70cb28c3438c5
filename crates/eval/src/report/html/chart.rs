//! A chart of quality against time or cost: numbered points with whiskers, the front of the best, and the first stage
//! as a dashed line.
//!
//! A list below the chart gives the names. Each chart is drawn twice, for wide and for narrow screens; the style sheet
//! shows one of them.

use super::super::super::results::Estimate;
use super::axis::{Axis, coordinate, tick_score};
use super::markup::escape;

/// Radius of a marker in pixels: room for a number of two digits.
const MARKER_RADIUS: f64 = 8.0;
/// Space between the edges of the drawing and the plot, in pixels: the texts of the axes stand there.
const PLOT_MARGIN: Margin = Margin { left: 44.0, top: 30.0, right: 12.0, bottom: 50.0 };
/// Share of an axis that is left free at both ends, so that the markers of extreme values stay off the edges.
const ACROSS_PADDING: f64 = 0.07;
const UP_PADDING: f64 = 0.08;
/// Most ticks of the vertical axis.
const MAX_UP_TICKS: usize = 6;

/// One chart. All texts are plain text.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    /// Prefix of the element ids, unique on the page.
    pub id: &'static str,
    pub title: String,
    pub description: String,
    pub across: Across,
    /// Title of the vertical axis: the name of the decisive metric.
    pub up_title: &'a str,
    /// In the order of their numbers, which count from 1.
    pub points: Vec<Point<'a>>,
    /// Mean of the first stage's order, drawn as a dashed line; `None` if it is not known.
    pub first_stage_mean: Option<f64>,
}

/// The horizontal axis.
#[derive(Debug)]
pub(super) struct Across {
    pub title: &'static str,
    pub logarithmic: bool,
    /// The text of a tick, from a value in the unit of [`Point::across`].
    pub tick: fn(f64) -> String,
}

/// One contestant.
#[derive(Debug)]
pub(super) struct Point<'a> {
    pub name: &'a str,
    /// Time and cost, for the list of names.
    pub note: String,
    /// Time in milliseconds or cost in US dollars, as the chart's title says.
    pub across: f64,
    /// The decisive metric.
    pub up: Estimate,
    /// True if the point is on the Pareto front, and drawn filled.
    pub on_front: bool,
}

/// Size of a drawing, in pixels.
#[derive(Clone, Copy, Debug)]
struct Format {
    /// CSS class by which the style sheet shows the drawing or hides it.
    class: &'static str,
    width: f64,
    height: f64,
    /// Most ticks of the horizontal axis.
    max_across_ticks: usize,
}

const FORMATS: [Format; 2] = [
    Format { class: "wide", width: 940.0, height: 420.0, max_across_ticks: 8 },
    Format { class: "narrow", width: 350.0, height: 400.0, max_across_ticks: 5 },
];

/// Widths on the four sides of a drawing, in pixels.
struct Margin {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

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
        if let Some(mean) = self.first_stage_mean {
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
    /// Edges of the plot, in pixels from the upper left corner. Vertical coordinates grow downwards, so `top` is less
    /// than `bottom`.
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    across: Axis,
    up: Axis,
}

impl<'a> Drawing<'a> {
    fn new(chart: &'a Chart<'a>, format: Format) -> Self {
        let Margin { left, top, .. } = PLOT_MARGIN;
        let right = format.width - PLOT_MARGIN.right;
        let bottom = format.height - PLOT_MARGIN.bottom;
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
        ups.extend(chart.first_stage_mean);
        let up = Axis::linear(ups.into_iter(), bottom, top).padded(UP_PADDING);
        Self { chart, format, left, top, right, bottom, across: across.padded(ACROSS_PADDING), up }
    }

    fn svg(&self) -> String {
        let Format { class, width, height, .. } = self.format;
        let id = format!("{}-{class}", self.chart.id);
        format!(
            "<svg class=\"chart {class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{id}-title {id}-desc\">\
             <title id=\"{id}-title\">{title}</title><desc id=\"{id}-desc\">{description}</desc>\
             {grid}{first_stage}{front}{points}</svg>",
            title = escape(&self.chart.title),
            description = escape(&self.chart.description),
            grid = self.grid(),
            first_stage = self.first_stage_line(),
            front = self.front_line(),
            points = self.points()
        )
    }

    /// Both axes, with their ticks and titles. The texts stand inside [`PLOT_MARGIN`].
    fn grid(&self) -> String {
        let Self { left, top, right, bottom, .. } = *self;
        let up_ticks_right = left - 8.0;
        let across_ticks_y = bottom + 20.0;
        let up_title_y = top - 16.0;
        let across_title_y = bottom + 42.0;
        let mut svg = String::new();
        for tick in self.up.ticks(MAX_UP_TICKS) {
            let y = coordinate(self.up.at(tick));
            svg.push_str(&format!(
                "<path class=\"grid\" d=\"M{left} {y}H{right}\" />\
                 <text class=\"tick\" x=\"{up_ticks_right}\" y=\"{y}\" dy=\".35em\" text-anchor=\"end\">{text}</text>",
                text = escape(&tick_score(tick))
            ));
        }
        for tick in self.across.ticks(self.format.max_across_ticks) {
            let x = coordinate(self.across.at(tick));
            svg.push_str(&format!(
                "<path class=\"axis\" d=\"M{x} {bottom}v5\" />\
                 <text class=\"tick\" x=\"{x}\" y=\"{across_ticks_y}\" text-anchor=\"middle\">{text}</text>",
                text = escape(&(self.chart.across.tick)(tick))
            ));
        }
        svg.push_str(&format!(
            "<path class=\"axis\" d=\"M{left} {bottom}H{right}\" />\
             <text class=\"caption\" x=\"0\" y=\"{up_title_y}\">{up_title}</text>\
             <text class=\"caption\" x=\"{right}\" y=\"{across_title_y}\" text-anchor=\"end\">{across_title}</text>",
            up_title = escape(self.chart.up_title),
            across_title = escape(self.chart.across.title)
        ));
        svg
    }

    fn first_stage_line(&self) -> String {
        let Some(mean) = self.chart.first_stage_mean else { return String::new() };
        let y = coordinate(self.up.at(mean));
        format!("<path class=\"none\" d=\"M{} {y}H{}\" />", self.left, self.right)
    }

    /// Corners of the stepped line in pixels, from left to right: the best mean among the points up to each horizontal
    /// position.
    fn corners(&self) -> Vec<(f64, f64)> {
        let mut points: Vec<_> = self.chart.points.iter().map(|point| (point.across, point.up.mean)).collect();
        // Of points one above the other the best comes first, so that the others make no step.
        points.sort_by(|one, other| one.0.total_cmp(&other.0).then(other.1.total_cmp(&one.1)));
        let mut corners: Vec<(f64, f64)> = Vec::new();
        for (across, up) in points {
            let x = self.across.at(across);
            let y = self.up.at(up);
            match corners.last().copied() {
                None => corners.push((x, y)),
                // Above the last corner, as vertical coordinates grow downwards.
                Some((_, last)) if y < last => corners.extend([(x, last), (x, y)]),
                Some(_) => {}
            }
        }
        corners
    }

    /// The stepped line, and a fainter one from its last corner to the right edge, where no further point improves it.
    fn front_line(&self) -> String {
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

    /// The intervals and the numbered markers. Intervals first: what comes later is drawn on top, and no marker may be
    /// crossed out.
    fn points(&self) -> String {
        let centres = self.marker_centres();
        let mut intervals = String::new();
        let mut markers = String::new();
        for (index, point) in self.chart.points.iter().enumerate() {
            let x = coordinate(self.across.at(point.across));
            let mean = coordinate(self.up.at(point.up.mean));
            let number_x = coordinate(centres[index].0);
            let number_y = coordinate(centres[index].1);
            let class = if point.on_front { "point on-front" } else { "point" };
            if point.up.has_interval() {
                let low = coordinate(self.up.at(point.up.low));
                let high = coordinate(self.up.at(point.up.high));
                intervals
                    .push_str(&format!("<path class=\"error\" d=\"M{x} {low}V{high}m-4 0h8M{x} {low}m-4 0h8\" />"));
            }
            intervals.push_str(&format!("<path class=\"leader\" d=\"M{x} {mean}L{number_x} {number_y}\" />"));
            markers.push_str(&format!(
                "<g class=\"{class}\"><title>{title}</title>\
                 <circle cx=\"{number_x}\" cy=\"{number_y}\" r=\"{MARKER_RADIUS}\" />\
                 <text class=\"number\" x=\"{number_x}\" y=\"{number_y}\" dy=\".35em\" \
                 text-anchor=\"middle\">{number}</text></g>",
                title = escape(&format!("{}: {}", point.name, point.note)),
                number = index + 1
            ));
        }
        intervals + &markers
    }

    /// Centres of the numbered markers in pixels, in the order of the points: on the point, or moved along the
    /// horizontal axis until none covers another.
    fn marker_centres(&self) -> Vec<(f64, f64)> {
        // Two markers side by side, with a gap of two pixels.
        let step = MARKER_RADIUS * 2.0 + 2.0;
        let mut placed: Vec<(f64, f64)> = Vec::new();
        for point in &self.chart.points {
            let y = self.up.at(point.up.mean);
            let mut x = self.across.at(point.across);
            // Away from the edge that is nearer, so that a row of equal points stays within the drawing.
            let away = if x > f64::midpoint(self.left, self.right) { -step } else { step };
            // Ends, because every step goes the same way and only so many markers are placed.
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
            first_stage_mean: Some(0.4),
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
                let numbers = drawing.marker_centres();
                for (index, number) in numbers.iter().enumerate() {
                    let is_covered = |other: &(f64, f64)| {
                        (other.0 - number.0).abs() < 2.0 * MARKER_RADIUS
                            && (other.1 - number.1).abs() < 2.0 * MARKER_RADIUS
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
