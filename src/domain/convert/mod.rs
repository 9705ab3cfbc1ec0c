//! vCard 3.0 ⇄ 4.0 for reading (VC-9, VC-10, VC-15 to VC-41). Storage is never touched (VC-32),
//! and this knows neither storage nor requests: octets in, octets out.
//!
//! A card is read as lines; [`rules::RULES`] says what becomes of each property by name, a line
//! that no rule knows stays as it is (VC-33), and [`finish`] puts right what concerns the whole
//! card. What the other version has no word for travels in `X-CARDKEEP-HIDDEN` and comes back
//! ([`hidden`]).

mod addresses;
mod dates;
mod draft;
mod finish;
mod groups;
mod hidden;
mod impp;
mod media;
mod names;
mod parameters;
mod places;
mod reach;
mod relations;
mod rules;
mod texts;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub(in crate::domain) use dates::{NO_YEAR, OMIT_YEAR, whole_date};
use draft::Draft;

use super::vcard::Version;
use super::vcard::lines::lines;
use super::vcard::property::Line;
use super::vcard::write::Writer;

/// The card could not be expressed in the other version (CARD-33).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the card cannot be converted")]
pub struct CannotConvert;

/// The card in version `to`: CRLF, folded at 75 octets on character boundaries (VC-3). `card` is
/// an admitted card whose body says version `from`; equal versions give the octets back. Only a
/// body in which no line reads as a property cannot be converted; everything else finds a form.
pub fn convert(card: &[u8], from: Version, to: Version) -> Result<Vec<u8>, CannotConvert> {
    if from == to {
        return Ok(card.to_vec());
    }
    let source = body(card);
    if !source.iter().any(|line| line.property().is_some()) {
        return Err(CannotConvert);
    }
    let mut draft = Draft::about(&source, to);
    for (at, line) in source.into_iter().enumerate() {
        rules::apply(at, line, &mut draft);
    }
    finish::finish(&mut draft);
    let mut writer = Writer::with_capacity(card.len() + 256);
    writer.raw("BEGIN:VCARD");
    // Directly after BEGIN: RFC 6350 §6.7.9 demands it, and 3.0 readers do not mind (VC-8).
    writer.raw(if to == Version::V3 { "VERSION:3.0" } else { "VERSION:4.0" });
    for line in &draft.out {
        writer.line(line);
    }
    writer.raw("END:VCARD");
    Ok(writer.finish())
}

/// The lines of the card without its BEGIN and END. A card inside the card, as 2.1 writes an
/// AGENT, is carried line by line as it is.
fn body(card: &[u8]) -> Vec<Line> {
    let mut source = Vec::new();
    let mut depth = 0_u32;
    for line in lines(card) {
        let begins = line.trim_ascii_end().eq_ignore_ascii_case(b"BEGIN:VCARD");
        let ends = line.trim_ascii_end().eq_ignore_ascii_case(b"END:VCARD");
        let inner = depth > 1 || (depth == 1 && begins);
        match (begins, ends) {
            (true, _) => depth = depth.saturating_add(1),
            (_, true) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if inner {
            source.push(Line::Unknown(String::from_utf8_lossy(&line).into_owned()));
        } else if !begins && !ends {
            source.push(Line::parse(&line));
        }
    }
    // A card inside the card that never ends would swallow the END of the outer one.
    for _ in 1..depth {
        source.push(Line::Unknown("END:VCARD".to_owned()));
    }
    source
}
