//! A bar on standard error for works that take a while, where a person looks at it.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How wide the bar is.
const WIDTH: u64 = 30;
/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(100);

/// A bar; gone from the terminal when this goes.
pub struct Bar {
    what: &'static str,
    terminal: bool,
    began: Instant,
    drawn: Option<Instant>,
}

impl Bar {
    /// Begins; nothing is drawn yet.
    pub fn new(what: &'static str) -> Self {
        Self { what, terminal: std::io::stderr().is_terminal(), began: Instant::now(), drawn: None }
    }

    /// Draws how much of how much is done, and how many bytes that are.
    pub fn show(&mut self, done: u64, of: u64, bytes: u64) {
        let due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= EVERY);
        if self.terminal && due {
            self.drawn = Some(Instant::now());
            let _ = write!(std::io::stderr(), "\r{} {}", self.what, drawing(done, of, bytes));
        }
    }

    /// How long it took so far.
    pub fn took(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn drawing(done: u64, of: u64, bytes: u64) -> String {
    // What is to do is an estimate.
    let (done, of) = (u128::from(done.min(of)), u128::from(of.max(1)));
    let full = (done * u128::from(WIDTH) / of) as usize;
    let rest = WIDTH as usize - full;
    format!("[{}{}] {:3} % {}", "#".repeat(full), "-".repeat(rest), done * 100 / of, size(bytes))
}

/// A number of bytes for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_never_leaves_its_frame() {
        assert_eq!(drawing(0, 0, 0), format!("[{}]   0 % 0 kB", "-".repeat(30)));
        assert_eq!(drawing(1, 2, 1), format!("[{}{}]  50 % 1 kB", "#".repeat(15), "-".repeat(15)));
        assert_eq!(drawing(u64::MAX, 1, 0), format!("[{}] 100 % 0 kB", "#".repeat(30)));
        assert_eq!((size(2_500_000), size(u64::MAX)), ("2.5 MB".into(), "18446744073.71 GB".into()));
    }
}
