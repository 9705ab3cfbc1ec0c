//! `DAV:expand-property`: properties whose hrefs are replaced by what they point at (REP-3, REP-4).
//! RFC 3253 §3.8.

use std::collections::HashMap;
use std::pin::Pin;

use crate::domain::id::HomeName;
use crate::service::refusal::Stop;
use crate::service::view::{Detail, PropertyName};

use super::super::multistatus::{Verdict, verdict};
use super::super::prefer::Prefer;
use super::super::propfind::Subject;
use super::super::props::{Node, Row, Shown, Value, row};
use super::super::refuse::Trouble;
use super::super::target::{Href, Target};
use super::super::xml::request::Expand;
use super::super::xml::write::{Tag, Writer};
use super::super::{Depth, Exchange, Outcome, full, multistatus};

/// How many resources one answer may read beyond the request's own. Of the rest it is said that they
/// are too many (RFC 6578 §3.6 has the words), and not that they are gone.
const MAX_READS: usize = 64;
/// How large the answer may grow before nothing more is expanded and no further member is told.
const MAX_BYTES: usize = 16 << 20;

/// Handles the report.
pub async fn expand(exchange: &Exchange<'_>, asked: Vec<Expand>) -> Outcome {
    let depth = exchange.depth_or(Depth::Zero)?;
    exchange.check().await?;
    let detail = Detail { properties: true, body: false };
    let members = depth != Depth::Zero;
    let subject = Subject::read(exchange, exchange.target, detail, members).await?;
    let mut nodes = Vec::new();
    subject.nodes(|node, _| nodes.push(node));
    let mut expansion =
        Expansion { exchange, reads: 0, known: HashMap::new(), out: Writer::document("D:multistatus", 2048) };
    for node in nodes {
        if expansion.out.len() >= MAX_BYTES {
            let own = exchange.target.href();
            verdict(own, None, Verdict::Truncated, &exchange.ask(), &mut expansion.out);
            break;
        }
        expansion.response(node, &asked).await?;
    }
    let mut out = expansion.out;
    for href in subject.damaged() {
        verdict(Some(href), None, Verdict::Damaged, &exchange.ask(), &mut out);
    }
    out.raw("</D:multistatus>");
    Ok(multistatus(full(out.take()), Prefer::default()))
}

/// An answer in the making, and what it has read.
struct Expansion<'e, 'x> {
    exchange: &'e Exchange<'x>,
    reads: usize,
    known: HashMap<Target, Known>,
    out: Writer,
}

/// What is known of a resource that an href points at.
#[derive(Clone)]
enum Known {
    There(std::sync::Arc<Subject>),
    Gone,
    /// It was not looked at any more.
    TooMany,
}

type Written<'f> = Pin<Box<dyn Future<Output = Result<(), Trouble>> + Send + 'f>>;

impl Expansion<'_, '_> {
    /// Writes a resource's response. It nests as deep as the request does, which is bounded.
    fn response<'f>(&'f mut self, node: Node<'f>, asked: &'f [Expand]) -> Written<'f> {
        Box::pin(async move {
            let prefix = self.exchange.front.prefix.as_str();
            self.out.raw("<D:response><D:href>");
            self.out.text(prefix);
            self.out.plain(node.href());
            self.out.raw("</D:href><D:propstat><D:prop>");
            let start = self.out.len();
            let (mut missing, mut failed) = (Vec::new(), Vec::new());
            for item in asked {
                let written = row(&item.name).is_none_or(|row| row.is_written_on(node.kind()));
                if node.unreadable() && written {
                    failed.push(&item.name);
                } else if !self.property(&node, item).await? {
                    missing.push(&item.name);
                }
            }
            let mut found = self.out.len() > start || (missing.is_empty() && failed.is_empty());
            if found {
                self.out.raw("</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>");
            }
            for (names, status) in [(missing, "404 Not Found"), (failed, "500 Internal Server Error")] {
                if names.is_empty() {
                    continue;
                }
                if found {
                    self.out.raw("<D:propstat><D:prop>");
                }
                names.iter().for_each(|name| Tag::of(name).empty(&mut self.out));
                for part in ["</D:prop><D:status>HTTP/1.1 ", status, "</D:status></D:propstat>"] {
                    self.out.raw(part);
                }
                found = true;
            }
            self.out.raw("</D:response>");
            Ok(())
        })
    }

    /// Writes one property; false where the resource does not have it.
    async fn property(&mut self, node: &Node<'_>, item: &Expand) -> Result<bool, Trouble> {
        let ask = self.exchange.ask();
        let live = row(&item.name);
        let value = match live {
            Some(row) => row.value(node, &ask),
            None => stored(node, &item.name).map(Value::Stored),
        };
        let Some(value) = value else {
            return Ok(false);
        };
        let tag = Tag::of(&item.name);
        let shown = live.map_or(Shown::Tag(&tag), |row: &Row| Shown::Constant(row.tag));
        match value {
            Value::Href(href) if !item.inner.is_empty() => {
                shown.open(&mut self.out);
                self.expanded(href, &item.inner).await?;
                shown.close(&mut self.out);
            }
            // Groups and their members (REP-3); a mail address leads nowhere.
            Value::Hrefs(others, own) if !item.inner.is_empty() => {
                shown.open(&mut self.out);
                for other in others {
                    self.out.raw("<D:href>");
                    self.out.text(&other);
                    self.out.raw("</D:href>");
                }
                for href in own {
                    self.expanded(href, &item.inner).await?;
                }
                shown.close(&mut self.out);
            }
            value => value.write(&shown, &ask, &mut self.out),
        }
        Ok(true)
    }

    /// Writes the response of the resource that an href points at, read at most once.
    async fn expanded(&mut self, href: Href<'_>, asked: &[Expand]) -> Result<(), Trouble> {
        let target = target_of(href);
        let known = match self.known.get(&target) {
            Some(known) => known.clone(),
            None => {
                let read = self.read(&target).await?;
                self.known.insert(target.clone(), read.clone());
                read
            }
        };
        let (mut root, mut why) = (None, Verdict::Gone);
        match &known {
            Known::There(subject) if self.out.len() < MAX_BYTES => {
                subject.nodes(|node, is_root| root = root.or(is_root.then_some(node)));
            }
            Known::There(_) | Known::TooMany => why = Verdict::Truncated,
            Known::Gone => {}
        }
        match root {
            Some(node) => self.response(node, asked).await?,
            None => verdict(target.href(), None, why, &self.exchange.ask(), &mut self.out),
        }
        Ok(())
    }

    /// Reads a resource; what the caller may not see is not there (REP-4).
    async fn read(&mut self, target: &Target) -> Result<Known, Trouble> {
        self.reads += 1;
        if self.reads > MAX_READS {
            return Ok(Known::TooMany);
        }
        let detail = Detail { properties: true, body: false };
        match Subject::read(self.exchange, target, detail, false).await {
            Ok(subject) => Ok(Known::There(std::sync::Arc::new(subject))),
            Err(Trouble::Stop(Stop::Refused(_))) => Ok(Known::Gone),
            Err(trouble) => Err(trouble),
        }
    }
}

fn stored<'a>(node: &Node<'a>, name: &PropertyName) -> Option<&'a crate::service::view::Property> {
    node.stored().iter().find(|p| p.name == *name)
}

fn target_of(href: Href<'_>) -> Target {
    match href {
        Href::Root(door) => Target::Root(door),
        Href::Principals => Target::Principals,
        Href::PrincipalUsers => Target::PrincipalUsers,
        Href::Principal(user) => Target::Principal(user.clone()),
        Href::PrincipalGroups => Target::PrincipalGroups,
        Href::Group(group) => Target::Group(group.clone()),
        Href::Homes(kind) => Target::Homes(kind),
        Href::Home(kind, user) => Target::Home(HomeName::new(kind, user.clone())),
        Href::Collection(kind, user, name) => {
            Target::Collection(HomeName::new(kind, user.clone()), name.clone())
        }
        Href::Object(kind, user, name, object) => {
            Target::Object(HomeName::new(kind, user.clone()), name.clone(), object.clone())
        }
    }
}
