//! What a service's credentials open, tried with real clients: its own things, and not those of the other services.

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::forward::{Forward, Login};
use super::{Stage, production, redis, replica_set};
use crate::command::Run;

/// What came of the attempts.
#[derive(Debug, Deserialize)]
struct Outcome {
    /// The service's own things, each of which has to open, with the server's words where one does not.
    own: Vec<Attempt>,
    /// Other services' things, none of which may open.
    others: Vec<Attempt>,
}

#[derive(Debug, Deserialize)]
struct Attempt {
    what: String,
    /// The server's refusal; none where it did as it was told.
    refused: Option<String>,
}

pub(super) fn a_service_is_refused_in_another_services_database(stage: &Stage) -> Result<()> {
    const DATABASES: [&str; 4] = ["auth", "chat", "media", "notification"];
    production::on_stage(stage)?;
    let forward = Forward::to(stage, &format!("pod/{}", replica_set::primary(stage)?), replica_set::PORT)?;
    for service in DATABASES {
        // It holds the file of the authority that the URI names.
        let login = Login::mongodb(stage, service)?;
        let uri = login.to_one(forward.port)?;
        let others: Vec<&str> =
            DATABASES.into_iter().chain(["admin", "local"]).filter(|other| *other != service).collect();
        attempt(stage, service, &json!({"server": "mongodb", "uri": uri, "own": service, "others": others}))?;
    }
    Ok(())
}

pub(super) fn a_service_is_refused_under_another_services_keys_and_channels(stage: &Stage) -> Result<()> {
    const SERVICES: [&str; 3] = ["gateway", "auth", "chat"];
    production::on_stage(stage)?;
    let forward = Forward::to(stage, &format!("pod/{}", redis::master(stage)?), redis::PORT)?;
    for service in SERVICES {
        let url = stage.secret(&format!("{}-{service}", stage.platform), "redis-url")?;
        let (user, password) = user_of(&url)?;
        let url = format!("redis://{user}:{password}@localhost:{}", forward.port);
        let others: Vec<&str> = SERVICES.into_iter().filter(|other| *other != service).collect();
        attempt(stage, service, &json!({"server": "redis", "uri": url, "own": service, "others": others}))?;
    }
    Ok(())
}

pub(super) fn a_service_is_refused_at_another_services_queues_and_in_another_virtual_host(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let forward = Forward::to(stage, &format!("pod/{}-rabbitmq-0", stage.platform), 5672)?;
    for service in ["auth", "chat", "media", "notification"] {
        let uri = stage.secret(&format!("{}-{service}", stage.platform), "rabbitmq-uri")?;
        let mut url = Url::parse(&uri).context("the Secret holds no AMQP URI")?;
        url.set_host(Some("localhost"))?;
        url.set_port(Some(forward.port)).ok().context("the URI takes no port")?;
        attempt(
            stage,
            service,
            &json!({"server": "rabbitmq", "uri": String::from(url), "own": service, "others": []}),
        )?;
    }
    Ok(())
}

fn attempt(stage: &Stage, service: &str, order: &Value) -> Result<()> {
    let run = Run::new("node").arg("trespass.mjs").in_directory(stage.packages.folder()).input(order.to_string());
    let outcome: Outcome = serde_json::from_str(&run.output()?).context("trespass.mjs answers nonsense")?;
    judge(service, &outcome)
}

fn judge(service: &str, outcome: &Outcome) -> Result<()> {
    ensure!(!outcome.own.is_empty() && !outcome.others.is_empty(), "{service}: nothing was tried: {outcome:?}");
    for Attempt { what, refused } in &outcome.own {
        // Else the refusals below would prove nothing.
        if let Some(words) = refused {
            bail!("{service} is refused its own: {what}: {words}");
        }
    }
    for Attempt { what, refused } in &outcome.others {
        ensure!(refused.is_some(), "{service} may {what}");
    }
    Ok(())
}

/// User and password of a URL that may name several hosts.
fn user_of(url: &str) -> Result<(&str, &str)> {
    let (_, rest) = url.split_once("://").context("the Secret holds no URL")?;
    rest.split_once('@').and_then(|(user, _)| user.split_once(':')).context("the URL names no user")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn outcome(own: Option<&str>, others: Option<&str>) -> Outcome {
        let attempt =
            |what: &str, refused: Option<&str>| Attempt { what: what.into(), refused: refused.map(Into::into) };
        Outcome { own: vec![attempt("read chat", own)], others: vec![attempt("read auth", others)] }
    }

    #[test]
    fn only_refusals_of_all_that_is_others_and_nothing_that_is_own_are_good() {
        judge("chat", &outcome(None, Some("not authorized"))).unwrap();
        assert_eq!(judge("chat", &outcome(None, None)).unwrap_err().to_string(), "chat may read auth");
        assert!(judge("chat", &outcome(Some("no"), Some("no"))).is_err());
        assert!(judge("chat", &Outcome { own: vec![], others: vec![] }).is_err());
    }

    #[test]
    fn the_user_is_read_from_a_list_of_sentinels() {
        let url = "redis+sentinel://chat:p-w@a-0.a.n.svc:26379,a-1.a.n.svc:26379/chatplatform/0";
        assert_eq!(user_of(url).unwrap(), ("chat", "p-w"));
    }
}
