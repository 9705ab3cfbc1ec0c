//! The use cases: may this caller do it, what must hold, what is recorded? Every change goes
//! through one `Store::commit`. Knows no HTTP, no XML and no engine.
//!
//! Methods stand beside their subject: `users.rs` (principals, accounts, app passwords), `books.rs`
//! (homes, books, their properties), `contacts.rs` (cards), `sign_in.rs` (who is asking).

pub mod access;
pub mod place;
pub mod refusal;
pub mod view;
