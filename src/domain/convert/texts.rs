//! Properties that are the same in both versions but for their escapes: texts, lists, URIs.

use super::super::vcard::Version;
use super::super::vcard::property::Property;
use super::draft::Draft;
use super::media::clean_uri;
use super::parameters::mend_text;

/// Nothing but the parameters changes.
pub(super) fn plain(property: Property, draft: &mut Draft) {
    draft.push(property);
}

/// One text: an unescaped `;` stops macOS, so every separator is escaped (VC-5, B1 #11).
pub(super) fn text(mut property: Property, draft: &mut Draft) {
    mend_text(&mut property, false);
    draft.push(property);
}

/// A list of texts.
pub(super) fn list(mut property: Property, draft: &mut Draft) {
    mend_text(&mut property, true);
    draft.push(property);
}

/// A URI: escapes have no place in it (C #37), and it needs no VALUE to be one.
pub(super) fn uri(mut property: Property, draft: &mut Draft) {
    property.value = clean_uri(&property.value).into_owned();
    if property.value_is("url") || (draft.to == Version::V4 && property.value_is("uri")) {
        property.take("VALUE");
    }
    draft.push(property);
}

/// Said by the version that is written, or by what the writer adds itself.
pub(super) fn leave_out(_: Property, _: &mut Draft) {}
