//! The API's description in OpenAPI 3.1, from the table of routes and the types that they name.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};

use crate::domain::permission::{DAV_SCOPES, Permission};

use super::page;
use super::problem::{Detail, KINDS, PREFIX, Told as Problem};
use super::routes::{Need, ROUTES, Route, Shape, Told};

/// The description; `prefix` stands before the paths.
pub fn description(prefix: &str) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in ROUTES.iter() {
        let here = paths.entry(route.path).or_default();
        here.insert(route.method.to_ascii_lowercase(), operation(route));
    }
    let words = |permissions: &mut dyn Iterator<Item = &str>| permissions.collect::<Vec<_>>().join(", ");
    let permissions = words(&mut Permission::ALL.iter().map(|(_, word)| *word));
    let scopes = words(&mut DAV_SCOPES.iter().copied());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Cardkeep",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "The admin API. Times are RFC 3339 in UTC, errors are problem documents (RFC 9457), a PATCH body is a \
                 JSON merge patch (RFC 7396). Writes honour If-Match, every POST honours Idempotency-Key for a day. \
                 Permissions, of users and of API tokens: {permissions}. Scopes of app passwords: {scopes}."
            ),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": if prefix.is_empty() { "/" } else { prefix } }],
        "security": [{ "token": [] }, { "password": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": {
                "Merged": {
                    "description": "The contact was merged, and is there for ever",
                    "headers": { "Location": {
                        "description": "The same of the contact that it went into",
                        "schema": { "type": "string" },
                    } },
                    "content": { "application/json": { "schema": {
                        "type": "object",
                        "required": ["id"],
                        "properties": { "id": { "type": "string", "format": "uuid" } },
                    } } },
                },
                "Problem": {
                    "description": format!("What went wrong; `type` is `{PREFIX}` and one of {}", kinds()),
                    "content": { "application/problem+json": { "schema": reference("Problem") } },
                },
            },
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "An API token" },
                "password": { "type": "http", "scheme": "basic", "description": "An account's name and password" },
            },
        },
    })
}

fn kinds() -> String {
    KINDS.iter().map(|(_, name, ..)| *name).collect::<Vec<_>>().join(", ")
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn operation(route: &Route) -> Value {
    let mut operation = Map::new();
    let room = route.path.trim_start_matches("/api/v1/").split('/').next().unwrap_or_default();
    operation.insert("tags".into(), json!([room]));
    operation.insert("operationId".into(), json!(operation_id(route)));
    operation.insert("summary".into(), json!(route.summary));
    operation.insert("description".into(), json!(needs(route.needs)));
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation.insert("parameters".into(), Value::Array(parameters));
    }
    if let Some(shape) = route.body {
        let kind = if route.method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let mut content = json!({ kind: { "schema": reference(&(shape.name)()) } });
        with_card(route, &mut content);
        operation.insert("requestBody".into(), json!({ "required": !route.bodiless, "content": content }));
    }
    let (status, mut answer) = answer(route.answer);
    if let Some(total) = answer.pointer_mut(TOTAL).filter(|_| route.uncounted) {
        *total = json!({
            "type": ["integer", "null"], "minimum": 0, "description": "Null where not all of it is counted",
        });
    }
    if let Some(content) = answer.get_mut("content").filter(|_| route.method == "GET") {
        with_card(route, content);
        if let Some(content) = content.as_object_mut().filter(|_| route.cards) {
            content.insert("application/jscontact+json".into(), json!({ "schema": { "type": "object" } }));
        }
    }
    let mut responses = json!({ status: answer, "default": { "$ref": "#/components/responses/Problem" } });
    if let Some(responses) = responses.as_object_mut() {
        if route.path.starts_with("/api/v1/contacts/{id}") {
            responses.insert("308".into(), json!({ "$ref": "#/components/responses/Merged" }));
        }
        if let Some((status, answer)) = route.or_else.map(|shape| self::answer(Told::Done(shape))) {
            responses.insert(status.into(), answer);
        }
    }
    operation.insert("responses".into(), responses);
    Value::Object(operation)
}

/// Where an answer's description says how much there is.
const TOTAL: &str = "/content/application~1json/schema/properties/total";

/// A contact goes as its card too.
fn with_card(route: &Route, content: &mut Value) {
    if let Some(content) = content.as_object_mut().filter(|_| route.cards) {
        content.insert("text/vcard".into(), json!({ "schema": { "type": "string" } }));
    }
}

/// `get_users_name`: the method and the words of the path.
fn operation_id(route: &Route) -> String {
    let mut id = route.method.to_ascii_lowercase();
    for segment in route.path.trim_start_matches("/api/v1/").split('/') {
        id.push('_');
        id.push_str(segment.trim_matches(['{', '}']));
    }
    id
}

/// What a caller needs, in words.
pub fn needs(needs: Need) -> String {
    let all = |first: Permission, others: &[Permission]| {
        let words = std::iter::once(&first).chain(others).map(|one| format!("`{}`", one.word()));
        words.collect::<Vec<_>>().join(" or ")
    };
    match needs {
        Need::SignedIn => "Needs no permission.".into(),
        Need::Permission(permission) => format!("Needs the permission `{}`.", permission.word()),
        Need::Scope(first, others) => {
            format!(
                "On what is one's own needs no permission, but a token that is for {}.",
                all(first, others)
            )
        }
    }
}

fn parameters(route: &Route) -> Vec<Value> {
    let named = |place: &str, name: &str, text: &str, required: bool, schema: Value| json!({ "name": name, "in": place, "description": text, "required": required, "schema": schema });
    let text = || json!({ "type": "string" });
    let mut parameters = Vec::new();
    for segment in route.path.split('/').filter(|segment| segment.starts_with('{')) {
        let name = segment.trim_matches(['{', '}']);
        let what = match name {
            "owner" => "A user's name, or `group:` and a group's",
            "id" => "The id",
            "key" => "The key",
            _ => "The name",
        };
        parameters.push(named("path", name, what, true, text()));
    }
    if let Told::List(_, sort) = route.answer {
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": page::MOST, "default": page::USUAL });
        parameters.push(named("query", "limit", "How many items at the most", false, limit));
        let cursor = json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+$" });
        parameters.push(named("query", "cursor", "`next_cursor` of the piece before", false, cursor));
        if !sort.is_empty() {
            let what = format!("One or more of {}, with commas; - in front for backwards", sort.join(", "));
            parameters.push(named("query", "sort", &what, false, text()));
        }
    }
    for (name, what) in route.query {
        parameters.push(named("query", name, what, false, text()));
    }
    match route.method {
        "POST" => {
            let what = "The same key with the same request is done once";
            parameters.push(named("header", "Idempotency-Key", what, false, text()));
        }
        "PATCH" | "DELETE" if !route.path.ends_with("/shares") => {
            let what = "The entity tag that the resource must still have";
            parameters.push(named("header", "If-Match", what, false, text()));
        }
        _ => {}
    }
    parameters
}

fn answer(answer: Told) -> (&'static str, Value) {
    let json = |schema: Value| json!({ "application/json": { "schema": schema } });
    let header = |what: &str| json!({ "description": what, "schema": { "type": "string" } });
    match answer {
        Told::Nothing => ("204", json!({ "description": "It is done, and there is nothing to tell" })),
        Told::One(shape) => (
            "200",
            json!({
                "description": "The resource",
                "headers": { "ETag": header("Its entity tag") },
                "content": json(reference(&(shape.name)())),
            }),
        ),
        Told::Done(shape) => {
            ("200", json!({ "description": "What was done", "content": json(reference(&(shape.name)())) }))
        }
        Told::Accepted(shape) => (
            "202",
            json!({
                "description": "The job that does it",
                "headers": { "Location": header("Where it is") },
                "content": json(reference(&(shape.name)())),
            }),
        ),
        Told::Created(shape) => (
            "201",
            json!({
                "description": "What was made",
                "headers": { "Location": header("Where it is") },
                "content": json(reference(&(shape.name)())),
            }),
        ),
        Told::List(shape, _) | Told::Whole(shape) => (
            "200",
            json!({
                "description": "The list, or a piece of it",
                "content": json(json!({
                    "type": "object",
                    "required": ["items", "next_cursor", "total"],
                    "properties": {
                        "items": { "type": "array", "items": reference(&(shape.name)()) },
                        "next_cursor": { "type": ["string", "null"] },
                        "total": { "type": "integer", "minimum": 0 },
                    },
                })),
            }),
        ),
    }
}

/// Every type that a route names, and the types within those.
fn schemas() -> BTreeMap<String, RefOr<Schema>> {
    let mut schemas = BTreeMap::new();
    let told = |route: &Route| match route.answer {
        Told::One(shape)
        | Told::List(shape, _)
        | Told::Whole(shape)
        | Told::Created(shape)
        | Told::Done(shape)
        | Told::Accepted(shape) => Some(shape),
        Told::Nothing => None,
    };
    let shapes =
        ROUTES.iter().flat_map(|route| route.body.into_iter().chain(told(route)).chain(route.or_else));
    for shape in shapes.chain([Shape::of::<Problem>(), Shape::of::<Detail>()]) {
        let mut within = Vec::new();
        (shape.within)(&mut within);
        schemas.extend(within);
        schemas.insert((shape.name)().into_owned(), (shape.schema)());
    }
    schemas
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use utoipa::ToSchema;

    use super::*;
    use crate::api::body::{Read, read};
    use crate::api::{books, calendars, fields, filters, groups, ldap, people, shares, tokens, words};

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let description = description("");
        let mut found = BTreeSet::new();
        references(&description, &mut found);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(description.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn no_two_operations_have_one_id() {
        let ids: BTreeSet<_> = ROUTES.iter().map(operation_id).collect();
        assert_eq!(ids.len(), ROUTES.len());
    }

    fn properties(schema: &Value, names: &mut BTreeSet<String>) {
        let own = schema.get("properties").and_then(Value::as_object);
        names.extend(own.into_iter().flatten().map(|(name, _)| name.clone()));
        let parts = schema.get("allOf").and_then(Value::as_array);
        parts.into_iter().flatten().for_each(|part| properties(part, names));
    }

    /// What a schema says may be sent is read, all of it.
    fn reads_what_it_says<T: Read + ToSchema>() {
        let schema = serde_json::to_value(T::schema()).unwrap();
        let mut names = BTreeSet::new();
        properties(&schema, &mut names);
        let body: Map<String, Value> = names.iter().map(|name| (name.clone(), json!({}))).collect();
        let problem = format!("{:?}", read::<T>(Value::Object(body)).err());
        assert!(!problem.contains("there is no such field"), "{}: {problem}", T::name());
        assert!(!names.is_empty());
        for name in names {
            assert!(problem.contains(&format!("\"/{name}\"")), "{} does not read {name}", T::name());
        }
    }

    #[test]
    fn bodies_are_read_as_they_are_described() {
        reads_what_it_says::<people::NewUser>();
        reads_what_it_says::<people::PatchUser>();
        reads_what_it_says::<groups::NewGroup>();
        reads_what_it_says::<groups::PatchGroup>();
        reads_what_it_says::<books::NewBook>();
        reads_what_it_says::<books::PatchBook>();
        reads_what_it_says::<calendars::NewCalendar>();
        reads_what_it_says::<shares::Share>();
        reads_what_it_says::<ldap::Sync>();
        reads_what_it_says::<tokens::NewToken>();
        reads_what_it_says::<tokens::PatchToken>();
        reads_what_it_says::<fields::NewField>();
        reads_what_it_says::<fields::PatchField>();
        reads_what_it_says::<filters::NewFilter>();
        reads_what_it_says::<words::NewWord>();
        reads_what_it_says::<words::PatchWord>();
    }
}
