//! What an engine's file does: it keeps rows, belongs to one process, and is not made of anything else.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_file_keeps_its_rows_and_belongs_to_one_process() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store.redb");
    runtime().block_on(async {
        let engine: Arc<dyn Engine> = Arc::new(RedbEngine::open(&path, 1 << 20).unwrap());
        let held = engine.snapshot().await.unwrap();
        commit(&engine, writes(vec![put(b"a", b"1")])).await;
        assert!(matches!(RedbEngine::open(&path, 1 << 20).err(), Some(EngineError::InUse)));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        engine.close().await.unwrap();
        assert!(matches!(
            held.get(vec![b"never read before".to_vec()]).await,
            Ok(_) | Err(EngineError::Closed)
        ));
        let engine: Arc<dyn Engine> = Arc::new(RedbEngine::open(&path, 1 << 20).unwrap());
        assert_eq!(now(&engine, b"a").await.unwrap(), "1");
        drop(engine);
        let engine: Arc<dyn Engine> = Arc::new(RedbEngine::open(&path, 1 << 20).unwrap());
        assert!(engine.verify().await.unwrap());
    });
}

#[test]
fn an_interrupted_creation_is_started_afresh() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store.redb");
    let unfinished = directory.path().join("store.redb.new");
    std::fs::write(&unfinished, [0; 9000]).unwrap();
    let held = std::fs::File::open(&unfinished).unwrap();
    held.lock().unwrap();
    assert!(matches!(RedbEngine::open(&path, 1 << 20).err(), Some(EngineError::InUse)));
    held.unlock().unwrap();
    drop(RedbEngine::open(&path, 1 << 20).unwrap());
    assert!(path.exists() && !unfinished.exists());
}

#[test]
fn what_is_no_store_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store.redb");
    std::fs::write(&path, [b'x'; 9000]).unwrap();
    assert!(matches!(RedbEngine::open(&path, 1 << 20).err(), Some(EngineError::Damaged(_))));
    let missing = directory.path().join("no such directory/store.redb");
    assert!(matches!(RedbEngine::open(&missing, 1 << 20).err(), Some(EngineError::Unavailable(_))));
}
