//! Cardkeep: a CardDAV server and contact database in one binary. `src/README.md` is the map of
//! the rooms; `protocol-tests/tidy.rs` holds who may use whom.

pub mod api;
pub mod cli;
pub mod config;
pub mod dav;
pub mod directory;
pub mod domain;
pub mod server;
pub mod service;
pub mod store;
