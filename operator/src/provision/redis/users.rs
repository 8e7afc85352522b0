//! Users of a server or sentinel: what is there, compared with what shall be.

use std::collections::{BTreeMap, BTreeSet};

use redis::{Cmd, Value, cmd};
use secrecy::ExposeSecret;

use super::session::Session;
use super::{Instance, Target};
use crate::provision::{Error, Server};
use crate::secrets::{RedisPlace, RedisRules, redis_password_hash};

/// Writes the differences; answers what they were. `of` is what the instance is called in that.
pub(super) async fn correct(
    session: &mut Session,
    target: &Target,
    place: RedisPlace,
    of: &str,
) -> Result<Vec<String>, Error> {
    let mut changes = Vec::new();
    // Of a user with several logins, the passwords.
    let mut users: Vec<(&str, Hashes)> = Vec::new();
    for login in target.users.iter().chain([&target.operator]) {
        let hash = redis_password_hash(login.password.expose_secret());
        match users.iter_mut().find(|(user, _)| *user == login.user) {
            Some((_, hashes)) => _ = hashes.insert(hash),
            None => users.push((&login.user, [hash].into())),
        }
    }
    for (user, hashes) in users {
        let rules = RedisRules::of(user, place);
        let answer: Value = session.ask("tell its users", cmd("ACL").arg("GETUSER").arg(user)).await?;
        let found = fields(answer);
        let correction = if agrees(&found, &rules) {
            set_passwords(user, &words(&found, "passwords").into_iter().collect(), &hashes)
        } else {
            // All in one command, so there is no moment in which the user has fewer rights than before and after.
            Some(set_user(user, &hashes, &rules))
        };
        if let Some(command) = correction {
            session.ask::<()>("change a user", &command).await?;
            changes.push(format!("corrected user {user} of {of}"));
        }
    }
    let default: Value = session.ask("tell its users", cmd("ACL").arg("GETUSER").arg("default")).await?;
    if words(&fields(default), "flags").iter().any(|flag| flag == "on") {
        session.ask::<()>("turn the default user off", cmd("ACL").arg("SETUSER").arg("default").arg("off")).await?;
        changes.push(format!("turned the default user of {of} off"));
    }
    Ok(changes)
}

/// Makes sure that logins of before are refused.
pub(super) async fn refused(instance: &Instance, target: &Target) -> Result<(), Error> {
    for login in &target.refused {
        match Session::open(instance, login).await {
            Err(Error::AccessDenied { .. }) => {}
            Err(error) => return Err(error),
            Ok(_) => {
                return Err(Error::Failed {
                    server: Server::Redis,
                    address: format!("{}:{}", instance.host, instance.port),
                    action: format!("refuse a password of before of user {}", login.user),
                    cause: "it still logs in".to_owned(),
                });
            }
        }
    }
    Ok(())
}

/// Passwords as Redis keeps them.
type Hashes = BTreeSet<String>;

/// The user as it shall be, whatever it was.
fn set_user(user: &str, hashes: &Hashes, rules: &RedisRules) -> Cmd {
    let mut command = cmd("ACL");
    command.arg("SETUSER").arg(user).arg("reset").arg("on");
    for hash in hashes {
        command.arg(format!("#{hash}"));
    }
    command.arg("resetchannels");
    for word in rules.words() {
        command.arg(word);
    }
    command
}

/// Passwords that come, and others that go: nothing else about the user changes. None where they are right.
fn set_passwords(user: &str, found: &Hashes, wanted: &Hashes) -> Option<Cmd> {
    let mut command = cmd("ACL");
    command.arg("SETUSER").arg(user);
    for hash in wanted.difference(found) {
        command.arg(format!("#{hash}"));
    }
    for hash in found.difference(wanted) {
        command.arg(format!("!{hash}"));
    }
    (found != wanted).then_some(command)
}

/// The answer of `ACL GETUSER`, a list of names and values or a map, by the version of the protocol. Empty for no such user.
fn fields(answer: Value) -> BTreeMap<String, Value> {
    let pairs: Vec<(Value, Value)> = match answer {
        Value::Map(pairs) => pairs,
        Value::Array(items) => {
            let mut items = items.into_iter();
            std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
        }
        _ => Vec::new(),
    };
    pairs.into_iter().filter_map(|(name, value)| Some((redis::from_redis_value(name).ok()?, value))).collect()
}

/// A field as words, whether the server gives it as a list (until 6.2) or as one text (since 7.0).
fn words(fields: &BTreeMap<String, Value>, name: &str) -> Vec<String> {
    match fields.get(name) {
        Some(Value::Array(items) | Value::Set(items)) => {
            items.iter().filter_map(|item| redis::from_redis_value(item.clone()).ok()).collect()
        }
        Some(value) => redis::from_redis_value::<String>(value.clone())
            .map(|text| text.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default(),
        None => Vec::new(),
    }
}

fn agrees(found: &BTreeMap<String, Value>, rules: &RedisRules) -> bool {
    let same = |name, wanted: &str| {
        let found = words(found, name);
        found.iter().map(String::as_str).collect::<BTreeSet<_>>() == wanted.split_whitespace().collect()
    };
    let flags = words(found, "flags");
    let has = |flag: &str| flags.iter().any(|found| found == flag);
    has("on")
        && !has("nopass")
        && same("commands", rules.commands)
        && same("keys", rules.keys)
        && same("channels", rules.channels)
}
