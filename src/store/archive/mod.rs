//! What a backup is made of: the archive (`block.rs`, `reader.rs`), a stream of checksummed blocks
//! that may be kept for years, the keyring (`keyring.rs`, `stream.rs`), which opens what is not
//! erased, and how both come to lie on a disk (`file.rs`). Knows neither rows nor engines: records
//! are bytes here.

pub mod block;
pub mod file;
pub mod keyring;
pub mod reader;
pub mod stream;
