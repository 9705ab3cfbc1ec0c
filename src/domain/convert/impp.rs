//! IMPP, X-AIM and its kin, SOCIALPROFILE (VC-26).

use super::super::vcard::Version;
use super::super::vcard::property::Property;
use super::super::vcard::text;
use super::draft::Draft;
use super::media::{clean_uri, scheme};

/// A service: the 3.0 property that clients invented for it, its scheme, Apple's name for it.
const SERVICES: [(&str, &str, &str); 17] = [
    ("X-AIM", "aim", "AIM"),
    ("X-ICQ", "icq", "ICQ"),
    ("X-JABBER", "xmpp", "Jabber"),
    ("X-MSN", "msnim", "MSN"),
    ("X-YAHOO", "ymsgr", "Yahoo"),
    ("X-SKYPE", "skype", "Skype"),
    ("X-SKYPE-USERNAME", "skype", "Skype"),
    ("X-GTALK", "xmpp", "GoogleTalk"),
    ("X-GOOGLE-TALK", "xmpp", "GoogleTalk"),
    ("X-GADUGADU", "gg", "GaduGadu"),
    ("X-QQ", "mqq", "QQ"),
    ("X-GROUPWISE", "groupwise", "GroupWise"),
    ("X-FACEBOOK", "fb", "Facebook"),
    ("X-SIP", "sip", "SIP"),
    ("X-MATRIX", "matrix", "Matrix"),
    ("X-TELEGRAM", "telegram", "Telegram"),
    ("X-IRC", "irc", "IRC"),
];

/// Names the service in Apple's parameter, which RFC 9554 calls SERVICE-TYPE.
const APPLE_SERVICE: &str = "X-SERVICE-TYPE";

/// IMPP exists in both versions (RFC 4770, RFC 6350 §6.4.3); Apple reads the service's name.
pub(super) fn impp(mut property: Property, draft: &mut Draft) {
    property.value = clean_uri(&property.value).into_owned();
    if property.value_is("uri") {
        property.take("VALUE");
    }
    if draft.to == Version::V4 {
        if property.parameter("SERVICE-TYPE").is_some() {
            property.take(APPLE_SERVICE);
        }
    } else if property.parameter(APPLE_SERVICE).is_none() {
        let by_scheme = |scheme: &str| {
            SERVICES.iter().find(|(_, s, _)| scheme.eq_ignore_ascii_case(s)).map(|(_, _, name)| *name)
        };
        let named =
            property.parameter("SERVICE-TYPE").or_else(|| scheme(&property.value).and_then(by_scheme));
        if let Some(name) = named.map(str::to_owned) {
            property.set(APPLE_SERVICE, name);
        }
    }
    draft.push(property);
}

/// X-AIM and the like become IMPP, unless the card says the same with IMPP already, as Apple's do.
pub(super) fn service_to_v4(mut property: Property, draft: &mut Draft) {
    let Some((_, wanted, service)) = SERVICES.iter().find(|(name, _, _)| property.is(name)) else {
        return draft.push(property);
    };
    let handle = text::unescape(&property.value).trim().to_owned();
    if handle.is_empty() {
        return draft.push(property);
    }
    let uri = if scheme(&handle).is_some_and(|s| s.eq_ignore_ascii_case(wanted)) {
        handle
    } else {
        format!("{wanted}:{}", encode(&handle))
    };
    if !draft.impp.insert(uri.to_ascii_lowercase()) {
        return;
    }
    "IMPP".clone_into(&mut property.name);
    property.take("VALUE");
    property.set(APPLE_SERVICE, *service);
    property.value = uri;
    draft.push(property);
}

/// `SOCIALPROFILE;SERVICE-TYPE=x;USERNAME=y` becomes Apple's `X-SOCIALPROFILE;type=x;x-user=y`.
pub(super) fn profile_to_v3(mut property: Property, draft: &mut Draft) {
    "X-SOCIALPROFILE".clone_into(&mut property.name);
    if let Some(service) = property.take("SERVICE-TYPE") {
        property.add_type(&service);
    }
    if let Some(user) = property.take("USERNAME") {
        property.set("x-user", user);
    }
    draft.push(property);
}

/// Apple's form becomes RFC 9554's; `user` is an older spelling of `x-user`.
pub(super) fn profile_to_v4(mut property: Property, draft: &mut Draft) {
    "SOCIALPROFILE".clone_into(&mut property.name);
    if property.parameter("SERVICE-TYPE").is_none() {
        let is_place = |t: &str| t.eq_ignore_ascii_case("home") || t.eq_ignore_ascii_case("work");
        let service = property.types().find(|t| !is_place(t)).map(str::to_owned);
        if let Some(service) = service {
            property.remove_types(|t| t.eq_ignore_ascii_case(&service));
            property.set("SERVICE-TYPE", service);
        }
    }
    if let Some(user) = property.take("X-USER").or_else(|| property.take("USER")) {
        property.set("USERNAME", user);
    }
    if !property.value_is("text") {
        property.value = clean_uri(&property.value).into_owned();
    }
    draft.push(property);
}

/// What may not stand in a URI is percent-encoded.
fn encode(handle: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'<')
        .add(b'>')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}')
        .add(b'%');
    percent_encoding::utf8_percent_encode(handle, KEPT).to_string()
}
