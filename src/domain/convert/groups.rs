//! KIND, MEMBER and X-ABShowAs (VC-22, VC-36). Apple's groups are cards of their own that 3.0 marks
//! with X-ADDRESSBOOKSERVER-KIND (B1 #12).

use super::super::vcard::property::Property;
use super::draft::Draft;
use super::media::scheme;

/// KIND:group and KIND:org have Apple forms; every other kind stays (VC-36).
pub(super) fn kind_to_v3(mut property: Property, draft: &mut Draft) {
    let value = property.value.trim();
    if value.eq_ignore_ascii_case("group") && !draft.has.apple_kind {
        "X-ADDRESSBOOKSERVER-KIND".clone_into(&mut property.name);
    } else if value.eq_ignore_ascii_case("org") && !draft.has.show_as {
        "X-ABShowAs".clone_into(&mut property.name);
        "COMPANY".clone_into(&mut property.value);
    }
    draft.push(property);
}

/// X-ADDRESSBOOKSERVER-KIND:group is KIND:group.
pub(super) fn apple_kind_to_v4(mut property: Property, draft: &mut Draft) {
    if !draft.has.kind {
        draft.has.kind = true;
        "KIND".clone_into(&mut property.name);
    }
    draft.push(property);
}

/// X-ABShowAs:COMPANY is KIND:org, unless the card has a kind.
pub(super) fn show_as_to_v4(mut property: Property, draft: &mut Draft) {
    if property.value.trim().eq_ignore_ascii_case("COMPANY") && !draft.has.kind && !draft.has.apple_kind {
        draft.has.kind = true;
        "KIND".clone_into(&mut property.name);
        "org".clone_into(&mut property.value);
    }
    draft.push(property);
}

/// Apple wants `urn:uuid:` before every member's UID; other URIs are no members to it.
pub(super) fn member_to_v3(mut property: Property, draft: &mut Draft) {
    let name = if is_uid(&property.value) { "X-ADDRESSBOOKSERVER-MEMBER" } else { "X-MEMBER" };
    name.clone_into(&mut property.name);
    add_urn(&mut property);
    draft.push(property);
}

/// X-ADDRESSBOOKSERVER-MEMBER and X-MEMBER are MEMBER, which must be a URI.
pub(super) fn member_to_v4(mut property: Property, draft: &mut Draft) {
    "MEMBER".clone_into(&mut property.name);
    add_urn(&mut property);
    draft.push(property);
}

/// Whether the member is named by a UID, with or without `urn:uuid:`.
fn is_uid(value: &str) -> bool {
    value.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("urn:uuid:")) || scheme(value).is_none()
}

fn add_urn(property: &mut Property) {
    if scheme(&property.value).is_none() && !property.value.is_empty() {
        property.value.insert_str(0, "urn:uuid:");
    }
}
