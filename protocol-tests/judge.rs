//! Says what is wrong with an answer: by what its transcript expects, and by what every answer must
//! keep. Asks for nothing itself; `runner.rs` does.

use crate::http::Response;
use crate::short;
use crate::template::{Names, fill, fits, name_again};
use crate::transcript::Exchange;
use crate::xml::{self, Element, long};

fn status_fits(expected: &str, status: u16) -> bool {
    expected.split('|').any(|one| {
        let one = one.trim();
        one == status.to_string() || (one.ends_with("xx") && one.get(..1) == status.to_string().get(..1))
    })
}

/// What is wrong with the status and the headers of an answer.
pub fn head(exchange: &Exchange, answer: &Response, names: &mut Names) -> Vec<String> {
    let mut faults = Vec::new();
    if !status_fits(&exchange.status, answer.status) {
        faults.push(format!("status {} where {} was expected", answer.status, exchange.status));
        return faults;
    }
    for (name, expected) in &exchange.expect_headers {
        let value = answer.header(name);
        let good = match (expected.as_str(), &value) {
            ("*", Some(_)) | ("-", None) => true,
            ("*", None) | ("-", Some(_)) => false,
            (text, value) => {
                if let Some(part) = text.strip_prefix("!~") {
                    let part = fill(part, names).unwrap_or_default();
                    value.as_ref().is_none_or(|v| !v.contains(&part))
                } else if let Some(part) = text.strip_prefix('~') {
                    let part = fill(part, names).unwrap_or_default();
                    value.as_ref().is_some_and(|v| v.contains(&part))
                } else {
                    value.as_ref().is_some_and(|v| fits(text, v, names))
                }
            }
        };
        if !good {
            faults.push(format!(
                "header {name}: {} where `{}` was expected",
                value.unwrap_or_else(|| "(absent)".to_owned()),
                name_filled(expected, names)
            ));
        }
    }
    faults
}

fn name_filled(text: &str, names: &Names) -> String {
    fill(text, names).unwrap_or_else(|_| text.to_owned())
}

/// What came of looking at a body.
pub struct Judged {
    /// What does not hold.
    pub faults: Vec<String>,
    /// What the document would be, when it does not fit.
    pub replacement: Option<String>,
}

/// What is wrong with its body.
pub fn body(exchange: &Exchange, answer: &Response, names: &mut Names) -> Judged {
    let mut judged = Judged { faults: Vec::new(), replacement: None };
    let text = answer.text();
    let root = if text.trim_start_matches('\u{feff}').starts_with('<') {
        xml::parse(&text, false)
    } else {
        Err("the body is not XML".to_owned())
    };
    let is_xml = answer.header("content-type").is_some_and(|t| t.contains("/xml"));
    if is_xml
        && !text.is_empty()
        && let Err(why) = &root
    {
        judged.faults.push(format!("malformed XML: {why}"));
    }
    if answer.status == 207
        && let Ok(root) = &root
    {
        judged.faults.extend(shape(root));
    }
    for assertion in &exchange.assertions {
        if let Err(why) = assertion_holds(assertion, answer, &text, &root, names) {
            judged.faults.push(format!("{assertion} — {why}"));
        }
    }
    if let Some(document) = &exchange.document {
        if document.xml {
            match (xml::parse(&document.text, true), &root) {
                (Err(why), _) => judged.faults.push(format!("the expected document: {why}")),
                (_, Err(why)) => judged.faults.push(why.clone()),
                (Ok(expected), Ok(actual)) => {
                    if !xml::matches(&expected, actual, names) {
                        let mut pretty = String::new();
                        actual.pretty(0, &mut pretty);
                        judged.replacement = Some(name_again(&pretty, names));
                    }
                }
            }
        } else {
            let actual = text.replace("\r\n", "\n");
            if !fits(document.text.trim_end_matches('\n'), actual.trim_end_matches('\n'), names) {
                judged.replacement = Some(name_again(&actual, names));
            }
        }
    }
    judged
}

/// What every multistatus must keep, whatever a case looks at: one form a response (DAV-17), 200
/// first (DAV-14), each property once (DAV-13), the literal status text, one href style (DAV-6).
pub fn shape(root: &Element) -> Vec<String> {
    let mut faults = Vec::new();
    if root.name != "{DAV:}multistatus" {
        faults.push(format!("a 207 whose root is {}", root.name));
    }
    for response in root.named("{DAV:}response") {
        let href = response.child_text("{DAV:}href").unwrap_or("(no href)");
        let stats = response.named("{DAV:}propstat");
        if stats.is_empty() == response.named("{DAV:}status").is_empty() {
            faults.push(format!("{href}: either propstat or status (DAV-17)"));
        }
        let mut seen = Vec::new();
        let mut last = 0;
        for stat in &stats {
            let status = status_of(stat.child_text("{DAV:}status"));
            let rank = match status {
                200 => 1,
                404 => 2,
                0 => {
                    faults.push(format!("{href}: a propstat without HTTP/1.1 status"));
                    3
                }
                _ => 3,
            };
            if rank < last {
                faults.push(format!("{href}: propstat order, 200, 404, others (DAV-14)"));
            }
            last = rank;
            for property in stat.named("{DAV:}prop").iter().flat_map(|p| &p.children) {
                if seen.contains(&property.name) {
                    faults.push(format!("{href}: {} twice (DAV-13)", property.name));
                }
                seen.push(property.name.clone());
            }
        }
    }
    faults
}

/// The number in `HTTP/1.1 200 OK`, 0 for anything else.
pub fn status_of(text: Option<&str>) -> u16 {
    text.and_then(|t| t.strip_prefix("HTTP/1.1 "))
        .and_then(|t| t.split(' ').next())
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}

type Root = Result<Element, String>;

fn assertion_holds(
    assertion: &str,
    answer: &Response,
    text: &str,
    root: &Root,
    names: &mut Names,
) -> Result<(), String> {
    let (word, rest) = assertion.split_once(':').unwrap_or((assertion, ""));
    let rest = rest.trim();
    match word.trim() {
        "empty" if answer.body.is_empty() => Ok(()),
        "empty" => Err(format!("{} bytes came", answer.body.len())),
        "contains" | "lacks" => {
            let wanted = short::decode(&fill(rest, names)?)?;
            let wanted = String::from_utf8_lossy(&wanted).into_owned();
            if text.contains(&wanted) == (word == "contains") {
                Ok(())
            } else {
                Err("it does not".to_owned())
            }
        }
        "store-calls" => store_calls(rest, answer),
        word => structural(word, rest, root.as_ref()?, names),
    }
}

fn store_calls(rest: &str, answer: &Response) -> Result<(), String> {
    let came: u64 = answer
        .header("x-cardkeep-store-calls")
        .and_then(|v| v.parse().ok())
        .ok_or("no X-Cardkeep-Store-Calls")?;
    let good = match rest.strip_prefix("<=") {
        Some(most) => most.trim().parse().is_ok_and(|m: u64| came <= m),
        None => rest.parse().is_ok_and(|m: u64| came == m),
    };
    if good { Ok(()) } else { Err(format!("{came} calls")) }
}

fn structural(word: &str, rest: &str, root: &Element, names: &mut Names) -> Result<(), String> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let responses = root.named("{DAV:}response");
    let hrefs: Vec<&str> =
        responses.iter().flat_map(|r| r.named("{DAV:}href")).map(|h| h.text.trim()).collect();
    match word {
        "count" => {
            let [name, number] = words[..] else {
                return Err("count: NAME N".to_owned());
            };
            let mut all = Vec::new();
            root.all(&long(name), &mut all);
            if all.len().to_string() == number { Ok(()) } else { Err(format!("{} came", all.len())) }
        }
        "hrefs" => {
            let same = words.len() == hrefs.len() && words.iter().zip(&hrefs).all(|(w, h)| fits(w, h, names));
            if same { Ok(()) } else { Err(format!("{} came", hrefs.join(" "))) }
        }
        "noresponse" => {
            let href = fill(rest, names)?;
            if hrefs.contains(&href.as_str()) { Err("there is one".to_owned()) } else { Ok(()) }
        }
        "status" => {
            let [href, status] = words[..] else {
                return Err("status: HREF STATUS".to_owned());
            };
            let response = one_response(root, href, names)?;
            let came = status_of(response.child_text("{DAV:}status"));
            if came.to_string() != status {
                return Err(format!("status {came}"));
            }
            if !response.named("{DAV:}propstat").is_empty() {
                return Err("with a propstat".to_owned());
            }
            Ok(())
        }
        "prop" => prop(rest, root, names),
        "value" => {
            let (path, wanted) = rest.split_once(" = ").ok_or("value: PATH = TEXT")?;
            let found = select(root, path, names)?;
            if found.iter().any(|e| fits(wanted, e.text.trim(), names)) {
                return Ok(());
            }
            let texts: Vec<&str> = found.iter().map(|e| e.text.trim()).collect();
            Err(format!("{texts:?} came"))
        }
        "exists" | "absent" => {
            let found = select(root, rest, names)?;
            if found.is_empty() == (word == "absent") {
                Ok(())
            } else {
                Err(format!("{} found", found.len()))
            }
        }
        _ => Err("unknown assertion".to_owned()),
    }
}

fn one_response<'a>(root: &'a Element, href: &str, names: &Names) -> Result<&'a Element, String> {
    let all = root.named("{DAV:}response");
    let href = fill(href, names)?;
    let found: Vec<&&Element> = all
        .iter()
        .filter(|r| href == "." || r.named("{DAV:}href").iter().any(|h| h.text.trim() == href))
        .collect();
    match found[..] {
        [one] => Ok(one),
        [] => Err(format!("no response for {href}")),
        _ => Err(format!("{} responses for {href}", found.len())),
    }
}

fn prop(rest: &str, root: &Element, names: &mut Names) -> Result<(), String> {
    let (head, wanted) = match rest.split_once(" = ") {
        Some((head, wanted)) => (head, Some(wanted)),
        None => match rest.strip_suffix(" =") {
            Some(head) => (head, Some("")),
            None => (rest, None),
        },
    };
    let words: Vec<&str> = head.split_whitespace().collect();
    let [href, name, status] = words[..] else {
        return Err("prop: HREF NAME STATUS [= TEXT]".to_owned());
    };
    let response = one_response(root, href, names)?;
    let name = long(name);
    let mut found = Vec::new();
    for stat in response.named("{DAV:}propstat") {
        let came = status_of(stat.child_text("{DAV:}status"));
        for property in stat.named("{DAV:}prop").iter().flat_map(|p| p.named(&name)) {
            found.push((came, property));
        }
    }
    let [(came, property)] = found[..] else {
        return Err(format!("{} times", found.len()));
    };
    if came.to_string() != status {
        return Err(format!("status {came}"));
    }
    match wanted {
        Some(wanted) => {
            // A property that holds an href is compared by it.
            let text = match property.children.as_slice() {
                [href] if href.name == "{DAV:}href" => href.text.trim(),
                _ => property.text.trim(),
            };
            if fits(wanted.trim(), text, names) { Ok(()) } else { Err(format!("{text:?} came")) }
        }
        None => Ok(()),
    }
}

fn select<'a>(root: &'a Element, path: &str, names: &Names) -> Result<Vec<&'a Element>, String> {
    let path = path.trim();
    let (scope, path) = match path.strip_prefix('[').and_then(|p| p.split_once(']')) {
        Some((href, rest)) => (one_response(root, href, names)?, rest.trim()),
        None => (root, path),
    };
    let mut steps = path.split('/');
    let (name, index) = step(steps.next().unwrap_or_default());
    let mut found = Vec::new();
    scope.all(&long(name), &mut found);
    if let Some(index) = index {
        found = found.into_iter().skip(index - 1).take(1).collect();
    }
    for next in steps {
        let (name, index) = step(next);
        let name = long(name);
        found = found
            .into_iter()
            .flat_map(|e| {
                let all = e.named(&name);
                match index {
                    Some(index) => all.into_iter().skip(index - 1).take(1).collect(),
                    None => all,
                }
            })
            .collect();
    }
    Ok(found)
}

fn step(text: &str) -> (&str, Option<usize>) {
    match text.strip_suffix(']').and_then(|t| t.split_once('[')) {
        Some((name, index)) => (name, index.parse().ok().filter(|i| *i > 0)),
        None => (text, None),
    }
}
