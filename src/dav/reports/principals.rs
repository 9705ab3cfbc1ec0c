//! The principal reports: searching, what can be searched, and which resources are the asker's.
//! RFC 3744 §9.3 to §9.5; calendarserver.org's `test` and `match-type` (ACL-18 to ACL-22).

use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};

use crate::domain::filter::MatchKind;
use crate::domain::id::Principal;
use crate::service::access::Caller;
use crate::service::refusal::Refusal;
use crate::service::view::{PrincipalView, PropertyName};

use super::super::multistatus::{Plan, Verdict, verdict};
use super::super::prefer::Prefer;
use super::super::propfind::Subject;
use super::super::props::{Node, Value, mailto, row, user_type};
use super::super::refuse::Trouble;
use super::super::target::{Href, Target};
use super::super::xml::name::{CAL, CS, DAV};
use super::super::xml::request::{PrincipalMatch, PrincipalSearch, PropertySearch};
use super::super::xml::write::Writer;
use super::super::{Depth, Exchange, Outcome, full, multistatus};

/// A property that principals are searched by.
struct Searchable {
    namespace: &'static str,
    local: &'static str,
    description: &'static str,
    texts: fn(&PrincipalView) -> Vec<String>,
}

/// How many principals one search tells at most (ACL-20).
const MOST: usize = 500;

/// Every property that principals are searched by (ACL-22).
static SEARCHABLE: &[Searchable] = &[
    Searchable {
        namespace: DAV,
        local: "displayname",
        description: "Name",
        texts: |view| vec![view.display_name.clone()],
    },
    Searchable {
        namespace: CS,
        local: "email-address-set",
        description: "E-mail address",
        texts: |view| view.addresses.clone(),
    },
    Searchable {
        namespace: CAL,
        local: "calendar-user-address-set",
        description: "Calendar user address",
        texts: mailto,
    },
    Searchable {
        namespace: CAL,
        local: "calendar-user-type",
        description: "Person or group",
        texts: |view| vec![user_type(view).to_owned()],
    },
];

/// Handles `principal-property-search`.
pub async fn search(exchange: &Exchange<'_>, mut asked: PrincipalSearch) -> Outcome {
    zero(exchange)?;
    // Once, and not for each principal: the text may be long.
    asked.searches.iter_mut().for_each(|search| search.text = search.text.to_lowercase());
    let plan = Plan::of_report(&asked.asked, exchange.forms(None), exchange.prefer.minimal)?;
    if asked.limit == Some(0) {
        return Err(Refusal::BadLimit.into());
    }
    exchange.check().await?;
    // Macs ask any principal collection without the flag and mean all (ACL-21).
    let mac = exchange.agent().contains("macOS/");
    let all = asked.everywhere || mac || matches!(exchange.target, Target::Root(_) | Target::Principals);
    let within = |name: &Principal| match (exchange.target, name) {
        (Target::PrincipalUsers, Principal::User(_)) | (Target::PrincipalGroups, Principal::Group(_)) => true,
        _ => all,
    };
    let mut found = match all || matches!(exchange.target, Target::PrincipalUsers | Target::PrincipalGroups) {
        true => exchange.service.principals(exchange.caller).await?,
        false => Vec::new(),
    };
    found.retain(|view| within(&view.name));
    found.retain(|view| match asked.any {
        true => asked.searches.iter().any(|search| is_found(view, search)),
        false => asked.searches.iter().all(|search| is_found(view, search)),
    });
    let limit = asked.limit.unwrap_or(MOST).min(MOST);
    let mut out = Writer::document("D:multistatus", 1024);
    let ask = exchange.ask();
    for view in found.iter().take(limit) {
        plan.respond(&Node::Principal(view), None, &ask, &mut out);
    }
    if found.len() > limit {
        verdict(exchange.target.href(), None, Verdict::Truncated, &ask, &mut out);
    }
    out.raw("</D:multistatus>");
    Ok(multistatus(full(out.take()), exchange.prefer.without_root_said()))
}

/// Every property of a search must have the text, which is folded by case already (ACL-19).
fn is_found(view: &PrincipalView, search: &PropertySearch) -> bool {
    let wanted = search.text.as_str();
    !search.names.is_empty()
        && search.names.iter().all(|name| {
            let searchable =
                SEARCHABLE.iter().find(|s| s.local == name.local && s.namespace == name.namespace);
            searchable.is_some_and(|searchable| {
                (searchable.texts)(view).iter().map(|text| text.to_lowercase()).any(|text| {
                    match search.kind {
                        MatchKind::Equals => text == wanted,
                        MatchKind::Contains => text.contains(wanted),
                        MatchKind::StartsWith => text.starts_with(wanted),
                        MatchKind::EndsWith => text.ends_with(wanted),
                    }
                })
            })
        })
}

/// Handles `principal-search-property-set`.
pub fn search_set(exchange: &Exchange<'_>) -> Outcome {
    zero(exchange)?;
    let mut out = Writer::document("D:principal-search-property-set", 512);
    for searchable in SEARCHABLE {
        let name =
            PropertyName { namespace: searchable.namespace.to_owned(), local: searchable.local.to_owned() };
        out.raw("<D:principal-search-property><D:prop>");
        super::super::xml::write::Tag::of(&name).empty(&mut out);
        out.raw("</D:prop><D:description xml:lang=\"en\">");
        out.text(searchable.description);
        out.raw("</D:description></D:principal-search-property>");
    }
    out.raw("</D:principal-search-property-set>");
    let mut response = Response::new(full(out.take()));
    let kind = HeaderValue::from_static("application/xml; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

/// Handles `principal-match`: which members are the asker (`self`), or point at the asker.
pub async fn matching(exchange: &Exchange<'_>, asked: PrincipalMatch) -> Outcome {
    zero(exchange)?;
    let plan = Plan::of_report(&asked.asked, exchange.forms(None), exchange.prefer.minimal)?;
    exchange.check().await?;
    let mut subjects = Vec::new();
    match exchange.target {
        // Members at any depth: principals lie one level below.
        Target::Root(_) | Target::Principals => {
            for below in [Target::PrincipalUsers, Target::PrincipalGroups] {
                subjects.push(Subject::read(exchange, &below, plan.detail(), true).await?);
            }
        }
        target => subjects.push(Subject::read(exchange, target, plan.detail(), true).await?),
    }
    let mut out = Writer::document("D:multistatus", 1024);
    let ask = exchange.ask();
    let own = Href::Principal(&exchange.caller.name);
    for subject in &subjects {
        subject.nodes(|node, is_root| {
            let points = match &asked.property {
                // A group that the asker is in is the asker too (RFC 3744 §9.3).
                None => node.href() == own || is_group_of(&node, exchange.caller),
                Some(name) => row(name)
                    .and_then(|row| row.value(&node, &ask))
                    .is_some_and(|value| matches!(value, Value::Href(href) if href == own)),
            };
            if points && !is_root {
                plan.respond(&node, None, &ask, &mut out);
            }
        });
    }
    out.raw("</D:multistatus>");
    Ok(multistatus(full(out.take()), exchange.prefer.without_root_said()))
}

fn is_group_of(node: &Node<'_>, caller: &Caller) -> bool {
    matches!(node, Node::Principal(view)
        if caller.groups.iter().any(|group| group.0 == *view.account.as_bytes()))
}

/// These reports run with Depth 0 alone, which is also what no `Depth` means (ACL-18, ACL-19).
fn zero(exchange: &Exchange<'_>) -> Result<(), Trouble> {
    match exchange.depth_or(Depth::Zero)? {
        Depth::Zero => Ok(()),
        _ => Err(Trouble::Status(StatusCode::BAD_REQUEST)),
    }
}

impl Prefer {
    /// What a report honours: it has no root to leave out.
    fn without_root_said(self) -> Self {
        Self { no_root: false, ..self }
    }
}
