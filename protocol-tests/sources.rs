//! Reads the sources of the program: their files, the part of each that ships, and the paths that
//! it names. Knows no rule; those are in `tidy.rs`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A source file: its path below `src/`, the part that ships, and the part that tests.
pub struct Source {
    pub path: String,
    pub text: String,
    pub ships: String,
    pub tests: String,
}

pub fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root().join("src"), "rs", &mut found);
    found.sort();
    let base = root().join("src");
    found
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = relative(&path, &base);
            let stem = path.rsplit('/').next().unwrap_or_default();
            let test_file = ["tests.rs", "contract.rs"].contains(&stem)
                || stem.ends_with("_tests.rs")
                || path.split('/').any(|part| part == "tests");
            // By our convention the test module is the last thing of a file.
            let cut = if test_file {
                0
            } else {
                text.match_indices("#[cfg(test)]")
                    .find(|(at, _)| {
                        let next = text[at + 12..].trim_start();
                        next.starts_with("mod ") && next.contains('{') && {
                            let line = next.lines().next().unwrap_or_default();
                            line.ends_with('{')
                        }
                    })
                    .map_or(text.len(), |(at, _)| at)
            };
            Source { ships: text[..cut].to_owned(), tests: text[cut..].to_owned(), path, text }
        })
        .collect()
}

fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, extension, found);
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

pub fn relative(path: &Path, base: &Path) -> String {
    path.strip_prefix(base).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// The text without comments and string contents, so that words in them are not taken for uses.
pub fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |at| &rest[at..]);
        } else if rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |at| &rest[at + 2..]);
        } else if c == '"' {
            out.push_str("\"\"");
            rest = after_string(&rest[1..]);
        } else if let Some(inner) = raw_string(rest) {
            out.push_str("\"\"");
            rest = inner;
        } else if rest.starts_with("'\"'") || rest.starts_with("b'\"'") {
            rest = &rest[rest.find("\"'").map_or(1, |at| at + 2)..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn after_string(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

fn raw_string(text: &str) -> Option<&str> {
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let inner = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(inner.find(&end).map_or("", |at| &inner[at + end.len()..]))
}

/// All paths that a file names, from their first segment: `use a::{b, c::d}` and `a::b` alike.
pub fn paths(ships: &str) -> BTreeSet<Vec<String>> {
    let code = code(ships);
    let mut found = BTreeSet::new();
    let mut rest = code.as_str();
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        if !(c.is_ascii_alphabetic() || c == '_') {
            before = c;
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let word = &rest[..end];
        let fresh = !(before.is_ascii_alphanumeric() || ":.'_\"".contains(before));
        if fresh && word == "use" {
            let stop = rest.find(';').unwrap_or(rest.len());
            expand(&rest[end..stop], &[], &mut found);
            rest = &rest[stop..];
            before = ' ';
            continue;
        }
        if fresh && rest[end..].starts_with("::") {
            let stop = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
                .unwrap_or(rest.len());
            let path = rest[..stop].trim_end_matches(':');
            found.insert(path.split("::").map(str::to_owned).collect());
            before = 'x';
            rest = &rest[stop..];
            continue;
        }
        before = 'x';
        rest = &rest[end..];
    }
    found
}

fn expand(tree: &str, prefix: &[String], found: &mut BTreeSet<Vec<String>>) {
    let tree = tree.trim();
    let (head, group) = match tree.find('{') {
        Some(at) => (&tree[..at], Some(tree[at + 1..].trim_end().trim_end_matches('}'))),
        None => (tree, None),
    };
    let mut path = prefix.to_vec();
    let head = head.split(" as ").next().unwrap_or_default();
    path.extend(head.split("::").map(|s| s.trim().to_owned()).filter(|s| !s.is_empty() && s != "self"));
    let Some(group) = group else {
        found.insert(path);
        return;
    };
    // `a::{b, c::{d, e}}`: the group ends at its own brace.
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth <= 0 => {
                if !group[start..at].trim().is_empty() {
                    expand_balanced(&group[start..at], &path, found);
                }
                start = (at + 1).min(group.len());
            }
            _ => {}
        }
    }
}

fn expand_balanced(tree: &str, prefix: &[String], found: &mut BTreeSet<Vec<String>>) {
    let open = tree.matches('{').count();
    let close = tree.matches('}').count();
    let tree = format!("{tree}{}", "}".repeat(open.saturating_sub(close)));
    expand(&tree, prefix, found);
}

/// The path with `crate` and `super` resolved: `["crate", room, …]` or `[crate_name, …]`.
pub fn resolved(path: &[String], file: &str) -> Vec<String> {
    let mut module: Vec<String> = file
        .trim_end_matches(".rs")
        .split('/')
        .filter(|p| !["mod", "lib", "main"].contains(p))
        .map(str::to_owned)
        .collect();
    let mut rest = path;
    match rest.first().map(String::as_str) {
        Some("super") => {
            while rest.first().is_some_and(|s| s == "super") {
                module.pop();
                rest = &rest[1..];
            }
        }
        Some("self") => rest = &rest[1..],
        Some("crate" | "cardkeep") => {
            module.clear();
            rest = &rest[1..];
        }
        _ => return rest.to_vec(),
    }
    let mut whole = vec!["crate".to_owned()];
    whole.extend(module);
    whole.extend_from_slice(rest);
    whole
}

#[test]
fn the_reader_of_sources_sees_through_groups_comments_and_strings() {
    let text = "use crate::{domain::{id::Etag, token}, store};\nuse std::io;\n// redb::x\nlet a = \"hyper::y\";\nlet c = '\"'; http::Method::GET;\nsuper::super::dav::z();";
    let seen: Vec<String> =
        paths(text).iter().map(|p| resolved(p, "service/books/put.rs").join("::")).collect();
    for wanted in [
        "crate::domain::id::Etag",
        "crate::domain::token",
        "crate::store",
        "std::io",
        "http::Method::GET",
        "crate::service::dav::z",
    ] {
        assert!(seen.iter().any(|s| s == wanted), "{wanted} in {seen:?}");
    }
    assert!(!seen.iter().any(|s| s.starts_with("redb") || s.starts_with("hyper")));
}
