//! PHOTO, LOGO, SOUND and KEY (VC-18, VC-19): 3.0 has `ENCODING=b;TYPE=JPEG`, 4.0 data URIs. What a
//! value is, its own characters decide: clients write VALUE=BINARY before URLs and VALUE=URI before
//! base64 (C #36 to #38).

use std::borrow::Cow;

use super::super::vcard::property::Property;
use super::draft::Draft;

/// Media types that do not follow "class/type in lower case".
const TYPE_WORDS: [(&str, &str); 7] = [
    ("JPG", "image/jpeg"),
    ("SVG", "image/svg+xml"),
    ("PGP", "application/pgp-keys"),
    ("X509", "application/pkix-cert"),
    ("MP3", "audio/mpeg"),
    ("WAVE", "audio/wav"),
    ("ICO", "image/vnd.microsoft.icon"),
];

/// How base64 begins for the pictures that contacts have, where nothing names the type.
const SIGNATURES: [(&str, &str); 5] = [
    ("/9j/", "image/jpeg"),
    ("iVBORw0KGgo", "image/png"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("Qk0", "image/bmp"),
];

/// Carries a media type through 3.0 that no TYPE word stands for.
const MEDIA_TYPE: &str = "X-MEDIATYPE";

/// What the value is.
enum Medium {
    /// Base64, cleaned, with the media type that a data URI named.
    Inline(Option<String>, String),
    /// A reference.
    Uri(String),
    /// Something else, such as a key as text.
    Text,
}

/// The medium as 3.0 writes it.
pub(super) fn to_v3(mut property: Property, draft: &mut Draft) {
    let medium = classify(&mut property);
    let named = property.take("MEDIATYPE").or(property.take(MEDIA_TYPE));
    match medium {
        Medium::Inline(from_uri, data) => {
            clear(&mut property);
            let media = from_uri.or(named).or_else(|| take_type_word(&mut property)).or_else(|| sniff(&data));
            property.set("ENCODING", "b");
            set_type_word(&mut property, media);
            property.value = data;
        }
        Medium::Uri(uri) => {
            clear(&mut property);
            property.set("VALUE", "uri");
            set_type_word(&mut property, named);
            property.value = uri;
        }
        Medium::Text => {
            set_type_word(&mut property, named);
        }
    }
    draft.push(property);
}

/// The medium as 4.0 writes it.
pub(super) fn to_v4(mut property: Property, draft: &mut Draft) {
    let medium = classify(&mut property);
    let named = property.take(MEDIA_TYPE).or_else(|| take_type_word(&mut property));
    match medium {
        Medium::Inline(from_uri, data) => {
            clear(&mut property);
            let media = from_uri.or(named).or(property.take("MEDIATYPE")).or_else(|| sniff(&data));
            let media = media
                .filter(|media| is_media_type(media))
                .unwrap_or_else(|| "application/octet-stream".to_owned());
            property.value = ["data:", &media, ";base64,", &data].concat();
        }
        Medium::Uri(uri) => {
            clear(&mut property);
            if let Some(media) = named {
                property.set("MEDIATYPE", media);
            }
            property.value = uri;
        }
        Medium::Text => {
            property.take("ENCODING");
            if let Some(media) = named {
                property.set("MEDIATYPE", media);
            }
            if !property.value.is_empty() {
                property.set("VALUE", "text");
            }
        }
    }
    draft.push(property);
}

/// Removes what the 3.0 and 4.0 forms each say in their own way.
fn clear(property: &mut Property) {
    property.take("VALUE");
    property.take("ENCODING");
}

/// Finds out what the value is and takes it out of the property, unless it is a text.
fn classify(property: &mut Property) -> Medium {
    let value = property.value.trim();
    if value.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("data:")) {
        return data_uri(value).unwrap_or_else(|| Medium::Uri(clean_uri(value).into_owned()));
    }
    let encoded = property
        .parameter("ENCODING")
        .is_some_and(|e| e.eq_ignore_ascii_case("b") || e.eq_ignore_ascii_case("BASE64"));
    let claimed =
        encoded || property.value_is("binary") || property.value_is("uri") || property.value_is("url");
    if value.is_empty() || property.value_is("text") {
        return Medium::Text;
    }
    if scheme(value).is_some() {
        return Medium::Uri(clean_uri(value).into_owned());
    }
    // A key may be a text of letters only; a picture never is.
    if encoded || ((claimed || !property.is("KEY")) && is_base64(value)) {
        return Medium::Inline(None, clean_base64(std::mem::take(&mut property.value)));
    }
    if property.value_is("uri") || property.value_is("url") {
        return Medium::Uri(clean_uri(value).into_owned());
    }
    Medium::Text
}

/// A base64 data URI; `\,` after `base64` and `\;` before it are accepted (C #37).
fn data_uri(value: &str) -> Option<Medium> {
    let (head, data) = value.get(5..)?.split_once(',')?;
    let head = clean_uri(head.strip_suffix('\\').unwrap_or(head)).into_owned();
    let media = head
        .get(..head.len().checked_sub(7)?)
        .zip(head.get(head.len() - 7..))
        .filter(|(_, end)| end.eq_ignore_ascii_case(";base64"))?
        .0;
    let media = Some(media.trim().to_ascii_lowercase()).filter(|media| is_media_type(media));
    Some(Medium::Inline(media, clean_base64(data.to_owned())))
}

/// The URI without the backslashes that some clients put before `:`, `;` and `,`.
pub(super) fn clean_uri(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut clean = String::with_capacity(value.len());
    let mut rest = value.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\\' && matches!(rest.peek(), Some(':' | ';' | ',' | '\\')) {
            clean.extend(rest.next());
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

/// The scheme of a URI: a letter, then letters, digits, `+`, `-`, `.`, then a colon. Apple escapes
/// the colon.
pub(super) fn scheme(value: &str) -> Option<&str> {
    let end = value
        .bytes()
        .take(64)
        .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))?;
    let (scheme, rest) = value.split_at_checked(end)?;
    let colon = rest.starts_with(':') || rest.starts_with("\\:");
    (colon && scheme.len() > 1 && scheme.starts_with(|c: char| c.is_ascii_alphabetic())).then_some(scheme)
}

/// Whether nothing but base64 stands here.
fn is_base64(value: &str) -> bool {
    value.len() >= 4
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b' '))
}

/// Base64 without white space and without the line breaks that some clients escape inside it.
fn clean_base64(mut data: String) -> String {
    if memchr::memchr3(b'\\', b' ', b'\t', data.as_bytes()).is_some() {
        data = data.replace("\\n", "").replace("\\r", "").replace(['\\', ' ', '\t'], "");
    }
    data
}

/// The media type of base64 whose first octets are known.
fn sniff(data: &str) -> Option<String> {
    SIGNATURES.iter().find(|(start, _)| data.starts_with(start)).map(|(_, media)| (*media).to_owned())
}

/// What class of media the property holds.
fn class(property: &Property) -> &'static str {
    if property.is("SOUND") {
        "audio"
    } else if property.is("KEY") {
        "application"
    } else {
        "image"
    }
}

/// The media type that a TYPE word names.
fn media_of_word(word: &str, class: &str) -> String {
    let known =
        TYPE_WORDS.iter().find(|(w, _)| word.eq_ignore_ascii_case(w)).map(|(_, media)| (*media).to_owned());
    let word_is_media = || Some(word.to_ascii_lowercase()).filter(|w| w.contains('/'));
    known.or_else(word_is_media).unwrap_or_else(|| format!("{class}/{}", word.to_ascii_lowercase()))
}

/// Takes the TYPE word that names the medium and tells its media type; places stay types.
fn take_type_word(property: &mut Property) -> Option<String> {
    let is_place = |t: &str| ["home", "work", "pref"].iter().any(|place| t.eq_ignore_ascii_case(place));
    let word = property.types().find(|t| !is_place(t))?.to_owned();
    let media = media_of_word(&word, class(property));
    if !is_media_type(&media) {
        return None;
    }
    property.remove_types(|t| t.eq_ignore_ascii_case(&word));
    Some(media)
}

/// Names the medium as 3.0 does, with a word where one leads back to the same media type.
fn set_type_word(property: &mut Property, media: Option<String>) {
    let Some(media) = media else { return };
    let class = class(property);
    let short = TYPE_WORDS
        .iter()
        .skip(1)
        .find(|(_, m)| media.eq_ignore_ascii_case(m))
        .map(|(word, _)| (*word).to_owned());
    let generic = || media.split_once('/').map(|(_, subtype)| subtype.to_ascii_uppercase());
    let is_word =
        |word: &String| word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let leads_back = |word: &String| media_of_word(word, class).eq_ignore_ascii_case(&media);
    let word = short.or_else(generic).filter(|word| is_word(word) && leads_back(word));
    match word {
        Some(word) => property.add_type(&word),
        None => property.set(MEDIA_TYPE, media),
    }
}

/// Whether it may stand in a data URI without breaking it.
fn is_media_type(media: &str) -> bool {
    let fits =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'+' | b'-' | b'.' | b'_' | b';' | b'=');
    media.contains('/') && media.len() <= 127 && media.bytes().all(fits)
}
