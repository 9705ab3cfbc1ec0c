//! The principal reports: searching, what can be searched, and which resources are the asker's.
//! RFC 3744 §9.3 to §9.5; calendarserver.org's `test` and `match-type` (ACL-18 to ACL-22).

use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};

use crate::domain::filter::MatchKind;
use crate::service::refusal::Refusal;
use crate::service::view::{PrincipalView, PropertyName};

use super::super::multistatus::{Plan, Verdict, verdict};
use super::super::prefer::Prefer;
use super::super::propfind::Subject;
use super::super::props::{Node, Value, row};
use super::super::refuse::Trouble;
use super::super::target::{Href, Target};
use super::super::xml::name::{CS, DAV};
use super::super::xml::request::{PrincipalMatch, PrincipalSearch, PropertySearch};
use super::super::xml::write::Writer;
use super::super::{Depth, Exchange, Outcome, full, multistatus};

/// A property that principals are searched by.
struct Searchable {
    namespace: &'static str,
    local: &'static str,
    description: &'static str,
    text: fn(&PrincipalView) -> &str,
}

/// Every property that principals are searched by (ACL-22).
static SEARCHABLE: &[Searchable] = &[
    Searchable { namespace: DAV, local: "displayname", description: "Name", text: |view| &view.display_name },
    Searchable {
        namespace: CS,
        local: "email-address-set",
        description: "E-mail address",
        text: |view| view.email.as_deref().unwrap_or_default(),
    },
];

/// Handles `principal-property-search`.
pub async fn search(exchange: &Exchange<'_>, asked: PrincipalSearch) -> Outcome {
    zero(exchange)?;
    let plan = Plan::of_report(&asked.asked, exchange.agent(), exchange.prefer.minimal)?;
    if asked.limit == Some(0) {
        return Err(Refusal::BadLimit.into());
    }
    exchange.check().await?;
    // Macs ask any principal collection without the flag and mean all (ACL-21).
    let here = matches!(exchange.target, Target::Root(_) | Target::Principals | Target::PrincipalUsers);
    let all = asked.everywhere || here || exchange.agent().contains("macOS/");
    let mut found = match all {
        true => exchange.service.principals(exchange.caller).await?,
        false => Vec::new(),
    };
    found.retain(|view| match asked.any {
        true => asked.searches.iter().any(|search| is_found(view, search)),
        false => asked.searches.iter().all(|search| is_found(view, search)),
    });
    let limit = asked.limit.unwrap_or(usize::MAX);
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

/// Every property of a search must have the text, folded by case (ACL-19).
fn is_found(view: &PrincipalView, search: &PropertySearch) -> bool {
    let wanted = search.text.to_lowercase();
    !search.names.is_empty()
        && search.names.iter().all(|name| {
            let searchable =
                SEARCHABLE.iter().find(|s| s.local == name.local && s.namespace == name.namespace);
            searchable.is_some_and(|searchable| {
                let text = (searchable.text)(view).to_lowercase();
                match search.kind {
                    MatchKind::Equals => text == wanted,
                    MatchKind::Contains => text.contains(&wanted),
                    MatchKind::StartsWith => text.starts_with(&wanted),
                    MatchKind::EndsWith => text.ends_with(&wanted),
                }
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
    let plan = Plan::of_report(&asked.asked, exchange.agent(), exchange.prefer.minimal)?;
    exchange.check().await?;
    // Members at any depth: all principals are the asker's own, so one level below is all there is.
    let below = match exchange.target {
        Target::Root(_) | Target::Principals => &Target::PrincipalUsers,
        target => target,
    };
    let subject = Subject::read(exchange, below, plan.detail(), true).await?;
    let mut out = Writer::document("D:multistatus", 1024);
    let ask = exchange.ask();
    let own = Href::Principal(&exchange.caller.name);
    subject.nodes(|node, is_root| {
        let points = match &asked.property {
            None => node.href() == own,
            Some(name) => row(name)
                .and_then(|row| row.value(&node, &ask))
                .is_some_and(|value| matches!(value, Value::Href(href) if href == own)),
        };
        if points && !is_root {
            plan.respond(&node, None, &ask, &mut out);
        }
    });
    out.raw("</D:multistatus>");
    Ok(multistatus(full(out.take()), exchange.prefer.without_root_said()))
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
