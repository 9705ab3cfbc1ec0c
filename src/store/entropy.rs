//! Randomness is an argument: keys, nonces and ids come from one source that is handed down.

/// The one source of randomness; implemented above.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with random ones.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy>;
}

/// The source gave nothing; the text says why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the system gives no randomness: {0}")]
pub struct NoEntropy(pub String);
