//! Placement of labels near their points, clear of each other and, if there is room, of everything drawn.

/// Distances between a point and its label, in pixels, the preferred one first.
const GAPS: [f64; 3] = [9.0, 16.0, 26.0];
/// Cost from which a position away from the point is considered too.
const COSTLY: f64 = 50.0;

/// A rectangle in a drawing, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Area {
    /// The rectangle with its centre at (`x`, `y`).
    pub(super) fn around(x: f64, y: f64, width: f64, height: f64) -> Self {
        Self { left: x - width / 2.0, top: y - height / 2.0, width, height }
    }

    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right() && other.left < self.right() && self.top < other.bottom() && other.top < self.bottom()
    }

    /// Returns true if `other` lies entirely within.
    fn holds(&self, other: &Self) -> bool {
        other.left >= self.left
            && other.right() <= self.right()
            && other.top >= self.top
            && other.bottom() <= self.bottom()
    }

    /// The point of the area that is nearest to another point.
    pub(super) fn nearest(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (x.clamp(self.left, self.right()), y.clamp(self.top, self.bottom()))
    }
}

/// A label to be placed, in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Centre of the point that it belongs to.
    pub point: (f64, f64),
    /// Top and bottom of the point's error bar.
    pub reach: (f64, f64),
    pub width: f64,
    pub height: f64,
}

impl Wanted {
    /// Pixels between `area` and the nearest part of the point or its error bar.
    pub(super) fn distance(&self, area: &Area) -> f64 {
        let (top, bottom) = self.reach;
        let (x, y) = area.nearest((self.point.0, self.point.1.clamp(top.min(bottom), bottom.max(top))));
        let reached = y.clamp(top.min(bottom), bottom.max(top));
        (x - self.point.0).hypot(y - reached)
    }
}

/// Areas that labels should not cover.
#[derive(Debug, Default)]
pub(super) struct Obstacles {
    /// Covered only if every other position is worse still.
    pub solid: Vec<Area>,
    /// Covered if there is no free position nearby.
    pub thin: Vec<Area>,
}

/// The area of each label, in the order of `wanted`: within `plot`, covering as little as possible, near its point.
pub(super) fn place(wanted: &[Wanted], plot: Area, obstacles: &Obstacles) -> Vec<Area> {
    let mut placed: Vec<Area> = Vec::new();
    for (own, label) in wanted.iter().enumerate() {
        let cost = |area: &Area| {
            let count = |others: &[Area], weight: f64| -> f64 {
                others.iter().filter(|other| area.overlaps(other)).map(|_| weight).sum()
            };
            let outside = if plot.holds(area) { 0.0 } else { 100_000.0 };
            let distance = label.distance(area);
            outside
                + if is_misleading(wanted, own, area) { 300.0 } else { 0.0 }
                + count(&placed, 10_000.0)
                + count(&obstacles.solid, 1_000.0)
                + count(&obstacles.thin, 60.0)
                + distance.max(GAPS[0])
        };
        let least =
            |areas: &mut dyn Iterator<Item = Area>| areas.min_by(|one, other| cost(one).total_cmp(&cost(other)));
        let mut best = least(&mut beside(label));
        if best.is_none_or(|area| cost(&area) > COSTLY) {
            best = least(&mut best.into_iter().chain(everywhere(label, plot)));
        }
        placed.extend(best);
    }
    placed
}

/// Returns true if a label at `area` would be taken for that of another point because that one is as near.
pub(super) fn is_misleading(wanted: &[Wanted], own: usize, area: &Area) -> bool {
    let distance = wanted[own].distance(area);
    wanted.iter().enumerate().any(|(other, label)| other != own && label.distance(area) < distance + GAPS[0])
}

/// Candidate positions around the point, the preferred ones first.
fn beside(label: &Wanted) -> impl Iterator<Item = Area> {
    let Wanted { point: (x, y), reach: (top, bottom), width, height } = *label;
    let around = GAPS.into_iter().flat_map(move |gap| {
        let (across, along) = (width / 2.0 + gap, height / 2.0 + gap);
        [
            (x + across, y),
            (x - across, y),
            (x, top - height / 2.0 - gap / 2.0),
            (x, bottom + height / 2.0 + gap / 2.0),
            (x + across, y - along),
            (x + across, y + along),
            (x - across, y - along),
            (x - across, y + along),
        ]
    });
    around.map(move |(x, y)| Area::around(x, y, width, height))
}

/// Candidate positions on a grid over the whole `plot`.
fn everywhere(label: &Wanted, plot: Area) -> impl Iterator<Item = Area> {
    let Wanted { width, height, .. } = *label;
    let steps = |from: f64, to: f64, step: f64| {
        std::iter::successors(Some(from), move |at| Some(at + step)).take_while(move |at| *at <= to)
    };
    steps(plot.top, plot.bottom() - height, 5.0).flat_map(move |top| {
        steps(plot.left, plot.right() - width, 12.0).map(move |left| Area { left, top, width, height })
    })
}

/// Estimated width of `text` in pixels, on the wide side, because the reader's font is not known.
pub(super) fn text_width(text: &str, font_size: f64) -> f64 {
    let share = |character: char| match character {
        'i' | 'j' | 'l' | 't' | 'f' | 'I' | '.' | ',' | ':' | '\'' | '|' | '/' | ' ' | '·' => 0.36,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.95,
        'A'..='Z' | '…' => 0.74,
        _ if character.is_ascii() => 0.6,
        _ if u32::from(character) < 0x1100 => 0.7,
        _ => 1.05,
    };
    text.chars().map(share).sum::<f64>() * font_size
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLOT: Area = Area { left: 50.0, top: 20.0, width: 780.0, height: 330.0 };

    fn overlapping(labels: &[Area]) -> bool {
        labels.iter().enumerate().any(|(place, label)| labels[..place].iter().any(|other| label.overlaps(other)))
    }

    #[test]
    fn a_lonely_label_stands_to_the_right() {
        let label = Wanted { point: (200.0, 100.0), reach: (80.0, 120.0), width: 80.0, height: 28.0 };
        assert_eq!(
            place(&[label], PLOT, &Obstacles::default()),
            [Area { left: 209.0, top: 86.0, width: 80.0, height: 28.0 }]
        );
        let at_the_edge = Wanted { point: (820.0, 100.0), ..label };
        assert_eq!(
            place(&[at_the_edge], PLOT, &Obstacles::default())[0],
            Area { left: 731.0, top: 86.0, width: 80.0, height: 28.0 }
        );
    }

    #[test]
    fn labels_of_one_and_the_same_point_spread() {
        let label = Wanted { point: (400.0, 200.0), reach: (170.0, 230.0), width: 150.0, height: 30.0 };
        let placed = place(&[label; 10], PLOT, &Obstacles::default());
        assert!(!overlapping(&placed), "{placed:?}");
    }

    proptest! {
        #[test]
        fn labels_never_overlap(points in proptest::collection::vec((50.0..830.0, 20.0..350.0, 60.0..170.0), 1..12)) {
            let wanted: Vec<_> =
                points.iter().map(|&(x, y, width)| Wanted { point: (x, y), reach: (y - 15.0, y + 15.0), width, height: 30.0 }).collect();
            let solid = points.iter().map(|&(x, y, _)| Area::around(x, y, 12.0, 12.0)).collect();
            let placed = place(&wanted, PLOT, &Obstacles { solid, thin: Vec::new() });
            prop_assert!(!overlapping(&placed));
            prop_assert!(placed.iter().all(|label| PLOT.holds(label)));
        }
    }
}
