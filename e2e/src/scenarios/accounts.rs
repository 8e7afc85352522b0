//! Registering, logging in and out.

use anyhow::{Result, ensure};
use serde_json::json;

use super::Stage;
use super::people::{Person, text};

pub(super) fn two_people_register_and_log_in(stage: &Stage) -> Result<()> {
    for name in ["ada", "ben"] {
        let person = Person::register(stage, name)?;
        let again = person.log_in(stage)?;
        let me = again.get(stage, "/api/v1/users/me")?.expect(200)?;
        ensure!(me["id"] == person.id.as_str() && me["email"] == person.email.as_str(), "not {name}: {me}");
    }
    Ok(())
}

pub(super) fn a_log_out_ends_the_access_token_at_once(stage: &Stage) -> Result<()> {
    let ada = Person::register(stage, "ada")?;
    let other = ada.log_in(stage)?;
    ada.get(stage, "/api/v1/users/me")?.expect(200)?;

    let body = json!({"refreshToken": ada.refresh_token});
    let answer = stage.rest.post("/api/v1/auth/logout", &ada.access_token, &body)?;
    ensure!(answer.status == 204, "answered {}", answer.status);

    ensure!(ada.get(stage, "/api/v1/users/me")?.status == 401, "the token still works");
    let refreshed = stage.rest.post("/api/v1/auth/refresh", "", &body)?;
    ensure!(refreshed.status == 401, "the session still refreshes: {}", refreshed.status);
    // The other session of the same person is not touched.
    other.get(stage, "/api/v1/users/me")?.expect(200).map(drop)
}

pub(super) fn a_reused_refresh_token_revokes_its_family(stage: &Stage) -> Result<()> {
    let ada = Person::register(stage, "ada")?;
    let refresh = |token: &str| stage.rest.post("/api/v1/auth/refresh", "", &json!({"refreshToken": token}));
    let second = refresh(&ada.refresh_token)?.expect(200)?;
    let third = refresh(&text(&second, "refreshToken")?)?.expect(200)?;
    // The first one is two generations old: whoever sends it now has stolen it, or was stolen from.
    ensure!(refresh(&ada.refresh_token)?.status == 401, "a used refresh token was accepted");
    ensure!(refresh(&text(&third, "refreshToken")?)?.status == 401, "the family lives on");
    let access = text(&third, "accessToken")?;
    ensure!(stage.rest.get("/api/v1/users/me", &access)?.status == 401, "the family's access token lives on");
    Ok(())
}

pub(super) fn who_has_no_token_is_refused_with_a_problem_body(stage: &Stage) -> Result<()> {
    stage.rest.get("/api/v1/users/me", "")?.refused(401, "unauthenticated")
}
