//! The store.
pub mod engine;
