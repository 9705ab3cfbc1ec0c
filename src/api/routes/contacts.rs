//! The routes of contacts.

use crate::domain::permission::Permission;

use super::{Need, Route, Shape, Told, accepted, done, list, made, one};
use crate::api::contacts::{
    self, Activity, Bulk, BulkPreview, Contact, Convert, HistoryEntry, Merge, NotDuplicates, Pair, Relate,
    Relation, Restore, Stats, VersionShown, WriteContact,
};
use crate::api::jobs::Job;

const READ: Need = Need::Scope(Permission::ContactsRead, &[]);
const WRITE: Need = Need::Scope(Permission::ContactsWrite, &[]);
const DELETE: Need = Need::Scope(Permission::ContactsDelete, &[]);
const MERGE: Need = Need::Scope(Permission::ContactsMerge, &[]);
const FIND: [(&str, &str); 2] = [
    ("filter", "Those that a filter matches (RFC 7644 §3.4.2.2)"),
    ("q", "Those that have all these words, or beginnings of words"),
];
const WHO: [(&str, &str); 2] = [
    ("phone", "The number that is calling, as it is dialled anywhere or in the server's region"),
    ("email", "The address that is writing"),
];
const INTO: [(&str, &str); 1] = [("book", "The book of a card that is sent as text/vcard")];
const OWN: [(&str, &str); 1] =
    [("own", "Only a company's own history, without its people's (true or false)")];
const BULK: Need = Need::Scope(Permission::ContactsWrite, &[Permission::ContactsDelete]);
const BULK_PREVIEW: [(&str, &str); 1] =
    [("preview", "Only show what would become of some of them (true or false), answered with 200")];
const PREVIEW: [(&str, &str); 1] = [("preview", "Only show what would become of the target (true or false)")];

pub(super) const ROUTES: &[Route] = &[
    Route::new(
        "GET",
        "/api/v1/contacts",
        READ,
        "Lists contacts of all books that one may see; in the order of their names where nobody says",
        list::<Contact>(&["name", "number", "created_at", "updated_at"]),
        |ask| Box::pin(contacts::list(ask)),
    )
    .with(&FIND),
    Route::new(
        "POST",
        "/api/v1/contacts",
        WRITE,
        "Makes a contact, of JSON or a vCard",
        made::<Contact>(),
        |ask| Box::pin(contacts::create(ask)),
    )
    .with(&INTO)
    .with_cards()
    .reads::<WriteContact>(),
    Route::new(
        "GET",
        "/api/v1/contacts/trash",
        DELETE,
        "Lists what was deleted and may come back, newest first",
        list::<Contact>(&[]),
        |ask| Box::pin(contacts::trash(ask)),
    )
    .with(&FIND),
    Route::new(
        "GET",
        "/api/v1/contacts/duplicates",
        READ,
        "Lists pairs of contacts that may be the same, the likeliest first",
        list::<Pair>(&[]),
        |ask| Box::pin(contacts::duplicates(ask)),
    ),
    Route::new(
        "POST",
        "/api/v1/contacts/duplicates",
        WRITE,
        "Says that two contacts that look alike are not the same",
        Told::Nothing,
        |ask| Box::pin(contacts::not_duplicates(ask)),
    )
    .reads::<NotDuplicates>(),
    Route::new(
        "POST",
        "/api/v1/contacts/bulk",
        BULK,
        "Changes, moves, tags or deletes many contacts: a job",
        accepted::<Job>(),
        |ask| Box::pin(contacts::bulk(ask)),
    )
    .with(&BULK_PREVIEW)
    .or_shows::<BulkPreview>()
    .reads::<Bulk>(),
    Route::new(
        "POST",
        "/api/v1/contacts/merge",
        MERGE,
        "Merges contacts into one of them; their ids and numbers lead to it",
        done::<Contact>(),
        |ask| Box::pin(contacts::merge(ask)),
    )
    .with(&PREVIEW)
    .reads::<Merge>(),
    Route::new(
        "GET",
        "/api/v1/contacts/{id}",
        READ,
        "Shows a contact, by its id or number; as text/vcard where that is accepted",
        one::<Contact>(),
        |ask| Box::pin(contacts::show(ask)),
    )
    .with_cards(),
    Route::new("PATCH", "/api/v1/contacts/{id}", WRITE, "Changes a contact", one::<Contact>(), |ask| {
        Box::pin(contacts::change(ask))
    })
    .reads::<WriteContact>(),
    Route::new(
        "DELETE",
        "/api/v1/contacts/{id}",
        DELETE,
        "Deletes a contact: into the trash",
        Told::Nothing,
        |ask| Box::pin(contacts::remove(ask)),
    ),
    Route::new(
        "POST",
        "/api/v1/contacts/{id}/clone",
        WRITE,
        "Makes a copy of a contact beside it, with a number of its own",
        made::<Contact>(),
        |ask| Box::pin(contacts::clone(ask)),
    ),
    Route::new(
        "POST",
        "/api/v1/contacts/{id}/convert",
        WRITE,
        "Makes a contact of a lead",
        done::<Contact>(),
        |ask| Box::pin(contacts::convert(ask)),
    )
    .may_read::<Convert>(),
    Route::new(
        "GET",
        "/api/v1/contacts/{id}/history",
        READ,
        "Tells who changed which field of a contact, and of a company's people, newest first",
        list::<HistoryEntry>(&["at"]),
        |ask| Box::pin(contacts::history(ask)),
    )
    .with(&OWN)
    .may_not_count(),
    Route::new(
        "GET",
        "/api/v1/contacts/{id}/timeline",
        READ,
        "Lists what is planned and what happened with a contact, in all calendars that one may see, newest first; a token needs 'followups' too",
        list::<Activity>(&["at"]),
        |ask| Box::pin(contacts::timeline(ask)),
    ),
    Route::new(
        "GET",
        "/api/v1/contacts/{id}/versions",
        READ,
        "Lists the states that a contact was in, newest first",
        list::<VersionShown>(&["at"]),
        |ask| Box::pin(contacts::versions(ask)),
    ),
    Route::new(
        "POST",
        "/api/v1/contacts/{id}/restore",
        WRITE,
        "Brings back an earlier state, one field of it, or a contact from the trash",
        done::<Contact>(),
        |ask| Box::pin(contacts::restore(ask)),
    )
    .may_read::<Restore>(),
    Route::new(
        "GET",
        "/api/v1/contacts/{id}/relations",
        READ,
        "Lists whom a contact is linked with",
        list::<Relation>(&["type"]),
        |ask| Box::pin(contacts::relations(ask)),
    ),
    Route::new(
        "POST",
        "/api/v1/contacts/{id}/relations",
        WRITE,
        "Links a contact with another",
        made::<Relation>(),
        |ask| Box::pin(contacts::relate(ask)),
    )
    .reads::<Relate>(),
    Route::new(
        "GET",
        "/api/v1/lookup",
        READ,
        "Tells who is calling or writing, over all books that one may see",
        Told::Whole(Shape::of::<Contact>()),
        |ask| Box::pin(contacts::lookup(ask)),
    )
    .with(&WHO),
    Route::new("GET", "/api/v1/stats", READ, "Counts the contacts that one may see", one::<Stats>(), |ask| {
        Box::pin(contacts::stats(ask))
    }),
];
