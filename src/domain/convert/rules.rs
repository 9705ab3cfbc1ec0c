//! Which step converts which property: one row each, sorted by name. Whatever has no row, or no
//! step in the wanted direction, stays exactly as it is (VC-33).

use std::cmp::Ordering;

use super::super::vcard::Version;
use super::super::vcard::property::{Line, Property};
use super::draft::Draft;
use super::{
    addresses, dates, groups, hidden, impp, media, names, parameters, places, reach, relations, texts,
};

/// Takes a property of the source and writes what becomes of it.
type Step = fn(Property, &mut Draft);

/// What happens to one property.
pub(super) struct Rule {
    /// Its name, in upper case.
    name: &'static str,
    /// The requirements that the row meets.
    #[cfg_attr(not(test), expect(dead_code, reason = "the table is also the map to the requirements"))]
    ids: &'static str,
    to_v3: Option<Step>,
    to_v4: Option<Step>,
}

/// Converts one line of the source.
pub(super) fn apply(at: usize, line: Line, draft: &mut Draft) {
    let mut property = match line {
        Line::Property(property) => property,
        unknown @ Line::Unknown(_) => return draft.out.push(unknown),
    };
    let rule = find(&property.name);
    let step = rule.and_then(|rule| if draft.to == Version::V3 { rule.to_v3 } else { rule.to_v4 });
    match step {
        None => draft.push(property),
        // 3.0 has no alternatives: the preferred one shows, the others are carried (VC-30).
        Some(_) if draft.is_lesser_alternative(at, &property) => hidden::hide(property, draft),
        Some(step) => {
            if !is_untouched(&property) {
                parameters::convert(&mut property, draft);
            }
            step(property, draft);
        }
    }
}

/// The row of a property; names have no case (VC-4).
pub(super) fn find(name: &str) -> Option<&'static Rule> {
    RULES.binary_search_by(|rule| compare(rule.name, name)).ok().and_then(|at| RULES.get(at))
}

/// Compares an upper-case name with a name in any case.
fn compare(upper: &str, name: &str) -> Ordering {
    upper.bytes().cmp(name.bytes().map(|b| b.to_ascii_uppercase()))
}

/// What is carried for the other version keeps its parameters as they are.
fn is_untouched(property: &Property) -> bool {
    ["X-CARDKEEP-HIDDEN", "CLASS", "MAILER", "NAME", "PROFILE"].iter().any(|name| property.is(name))
}

/// Every property that conversion knows.
#[rustfmt::skip]
static RULES: [Rule; 95] = [
    Rule { name: "ADR", ids: "VC-25, VC-41", to_v3: Some(addresses::adr_to_v3), to_v4: Some(addresses::adr_to_v4) },
    Rule { name: "AGENT", ids: "VC-24", to_v3: None, to_v4: Some(relations::agent_to_v4) },
    Rule { name: "ANNIVERSARY", ids: "VC-20, VC-23", to_v3: Some(dates::anniversary_to_v3), to_v4: Some(dates::anniversary_to_v4) },
    Rule { name: "BDAY", ids: "VC-20", to_v3: Some(dates::date_to_v3), to_v4: Some(dates::date_to_v4) },
    Rule { name: "BIRTHPLACE", ids: "VC-38", to_v3: Some(texts::plain), to_v4: Some(texts::plain) },
    Rule { name: "CALADRURI", ids: "VC-17", to_v3: Some(texts::uri), to_v4: Some(texts::uri) },
    Rule { name: "CALURI", ids: "VC-17", to_v3: Some(texts::uri), to_v4: Some(texts::uri) },
    Rule { name: "CATEGORIES", ids: "VC-5, VC-17", to_v3: Some(texts::list), to_v4: Some(texts::list) },
    Rule { name: "CLASS", ids: "VC-28", to_v3: None, to_v4: Some(hidden::hide) },
    Rule { name: "CONTACT-URI", ids: "VC-38", to_v3: Some(texts::uri), to_v4: Some(texts::uri) },
    Rule { name: "CREATED", ids: "VC-39", to_v3: Some(hidden::to_x_form), to_v4: Some(texts::plain) },
    Rule { name: "DEATHDATE", ids: "VC-20, VC-38", to_v3: Some(dates::date_to_v3), to_v4: Some(dates::date_to_v4) },
    Rule { name: "DEATHPLACE", ids: "VC-38", to_v3: Some(texts::plain), to_v4: Some(texts::plain) },
    Rule { name: "EMAIL", ids: "VC-29", to_v3: Some(reach::email_to_v3), to_v4: Some(reach::email_to_v4) },
    Rule { name: "EXPERTISE", ids: "VC-38", to_v3: Some(texts::text), to_v4: Some(texts::text) },
    Rule { name: "FBURL", ids: "VC-17", to_v3: Some(texts::uri), to_v4: Some(texts::uri) },
    Rule { name: "FN", ids: "VC-9", to_v3: Some(texts::text), to_v4: Some(texts::text) },
    Rule { name: "GENDER", ids: "VC-28", to_v3: Some(hidden::to_x_form), to_v4: Some(texts::plain) },
    Rule { name: "GEO", ids: "VC-27", to_v3: Some(places::geo_to_v3), to_v4: Some(places::geo_to_v4) },
    Rule { name: "GRAMGENDER", ids: "VC-39", to_v3: Some(hidden::to_x_form), to_v4: Some(texts::plain) },
    Rule { name: "HOBBY", ids: "VC-38", to_v3: Some(texts::text), to_v4: Some(texts::text) },
    Rule { name: "IMPP", ids: "VC-26", to_v3: Some(impp::impp), to_v4: Some(impp::impp) },
    Rule { name: "INTEREST", ids: "VC-38", to_v3: Some(texts::text), to_v4: Some(texts::text) },
    Rule { name: "KEY", ids: "VC-18, VC-19", to_v3: Some(media::to_v3), to_v4: Some(media::to_v4) },
    Rule { name: "KIND", ids: "VC-22, VC-36", to_v3: Some(groups::kind_to_v3), to_v4: Some(texts::plain) },
    Rule { name: "LABEL", ids: "VC-25", to_v3: None, to_v4: Some(addresses::label_to_v4) },
    Rule { name: "LANG", ids: "VC-17", to_v3: Some(texts::plain), to_v4: Some(texts::plain) },
    Rule { name: "LANGUAGE", ids: "VC-39", to_v3: Some(hidden::to_x_form), to_v4: Some(texts::plain) },
    Rule { name: "LOGO", ids: "VC-18, VC-19", to_v3: Some(media::to_v3), to_v4: Some(media::to_v4) },
    Rule { name: "MAILER", ids: "VC-28", to_v3: None, to_v4: Some(hidden::hide) },
    Rule { name: "MEMBER", ids: "VC-22", to_v3: Some(groups::member_to_v3), to_v4: Some(texts::plain) },
    Rule { name: "N", ids: "VC-10, VC-27, VC-41", to_v3: Some(names::n_to_v3), to_v4: Some(names::n_to_v4) },
    Rule { name: "NAME", ids: "VC-28", to_v3: None, to_v4: Some(hidden::hide) },
    Rule { name: "NICKNAME", ids: "VC-5, VC-17", to_v3: Some(texts::list), to_v4: Some(texts::list) },
    Rule { name: "NOTE", ids: "VC-5, VC-17", to_v3: Some(texts::text), to_v4: Some(texts::text) },
    Rule { name: "ORG", ids: "VC-17", to_v3: Some(texts::plain), to_v4: Some(texts::plain) },
    Rule { name: "ORG-DIRECTORY", ids: "VC-38", to_v3: Some(texts::uri), to_v4: Some(texts::uri) },
    Rule { name: "PHOTO", ids: "VC-18, VC-19", to_v3: Some(media::to_v3), to_v4: Some(media::to_v4) },
    Rule { name: "PROFILE", ids: "VC-28", to_v3: None, to_v4: Some(hidden::hide) },
    Rule { name: "PRONOUNS", ids: "VC-39", to_v3: Some(hidden::to_x_form), to_v4: Some(texts::plain) },
    Rule { name: "RELATED", ids: "VC-24", to_v3: Some(relations::related_to_v3), to_v4: Some(texts::plain) },
    Rule { name: "REV", ids: "VC-21", to_v3: Some(dates::rev), to_v4: Some(dates::rev) },
    Rule { name: "ROLE", ids: "VC-5, VC-17", to_v3: Some(texts::text), to_v4: Some(texts::text) },
    Rule { name: "SOCIALPROFILE", ids: "VC-26, VC-39", to_v3: Some(impp::profile_to_v3), to_v4: Some(texts::plain) },
    Rule { name: "SORT-STRING", ids: "VC-27", to_v3: None, to_v4: Some(names::sort_string_to_v4) },
    Rule { name: "SOUND", ids: "VC-18, VC-19", to_v3: Some(media::to_v3), to_v4: Some(media::to_v4) },
    Rule { name: "SOURCE", ids: "VC-17", to_v3: Some(texts::uri), to_v4: Some(texts::uri) },
    Rule { name: "TEL", ids: "VC-29", to_v3: Some(reach::tel_to_v3), to_v4: Some(reach::tel_to_v4) },
    Rule { name: "TITLE", ids: "VC-5, VC-17", to_v3: Some(texts::text), to_v4: Some(texts::text) },
    Rule { name: "TZ", ids: "VC-27", to_v3: Some(places::tz_to_v3), to_v4: Some(places::tz_to_v4) },
    Rule { name: "URL", ids: "VC-17", to_v3: Some(texts::uri), to_v4: Some(texts::uri) },
    Rule { name: "VERSION", ids: "VC-8", to_v3: Some(texts::leave_out), to_v4: Some(texts::leave_out) },
    Rule { name: "X-ABDATE", ids: "VC-23", to_v3: None, to_v4: Some(dates::abdate_to_v4) },
    Rule { name: "X-ABRELATEDNAMES", ids: "VC-24", to_v3: None, to_v4: Some(relations::names_to_v4) },
    Rule { name: "X-ABSHOWAS", ids: "VC-36", to_v3: None, to_v4: Some(groups::show_as_to_v4) },
    Rule { name: "X-ADDRESSBOOKSERVER-KIND", ids: "VC-22", to_v3: None, to_v4: Some(groups::apple_kind_to_v4) },
    Rule { name: "X-ADDRESSBOOKSERVER-MEMBER", ids: "VC-22", to_v3: None, to_v4: Some(groups::member_to_v4) },
    Rule { name: "X-AIM", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-ANNIVERSARY", ids: "VC-23", to_v3: None, to_v4: Some(dates::x_anniversary_to_v4) },
    Rule { name: "X-ASSISTANT", ids: "VC-24", to_v3: None, to_v4: Some(relations::colleague_to_v4) },
    Rule { name: "X-CARDKEEP-HIDDEN", ids: "VC-28, VC-30", to_v3: Some(hidden::reveal), to_v4: Some(hidden::reveal) },
    Rule { name: "X-CREATED", ids: "VC-39", to_v3: None, to_v4: Some(hidden::from_x_form) },
    Rule { name: "X-EVOLUTION-ANNIVERSARY", ids: "VC-23", to_v3: None, to_v4: Some(dates::x_anniversary_to_v4) },
    Rule { name: "X-EVOLUTION-ASSISTANT", ids: "VC-24", to_v3: None, to_v4: Some(relations::colleague_to_v4) },
    Rule { name: "X-EVOLUTION-MANAGER", ids: "VC-24", to_v3: None, to_v4: Some(relations::colleague_to_v4) },
    Rule { name: "X-EVOLUTION-SPOUSE", ids: "VC-24", to_v3: None, to_v4: Some(relations::spouse_to_v4) },
    Rule { name: "X-FACEBOOK", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-GADUGADU", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-GENDER", ids: "VC-28", to_v3: None, to_v4: Some(hidden::gender_to_v4) },
    Rule { name: "X-GOOGLE-TALK", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-GRAMGENDER", ids: "VC-39", to_v3: None, to_v4: Some(hidden::from_x_form) },
    Rule { name: "X-GROUPWISE", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-GTALK", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-ICQ", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-IRC", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-JABBER", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-KADDRESSBOOK-X-ANNIVERSARY", ids: "VC-23", to_v3: None, to_v4: Some(dates::x_anniversary_to_v4) },
    Rule { name: "X-KADDRESSBOOK-X-SPOUSESNAME", ids: "VC-24", to_v3: None, to_v4: Some(relations::spouse_to_v4) },
    Rule { name: "X-LANGUAGE", ids: "VC-39", to_v3: None, to_v4: Some(hidden::from_x_form) },
    Rule { name: "X-MANAGER", ids: "VC-24", to_v3: None, to_v4: Some(relations::colleague_to_v4) },
    Rule { name: "X-MATRIX", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-MEMBER", ids: "VC-22", to_v3: None, to_v4: Some(groups::member_to_v4) },
    Rule { name: "X-MSN", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-PHONETIC-FIRST-NAME", ids: "VC-27", to_v3: None, to_v4: Some(names::phonetic_to_v4) },
    Rule { name: "X-PHONETIC-LAST-NAME", ids: "VC-27", to_v3: None, to_v4: Some(names::phonetic_to_v4) },
    Rule { name: "X-PHONETIC-MIDDLE-NAME", ids: "VC-27", to_v3: None, to_v4: Some(names::phonetic_to_v4) },
    Rule { name: "X-PRONOUNS", ids: "VC-39", to_v3: None, to_v4: Some(hidden::from_x_form) },
    Rule { name: "X-QQ", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-SIP", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-SKYPE", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-SKYPE-USERNAME", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-SOCIALPROFILE", ids: "VC-26", to_v3: None, to_v4: Some(impp::profile_to_v4) },
    Rule { name: "X-SPOUSE", ids: "VC-24", to_v3: None, to_v4: Some(relations::spouse_to_v4) },
    Rule { name: "X-TELEGRAM", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
    Rule { name: "X-YAHOO", ids: "VC-26", to_v3: None, to_v4: Some(impp::service_to_v4) },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_name_what_asks_for_them() {
        assert!(RULES.is_sorted_by(|a, b| a.name < b.name));
        assert!(RULES.iter().all(|rule| rule.ids.starts_with("VC-")));
        assert!(RULES.iter().all(|rule| find(&rule.name.to_ascii_lowercase()).is_some()));
        assert!(find("X-ABLABEL").is_none(), "custom labels are never touched (VC-31)");
    }
}
