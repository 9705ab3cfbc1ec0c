//! XML in and out, the only place that knows the tokenizer. RFC 4918 §14, §17.

pub mod calendar_filter;
pub mod filter;
pub mod name;
pub mod read;
pub mod request;
pub mod value;
pub mod write;
