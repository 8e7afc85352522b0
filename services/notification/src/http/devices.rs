//! `/devices...`. Each user sees and changes their own alone.

use axum::{extract::State, http::StatusCode};
use contract::{
    device::{Device, NewDevice},
    id::DeviceId,
    page::Page,
};
use runtime::{
    extract::{Json, Path},
    identity::Identity,
    problem::ApiResult,
};

use super::error::RouteError;
use crate::state::AppState;

/// Tokens have no fixed length; today's have about 160 characters.
const LONGEST_TOKEN: usize = 4096;

const LONGEST_NAME: usize = 100;

/// The caller's devices, the one that was registered last first. They are few, so there is one page.
pub(super) async fn list(State(state): State<AppState>, identity: Identity) -> ApiResult<Json<Page<Device>>> {
    let items = state.devices.list(identity.user_id).await.map_err(RouteError::from)?;
    Ok(Json(Page { items, next_cursor: None }))
}

/// Registers a device of the caller, as a client does at each start: 201 where it is new, else 200. It ends with the caller's session.
pub(super) async fn register(
    State(state): State<AppState>,
    identity: Identity,
    Json(new): Json<NewDevice>,
) -> ApiResult<(StatusCode, Json<Device>)> {
    let new = checked(new)?;
    let registered = state.devices.register(identity.user_id, identity.session_id, &new, state.clock.now()).await;
    let (device, is_new) = registered.map_err(RouteError::from)?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(device)))
}

/// Removes one of the caller's devices: 204.
pub(super) async fn remove(
    State(state): State<AppState>,
    identity: Identity,
    Path(id): Path<DeviceId>,
) -> ApiResult<StatusCode> {
    let removed = state.devices.remove(id, identity.user_id).await.map_err(RouteError::from)?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(RouteError::NoDevice.into()) }
}

fn checked(new: NewDevice) -> Result<NewDevice, RouteError> {
    let mut faults = Vec::new();
    if new.token.is_empty() || new.token.len() > LONGEST_TOKEN || !new.token.bytes().all(|byte| byte.is_ascii_graphic())
    {
        let cure = "send the registration token that Firebase gave the device";
        faults.push(("token", format!("must have 1 to {LONGEST_TOKEN} printable characters: {cure}")));
    }
    let name = new.name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control)) {
        faults.push(("name", format!("must have at most {LONGEST_NAME} characters on one line")));
    }
    if faults.is_empty() { Ok(NewDevice { name, ..new }) } else { Err(RouteError::Invalid(faults)) }
}
