//! All routes, as they are served and described.

use axum::http::StatusCode;
use contract::{
    device::{Device, NewDevice},
    notification::{Notification, NotificationPreferences},
    page::{Page, PageQuery},
};
use runtime::openapi::{
    Api, delete, get, post, put,
    refusals::{AWAY, INVALID, NO_SESSION, NOT_FOUND},
};

use super::{devices, notifications, preferences};
use crate::state::AppState;

/// The routes, each with what it takes and how it may be refused.
pub(super) fn api() -> Api<AppState> {
    Api::new("notification")
        .route(
            "/api/v1/notifications",
            [get("What one missed, newest first", notifications::list)
                .query::<PageQuery>()
                .answers::<Page<Notification>>(StatusCode::OK)
                .problems([INVALID, NO_SESSION, AWAY])],
        )
        .route(
            "/api/v1/notifications/read-all",
            [post("Mark all as read, or all of one conversation", notifications::read_all)
                .query::<notifications::Which>()
                .answers_nothing(StatusCode::NO_CONTENT)
                .problems([INVALID, NO_SESSION, AWAY])],
        )
        .route(
            "/api/v1/notifications/{id}/read",
            [post("Mark one as read", notifications::read)
                .answers::<Notification>(StatusCode::OK)
                .problems([NO_SESSION, NOT_FOUND, AWAY])],
        )
        .route(
            "/api/v1/notification-preferences",
            [
                get("How one wants to be told", preferences::show)
                    .answers::<NotificationPreferences>(StatusCode::OK)
                    .problems([NO_SESSION, AWAY]),
                put("Say how one wants to be told", preferences::set)
                    .body::<NotificationPreferences>()
                    .answers::<NotificationPreferences>(StatusCode::OK)
                    .problems([INVALID, NO_SESSION, AWAY]),
            ],
        )
        .route(
            "/api/v1/devices",
            [
                get("One's devices", devices::list)
                    .answers::<Page<Device>>(StatusCode::OK)
                    .problems([NO_SESSION, AWAY]),
                post("Register a device for push", devices::register)
                    .body::<NewDevice>()
                    .answers::<Device>(StatusCode::CREATED)
                    .answers::<Device>(StatusCode::OK)
                    .answered_once()
                    .problems([INVALID, NO_SESSION, AWAY]),
            ],
        )
        .route(
            "/api/v1/devices/{id}",
            [delete("Push to a device no more", devices::remove)
                .answers_nothing(StatusCode::NO_CONTENT)
                .problems([NO_SESSION, NOT_FOUND, AWAY])],
        )
}
