//! The table of everything that the API answers.

use std::borrow::Cow;
use std::sync::LazyLock;

use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::domain::id::CollectionKind;
use crate::domain::permission::Permission;

use super::books::{Book, NewBook, PatchBook};
use super::groups::{Group, NewGroup, PatchGroup};
use super::ldap::{Directory, Sync, Synced};
use super::people::{NewUser, PatchUser, User};
use super::shares::Share;
use super::tokens::{MadeToken, NewToken, PatchToken, Token};
use super::{Ask, Work, books, groups, ldap, people, shares, tokens};

mod calendars;
mod contacts;
mod definitions;

/// A route.
#[derive(Clone)]
pub struct Route {
    /// Its method; `HEAD` goes with `GET`.
    pub method: &'static str,
    /// Its path.
    pub path: &'static str,
    /// What a caller needs at the least; the use case looks closer.
    pub needs: Need,
    /// What it does.
    pub summary: &'static str,
    /// Its query parameters, beside those of lists.
    pub query: &'static [(&'static str, &'static str)],
    /// What it reads.
    pub body: Option<Shape>,
    /// It may be asked without a body.
    pub bodiless: bool,
    /// A contact may be sent, or is also answered, as its card.
    pub cards: bool,
    /// How much there is in all is not always told of its list.
    pub uncounted: bool,
    /// What it answers when it succeeds.
    pub answer: Told,
    /// What it answers with 200 where it made or began nothing new.
    pub or_else: Option<Shape>,
    /// What does it.
    pub handler: for<'a> fn(&'a Ask) -> Work<'a>,
}

/// What a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To be signed in; what is shown and changed depends on who it is.
    SignedIn,
    /// This permission.
    Permission(Permission),
    /// A token that is for this or one of those; without a token it is one's own.
    Scope(Permission, &'static [Permission]),
}

/// What is answered.
#[derive(Clone, Copy)]
pub enum Told {
    /// 200 with a resource.
    One(Shape),
    /// 200 with a list, told in pieces, and what it may be sorted by.
    List(Shape, &'static [&'static str]),
    /// 200 with a list that is told whole.
    Whole(Shape),
    /// 201 with a resource.
    Created(Shape),
    /// 200 with what was done.
    Done(Shape),
    /// 202 with a job.
    #[allow(dead_code, reason = "rooms that ask for long work come with their own routes")]
    Accepted(Shape),
    /// 204.
    Nothing,
}

/// A type of the description.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Its name.
    pub name: fn() -> Cow<'static, str>,
    /// What it is.
    pub schema: fn() -> RefOr<Schema>,
    /// The types within it.
    pub within: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl Shape {
    /// The shape of a type.
    pub const fn of<T: ToSchema>() -> Self {
        Self { name: T::name, schema: T::schema, within: T::schemas }
    }
}

type Handler = for<'a> fn(&'a Ask) -> Work<'a>;

impl Route {
    const fn new(
        method: &'static str,
        path: &'static str,
        needs: Need,
        summary: &'static str,
        answer: Told,
        handler: Handler,
    ) -> Self {
        Self {
            method,
            path,
            needs,
            summary,
            query: &[],
            body: None,
            bodiless: false,
            cards: false,
            uncounted: false,
            answer,
            or_else: None,
            handler,
        }
    }

    const fn reads<T: ToSchema>(self) -> Self {
        Self { body: Some(Shape::of::<T>()), ..self }
    }

    /// Reads this where there is a body.
    const fn may_read<T: ToSchema>(self) -> Self {
        Self { body: Some(Shape::of::<T>()), bodiless: true, ..self }
    }

    const fn or_shows<T: ToSchema>(self) -> Self {
        Self { or_else: Some(Shape::of::<T>()), ..self }
    }

    const fn with_cards(self) -> Self {
        Self { cards: true, ..self }
    }

    const fn may_not_count(self) -> Self {
        Self { uncounted: true, ..self }
    }

    const fn with(self, query: &'static [(&'static str, &'static str)]) -> Self {
        Self { query, ..self }
    }

    /// Every query parameter that it knows.
    pub fn parameters(&self) -> Vec<&'static str> {
        let mut known: Vec<_> = self.query.iter().map(|(name, _)| *name).collect();
        if let Told::List(_, sort) = self.answer {
            known.extend(["limit", "cursor"]);
            known.extend(Some("sort").filter(|_| !sort.is_empty()));
        }
        known
    }
}

const fn one<T: ToSchema>() -> Told {
    Told::One(Shape::of::<T>())
}

const fn list<T: ToSchema>(sort: &'static [&'static str]) -> Told {
    Told::List(Shape::of::<T>(), sort)
}

const fn made<T: ToSchema>() -> Told {
    Told::Created(Shape::of::<T>())
}

const fn accepted<T: ToSchema>() -> Told {
    Told::Accepted(Shape::of::<T>())
}

const fn done<T: ToSchema>() -> Told {
    Told::Done(Shape::of::<T>())
}

const SETTINGS: Need = Need::Permission(Permission::Settings);
const USERS: Need = Need::Permission(Permission::Users);
const OWN_TOKENS: Need = Need::Scope(Permission::Users, &[]);
const READ_BOOKS: Need =
    Need::Scope(Permission::ContactsRead, &[Permission::ContactsWrite, Permission::Settings]);
const WRITE_BOOKS: Need = Need::Scope(Permission::ContactsWrite, &[Permission::Settings]);

const LEGACY: [(&str, &str); 3] = [
    ("hand_over", "The user who takes the books over, but for private ones"),
    ("private", "`erase`: private books go with their contacts where the others are handed over"),
    ("erase", "Whether the books go with their contacts (true or false)"),
];
const ERASE: [(&str, &str); 1] = [("erase", "Whether the books go with their contacts (true or false)")];
const WITH: [(&str, &str); 2] =
    [("user", "The user whose share ends"), ("group", "The group whose share ends")];

/// Every route.
pub static ROUTES: LazyLock<Vec<Route>> =
    LazyLock::new(|| [PEOPLE, calendars::ROUTES, contacts::ROUTES, definitions::ROUTES].concat());

/// Those of people, books and tokens.
const PEOPLE: &[Route] = &[
    Route::new(
        "GET",
        "/api/v1/users",
        Need::SignedIn,
        "Lists users: all with the permission `users`, else oneself",
        list::<User>(&["name", "display_name", "email", "created_at"]),
        |ask| Box::pin(people::list(ask)),
    ),
    Route::new("POST", "/api/v1/users", USERS, "Makes a user", made::<User>(), |ask| {
        Box::pin(people::create(ask))
    })
    .reads::<NewUser>(),
    Route::new("GET", "/api/v1/users/{name}", Need::SignedIn, "Shows a user", one::<User>(), |ask| {
        Box::pin(people::show(ask))
    }),
    Route::new("PATCH", "/api/v1/users/{name}", USERS, "Changes a user", one::<User>(), |ask| {
        Box::pin(people::change(ask))
    })
    .reads::<PatchUser>(),
    Route::new(
        "DELETE",
        "/api/v1/users/{name}",
        USERS,
        "Removes a user; contacts in their books are handed over or erased, else it is refused",
        Told::Nothing,
        |ask| Box::pin(people::remove(ask)),
    )
    .with(&LEGACY),
    Route::new(
        "GET",
        "/api/v1/groups",
        Need::SignedIn,
        "Lists groups: all with the permission `users`, else one's own",
        list::<Group>(&["name", "display_name", "created_at"]),
        |ask| Box::pin(groups::list(ask)),
    ),
    Route::new("POST", "/api/v1/groups", USERS, "Makes a group", made::<Group>(), |ask| {
        Box::pin(groups::create(ask))
    })
    .reads::<NewGroup>(),
    Route::new("GET", "/api/v1/groups/{name}", Need::SignedIn, "Shows a group", one::<Group>(), |ask| {
        Box::pin(groups::show(ask))
    }),
    Route::new(
        "PATCH",
        "/api/v1/groups/{name}",
        USERS,
        "Changes a group; `members` is the whole list",
        one::<Group>(),
        |ask| Box::pin(groups::change(ask)),
    )
    .reads::<PatchGroup>(),
    Route::new("DELETE", "/api/v1/groups/{name}", USERS, "Removes a group", Told::Nothing, |ask| {
        Box::pin(groups::remove(ask))
    })
    .with(&ERASE),
    Route::new(
        "GET",
        "/api/v1/books",
        READ_BOOKS,
        "Lists books: one's own and those one has access to, with the permission `settings` all but others' private ones",
        list::<Book>(&["name", "owner", "created_at"]),
        |ask| Box::pin(books::list(ask, CollectionKind::AddressBook)),
    ),
    Route::new(
        "POST",
        "/api/v1/books",
        WRITE_BOOKS,
        "Makes a book: one's own, with the permission `settings` anybody's",
        made::<Book>(),
        |ask| Box::pin(books::create(ask)),
    )
    .reads::<NewBook>(),
    Route::new("GET", "/api/v1/books/{owner}/{name}", READ_BOOKS, "Shows a book", one::<Book>(), |ask| {
        Box::pin(books::show(ask, CollectionKind::AddressBook))
    }),
    Route::new(
        "PATCH",
        "/api/v1/books/{owner}/{name}",
        WRITE_BOOKS,
        "Changes a book; `shares` is the whole list",
        one::<Book>(),
        |ask| Box::pin(books::change(ask, CollectionKind::AddressBook)),
    )
    .reads::<PatchBook>(),
    Route::new(
        "DELETE",
        "/api/v1/books/{owner}/{name}",
        WRITE_BOOKS,
        "Removes a book with its contacts",
        Told::Nothing,
        |ask| Box::pin(books::remove(ask, CollectionKind::AddressBook)),
    ),
    Route::new(
        "GET",
        "/api/v1/books/{owner}/{name}/shares",
        READ_BOOKS,
        "Lists who beside its owner may use a book",
        list::<Share>(&["name"]),
        |ask| Box::pin(shares::list(ask, CollectionKind::AddressBook)),
    ),
    Route::new(
        "POST",
        "/api/v1/books/{owner}/{name}/shares",
        WRITE_BOOKS,
        "Gives a user or a group access, or other access than before",
        made::<Share>(),
        |ask| Box::pin(shares::create(ask, CollectionKind::AddressBook)),
    )
    .or_shows::<Share>()
    .reads::<Share>(),
    Route::new(
        "DELETE",
        "/api/v1/books/{owner}/{name}/shares",
        WRITE_BOOKS,
        "Takes access away",
        Told::Nothing,
        |ask| Box::pin(shares::remove(ask, CollectionKind::AddressBook)),
    )
    .with(&WITH),
    Route::new(
        "GET",
        "/api/v1/tokens",
        Need::SignedIn,
        "Lists app passwords and API tokens: one's own, with the permission `users` everybody's",
        list::<Token>(&["created_at", "user", "label", "expires"]),
        |ask| Box::pin(tokens::list(ask)),
    ),
    Route::new(
        "POST",
        "/api/v1/tokens",
        OWN_TOKENS,
        "Makes an app password or an API token; its secret is told this once",
        made::<MadeToken>(),
        |ask| Box::pin(tokens::create(ask)),
    )
    .reads::<NewToken>(),
    Route::new("GET", "/api/v1/tokens/{id}", Need::SignedIn, "Shows a token", one::<Token>(), |ask| {
        Box::pin(tokens::show(ask))
    }),
    Route::new(
        "PATCH",
        "/api/v1/tokens/{id}",
        OWN_TOKENS,
        "Changes a token's label and its end",
        one::<Token>(),
        |ask| Box::pin(tokens::change(ask)),
    )
    .reads::<PatchToken>(),
    Route::new("DELETE", "/api/v1/tokens/{id}", OWN_TOKENS, "Makes a token useless", Told::Nothing, |ask| {
        Box::pin(tokens::remove(ask))
    }),
    Route::new(
        "GET",
        "/api/v1/ldap/status",
        SETTINGS,
        "Tells how the directory of users is followed",
        one::<Directory>(),
        |ask| Box::pin(ldap::status(ask)),
    ),
    Route::new(
        "POST",
        "/api/v1/ldap/sync",
        SETTINGS,
        "Has users, groups and the staff's book follow the directory now, and answers when they have",
        done::<Synced>(),
        |ask| Box::pin(ldap::sync(ask)),
    )
    .reads::<Sync>(),
];
