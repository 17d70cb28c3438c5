//! The table: what was measured, beside what it must be.
#![expect(clippy::print_stdout, reason = "the table is what the command is for")]

use std::fmt;

use comfy_table::{Table, presets};

use crate::load::precise;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
    /// Told for its own sake.
    None,
}

pub(crate) struct Report {
    quick: bool,
    scenario: &'static str,
    rows: Vec<Row>,
}

struct Row {
    scenario: &'static str,
    what: String,
    value: Value,
    bar: Bar,
}

#[derive(Clone, Copy)]
struct Value(f64, &'static str);

impl Report {
    pub(crate) fn new(quick: bool) -> Self {
        Self { quick, scenario: "", rows: Vec::new() }
    }

    /// Whether sizes are small, and bars have slack.
    pub(crate) fn is_quick(&self) -> bool {
        self.quick
    }

    /// What comes next is this scenario's.
    pub(crate) fn scenario(&mut self, name: &'static str) {
        self.scenario = name;
        println!("{name} …");
    }

    /// A figure that must be the same on every machine.
    pub(crate) fn figure(&mut self, what: impl Into<String>, value: f64, unit: &'static str, bar: Bar) {
        let row = Row { scenario: self.scenario, what: what.into(), value: Value(value, unit), bar };
        self.rows.push(row);
    }

    /// A figure that counts something.
    pub(crate) fn count(&mut self, what: impl Into<String>, count: usize, bar: Bar) {
        self.figure(what, precise(count as u64), "", bar);
    }

    /// A figure that a busy machine may spoil: a quick run holds it against another bar.
    pub(crate) fn figure_with_slack(
        &mut self,
        what: &str,
        (value, unit): (f64, &'static str),
        bar: Bar,
        quick_bar: Bar,
    ) {
        self.figure(what, value, unit, if self.quick { quick_bar } else { bar });
    }

    /// A figure without a bar.
    pub(crate) fn note(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        self.figure(what, value, unit, Bar::None);
    }

    pub(crate) fn is_good(&self) -> bool {
        self.rows.iter().all(Row::is_good)
    }

    pub(crate) fn print(&self, markdown: bool) {
        let mut table = Table::new();
        table.load_style(if markdown { presets::ASCII_MARKDOWN } else { presets::NOTHING });
        table.set_header(["scenario", "figure", "measured", "bar", ""]);
        let mut before = "";
        for row in &self.rows {
            let scenario = if row.scenario == before { "" } else { row.scenario };
            before = row.scenario;
            let bar = match row.bar {
                Bar::AtMost(bar) => format!("≤ {}", Value(bar, row.value.1)),
                Bar::AtLeast(bar) => format!("≥ {}", Value(bar, row.value.1)),
                Bar::None => String::new(),
            };
            let verdict = match row.bar {
                Bar::None => "",
                _ if row.is_good() => "pass",
                _ => "FAIL",
            };
            table.add_row([scenario, &row.what, &row.value.to_string(), &bar, verdict]);
        }
        println!("{table}");
        let failed = self.rows.iter().filter(|row| !row.is_good()).count();
        println!(
            "{}",
            if failed == 0 { "every bar is reached".to_owned() } else { format!("{failed} bars are not reached") }
        );
    }
}

impl Row {
    fn is_good(&self) -> bool {
        match self.bar {
            Bar::AtMost(bar) => self.value.0 <= bar,
            Bar::AtLeast(bar) => self.value.0 >= bar,
            Bar::None => true,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value, unit) = *self;
        let decimals = if value.fract() == 0.0 || value >= 1_000.0 {
            0
        } else if value >= 10.0 {
            1
        } else {
            3
        };
        write!(formatter, "{value:.decimals$}{}{unit}", if unit.is_empty() || unit == "%" { "" } else { " " })
    }
}
