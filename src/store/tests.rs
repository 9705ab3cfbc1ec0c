//! What the store refuses to open, and what it counts.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::engine::memory::MemoryEngine;
use super::engine::{Batch, Engine, Extent, Write};
use super::keys::{self, Table};
use super::{FORMAT, InstallationRow, Sealer, Store, StoreError, rows};

impl Store {
    /// How many rows a table has.
    pub(crate) async fn count(&self, table: Table) -> Result<usize, StoreError> {
        let count = |count: &mut usize, _: &[u8], _: &[u8]| {
            *count += 1;
            Ok(ControlFlow::Continue(()))
        };
        self.read().await?.fold(keys::whole(table), Extent::Many, 0, count).await
    }
}

#[tokio::test]
async fn a_newer_format_is_refused_and_its_secrets_stay() {
    let engine = Arc::new(MemoryEngine::new());
    let first = Store::open(engine.clone(), [1; Sealer::SECRET]).await.unwrap();
    let again = Store::open(engine.clone(), [2; Sealer::SECRET]).await.unwrap();
    assert_eq!(first.sealer().etag(1, b"x"), again.sealer().etag(1, b"x"));
    let row = InstallationRow { format: FORMAT + 1, secret: [1; Sealer::SECRET] };
    let write = Write::Put { key: keys::installation("format"), value: rows::encode(&row), stamp: None };
    engine.commit(Batch { writes: vec![write], ..Batch::default() }).await.unwrap();
    let refused = Store::open(engine, [1; Sealer::SECRET]).await;
    assert!(matches!(refused, Err(StoreError::TooNew { found }) if found == FORMAT + 1));
}

#[tokio::test]
async fn values_in_a_foreign_envelope_are_damage_and_no_panic() {
    for value in [&b""[..], b"\x07", b"\x00", b"\x00\xff\xff"] {
        assert!(rows::decode::<rows::CardRow>(value).is_err());
        assert!(rows::decode_slotted::<rows::CardRow>(value).is_err());
        assert!(rows::decode_body(value).is_err());
    }
}
