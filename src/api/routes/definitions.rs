//! The routes of what admins and users lay down, and of long work.

use crate::domain::permission::Permission;

use super::{Need, Route, SETTINGS, Told, list, made, one};
use crate::api::fields::{Field, NewField, PatchField};
use crate::api::filters::{NewFilter, SavedFilter};
use crate::api::jobs::Job;
use crate::api::words::{NewWord, PatchWord, Word};
use crate::api::{fields, filters, jobs, words};
use crate::service::definitions::words::List;

const FILTERS: Need =
    Need::Scope(Permission::ContactsRead, &[Permission::ContactsWrite, Permission::Settings]);

pub(super) const ROUTES: &[Route] = &[
    Route::new(
        "GET",
        "/api/v1/fields",
        Need::SignedIn,
        "Lists the own fields of contacts, by section, order and key",
        list::<Field>(&["place", "key", "label", "created_at"]),
        |ask| Box::pin(fields::list(ask)),
    ),
    Route::new("POST", "/api/v1/fields", SETTINGS, "Adds a field", made::<Field>(), |ask| {
        Box::pin(fields::create(ask))
    })
    .reads::<NewField>(),
    Route::new("GET", "/api/v1/fields/{key}", Need::SignedIn, "Shows a field", one::<Field>(), |ask| {
        Box::pin(fields::show(ask))
    }),
    Route::new(
        "PATCH",
        "/api/v1/fields/{key}",
        SETTINGS,
        "Changes a field but for its key and type; options that go stay in contacts until these are changed",
        one::<Field>(),
        |ask| Box::pin(fields::change(ask)),
    )
    .reads::<PatchField>(),
    Route::new(
        "DELETE",
        "/api/v1/fields/{key}",
        SETTINGS,
        "Removes a field; refused while contacts have a value of it",
        Told::Nothing,
        |ask| Box::pin(fields::remove(ask)),
    ),
    Route::new(
        "GET",
        "/api/v1/filters",
        FILTERS,
        "Lists saved filters: one's own, and those that others share",
        list::<SavedFilter>(&["name", "owner", "created_at"]),
        |ask| Box::pin(filters::list(ask)),
    ),
    Route::new("POST", "/api/v1/filters", FILTERS, "Saves a filter", made::<SavedFilter>(), |ask| {
        Box::pin(filters::create(ask))
    })
    .reads::<NewFilter>(),
    Route::new("GET", "/api/v1/filters/{id}", FILTERS, "Shows a filter", one::<SavedFilter>(), |ask| {
        Box::pin(filters::show(ask))
    }),
    Route::new(
        "PATCH",
        "/api/v1/filters/{id}",
        FILTERS,
        "Changes a filter: one's own, with the permission `settings` a shared one",
        one::<SavedFilter>(),
        |ask| Box::pin(filters::change(ask)),
    )
    .reads::<NewFilter>(),
    Route::new(
        "DELETE",
        "/api/v1/filters/{id}",
        FILTERS,
        "Removes a filter: one's own, with the permission `settings` a shared one",
        Told::Nothing,
        |ask| Box::pin(filters::remove(ask)),
    ),
    Route::new(
        "GET",
        "/api/v1/roles",
        Need::SignedIn,
        "Lists the roles that contacts may have",
        list::<Word>(&["order", "key", "label"]),
        |ask| Box::pin(words::list(ask, List::Roles)),
    ),
    Route::new("POST", "/api/v1/roles", SETTINGS, "Adds a role", made::<Word>(), |ask| {
        Box::pin(words::create(ask, List::Roles))
    })
    .reads::<NewWord>(),
    Route::new("GET", "/api/v1/roles/{key}", Need::SignedIn, "Shows a role", one::<Word>(), |ask| {
        Box::pin(words::show(ask, List::Roles))
    }),
    Route::new(
        "PATCH",
        "/api/v1/roles/{key}",
        SETTINGS,
        "Changes what a role is called and where it stands",
        one::<Word>(),
        |ask| Box::pin(words::change(ask, List::Roles)),
    )
    .reads::<PatchWord>(),
    Route::new(
        "DELETE",
        "/api/v1/roles/{key}",
        SETTINGS,
        "Removes a role; refused while contacts have it, and for one that is always there",
        Told::Nothing,
        |ask| Box::pin(words::remove(ask, List::Roles)),
    ),
    Route::new(
        "GET",
        "/api/v1/service-levels",
        Need::SignedIn,
        "Lists the service levels that companies may have",
        list::<Word>(&["order", "key", "label"]),
        |ask| Box::pin(words::list(ask, List::ServiceLevels)),
    ),
    Route::new("POST", "/api/v1/service-levels", SETTINGS, "Adds a service level", made::<Word>(), |ask| {
        Box::pin(words::create(ask, List::ServiceLevels))
    })
    .reads::<NewWord>(),
    Route::new(
        "GET",
        "/api/v1/service-levels/{key}",
        Need::SignedIn,
        "Shows a service level",
        one::<Word>(),
        |ask| Box::pin(words::show(ask, List::ServiceLevels)),
    ),
    Route::new(
        "PATCH",
        "/api/v1/service-levels/{key}",
        SETTINGS,
        "Changes what a service level is called and where it stands",
        one::<Word>(),
        |ask| Box::pin(words::change(ask, List::ServiceLevels)),
    )
    .reads::<PatchWord>(),
    Route::new(
        "DELETE",
        "/api/v1/service-levels/{key}",
        SETTINGS,
        "Removes a service level; refused while companies have it",
        Told::Nothing,
        |ask| Box::pin(words::remove(ask, List::ServiceLevels)),
    ),
    Route::new(
        "GET",
        "/api/v1/jobs",
        Need::SignedIn,
        "Lists long work, newest first: one's own, with the permission `admin` everybody's",
        list::<Job>(&["newest", "created_at", "updated_at", "state"]),
        |ask| Box::pin(jobs::list(ask)),
    ),
    Route::new("GET", "/api/v1/jobs/{id}", Need::SignedIn, "Tells how far a job is", one::<Job>(), |ask| {
        Box::pin(jobs::show(ask))
    }),
    Route::new(
        "DELETE",
        "/api/v1/jobs/{id}",
        Need::SignedIn,
        "Stops a job; what it has done stays done",
        Told::Nothing,
        |ask| Box::pin(jobs::cancel(ask)),
    ),
];
