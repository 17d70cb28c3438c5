//! The passages of a query before and after reranking: a drawing of their ranks and a table.

use rerankd_core::types::as_f64;

use super::super::super::results::{Candidate, Query};
use super::super::figures::NOTHING;
use super::super::plain_text::shortened;
use super::axis::coordinate;
use super::markup::{each, escape};

/// Ranks of either order that are shown.
const RANKS_SHOWN: usize = 10;
/// Characters of a passage that are shown.
const MAX_PASSAGE_LENGTH: usize = 160;
/// Width of the drawing, in pixels.
const DRAWING_WIDTH: f64 = 92.0;
/// Vertical distance of two ranks, in pixels.
const STEP: f64 = 18.0;
/// Vertical position of rank 1, in pixels.
const TOP_MARGIN: f64 = 26.0;
/// Distance of the lines from the left and the right edge of the drawing, in pixels: the numbers stand there.
const SIDE_MARGIN: f64 = 22.0;
/// Distance of the numbers of ranks from the nearer edge, in pixels.
const NUMBER_MARGIN: f64 = 14.0;
/// Rank at which a passage is drawn that the contestant left out: like all that are not shown, below the last.
const LEFT_OUT_RANK: usize = usize::MAX;

/// A passage that is among the first of one of the orders. Ranks count from 1.
struct Move<'a> {
    candidate: &'a Candidate,
    /// Rank in the order of the first stage.
    before: usize,
    /// Rank in the contestant's order; `None` if the contestant left the passage out.
    after: Option<usize>,
}

impl Move<'_> {
    fn is_relevant(&self) -> bool {
        self.candidate.grade.is_some_and(|grade| grade > 0)
    }

    fn is_shown_after(&self) -> bool {
        self.after.is_some_and(|after| after <= RANKS_SHOWN)
    }
}

/// The first passages of both orders, as a drawing and as a table. `ranking` holds indexes of candidates, best first.
pub(super) fn movement(query: &Query, ranking: &[usize]) -> String {
    let moves = moves(query, ranking);
    let rows = each(&moves, row);
    format!(
        "<div class=\"movement\">{}<table><thead><tr><th scope=\"col\" class=\"number\">Now</th>\
         <th scope=\"col\" class=\"number\">Was</th><th scope=\"col\">Moved</th>\
         <th scope=\"col\" class=\"number\">Grade</th><th scope=\"col\">Passage</th></tr></thead>\
         <tbody>{rows}</tbody></table></div>",
        drawing(&moves)
    )
}

/// The passages to show, in the contestant's order; those that it left out come last.
fn moves<'a>(query: &'a Query, ranking: &[usize]) -> Vec<Move<'a>> {
    let mut ranks_after: Vec<Option<usize>> = vec![None; query.candidates.len()];
    for (rank, &index) in (1..).zip(ranking) {
        // An answer log can be edited, so an index may stand twice or be out of range. The first rank counts.
        if let Some(rank_after @ None) = ranks_after.get_mut(index) {
            *rank_after = Some(rank);
        }
    }
    let mut moves = Vec::new();
    for (index, candidate) in query.candidates.iter().enumerate() {
        let passage = Move { candidate, before: index + 1, after: ranks_after[index] };
        if passage.before <= RANKS_SHOWN || passage.is_shown_after() {
            moves.push(passage);
        }
    }
    moves.sort_by_key(|passage| (passage.after.unwrap_or(usize::MAX), passage.before));
    moves
}

/// A row of the table.
fn row(passage: &Move) -> String {
    let relevant = passage.is_relevant();
    // A passage that is not relevant gains nothing by rising.
    let gain = if relevant { " class=\"gain\"" } else { "" };
    let loss = if relevant { " class=\"loss\"" } else { "" };
    let moved = match passage.after {
        None => format!("<td{loss}>gone</td>"),
        Some(after) if after < passage.before => format!("<td{gain}>▲ {}</td>", passage.before - after),
        Some(after) if after > passage.before => format!("<td{loss}>▼ {}</td>", after - passage.before),
        Some(_) => "<td>=</td>".to_owned(),
    };
    let class = match (relevant, passage.is_shown_after()) {
        (true, true) => " class=\"relevant\"",
        (true, false) => " class=\"relevant left\"",
        (false, true) => "",
        (false, false) => " class=\"left\"",
    };
    format!(
        "<tr{class}><td>{}</td><td>{}</td>{moved}<td>{}</td><td dir=\"auto\">{}</td></tr>",
        or_dash(passage.after),
        passage.before,
        or_dash(passage.candidate.grade),
        escape(&shortened(&passage.candidate.beginning, MAX_PASSAGE_LENGTH))
    )
}

/// A number, or a dash if it is missing.
fn or_dash(number: Option<impl ToString>) -> String {
    match number {
        Some(number) => number.to_string(),
        None => NOTHING.to_owned(),
    }
}

/// A line for each passage from its rank before, on the left, to its rank now. Relevant passages stand out. Hidden from
/// screen readers, because the table says the same in words.
fn drawing(moves: &[Move]) -> String {
    let left = SIDE_MARGIN;
    let right = DRAWING_WIDTH - SIDE_MARGIN;
    let right_number = DRAWING_WIDTH - NUMBER_MARGIN;
    // One path for all lines of a kind keeps a page with hundreds of queries small.
    let mut others = String::new();
    let mut relevant = String::new();
    let mut dots = String::new();
    for passage in moves {
        let from = y_of(passage.before);
        let to = y_of(passage.after.unwrap_or(LEFT_OUT_RANK));
        let line = format!("M{left} {from}L{right} {to}");
        if passage.is_relevant() {
            relevant.push_str(&line);
            dots.push_str(&format!(
                "<circle cx=\"{left}\" cy=\"{from}\" r=\"3\" /><circle cx=\"{right}\" cy=\"{to}\" r=\"3\" />"
            ));
        } else {
            others.push_str(&line);
        }
    }
    // Down to the place below the last rank, and six pixels for half a dot and its line.
    let height = coordinate(TOP_MARGIN + STEP * (as_f64(RANKS_SHOWN) + 0.5) + 6.0);
    let ranks = each([1, RANKS_SHOWN], |rank| {
        let y = y_of(rank);
        format!(
            "<text x=\"{NUMBER_MARGIN}\" y=\"{y}\" dy=\".35em\" text-anchor=\"end\">{rank}</text>\
             <text x=\"{right_number}\" y=\"{y}\" dy=\".35em\">{rank}</text>"
        )
    });
    format!(
        "<svg class=\"moves\" viewBox=\"0 0 {DRAWING_WIDTH} {height}\" width=\"{DRAWING_WIDTH}\" height=\"{height}\" \
         aria-hidden=\"true\" focusable=\"false\"><text x=\"{left}\" y=\"11\" text-anchor=\"middle\">was</text>\
         <text x=\"{right}\" y=\"11\" text-anchor=\"middle\">now</text>{ranks}\
         <path class=\"other\" d=\"{others}\" /><path class=\"relevant\" d=\"{relevant}\" />{dots}</svg>"
    )
}

/// The vertical coordinate of a rank from 1. All ranks that are not shown share one place below the last.
fn y_of(rank: usize) -> String {
    let steps = if rank > RANKS_SHOWN { as_f64(RANKS_SHOWN) + 0.5 } else { as_f64(rank - 1) };
    coordinate(TOP_MARGIN + STEP * steps)
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    /// Rank now and rank before of each row.
    fn ranks(query: &Query, ranking: &[usize]) -> Vec<(Option<usize>, usize)> {
        moves(query, ranking).iter().map(|it| (it.after, it.before)).collect()
    }

    #[test]
    fn both_orders_show_their_first_ten() {
        let mut query = sample::results(1).queries.remove(0);
        query.candidates[0].grade = Some(1);
        query.candidates[1].grade = Some(0);
        query.candidates[49].grade = Some(2);
        let reversed: Vec<_> = (0..50).rev().collect();
        let rows = ranks(&query, &reversed);
        assert_eq!(rows.len(), 20);
        assert_eq!(rows[..2], [(Some(1), 50), (Some(2), 49)]);
        assert_eq!(rows[18..], [(Some(49), 2), (Some(50), 1)]);
        let html = movement(&query, &reversed);
        assert!(html.contains("<td>1</td><td>50</td><td class=\"gain\">▲ 49</td>"), "{html}");
        assert!(html.contains("<td>50</td><td>1</td><td class=\"loss\">▼ 49</td>"), "{html}");
        assert!(html.contains("<td>49</td><td>2</td><td>▼ 47</td>"), "{html}");
    }

    #[test]
    fn rankings_from_an_edited_log_may_be_short_or_wrong() {
        let mut query = sample::results(1).queries.remove(0);
        query.candidates.truncate(3);
        query.candidates[0].grade = Some(1);
        assert_eq!(ranks(&query, &[2, 2, 9, 0]), [(Some(1), 3), (Some(4), 1), (None, 2)]);
        assert!(movement(&query, &[2]).contains("<td>–</td><td>1</td><td class=\"loss\">gone</td>"));
        assert_eq!(ranks(&query, &[]).len(), 3);
    }
}
