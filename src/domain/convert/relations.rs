//! RELATED, X-ABRELATEDNAMES, AGENT, X-SPOUSE and the like (VC-24). Custom labels stay labels: no
//! TYPE is made from them (VC-31).

use super::super::vcard::property::Property;
use super::super::vcard::text;
use super::draft::Draft;
use super::media::{clean_uri, scheme};

/// Apple's own labels with the type that each means, and whether the type says all of it.
const LABELS: [(&str, &str, bool); 13] = [
    ("Spouse", "spouse", true),
    ("Child", "child", true),
    ("Friend", "friend", true),
    ("Parent", "parent", true),
    ("Sibling", "sibling", true),
    ("Other", "", true),
    ("Mother", "parent", false),
    ("Father", "parent", false),
    ("Brother", "sibling", false),
    ("Sister", "sibling", false),
    ("Son", "child", false),
    ("Daughter", "child", false),
    ("Manager", "co-worker", false),
];

/// A name is an X-ABRELATEDNAMES in 3.0, an agent an AGENT; a link to another card stays RELATED,
/// since Apple would show it as the name.
pub(super) fn related_to_v3(mut property: Property, draft: &mut Draft) {
    let is_text = property.value_is("text") || scheme(&property.value).is_none();
    if property.has_type("agent") {
        return agent_to_v3(property, is_text, draft);
    }
    let (labelled, alone) = (draft.label(&property).is_some(), draft.is_alone(&property));
    if !is_text || (!labelled && !alone) {
        return draft.push(property);
    }
    property.take("VALUE");
    "X-ABRELATEDNAMES".clone_into(&mut property.name);
    if labelled {
        // A built-in label that implies the only type makes that type superfluous.
        let implied = draft.label(&property).and_then(built_in).map(|(_, kind, _)| kind);
        if implied.is_some_and(|kind| own_types(&property).eq([kind])) {
            remove_own_types(&mut property);
        }
        return draft.push(property);
    }
    let label = label_for(&property);
    if built_in(&label).is_some() && own_types(&property).count() == 1 {
        remove_own_types(&mut property);
    }
    draft.push_labelled(property, &label);
}

/// `AGENT;VALUE=uri` or the agent's card as text.
fn agent_to_v3(mut property: Property, is_text: bool, draft: &mut Draft) {
    "AGENT".clone_into(&mut property.name);
    property.remove_types(|t| t.eq_ignore_ascii_case("agent"));
    property.take("VALUE");
    if !is_text {
        property.set("VALUE", "uri");
    }
    draft.push(property);
}

/// AGENT is RELATED;TYPE=agent (RFC 6350 appendix A.2).
pub(super) fn agent_to_v4(mut property: Property, draft: &mut Draft) {
    "RELATED".clone_into(&mut property.name);
    let is_uri = property.value_is("uri") || property.value_is("url");
    property.take("VALUE");
    property.add_type("agent");
    if is_uri {
        property.value = clean_uri(&property.value).into_owned();
    } else {
        property.value = text::mend(&property.value, false).into_owned();
        property.set("VALUE", "text");
    }
    draft.push(property);
}

/// X-ABRELATEDNAMES with its label is RELATED with a TYPE; the label stays unless the type says
/// all of it.
pub(super) fn names_to_v4(mut property: Property, draft: &mut Draft) {
    let known = draft.label(&property).and_then(built_in);
    if let Some((_, kind, _)) =
        known.filter(|(_, kind, _)| !kind.is_empty()).filter(|_| own_types(&property).next().is_none())
    {
        property.add_type(kind);
    }
    let says_all = match (known, draft.label(&property)) {
        (Some((_, _, exact)), _) => exact,
        // A label that was made from the types of a 4.0 card.
        (None, Some(label)) => own_types(&property).next().is_some() && label == label_for(&property),
        (None, None) => false,
    };
    if says_all && draft.is_alone(&property) {
        draft.drop_label(&mut property);
    }
    named_to_v4(property, draft);
}

/// X-SPOUSE and Evolution's form of it.
pub(super) fn spouse_to_v4(mut property: Property, draft: &mut Draft) {
    property.add_type("spouse");
    named_to_v4(property, draft);
}

/// X-MANAGER and X-ASSISTANT: 4.0 has only "co-worker" for them, so a label says which.
pub(super) fn colleague_to_v4(mut property: Property, draft: &mut Draft) {
    let manager = property.name.to_ascii_uppercase().ends_with("MANAGER");
    property.add_type("co-worker");
    related_text(&mut property);
    if draft.label(&property).is_some() || !draft.is_alone(&property) {
        return draft.push(property);
    }
    draft.push_labelled(property, if manager { "_$!<Manager>!$_" } else { "_$!<Assistant>!$_" });
}

fn named_to_v4(mut property: Property, draft: &mut Draft) {
    related_text(&mut property);
    draft.push(property);
}

/// A RELATED whose value is a name.
fn related_text(property: &mut Property) {
    "RELATED".clone_into(&mut property.name);
    property.value = text::mend(&property.value, false).into_owned();
    property.set("VALUE", "text");
}

/// The types without the preference.
fn own_types(property: &Property) -> impl Iterator<Item = &str> {
    property.types().filter(|t| !t.eq_ignore_ascii_case("pref"))
}

fn remove_own_types(property: &mut Property) {
    property.remove_types(|t| !t.eq_ignore_ascii_case("pref"));
}

/// The row of one of Apple's labels, as in `_$!<Spouse>!$_`.
fn built_in(label: &str) -> Option<(&'static str, &'static str, bool)> {
    let word = label.strip_prefix("_$!<")?.strip_suffix(">!$_")?;
    if word.eq_ignore_ascii_case("Assistant") {
        return Some(("Assistant", "co-worker", false));
    }
    LABELS.iter().copied().find(|(name, _, _)| word.eq_ignore_ascii_case(name))
}

/// Apple's label for the types, or the first type as a word where Apple has none.
fn label_for(property: &Property) -> String {
    let exact = |kind: &str| LABELS.iter().find(|(_, t, exact)| *exact && kind.eq_ignore_ascii_case(t));
    let built_in = |word: &str| format!("_$!<{word}>!$_");
    if let Some((word, _, _)) = own_types(property).find_map(exact) {
        return built_in(word);
    }
    let Some(first) = own_types(property).next() else { return built_in("Other") };
    let mut letters = text::escape(first).into_owned();
    if let Some(initial) = letters.get_mut(..1) {
        initial.make_ascii_uppercase();
    }
    letters
}
