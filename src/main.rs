//! The program: everything it does is in `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    cardkeep::cli::main()
}
