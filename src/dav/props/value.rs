//! What live properties hold, and how their elements are written. RFC 4918 §14.18.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::domain::id::Etag;
use crate::domain::token::SyncToken;
use crate::service::view::Property;

use super::super::target::Href;
use super::super::xml::write::{Tag, Writer};
use super::Ask;

/// What a live property holds.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// Nothing.
    Empty,
    /// Text.
    Text(Cow<'a, str>),
    /// Elements, as answers write them.
    Markup(Cow<'a, str>),
    /// One href.
    Href(Href<'a>),
    /// Any number of addresses that are not this server's, and then of its own.
    Hrefs(Vec<String>, Vec<Href<'a>>),
    /// A number.
    Number(u64),
    /// An entity tag.
    Etag(Etag),
    /// A time, as HTTP writes it.
    Date(Timestamp),
    /// A time, as RFC 3339 writes it.
    Stamp(Timestamp),
    /// A sync token.
    Token(SyncToken),
    /// What a client wrote, with its element.
    Stored(&'a Property),
}

impl Value<'_> {
    /// Writes the property: its element and what it holds.
    pub fn write(&self, tag: &Shown<'_>, ask: &Ask<'_>, out: &mut Writer) {
        if let Self::Stored(property) = self {
            return out.property(property);
        }
        if matches!(self, Self::Empty) {
            return tag.empty(out);
        }
        tag.open(out);
        match self {
            Self::Text(text) => out.text(text),
            Self::Markup(markup) => out.raw(markup),
            Self::Href(href) => own_href(href, ask, out),
            Self::Hrefs(others, own) => {
                for other in others {
                    out.raw("<D:href>");
                    out.text(other);
                    out.raw("</D:href>");
                }
                own.iter().for_each(|href| own_href(href, ask, out));
            }
            Self::Number(number) => out.plain(number),
            Self::Etag(etag) => {
                out.raw("\"");
                out.plain(etag);
                out.raw("\"");
            }
            Self::Date(at) => out.plain(httpdate::HttpDate::from(std::time::SystemTime::from(*at))),
            Self::Stamp(at) => {
                out.plain(Timestamp::from_second(at.as_second()).unwrap_or(*at));
            }
            Self::Token(token) => out.plain(token),
            Self::Empty | Self::Stored(_) => {}
        }
        tag.close(out);
    }
}

fn own_href(href: &Href<'_>, ask: &Ask<'_>, out: &mut Writer) {
    out.raw("<D:href>");
    out.text(&ask.front.prefix);
    out.plain(href);
    out.raw("</D:href>");
}

/// How a property's element is shown: live ones are constant text.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'a> {
    /// `D:name`, `C:name`, `CS:name` or `CAL:name`.
    Constant(&'static str),
    /// Any other.
    Tag(&'a Tag),
}

impl Shown<'_> {
    /// Writes the start tag.
    pub fn open(&self, out: &mut Writer) {
        match self {
            Self::Constant(name) => {
                out.raw("<");
                out.raw(name);
                out.raw(">");
            }
            Self::Tag(tag) => tag.open(out, None),
        }
    }

    /// Writes the end tag.
    pub fn close(&self, out: &mut Writer) {
        match self {
            Self::Constant(name) => {
                out.raw("</");
                out.raw(name);
                out.raw(">");
            }
            Self::Tag(tag) => tag.close(out),
        }
    }

    /// Writes the element without content.
    pub fn empty(&self, out: &mut Writer) {
        match self {
            Self::Constant(name) => {
                out.raw("<");
                out.raw(name);
                out.raw("/>");
            }
            Self::Tag(tag) => tag.empty(out),
        }
    }
}
