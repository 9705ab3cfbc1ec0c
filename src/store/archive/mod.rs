//! What a backup is made of: the archive (`block.rs`, `reader.rs`), a stream of checksummed blocks
//! that may be kept for years, the objects in it (`record.rs`), the keyring (`keyring.rs`,
//! `stream.rs`), which opens what is not erased, and how both come to lie on a disk (`file.rs`,
//! `replace.rs`). Knows no engine, and not what rows mean.

pub mod block;
pub mod file;
pub mod keyring;
pub mod objects;
pub mod reader;
pub mod record;
pub mod replace;
pub mod stream;
