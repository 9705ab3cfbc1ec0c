//! The one integration binary: everything here talks to the real `cardkeep` over sockets, as a
//! client would, or reads the sources, as a reviewer would. `README.md` says what lies where.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on says so by panicking"
)]

mod access;
mod api;
mod backup;
mod chance;
mod commands;
mod crash;
mod damage;
mod directory;
mod faulty;
mod full;
mod http;
mod inside;
mod judge;
mod keyring;
mod keys;
mod leavers;
mod limits;
mod malformed;
mod model;
mod office;
mod people;
mod power;
mod privacy;
mod public_links;
mod race;
mod runner;
mod server;
mod short;
mod slapd;
mod sources;
mod template;
mod tidy;
mod tls;
mod tokens;
mod transcript;
mod wire;
mod xml;
