//! The results of an evaluation for people: a table in the terminal and an HTML page.
//!
//! Both state the same facts. `facts` draws the conclusions, `summary` and `warnings` put them into words, `figures`
//! formats numbers, and `text` makes texts from outside safe to show.

mod facts;
mod figures;
pub mod html;
#[cfg(test)]
mod sample;
mod summary;
pub mod table;
pub(crate) mod text;
mod warnings;
