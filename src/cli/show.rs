//! Prints on standard output: texts, tables for people, JSON for scripts.

use std::io::Write as _;

use anyhow::Context as _;
use serde::Serialize;

/// Prints a text as it is.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever read our output has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done.context("standard output cannot be written"),
    }
}

/// Prints a list as JSON, or as a table with these column heads.
pub fn list<T: Serialize>(
    rows: &[T],
    json: bool,
    heads: &[&str],
    cells: impl Fn(&T) -> Vec<String>,
) -> anyhow::Result<()> {
    if json {
        return print(&(serde_json::to_string_pretty(rows)? + "\n"));
    }
    let mut lines = vec![heads.iter().map(ToString::to_string).collect()];
    lines.extend(rows.iter().map(cells));
    print(&table(&lines))
}

/// Yes or no, for a cell.
pub fn yes(switch: bool) -> String {
    if switch { "yes" } else { "no" }.to_owned()
}

/// Lines up columns; what could steer a terminal is shown as `?`.
fn table(lines: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for line in lines {
        widths.resize(widths.len().max(line.len()), 0);
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        let mut shown = String::new();
        for (width, cell) in widths.iter().zip(line) {
            let safe = cell.chars().map(|c| if c.is_control() { '?' } else { c });
            let gap = width.saturating_sub(cell.chars().count()) + 2;
            shown.extend(safe.chain(std::iter::repeat_n(' ', gap)));
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_steer_no_terminal() {
        let line = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        let text = table(&[line("NAME", "MAIL"), line("jörg", "x\u{1b}[2J"), line("a", "")]);
        assert_eq!(text, "NAME  MAIL\njörg  x?[2J\na\n");
    }
}
