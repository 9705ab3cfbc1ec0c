//! The program: everything it does is in `cli`.

use std::process::ExitCode;

/// Measured: a third less CPU for a multiget than with the C library's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cardkeep::cli::main()
}
