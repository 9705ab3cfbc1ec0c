//! What is done with contacts, and how much is taken: `[contacts]`, `[api]` and `[limits]`.

use std::num::NonZeroU32;

use super::given::{duration, marks, number, origins, region, switch};
use super::{Key, Shown};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "contacts",
        name: "default_region",
        default: Shown::Unset("\"DE\""),
        doc: "The region, by its two letters of ISO 3166, whose phone numbers are written without a country code.\n\
              Unset, no number without + or 00 is known beyond its digits.",
        set: |c, v| region(v).map(|v| c.contacts.default_region = Some(v)),
    },
    Key {
        section: "contacts",
        name: "trash_days",
        default: Shown::Is("30"),
        doc: "For how many days a deleted contact lies in the trash and may come back with all that it had.\n\
              0: what is deleted is erased at once.",
        set: |c, v| {
            c.contacts.trash_days = u32::try_from(number(v, 0, 3_650)?).unwrap_or(3_650);
            Ok(())
        },
    },
    Key {
        section: "contacts",
        name: "newsletter_default",
        default: Shown::Is("true"),
        doc: "Whether a new contact with a valid e-mail address counts as not having opted out of the newsletter.",
        set: |c, v| switch(v).map(|v| c.contacts.newsletter_default = v),
    },
    Key {
        section: "contacts",
        name: "marks",
        default: Shown::Is("\"category\""),
        doc: "How phones are shown that somebody must not be called or contacted: \"category\", \"note\" (its first line),\n\
              or \"off\".",
        set: |c, v| marks(v).map(|v| c.contacts.marks = v),
    },
    Key {
        section: "api",
        name: "rate_limit",
        default: Shown::Is("6000"),
        doc: "Requests a minute that the API answers to one token, or to one account that signs in with its password;\n\
              further ones are slowed (429). 0 is as many as there come.",
        set: |c, v| {
            c.api.rate_limit = NonZeroU32::new(u32::try_from(number(v, 0, 10_000_000)?).unwrap_or(0));
            Ok(())
        },
    },
    Key {
        section: "api",
        name: "cors_origins",
        default: Shown::Is("[]"),
        doc: "The origins of web pages elsewhere that may ask the API with a token, like [\"https://office.example.org\"].\n\
              In the environment with commas between them.",
        set: |c, v| origins(v).map(|v| c.api.cors_origins = v),
    },
    Key {
        section: "limits",
        name: "card_bytes",
        default: Shown::Is("10485760"),
        doc: "The largest card, photo included, in bytes.",
        set: |c, v| number(v, 1 << 10, 1 << 30).map(|v| c.limits.card_bytes = v),
    },
    Key {
        section: "limits",
        name: "login_attempts",
        default: Shown::Is("10"),
        doc: "Failed sign-ins of one account from one address before further ones are slowed (429).",
        set: |c, v| {
            c.limits.login_attempts = u32::try_from(number(v, 1, 1_000_000)?).unwrap_or(u32::MAX);
            Ok(())
        },
    },
    Key {
        section: "limits",
        name: "body_memory",
        default: Shown::Is("268435456"),
        doc: "Bytes of request bodies held in memory at once, over all requests.",
        set: |c, v| number(v, 1 << 20, 1 << 40).map(|v| c.limits.body_memory = v),
    },
    Key {
        section: "limits",
        name: "body_timeout",
        default: Shown::Is("\"30s\""),
        doc: "How long a request's body may lag behind 8 KiB a second before it is given up (408).",
        set: |c, v| duration(v).map(|v| c.limits.body_timeout = v),
    },
    Key {
        section: "limits",
        name: "discard_bytes",
        default: Shown::Is("134217728"),
        doc: "Bytes of a refused body that are read and thrown away, so that the client sees the answer.",
        set: |c, v| number(v, 0, 1 << 40).map(|v| c.limits.discard_bytes = v),
    },
    Key {
        section: "limits",
        name: "discard_timeout",
        default: Shown::Is("\"10s\""),
        doc: "How long a refused body is read and thrown away.",
        set: |c, v| duration(v).map(|v| c.limits.discard_timeout = v),
    },
];
