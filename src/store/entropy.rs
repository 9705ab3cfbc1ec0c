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

/// What is always the same: for tests of what randomness does not decide.
#[cfg(test)]
pub(crate) struct Fixed;

#[cfg(test)]
impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        bytes.fill(0x5a);
        Ok(())
    }
}
