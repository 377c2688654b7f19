//! The states as a picture, drawn from [`StateName::may_become`]: a step is an arrow from one state to the next.
//!
//! A state stands in the column of its longest way from the start. States without a good end stand in a row of their own below.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::{StateName, Status};
use crate::http::dashboard::parts::words;

/// The size of a box, and the distance from one to the next, in the units of the view box.
const WIDTH: i32 = 140;
const HEIGHT: i32 = 36;
const COLUMN: i32 = 176;
const ROW: i32 = 130;
/// The room above the first row, for arrows that pass over a state.
const ABOVE: i32 = 60;

#[derive(Template)]
#[template(path = "parts/diagram.html")]
pub struct Diagram {
    width: i32,
    height: i32,
    boxes: Vec<Node>,
    arrows: Vec<Arrow>,
}

impl HtmlSafe for Diagram {}

struct Node {
    x: i32,
    y: i32,
    text: String,
    is_terminal: bool,
}

struct Arrow {
    path: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    column: i32,
    row: i32,
}

impl Place {
    const fn x(self) -> i32 {
        2 + self.column * COLUMN
    }

    const fn y(self) -> i32 {
        ABOVE + self.row * ROW
    }
}

impl Diagram {
    #[must_use]
    pub fn drawn() -> Self {
        let node = |state: &StateName| {
            let place = place(*state);
            Node { x: place.x(), y: place.y(), text: words(state.as_str()), is_terminal: state.is_terminal() }
        };
        let columns = StateName::ALL.iter().map(|it| place(*it).column).max().unwrap_or_default();
        let arrows = StateName::ALL.iter().flat_map(|from| from.may_become().iter().map(|to| arrow(*from, *to)));
        Self {
            width: 4 + columns * COLUMN + WIDTH,
            height: ABOVE + ROW + HEIGHT + 4,
            boxes: StateName::ALL.iter().map(node).collect(),
            arrows: arrows.collect(),
        }
    }
}

fn place(state: StateName) -> Place {
    if !is_bad_end(state) {
        return Place { column: column(state), row: 0 };
    }
    // Bad ends of the same column stand beside each other.
    let before = StateName::ALL.iter().take_while(|it| **it != state);
    let beside = before.filter(|it| is_bad_end(**it) && column(**it) == column(state)).map(|_| 1).sum::<i32>();
    Place { column: column(state) + beside, row: 1 }
}

fn is_bad_end(state: StateName) -> bool {
    state.is_terminal() && state.status() != Status::Succeeded
}

/// The length of the longest way to a state.
fn column(state: StateName) -> i32 {
    let before = StateName::ALL.iter().filter(|it| it.may_become().contains(&state));
    before.map(|it| column(*it) + 1).max().unwrap_or_default()
}

fn arrow(from: StateName, to: StateName) -> Arrow {
    let (from, to) = (place(from), place(to));
    let (left, right, middle) = (from.x() + WIDTH, to.x(), from.y() + HEIGHT / 2);
    let path = if from.row != to.row {
        // From below the box to above the other one; each starts a little beside the others.
        let (x, end) =
            (from.x() + WIDTH / 2 + 8 * (to.column - from.column), to.x() + WIDTH / 2 - 8 * (to.column - from.column));
        format!("M{x} {}L{end} {}", from.y() + HEIGHT, to.y() - 3)
    } else if to.column == from.column + 1 {
        format!("M{left} {middle}H{}", right - 3)
    } else {
        let (x, end, top) = (from.x() + WIDTH / 2, to.x() + WIDTH / 2, from.y() - 44);
        format!("M{x} {}C{x} {top} {end} {top} {end} {}", from.y(), to.y() - 3)
    };
    Arrow { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_has_every_state_in_a_place_of_its_own_and_an_arrow_for_each_step() {
        let diagram = Diagram::drawn();
        assert_eq!(diagram.boxes.len(), StateName::ALL.len());
        for (n, one) in diagram.boxes.iter().enumerate() {
            assert!(diagram.boxes[n + 1..].iter().all(|it| (it.x, it.y) != (one.x, one.y)), "{}", one.text);
        }
        let steps: usize = StateName::ALL.iter().map(|it| it.may_become().len()).sum();
        assert_eq!(diagram.arrows.len(), steps);
        let svg = diagram.render().unwrap();
        assert!(svg.contains("awaiting provider") && svg.contains("</svg>"), "{svg}");
    }
}
