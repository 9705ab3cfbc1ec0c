//! The reference page: plain HTML from the table of routes, which runs nothing and loads nothing.

use std::fmt::Write as _;

use crate::domain::permission::{DAV_SCOPES, Permission};

use super::describe::{description, needs};
use super::problem::{KINDS, PREFIX};
use super::routes::{ROUTES, Route, Told};

/// What a browser may do with the page: show it, with its one style sheet, named by its SHA-256.
pub const POLICY: &str = "default-src 'none'; \
     style-src 'sha256-2WE4x/+kMui+V51TP7+rHyz5Jv0NyRH02T8o5+SnhCs='; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
h2{margin-top:2em;border-bottom:1px solid}code,pre{font:14px/1.4 ui-monospace,monospace}\
pre{overflow:auto;padding:.5em;border:1px solid}table{border-collapse:collapse}td,th{text-align:left;\
padding:.2em .8em .2em 0;vertical-align:top}:root{color-scheme:light dark}";

/// The page; `prefix` stands before the paths.
pub fn page(prefix: &str) -> String {
    let mut out = String::with_capacity(32 << 10);
    out.push_str("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width\"><title>Cardkeep API</title><style>");
    out.push_str(STYLE);
    out.push_str("</style></head><body>\n<h1>Cardkeep API</h1>\n");
    text(
        &mut out,
        "Send an API token as Authorization: Bearer, or an account's name and password as Basic. Bodies are JSON in \
         UTF-8, times RFC 3339 in UTC. A PATCH body is a JSON merge patch (RFC 7396). Writes honour If-Match, every \
         POST honours Idempotency-Key for a day. Lists answer items, next_cursor and total.",
    );
    let _ = writeln!(
        out,
        "<p>For programs: <a href=\"{prefix}/api/openapi.json\">openapi.json</a> (OpenAPI 3.1).</p>",
        prefix = escaped(prefix)
    );
    let permissions: Vec<_> = Permission::ALL.iter().map(|(_, word)| *word).collect();
    text(&mut out, &format!("Permissions, of users and of API tokens: {}.", permissions.join(", ")));
    text(&mut out, &format!("Scopes of app passwords: {}.", DAV_SCOPES.join(", ")));
    routes(&mut out);
    schemas(&mut out);
    problems(&mut out);
    out.push_str("</body></html>\n");
    out
}

fn routes(out: &mut String) {
    let mut path = "";
    for route in ROUTES.iter() {
        if route.path != path {
            path = route.path;
            let _ = writeln!(out, "<h2><code>{}</code></h2>", escaped(path));
        }
        let _ = writeln!(out, "<h3><code>{}</code> {}</h3>", route.method, escaped(route.summary));
        text(out, &needs(route.needs));
        let parameters = route.parameters();
        if !parameters.is_empty() {
            text(out, &format!("Query: {}.", parameters.join(", ")));
        }
        text(out, &told(route));
    }
}

fn told(route: &Route) -> String {
    let reads = route.body.map(|shape| format!("Reads {}. ", (shape.name)())).unwrap_or_default();
    let answers = match route.answer {
        Told::One(shape) => format!("Answers 200 with {}.", (shape.name)()),
        Told::List(shape, []) => format!("Answers 200 with a list of {}.", (shape.name)()),
        Told::List(shape, sort) => {
            format!("Answers 200 with a list of {}, sorted by {}.", (shape.name)(), sort.join(", "))
        }
        Told::Whole(shape) => format!("Answers 200 with a list of {}.", (shape.name)()),
        Told::Created(shape) => format!("Answers 201 with {}.", (shape.name)()),
        Told::Done(shape) => format!("Answers 200 with {}, what was done.", (shape.name)()),
        Told::Accepted(shape) => format!("Answers 202 with {}, which does it.", (shape.name)()),
        Told::Nothing => "Answers 204.".to_owned(),
    };
    reads + &answers
}

fn schemas(out: &mut String) {
    out.push_str("<h2>Types</h2>\n");
    let description = description("");
    let schemas = description.pointer("/components/schemas").and_then(serde_json::Value::as_object);
    for (name, schema) in schemas.into_iter().flatten() {
        let shown = serde_json::to_string_pretty(schema).unwrap_or_default();
        let _ = writeln!(out, "<h3>{}</h3><pre>{}</pre>", escaped(name), escaped(&shown));
    }
}

fn problems(out: &mut String) {
    out.push_str("<h2>Problems</h2>\n");
    text(
        out,
        "Errors are problem documents (RFC 9457): type, title, status, detail, and errors with JSON pointers.",
    );
    out.push_str("<table><tr><th>status</th><th>type</th><th>title</th></tr>\n");
    for (_, name, status, title) in KINDS {
        let _ = writeln!(
            out,
            "<tr><td>{status}</td><td><code>{PREFIX}{name}</code></td><td>{}</td></tr>",
            escaped(title)
        );
    }
    out.push_str("</table>\n");
}

fn text(out: &mut String, text: &str) {
    let _ = writeln!(out, "<p>{}</p>", escaped(text));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    #[test]
    fn the_policy_names_the_style() {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(hash);
        assert!(POLICY.contains(&format!("'sha256-{hash}'")), "{hash}");
    }

    #[test]
    fn the_page_shows_every_route_and_is_escaped() {
        let page = page("/x\"><script>");
        for route in ROUTES.iter() {
            assert!(page.contains(&escaped(route.summary)), "{}", route.path);
        }
        assert!(!page.contains("<script") && !page.contains("src="));
    }
}
