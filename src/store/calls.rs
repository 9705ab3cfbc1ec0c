//! How many engine calls the current task has made: what a transcript asserts with `store-calls`,
//! so that an N+1 fails a test instead of slowing a server.

use std::cell::Cell;

tokio::task_local! {
    static CALLS: Cell<u64>;
}

/// Runs a request's future and counts its engine calls.
pub async fn counted<F: Future>(work: F) -> (F::Output, u64) {
    CALLS
        .scope(Cell::new(0), async {
            let output = work.await;
            (output, CALLS.with(Cell::get))
        })
        .await
}

/// One more call; without effect outside `counted`.
pub(super) fn bump() {
    // Work that no request asked for, such as a purge, is not counted.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}
