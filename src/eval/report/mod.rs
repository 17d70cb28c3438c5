//! What an evaluation found out, for people: a table in the terminal and a page.
//!
//! Both say the same: `facts` judges, `summary` and `warnings` put it into words, `figures` writes numbers, `text` defuses what others wrote.

mod facts;
mod figures;
pub mod html;
#[cfg(test)]
mod sample;
mod summary;
pub mod table;
pub(crate) mod text;
mod warnings;
