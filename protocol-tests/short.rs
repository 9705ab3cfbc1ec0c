//! The short forms of common request bodies. They must read as what they become.

use crate::xml::PREFIXES;

fn declarations() -> String {
    PREFIXES.iter().map(|(prefix, uri)| format!(" xmlns:{prefix}=\"{uri}\"")).collect()
}

fn document(root: &str, inner: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<{root}{}>{inner}</{root}>", declarations())
}

fn properties(names: &[&str]) -> String {
    names.iter().map(|n| format!("<{n}/>")).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// A small card of this version.
pub fn card(version: &str, name: &str, uid: &str) -> String {
    format!(
        "BEGIN:VCARD\r\nVERSION:{version}\r\nPRODID:-//test//EN\r\nUID:{uid}\r\nFN:{name}\r\nN:{name};;;;\r\nEND:VCARD\r\n"
    )
}

/// A small calendar object with a component of that kind.
pub fn object(kind: &str, name: &str, uid: &str) -> String {
    let when = if kind == "VEVENT" { "DTSTART:20260105T100000Z\r\nDTEND:20260105T110000Z\r\n" } else { "" };
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:{kind}\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\n{when}SUMMARY:{name}\r\nEND:{kind}\r\nEND:VCALENDAR\r\n"
    )
}

/// A `sync-collection` report.
pub fn sync(token: &str, limit: Option<u32>, names: &[&str]) -> String {
    let limit = limit.map_or(String::new(), |n| format!("<D:limit><D:nresults>{n}</D:nresults></D:limit>"));
    document(
        "D:sync-collection",
        &format!(
            "<D:sync-token>{}</D:sync-token><D:sync-level>1</D:sync-level>{limit}<D:prop>{}</D:prop>",
            escape(token),
            properties(names)
        ),
    )
}

/// A `propfind` with these properties, or the words `allprop` and `propname`.
pub fn propfind(words: &[&str]) -> String {
    let inner = match words.split_first() {
        Some((&"propname", _)) => "<D:propname/>".to_owned(),
        Some((&"allprop", [])) => "<D:allprop/>".to_owned(),
        Some((&"allprop", rest)) => {
            format!("<D:allprop/><D:include>{}</D:include>", properties(rest))
        }
        _ => format!("<D:prop>{}</D:prop>", properties(words)),
    };
    document("D:propfind", &inner)
}

/// A `propertyupdate`, one line a property.
fn proppatch(first: &str, rest: &[&str]) -> Result<String, String> {
    let lines = std::iter::once(&first).chain(rest).map(|line| line.trim());
    let inner: Result<String, String> = lines.filter(|line| !line.is_empty()).map(update).collect();
    Ok(document("D:propertyupdate", &inner?))
}

fn update(line: &str) -> Result<String, String> {
    if let Some(name) = line.strip_prefix('-') {
        return Ok(format!("<D:remove><D:prop><{}/></D:prop></D:remove>", name.trim()));
    }
    let (name, value) =
        line.split_once('=').ok_or_else(|| format!("@proppatch wants NAME=VALUE or -NAME: {line}"))?;
    let name = name.trim();
    let value = escape(value);
    Ok(format!("<D:set><D:prop><{name}>{value}</{name}></D:prop></D:set>"))
}

/// A `mkcol` of an address book, one line a property.
fn mkcol(first: &str, rest: &[&str]) -> String {
    let mut inner = "<D:resourcetype><D:collection/><C:addressbook/></D:resourcetype>".to_owned();
    for line in std::iter::once(&first).chain(rest) {
        if let Some((name, value)) = line.trim().split_once('=') {
            inner.push_str(&format!("<{name}>{}</{name}>", escape(value)));
        }
    }
    document("D:mkcol", &format!("<D:set><D:prop>{inner}</D:prop></D:set>"))
}

/// A `mkcalendar`, one line a property; `comp=VEVENT` names a component.
fn mkcalendar(first: &str, rest: &[&str]) -> String {
    let (mut inner, mut components) = (String::new(), String::new());
    for line in std::iter::once(&first).chain(rest) {
        match line.trim().split_once('=') {
            Some(("comp", name)) => components.push_str(&format!("<CAL:comp name=\"{name}\"/>")),
            Some((name, value)) => inner.push_str(&format!("<{name}>{}</{name}>", escape(value))),
            None => {}
        }
    }
    if !components.is_empty() {
        let name = "CAL:supported-calendar-component-set";
        inner.push_str(&format!("<{name}>{components}</{name}>"));
    }
    document("CAL:mkcalendar", &format!("<D:set><D:prop>{inner}</D:prop></D:set>"))
}

/// The bytes of a body: a short form made long, line ends as the format says.
pub fn body(lines: &[&str]) -> Result<Option<Vec<u8>>, String> {
    let Some((first, rest)) = lines.split_first() else {
        return Ok(None);
    };
    let words: Vec<&str> = first.split_whitespace().collect();
    let arguments = words.get(1..).unwrap_or_default();
    let text = match words.first().copied().unwrap_or_default() {
        form @ ("@card" | "@card4") => {
            let version = if form == "@card" { "3.0" } else { "4.0" };
            let name = arguments.first().ok_or("@card wants a name")?;
            card(version, name, arguments.get(1).unwrap_or(name))
        }
        form @ ("@event" | "@todo" | "@journal") => {
            let kind = format!("V{}", form.trim_start_matches('@').to_ascii_uppercase());
            let name = arguments.first().ok_or("@event wants a name")?;
            object(&kind, name, arguments.get(1).unwrap_or(name))
        }
        "@propfind" => propfind(arguments),
        "@proppatch" => proppatch(first.trim_start_matches("@proppatch"), rest)?,
        "@mkcol" => mkcol(first.trim_start_matches("@mkcol"), rest),
        "@mkcalendar" => mkcalendar(first.trim_start_matches("@mkcalendar"), rest),
        "@sync" => {
            let (token, names) = arguments.split_first().ok_or("@sync wants a token or -")?;
            let limit = names.first().and_then(|first| first.strip_prefix("limit="));
            let names = names.get(usize::from(limit.is_some())..).unwrap_or_default();
            sync(if *token == "-" { "" } else { token }, limit.and_then(|n| n.parse().ok()), names)
        }
        "@multiget" => {
            let hrefs: String = rest
                .iter()
                .filter(|h| !h.trim().is_empty())
                .map(|h| format!("<D:href>{}</D:href>", escape(h.trim())))
                .collect();
            document("C:addressbook-multiget", &format!("<D:prop>{}</D:prop>{hrefs}", properties(arguments)))
        }
        "@query" => {
            let inner = if rest.iter().all(|l| l.trim().is_empty()) {
                "<C:filter/>".to_owned()
            } else {
                rest.join("\n")
            };
            document("C:addressbook-query", &format!("<D:prop>{}</D:prop>{inner}", properties(arguments)))
        }
        "@raw" => return decode(&rest.concat()).map(Some),
        "@lf" => return Ok(Some((rest.join("\n") + "\n").into_bytes())),
        _ if first.to_ascii_uppercase().starts_with("BEGIN:") => lines.join("\r\n") + "\r\n",
        _ => lines.join("\n"),
    };
    Ok(Some(text.into_bytes()))
}

/// `\r` `\n` `\t` `\\` `\xHH` to bytes.
pub fn decode(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'r') => out.push(b'\r'),
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(b'\\') => out.push(b'\\'),
            Some(b'x') => {
                let pair = [bytes.next(), bytes.next()];
                let hex: String = pair.iter().flatten().map(|b| char::from(*b)).collect();
                out.push(u8::from_str_radix(&hex, 16).map_err(|_| format!("\\x{hex}"))?);
            }
            other => {
                return Err(format!("an unknown escape \\{}", other.map_or('?', char::from)));
            }
        }
    }
    Ok(out)
}

#[test]
fn short_forms_become_documents() {
    for lines in [
        vec!["@propfind D:displayname X:y"],
        vec!["@propfind allprop C:addressbook-home-set"],
        vec!["@proppatch D:displayname=A & B", "-X:gone"],
        vec!["@mkcol D:displayname=Work"],
        vec!["@mkcalendar comp=VEVENT", "D:displayname=Work"],
        vec!["@sync - limit=3 D:getetag"],
        vec!["@multiget D:getetag", "/a?b&c"],
        vec!["@query D:getetag"],
    ] {
        let bytes = body(&lines).unwrap().unwrap();
        crate::xml::parse(std::str::from_utf8(&bytes).unwrap(), false).unwrap();
    }
    assert_eq!(body(&["@raw", "a\\x00", "b"]).unwrap().unwrap(), b"a\0b");
}
