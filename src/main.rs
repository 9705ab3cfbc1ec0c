//! Cardkeep, the program.
fn main() {}
