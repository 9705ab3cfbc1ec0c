//! Tests of the key slots.
