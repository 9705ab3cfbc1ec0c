//! The routes of calendars: those of books, but for what a token needs.

use crate::domain::id::CollectionKind;
use crate::domain::permission::Permission;

use super::{Need, Route, Told, WITH, list, made, one};
use crate::api::books::PatchBook;
use crate::api::calendars::{Calendar, NewCalendar};
use crate::api::shares::Share;
use crate::api::{books, calendars, shares};

const NEEDS: Need = Need::Scope(Permission::Followups, &[Permission::Settings]);
const KIND: CollectionKind = CollectionKind::Calendar;

pub(super) const ROUTES: &[Route] = &[
    Route::new(
        "GET",
        "/api/v1/calendars",
        NEEDS,
        "Lists calendars: one's own and those one has access to, with the permission `settings` all but others' private ones",
        list::<Calendar>(&["name", "owner", "created_at"]),
        |ask| Box::pin(books::list(ask, KIND)),
    ),
    Route::new(
        "POST",
        "/api/v1/calendars",
        NEEDS,
        "Makes a calendar: one's own, with the permission `settings` anybody's",
        made::<Calendar>(),
        |ask| Box::pin(calendars::create(ask)),
    )
    .reads::<NewCalendar>(),
    Route::new(
        "GET",
        "/api/v1/calendars/{owner}/{name}",
        NEEDS,
        "Shows a calendar",
        one::<Calendar>(),
        |ask| Box::pin(books::show(ask, KIND)),
    ),
    Route::new(
        "PATCH",
        "/api/v1/calendars/{owner}/{name}",
        NEEDS,
        "Changes a calendar; `shares` is the whole list",
        one::<Calendar>(),
        |ask| Box::pin(books::change(ask, KIND)),
    )
    .reads::<PatchBook>(),
    Route::new(
        "DELETE",
        "/api/v1/calendars/{owner}/{name}",
        NEEDS,
        "Removes a calendar with its entries, for good",
        Told::Nothing,
        |ask| Box::pin(books::remove(ask, KIND)),
    ),
    Route::new(
        "GET",
        "/api/v1/calendars/{owner}/{name}/shares",
        NEEDS,
        "Lists who beside its owner may use a calendar",
        list::<Share>(&["name"]),
        |ask| Box::pin(shares::list(ask, KIND)),
    ),
    Route::new(
        "POST",
        "/api/v1/calendars/{owner}/{name}/shares",
        NEEDS,
        "Gives a user or a group access, or other access than before",
        made::<Share>(),
        |ask| Box::pin(shares::create(ask, KIND)),
    )
    .or_shows::<Share>()
    .reads::<Share>(),
    Route::new(
        "DELETE",
        "/api/v1/calendars/{owner}/{name}/shares",
        NEEDS,
        "Takes access away",
        Told::Nothing,
        |ask| Box::pin(shares::remove(ask, KIND)),
    )
    .with(&WITH),
];
