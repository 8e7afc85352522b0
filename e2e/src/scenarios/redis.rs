//! Three Redis servers of which one is master, and what becomes of sessions when that one dies.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;

use super::Stage;
use super::chronicle::Chronicle;
use super::faults::{self, Gone, name_of, pods_of};
use super::people::{Person, text};
use super::production;
use super::rest::Rest;
use super::wait::until;
use crate::progress::seconds;

const COMPONENT: &str = "redis";
pub(super) const PORT: u16 = 6379;
const CONTAINER: &str = "redis";
const CONDITION: &str = "RedisReady";
/// How long requests of people who are logged in may fail after the master died.
const OUTAGE_LIMIT: Duration = Duration::from_secs(10);
/// How long one request may take to be counted as answered.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the old master may take to be back as a replica.
const BACK_WITHIN: Duration = Duration::from_mins(1);

pub(super) fn a_killed_master_is_replaced_within_ten_seconds_and_comes_back_as_replica(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let (ada, eve) = (Person::register(stage, "ada")?, Person::register(stage, "eve")?);
    let logged_out =
        stage.rest.post("/api/v1/auth/logout", &eve.access_token, &json!({"refreshToken": eve.refresh_token}))?;
    ensure!(logged_out.status == 204, "logging out answered {}", logged_out.status);
    ensure!(eve.get(stage, ME)?.status == 401, "the token of who logged out still works");

    let chronicle = Chronicle::open(stage)?;
    let Replaced { old, new, outage } = replaced(stage, &ada, &eve)?;
    chronicle.tells(CONDITION, &[&old])?;

    // Sessions are as they were before: one goes on, one has ended.
    let refreshed = stage.rest.post("/api/v1/auth/refresh", "", &json!({"refreshToken": ada.refresh_token}))?;
    let renewed = text(&refreshed.expect(200)?, "accessToken")?;
    stage.rest.get(ME, &renewed)?.expect(200)?;
    ensure!(eve.get(stage, ME)?.status == 401, "the token of who logged out works again");
    stage.wait_until_ready()?;
    ensure!(role(stage, &old)? == "slave", "{old} came back as {}", role(stage, &old)?);
    ensure!(role(stage, &new)? == "master", "{new} is {} now", role(stage, &new)?);
    stage.note(format!("sessions work after {}; master {old}, then {new}", seconds(outage)));
    Ok(())
}

pub(super) fn a_master_whose_pod_is_gone_is_replaced_within_ten_seconds(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let (ada, eve) = (Person::register(stage, "ada")?, Person::register(stage, "eve")?);
    stage.rest.post("/api/v1/auth/logout", &eve.access_token, &json!({"refreshToken": eve.refresh_token}))?;
    let old = master(stage)?;
    // Its name is not to be found any more either, which is another thing than a name of somebody who does not answer.
    let gone = Gone::begin(stage, &old, CONTAINER)?;
    let outage = until_sessions_work(stage, &ada, &eve, gone.at)?;
    ensure!(outage <= OUTAGE_LIMIT, "sessions work only after {}", seconds(outage));
    let new = master(stage)?;
    ensure!(new != old, "{old} is master though its pod is gone");
    drop(gone);
    stage.wait_until_ready()?;
    ensure!(role(stage, &old)? == "slave", "{old} came back as {}", role(stage, &old)?);
    stage.note(format!("sessions work after {}; master {old}, then {new}", seconds(outage)));
    Ok(())
}

/// A master that died, the one that took its place, and how long requests with sessions failed.
struct Replaced {
    old: String,
    new: String,
    outage: Duration,
}

/// Kills the master until another has taken its place. The first time Kubernetes starts it again at once, and it may be back as master,
/// with all that it had on disk, before Sentinel holds it for dead; the next time Kubernetes waits for ten seconds.
fn replaced(stage: &Stage, here: &Person, gone: &Person) -> Result<Replaced> {
    for _ in 0..3 {
        let old = master(stage)?;
        let killed = faults::kill(stage, &old, CONTAINER)?;
        let outage = until_sessions_work(stage, here, gone, killed)?;
        ensure!(outage <= OUTAGE_LIMIT, "sessions work only after {}", seconds(outage));
        let new = master(stage)?;
        if new != old {
            return Ok(Replaced { old, new, outage });
        }
    }
    bail!("the master died three times, and no other took its place")
}

const ME: &str = "/api/v1/users/me";

/// From the death of the master until somebody who is logged in can change something as before, and that stays so: reading goes on without
/// Redis. Meanwhile nobody gets in who has logged out.
fn until_sessions_work(stage: &Stage, here: &Person, gone: &Person, died: Instant) -> Result<Duration> {
    /// Answers in a row that show that it was no luck: with two gateways, both are asked.
    const IN_A_ROW: u32 = 6;
    let rest = Rest::with_patience(stage.rest.url(), &stage.authority()?, PATIENCE)?;
    let mut wrong = Vec::new();
    let mut since = None;
    let mut good = 0;
    until("requests with sessions", BACK_WITHIN, || {
        if gone.get(&rest, ME).is_ok_and(|answer| answer.status == 200) {
            wrong.push("the token of who logged out worked while Redis was away");
        }
        let headers = [
            ("authorization", format!("Bearer {}", here.access_token)),
            ("content-type", "application/json".to_owned()),
        ];
        let change = json!({"displayName": format!("Ada {good}")}).to_string();
        let answered = rest.send("PATCH", ME, &headers, change.as_bytes()).map(|answer| answer.status);
        if matches!(answered, Ok(401)) {
            wrong.push("a good token was refused as bad while Redis was away");
        }
        if !matches!(answered, Ok(200)) {
            (since, good) = (None, 0);
            bail!("answered {answered:?}");
        }
        since.get_or_insert_with(Instant::now);
        good += 1;
        ensure!(good >= IN_A_ROW, "only {good} answers in a row");
        Ok(())
    })?;
    ensure!(wrong.is_empty(), "{wrong:?}");
    Ok(since.context("no answer was good")?.saturating_duration_since(died))
}

/// The name of the pod that says it is the master.
pub(super) fn master(stage: &Stage) -> Result<String> {
    until("a master", BACK_WITHIN, || {
        for pod in pods_of(stage, COMPONENT)? {
            let pod = name_of(&pod)?;
            // One that has just died does not answer.
            if role(stage, pod).is_ok_and(|role| role == "master") {
                return Ok(pod.to_owned());
            }
        }
        bail!("no server is the master")
    })
}

/// What a server says that it is: `master` or `slave` (manual, "ROLE").
fn role(stage: &Stage, pod: &str) -> Result<String> {
    // Piped, redis-cli prints one element a line.
    Ok(ask(stage, pod, &["ROLE"])?.lines().next().unwrap_or_default().to_owned())
}

/// What a server answers the operator's user.
pub(super) fn ask(stage: &Stage, pod: &str, command: &[&str]) -> Result<String> {
    let password = stage.secret(&format!("{}-redis", stage.platform), "operator-password")?;
    let login = format!("REDISCLI_AUTH={password}");
    let client = ["env", &login, "redis-cli", "--user", "operator"];
    stage.exec(pod, CONTAINER, &[client.as_slice(), command].concat())
}
