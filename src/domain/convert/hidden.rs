//! What one version has no word for: `X-CARDKEEP-HIDDEN;X-NAME=CLASS:PUBLIC` carries it through
//! the other version and back (VC-28, VC-30); plain X- forms where clients know one (VC-28, VC-39).

use super::super::vcard::Version;
use super::super::vcard::property::{Parameter, Property};
use super::draft::Draft;
use super::rules;

/// The property that carries another one.
const CARRIER: &str = "X-CARDKEEP-HIDDEN";

/// The parameter that names the carried property.
const NAME: &str = "X-NAME";

/// Properties that vCard 4.0 removed (RFC 6350 appendix A.2).
const ONLY_V3: [&str; 5] = ["CLASS", "MAILER", "NAME", "PROFILE", "SORT-STRING"];

/// Carries the property, parameters and all, through a version that has no word for it.
pub(super) fn hide(mut property: Property, draft: &mut Draft) {
    let name = std::mem::replace(&mut property.name, CARRIER.to_owned());
    property.parameters.insert(0, Parameter::new(NAME, name));
    draft.push(property);
}

/// Brings a carried property back when the version being written has the word. Only names that a
/// rule knows come back, so that no line can give the card another shape; VERSION is the writer's.
pub(super) fn reveal(mut property: Property, draft: &mut Draft) {
    let only_v3 = property.parameter(NAME).map(|name| ONLY_V3.iter().any(|n| name.eq_ignore_ascii_case(n)));
    let known = property
        .parameter(NAME)
        .is_some_and(|name| rules::find(name).is_some() && !name.eq_ignore_ascii_case("VERSION"));
    if known && only_v3 == Some(draft.to == Version::V3) {
        property.name = property.take(NAME).unwrap_or_default();
    }
    draft.push(property);
}

/// `PRONOUNS` becomes `X-PRONOUNS` in 3.0 (VC-39).
pub(super) fn to_x_form(mut property: Property, draft: &mut Draft) {
    property.name.insert_str(0, "X-");
    draft.push(property);
}

/// `X-PRONOUNS` becomes `PRONOUNS` in 4.0 (VC-39).
pub(super) fn from_x_form(mut property: Property, draft: &mut Draft) {
    property.name = property.name.chars().skip(2).collect();
    draft.push(property);
}

/// `X-GENDER` becomes `GENDER`; words that clients write there become sex letters, and what is
/// neither is the identity text behind the semicolon (RFC 6350 §6.2.7, VC-28).
pub(super) fn gender_to_v4(mut property: Property, draft: &mut Draft) {
    "GENDER".clone_into(&mut property.name);
    let sex = property.value.split(';').next().unwrap_or_default().trim();
    let letter = match sex.to_ascii_lowercase().as_str() {
        "male" => Some("M"),
        "female" => Some("F"),
        "other" => Some("O"),
        "none" => Some("N"),
        "unknown" => Some("U"),
        "" | "m" | "f" | "o" | "n" | "u" => None,
        _ => {
            property.value.insert(0, ';');
            None
        }
    };
    if let Some(letter) = letter {
        let identity = property.value.find(';').and_then(|at| property.value.get(at..)).unwrap_or_default();
        property.value = format!("{letter}{identity}");
    }
    draft.push(property);
}
