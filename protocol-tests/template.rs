//! Placeholders: `{name}` in a request is replaced, in an expectation compared or captured.

use std::collections::BTreeMap;

/// The names of one file and what they stand for.
pub type Names = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Name(String),
    Any,
}

fn parts(template: &str) -> Vec<Part> {
    let mut out = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open);
        text.push_str(before);
        let inner = &after[1..];
        let part = inner.find('}').and_then(|close| {
            let word = &inner[..close];
            if word == "*" {
                Some((Part::Any, close))
            } else if is_name(word) {
                Some((Part::Name(word.to_owned()), close))
            } else {
                None
            }
        });
        match part {
            Some((part, close)) => {
                if !text.is_empty() {
                    out.push(Part::Text(std::mem::take(&mut text)));
                }
                out.push(part);
                rest = &inner[close + 1..];
            }
            None => {
                text.push('{');
                rest = inner;
            }
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        out.push(Part::Text(text));
    }
    out
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
}

/// Replaces every placeholder. An unknown name is an error that names it.
pub fn fill(template: &str, names: &Names) -> Result<String, String> {
    let template = repeats(template);
    let mut out = String::new();
    for part in parts(&template) {
        match part {
            Part::Text(t) => out.push_str(&t),
            Part::Any => out.push_str("{*}"),
            Part::Name(n) => match names.get(&n) {
                Some(value) => out.push_str(value),
                None => return Err(format!("{{{n}}} has no value yet")),
            },
        }
    }
    Ok(out)
}

/// `{repeat:TEXT:N}` becomes TEXT N times.
fn repeats(template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find("{repeat:") {
        out.push_str(&rest[..at]);
        let inner = &rest[at + 8..];
        let close = inner.find('}').unwrap_or(inner.len());
        let (text, count) = inner[..close].rsplit_once(':').unwrap_or((&inner[..close], "1"));
        out.push_str(&text.repeat(count.parse().unwrap_or(1)));
        rest = inner.get(close + 1..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

/// Does the text have the template's form? Names without value capture the shortest text that fits,
/// and are only kept when the whole fits.
pub fn fits(template: &str, text: &str, names: &mut Names) -> bool {
    let mut trial = names.clone();
    if fit(&parts(template), text, &mut trial) {
        *names = trial;
        true
    } else {
        false
    }
}

fn fit(parts: &[Part], text: &str, names: &mut Names) -> bool {
    let Some((first, rest)) = parts.split_first() else {
        return text.is_empty();
    };
    match first {
        Part::Text(t) => text.strip_prefix(t.as_str()).is_some_and(|after| fit(rest, after, names)),
        Part::Name(n) => match names.get(n).cloned() {
            Some(value) => text.strip_prefix(value.as_str()).is_some_and(|after| fit(rest, after, names)),
            None => {
                for (at, _) in text.char_indices().chain([(text.len(), ' ')]) {
                    if at == 0 && !text.is_empty() {
                        continue;
                    }
                    let mut trial = names.clone();
                    trial.insert(n.clone(), text[..at].to_owned());
                    if fit(rest, &text[at..], &mut trial) {
                        *names = trial;
                        return true;
                    }
                }
                false
            }
        },
        Part::Any if rest.is_empty() => true,
        Part::Any => text.char_indices().chain([(text.len(), ' ')]).any(|(at, _)| {
            let mut trial = names.clone();
            let good = fit(rest, &text[at..], &mut trial);
            if good {
                *names = trial;
            }
            good
        }),
    }
}

/// How many placeholders of a template have no value yet; what has fewer is matched first.
pub fn unknown(template: &str, names: &Names) -> usize {
    parts(template)
        .iter()
        .filter(|p| match p {
            Part::Text(_) => false,
            Part::Any => true,
            Part::Name(n) => !names.contains_key(n),
        })
        .count()
}

/// Puts names back in the place of their values, longest value first; for `UPDATE=1`.
pub fn name_again(text: &str, names: &Names) -> String {
    let mut by_length: Vec<(&String, &String)> = names.iter().filter(|(_, v)| v.len() > 1).collect();
    by_length.sort_by_key(|(_, v)| std::cmp::Reverse(v.len()));
    let mut out = text.to_owned();
    for (name, value) in by_length {
        out = out.replace(value.as_str(), &format!("{{{name}}}"));
    }
    out
}

#[test]
fn templates_capture_and_compare() {
    let mut names = Names::new();
    assert!(fits("a{x}c{*}", "abcd", &mut names));
    assert_eq!(names["x"], "b");
    assert!(!fits("{x}", "c", &mut names));
    assert!(fits("{DAV:}x{", "{DAV:}x{", &mut names));
    assert!(!fits("{y}z", "none", &mut names) && !names.contains_key("y"));
    assert_eq!(fill("{x}{repeat:ab:3}", &names).unwrap(), "bababab");
    assert!(fill("{nothing}", &names).is_err());
}
