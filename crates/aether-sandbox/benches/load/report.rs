//! What the program says: tables for people, JSON for programs.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::process::Memory;
use crate::provision::Laps;

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

/// A result: one row a line, its first cell the name.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn table(&self, table: &Table) {
        let text = if self.json { table.to_json().to_string() + "\n" } else { table.to_text() };
        self.say(&text);
    }

    /// Says what goes on, unless a program listens.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            self.say(&format!("{text}\n"));
        }
    }

    #[expect(clippy::print_stdout, reason = "a program that talks to the person who ran it")]
    pub(crate) fn say(&self, text: &str) {
        print!("{text}");
        // Standard output into a pipe keeps lines back, and the one who waits would wait for ever.
        let _ = std::io::Write::flush(&mut std::io::stdout());
    }
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { title: title.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Value>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let members = self.columns.iter().zip(row).map(|(name, cell)| ((*name).to_owned(), cell.clone()));
            Value::Object(members.collect::<Map<_, _>>())
        });
        json!({ "title": self.title, "rows": rows.collect::<Vec<_>>() })
    }

    fn to_text(&self) -> String {
        let shown = |cell: &Value| match cell {
            Value::String(text) => text.clone(),
            Value::Null => "–".to_owned(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => cell.to_string(),
        };
        let mut lines: Vec<Vec<String>> = vec![self.columns.iter().map(|name| (*name).to_owned()).collect()];
        lines.extend(self.rows.iter().map(|row| row.iter().map(shown).collect()));
        let width = |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max();
        let mut text = format!("\n{}\n", self.title);
        for line in &lines {
            text.push_str("  ");
            for (at, cell) in line.iter().enumerate() {
                let width = width(at).unwrap_or_default();
                text.push_str(&if at == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") });
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    }
}

/// A number with at most three digits behind the point.
pub(crate) fn number(value: f64) -> Value {
    let digits = match value.abs() {
        size if size >= 100.0 => 1.0,
        size if size >= 1.0 => 100.0,
        _ => 1000.0,
    };
    match value.is_finite() {
        true if digits == 1.0 => json!(value.round() as i64),
        true => json!((value * digits).round() / digits),
        false => Value::Null,
    }
}

pub(crate) fn millis(time: Duration) -> Value {
    number(time.as_secs_f64() * 1000.0)
}

pub(crate) fn seconds(time: Duration) -> Value {
    number(time.as_secs_f64())
}

pub(crate) fn rate(count: usize, time: Duration) -> Value {
    number(count as f64 / time.as_secs_f64())
}

pub(crate) fn mebibytes(bytes: u64) -> Value {
    number(bytes as f64 / 1024.0 / 1024.0)
}

/// Rows on the memory of a broker: before, now and at its highest, and what one of `count` costs.
pub(crate) fn memory_rows(table: &mut Table, before: Memory, now: Memory, count: usize) {
    table.row([json!("memory of the sandbox at its start"), mebibytes(before.now), json!("MiB")]);
    table.row([json!("memory with all connected"), mebibytes(now.now), json!("MiB")]);
    table.row([json!("memory at its highest"), mebibytes(now.highest), json!("MiB")]);
    let each = now.now.saturating_sub(before.now) as f64 / count.max(1) as f64 / 1024.0;
    table.row([json!("memory for each connection"), number(each), json!("KiB")]);
}

/// The middle, the 99th of 100 and the longest time of each step.
pub(crate) fn steps(title: impl Into<String>, all: &[Laps]) -> Table {
    let mut table = Table::new(title, &["step", "p50 ms", "p99 ms", "max ms"]);
    let Some(first) = all.first() else { return table };
    for (at, (name, _)) in first.iter().enumerate() {
        let mut times: Vec<Duration> = all.iter().filter_map(|laps| laps.get(at)).map(|(_, time)| *time).collect();
        times.sort_unstable();
        let part = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
        let shown = |time: Option<&Duration>| time.map_or(Value::Null, |time| millis(*time));
        table.row([json!(name), shown(part(50)), shown(part(99)), shown(times.last())]);
    }
    table
}
