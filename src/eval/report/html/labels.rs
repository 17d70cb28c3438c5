//! Labels of the points of a chart: name and note.

use super::super::text::without_middle;
use super::axis::coordinate;
use super::chart::{Drawing, FONT_SIZE, LINE, MARKER};
use super::markup::escape;
use super::place::{Area, Obstacles, Wanted, is_misleading, place, text_width};

/// The label of a point, placed.
struct Label {
    /// Name of the contestant, shortened to fit.
    name: String,
    area: Area,
    /// True if the label is too far from its point, or too near to another, to be understood without a line.
    needs_line: bool,
}

impl Drawing<'_> {
    /// Areas that labels should not cover: points, error bars, the front and the line of the first stage.
    fn obstacles(&self) -> Obstacles {
        let mut obstacles = Obstacles::default();
        obstacles.solid.extend(self.none_label().map(|(_, area)| area));
        for point in &self.chart.points {
            let (x, mean) = (self.across.at(point.across), self.up.at(point.up.mean));
            obstacles.solid.push(Area::around(x, mean, MARKER * 2.0 + 2.0, MARKER * 2.0 + 2.0));
            obstacles.thin.push(self.whisker(point));
        }
        let mut front = self.corners();
        front.extend(front.last().map(|&(_, y)| (self.plot.right(), y)));
        for pair in front.windows(2) {
            let [(x, y), (next_x, next_y)] = [pair[0], pair[1]];
            let (width, height) = (next_x - x, y - next_y);
            obstacles.thin.push(Area { left: x - 2.0, top: next_y - 2.0, width: width + 4.0, height: height + 4.0 });
        }
        if let Some((y, _)) = self.none_label() {
            obstacles.thin.push(Area { left: self.plot.left, top: y - 1.0, width: self.plot.width, height: 2.0 });
        }
        obstacles
    }

    /// The label of each point, in the order of the points.
    fn placed(&self) -> Vec<Label> {
        let labels = self.chart.points.iter().map(|point| {
            let name = without_middle(point.name, self.format.longest);
            let whisker = self.whisker(point);
            let wanted = Wanted {
                point: (self.across.at(point.across), self.up.at(point.up.mean)),
                reach: (whisker.top, whisker.bottom()),
                width: text_width(&name, FONT_SIZE).max(text_width(&point.note, FONT_SIZE - 1.0)),
                height: LINE * 2.0 + 4.0,
            };
            (name, wanted)
        });
        let (names, wanted): (Vec<_>, Vec<_>) = labels.unzip();
        let room = Area { top: self.plot.top - 10.0, height: self.plot.height + 10.0, ..self.plot };
        let areas = place(&wanted, room, &self.obstacles());
        let needs_line = |place: usize, area: &Area| {
            wanted[place].distance(area) > MARKER * 2.5 || is_misleading(&wanted, place, area)
        };
        let labels = names.into_iter().zip(areas).enumerate();
        labels.map(|(place, (name, area))| Label { name, area, needs_line: needs_line(place, &area) }).collect()
    }

    /// SVG of all labels and of the lines to their points.
    pub(super) fn labels(&self) -> String {
        let mut svg = String::new();
        for (point, Label { name, area, needs_line }) in self.chart.points.iter().zip(self.placed()) {
            let at = (self.across.at(point.across), self.up.at(point.up.mean));
            let (x, anchor) = match at.0 {
                x if x >= area.right() => (area.right(), "end"),
                x if x <= area.left => (area.left, "start"),
                _ => (area.left + area.width / 2.0, "middle"),
            };
            if needs_line {
                let (to_x, to_y) = area.nearest(at);
                let [from_x, from_y, to_x, to_y] = [at.0, at.1, to_x, to_y].map(coordinate);
                svg.push_str(&format!("<path class=\"leader\" d=\"M{from_x} {from_y}L{to_x} {to_y}\" />"));
            }
            let x = coordinate(x);
            svg.push_str(&format!(
                "<text class=\"label\" x=\"{x}\" y=\"{}\" text-anchor=\"{anchor}\">{}<tspan class=\"note\" x=\"{x}\" dy=\"{LINE}\">{}</tspan></text>",
                coordinate(area.top + 14.0),
                escape(&name),
                escape(&point.note)
            ));
        }
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::super::chart::FORMATS;
    use super::super::chart::tests::{chart, point};
    use super::*;
    use crate::eval::exact;

    #[test]
    fn labels_overlap_neither_each_other_nor_a_point() {
        let name = "upstream/a-reranker-with-a-long-name-v2.5";
        for spread in [0.0, 1.0, 40.0] {
            let points =
                (0..10).map(|place| point(name, 120.0 + spread * exact(place), 0.5 + spread * 0.002 * exact(place)));
            let chart = chart(points.collect());
            for format in FORMATS {
                let drawing = Drawing::new(&chart, format);
                let widths = drawing.placed().into_iter().map(|it| it.area.width - text_width(&it.name, FONT_SIZE));
                assert!(widths.min_by(f64::total_cmp).unwrap() >= 0.0, "names fit into their labels");
                let labels: Vec<_> = drawing.placed().into_iter().map(|label| label.area).collect();
                for (place, label) in labels.iter().enumerate() {
                    assert!(
                        !labels[..place].iter().any(|other| label.overlaps(other)),
                        "{spread} {} {labels:?}",
                        format.class
                    );
                    assert!(
                        !drawing.obstacles().solid.iter().any(|it| label.overlaps(it)),
                        "{spread} {} {label:?}",
                        format.class
                    );
                }
            }
        }
    }
}
