//! How the passages of a query moved.

use super::super::super::results::{Candidate, Query};
use super::super::figures::NOTHING;
use super::super::text::shortened;
use super::axis::coordinate;
use super::markup::escape;
use crate::eval::exact;

/// Ranks of both orders that are shown.
const SHOWN: usize = 10;
/// Characters of a passage that are shown.
const LONGEST_PASSAGE: usize = 160;
/// Of the drawing.
const WIDTH: f64 = 92.0;
const STEP: f64 = 18.0;
/// Where rank 1 is drawn.
const TOP: f64 = 26.0;

/// A passage that is among the first of one of the orders. Ranks count from 1.
struct Move<'a> {
    candidate: &'a Candidate,
    before: usize,
    /// Nothing if the contestant left it out.
    after: Option<usize>,
}

/// The first of both orders: a drawing and a table.
pub(super) fn movement(query: &Query, ranking: &[usize]) -> String {
    let moves = moves(query, ranking);
    let rows: String = moves.iter().map(row).collect();
    format!(
        "<div class=\"movement\">{}<table><thead><tr><th scope=\"col\" class=\"number\">Now</th><th scope=\"col\" class=\"number\">Was</th>\
         <th scope=\"col\">Moved</th><th scope=\"col\" class=\"number\">Grade</th><th scope=\"col\">Passage</th></tr></thead>\
         <tbody>{rows}</tbody></table></div>",
        drawing(&moves)
    )
}

/// In the contestant's order.
fn moves<'a>(query: &'a Query, ranking: &[usize]) -> Vec<Move<'a>> {
    let mut after = vec![None; query.candidates.len()];
    for (rank, &place) in (1..).zip(ranking) {
        if let Some(known @ None) = after.get_mut(place) {
            *known = Some(rank);
        }
    }
    let all = query.candidates.iter().zip(after).zip(1..);
    let moves = all.map(|((candidate, after), before)| Move { candidate, before, after });
    let mut moves: Vec<_> =
        moves.filter(|it| it.before <= SHOWN || it.after.is_some_and(|after| after <= SHOWN)).collect();
    moves.sort_by_key(|it| (it.after.unwrap_or(usize::MAX), it.before));
    moves
}

fn row(passage: &Move) -> String {
    let relevant = passage.candidate.grade.is_some_and(|grade| grade > 0);
    // A passage that is not relevant gains nothing by rising.
    let [gain, loss] = if relevant { [" class=\"gain\"", " class=\"loss\""] } else { [""; 2] };
    let moved = match passage.after {
        None => format!("<td{loss}>gone</td>"),
        Some(after) if after < passage.before => format!("<td{gain}>▲ {}</td>", passage.before - after),
        Some(after) if after > passage.before => format!("<td{loss}>▼ {}</td>", after - passage.before),
        Some(_) => "<td>=</td>".to_owned(),
    };
    let left = passage.after.is_none_or(|after| after > SHOWN);
    let class = match (relevant, left) {
        (true, true) => " class=\"relevant left\"",
        (true, false) => " class=\"relevant\"",
        (false, true) => " class=\"left\"",
        (false, false) => "",
    };
    format!(
        "<tr{class}><td>{}</td><td>{}</td>{moved}<td>{}</td><td dir=\"auto\">{}</td></tr>",
        passage.after.map_or_else(|| NOTHING.to_owned(), |after| after.to_string()),
        passage.before,
        passage.candidate.grade.map_or_else(|| NOTHING.to_owned(), |grade| grade.to_string()),
        escape(&shortened(&passage.candidate.beginning, LONGEST_PASSAGE))
    )
}

/// Ranks before on the left, now on the right, relevant passages drawn strongly. The table says the same in words.
fn drawing(moves: &[Move]) -> String {
    let y = |rank: usize| {
        coordinate(TOP + STEP * exact(rank.min(SHOWN + 1) - 1) + if rank > SHOWN { STEP / 2.0 } else { 0.0 })
    };
    let [mut others, mut relevant, mut dots] = [const { String::new() }; 3];
    let (left, right) = (22.0, WIDTH - 22.0);
    for passage in moves {
        let (from, to) = (y(passage.before), y(passage.after.unwrap_or(usize::MAX)));
        let line = format!("M{left} {from}L{right} {to}");
        if passage.candidate.grade.is_some_and(|grade| grade > 0) {
            relevant.push_str(&line);
            dots.push_str(&format!(
                "<circle cx=\"{left}\" cy=\"{from}\" r=\"3\" /><circle cx=\"{right}\" cy=\"{to}\" r=\"3\" />"
            ));
        } else {
            others.push_str(&line);
        }
    }
    let height = coordinate(TOP + STEP * (exact(SHOWN) + 0.5) + 6.0);
    let ranks: String = [1, SHOWN]
        .map(|rank| {
            let y = y(rank);
            format!("<text x=\"14\" y=\"{y}\" dy=\".35em\" text-anchor=\"end\">{rank}</text><text x=\"{}\" y=\"{y}\" dy=\".35em\">{rank}</text>", WIDTH - 14.0)
        })
        .concat();
    format!(
        "<svg class=\"moves\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" aria-hidden=\"true\" focusable=\"false\">\
         <text x=\"{left}\" y=\"11\" text-anchor=\"middle\">was</text><text x=\"{right}\" y=\"11\" text-anchor=\"middle\">now</text>\
         {ranks}<path class=\"other\" d=\"{others}\" /><path class=\"relevant\" d=\"{relevant}\" />{dots}</svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    /// Rank now, rank before, of every row.
    fn ranks(query: &Query, ranking: &[usize]) -> Vec<(Option<usize>, usize)> {
        moves(query, ranking).iter().map(|it| (it.after, it.before)).collect()
    }

    #[test]
    fn both_orders_show_their_first_ten() {
        let mut query = sample::results(1).queries.remove(0);
        (query.candidates[0].grade, query.candidates[1].grade, query.candidates[49].grade) =
            (Some(1), Some(0), Some(2));
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
    fn rankings_of_others_may_be_short_long_or_wrong() {
        let mut query = sample::results(1).queries.remove(0);
        query.candidates.truncate(3);
        query.candidates[0].grade = Some(1);
        assert_eq!(ranks(&query, &[2, 2, 9, 0]), [(Some(1), 3), (Some(4), 1), (None, 2)]);
        assert!(movement(&query, &[2]).contains("<td>–</td><td>1</td><td class=\"loss\">gone</td>"));
        assert_eq!(ranks(&query, &[]).len(), 3);
    }
}
