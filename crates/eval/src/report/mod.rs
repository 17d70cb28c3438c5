//! The results of an evaluation for people: a table in the terminal and an HTML page.
//!
//! Both state the same facts. `standings` draws the conclusions, `summary` and `warnings` put them into words,
//! `figures` formats numbers, and `plain_text` cuts and joins texts from outside.

mod advantages;
pub mod figures;
pub mod html;
pub mod plain_text;
#[cfg(test)]
pub(crate) mod sample;
mod standings;
mod summary;
pub mod table;
mod warnings;
