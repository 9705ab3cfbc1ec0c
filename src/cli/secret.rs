//! Reads a password: from standard input where the command line says so, else from the terminal,
//! twice and without showing it. Never from an argument, which others could see.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use super::Usage;

/// The longest password that is read.
const LONGEST: u64 = 4096;

/// Asks for a new password.
pub fn new_password(from_stdin: bool) -> anyhow::Result<String> {
    let password = if from_stdin {
        first_line(std::io::stdin().lock())?
    } else if std::io::stdin().is_terminal() {
        let first = prompt("New password: ")?;
        if first != prompt("The same again: ")? {
            bail!("the two passwords differ; nothing was changed");
        }
        first
    } else {
        let text = "there is no terminal to ask for a password on; use --password-stdin";
        return Err(Usage(text.to_owned()).into());
    };
    if password.is_empty() {
        bail!("the password is empty; nothing was changed");
    }
    Ok(password)
}

/// The first line of a file.
pub fn line_of(file: &Path) -> anyhow::Result<String> {
    let shown = file.display();
    let open = File::open(file).with_context(|| format!("{shown} cannot be read"))?;
    first_line(BufReader::new(open)).with_context(|| shown.to_string())
}

fn prompt(text: &str) -> anyhow::Result<String> {
    rpassword::prompt_password(text).context("the password cannot be read from the terminal")
}

/// The first line, without its end.
fn first_line(input: impl std::io::BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    input.take(LONGEST + 1).read_line(&mut line).context("the password cannot be read")?;
    let password = line.trim_end_matches(['\n', '\r']);
    if u64::try_from(password.len()).unwrap_or(u64::MAX) > LONGEST {
        bail!("the password is longer than {LONGEST} bytes; nothing was changed");
    }
    Ok(password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_password() {
        assert_eq!(first_line(&b"pass word \r\nmore\n"[..]).unwrap(), "pass word ");
        assert_eq!(first_line(&b"no end"[..]).unwrap(), "no end");
        assert_eq!(first_line(&b""[..]).unwrap(), "");
        assert!(first_line(&b"\xff\n"[..]).is_err());
        assert!(first_line("x".repeat(5000).as_bytes()).is_err());
    }
}
