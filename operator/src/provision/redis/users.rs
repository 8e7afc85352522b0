//! Users of a server or sentinel: what is there, compared with what shall be.

use std::collections::{BTreeMap, BTreeSet};

use redis::{Cmd, Value, cmd};
use secrecy::ExposeSecret;

use super::Target;
use super::session::Session;
use crate::provision::Error;
use crate::secrets::{Login, RedisPlace, RedisRules, redis_password_hash};

/// Writes the differences; answers what they were. `of` is what the instance is called in that.
pub(super) async fn correct(
    session: &mut Session,
    target: &Target,
    place: RedisPlace,
    of: &str,
) -> Result<Vec<String>, Error> {
    let mut changes = Vec::new();
    for login in target.users.iter().chain([&target.operator]) {
        let rules = RedisRules::of(&login.user, place);
        let answer: Value = session.ask("tell its users", cmd("ACL").arg("GETUSER").arg(&login.user)).await?;
        if !agrees(&fields(answer), login, &rules) {
            session.ask::<()>("change a user", &set_user(login, &rules)).await?;
            changes.push(format!("corrected user {} of {of}", login.user));
        }
    }
    let default: Value = session.ask("tell its users", cmd("ACL").arg("GETUSER").arg("default")).await?;
    if words(&fields(default), "flags").iter().any(|flag| flag == "on") {
        session.ask::<()>("turn the default user off", cmd("ACL").arg("SETUSER").arg("default").arg("off")).await?;
        changes.push(format!("turned the default user of {of} off"));
    }
    Ok(changes)
}

/// All in one command, so there is no moment in which the user has fewer rights than before and after.
fn set_user(login: &Login, rules: &RedisRules) -> Cmd {
    let mut command = cmd("ACL");
    command.arg("SETUSER").arg(&login.user).arg("reset").arg("on");
    command.arg(format!("#{}", redis_password_hash(login.password.expose_secret())));
    command.arg("resetchannels");
    for word in rules.words() {
        command.arg(word);
    }
    command
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

fn agrees(found: &BTreeMap<String, Value>, login: &Login, rules: &RedisRules) -> bool {
    let same = |name, wanted: &str| {
        let found = words(found, name);
        found.iter().map(String::as_str).collect::<BTreeSet<_>>() == wanted.split_whitespace().collect()
    };
    let flags = words(found, "flags");
    let has = |flag: &str| flags.iter().any(|found| found == flag);
    has("on")
        && !has("nopass")
        && words(found, "passwords") == [redis_password_hash(login.password.expose_secret())]
        && same("commands", rules.commands)
        && same("keys", rules.keys)
        && same("channels", rules.channels)
}
