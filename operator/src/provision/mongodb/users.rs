//! Users: one per service, of its own database; and one that reads all of them, where backups are made.

use std::collections::BTreeSet;

use mongodb::bson::{Bson, Document, doc};
use secrecy::ExposeSecret;

use super::access::Access;
use super::member::Member;
use super::pace::{Halt, Pace};
use crate::build::Component;
use crate::provision::{Error, Server};
use crate::secrets::{BACKUP, Login};

/// The role by which backups have a member keep the moment that they read, for as long as they do.
const WINDOW: &str = "snapshotWindow";

/// Creates users and corrects their roles and passwords. A password is compared by logging in with it.
pub(super) async fn reconcile(member: &Member, users: &[Login], access: &Access, pace: &mut Pace) -> Result<(), Halt> {
    let backs_up = users.iter().any(|login| login.user == BACKUP);
    if backs_up {
        role(member, pace).await?;
    }
    let asked: Vec<Bson> =
        users.iter().map(|login| login.user.as_str()).chain([BACKUP]).map(|user| id(user).into()).collect();
    let answer = member.admin("tell its users", doc! {"usersInfo": asked}).await?;
    let found = answer.get_array("users").map(Vec::as_slice).unwrap_or_default();
    for login in users {
        let user = found
            .iter()
            .filter_map(Bson::as_document)
            .find(|user| user.get_str("user").is_ok_and(|name| name == login.user));
        let Some(user) = user else {
            pace.step()?;
            write(member, "createUser", login, true).await?;
            pace.changed(format!("created user {}", login.user));
            continue;
        };
        let password_differs = !member.accepts(login, access).await?;
        if password_differs || granted(user) != wanted(login) {
            pace.step()?;
            write(member, "updateUser", login, password_differs).await?;
            pace.changed(format!("corrected user {}", login.user));
        }
    }
    let is_backup = |user: &&Document| user.get_str("user").is_ok_and(|name| name == BACKUP);
    if !backs_up && found.iter().filter_map(Bson::as_document).any(|user| is_backup(&user)) {
        pace.step()?;
        let command = doc! {"dropUser": BACKUP, "writeConcern": majority()};
        member.admin(&format!("dropUser {BACKUP}"), command).await?;
        pace.changed(format!("removed user {BACKUP}"));
    }
    Ok(())
}

/// Removes users of before, and makes sure that they cannot log in any more.
pub(super) async fn refuse(member: &Member, users: &[Login], access: &Access, pace: &mut Pace) -> Result<(), Halt> {
    if users.is_empty() {
        return Ok(());
    }
    let asked: Vec<Bson> = users.iter().map(|login| id(&login.user).into()).collect();
    let answer = member.admin("tell its users", doc! {"usersInfo": asked}).await?;
    let found = answer.get_array("users").map(Vec::as_slice).unwrap_or_default();
    for user in found.iter().filter_map(Bson::as_document).filter_map(|user| user.get_str("user").ok()) {
        pace.step()?;
        let drop = doc! {"dropUser": user, "writeConcern": majority()};
        member.admin(&format!("dropUser {user}"), drop).await?;
        pace.changed(format!("removed user {user}"));
    }
    for login in users {
        if member.accepts(login, access).await? {
            return Err(Halt::Failed(Error::Failed {
                server: Server::MongoDb,
                address: member.address().to_owned(),
                action: format!("refuse user {}, whose credential is one of before", login.user),
                cause: "it still logs in".to_owned(),
            }));
        }
    }
    Ok(())
}

/// Makes the role of backups, or corrects it.
async fn role(member: &Member, pace: &mut Pace) -> Result<(), Halt> {
    let wanted = doc! {"resource": {"cluster": true}, "actions": ["getParameter", "setParameter"]};
    let asked = doc! {"rolesInfo": {"role": WINDOW, "db": "admin"}, "showPrivileges": true};
    let answer = member.admin("tell its roles", asked).await?;
    let found = answer.get_array("roles").ok().and_then(|roles| roles.first()?.as_document());
    let privileges = found.and_then(|role| role.get_array("privileges").ok());
    if privileges.is_some_and(|privileges| privileges[..] == [Bson::Document(wanted.clone())]) {
        return Ok(());
    }
    pace.step()?;
    let command = if found.is_some() { "updateRole" } else { "createRole" };
    let document = doc! {command: WINDOW, "privileges": [wanted], "roles": [], "writeConcern": majority()};
    member.admin(&format!("{command} {WINDOW}"), document).await?;
    pace.changed(format!("made role {WINDOW}"));
    Ok(())
}

fn majority() -> Document {
    doc! {"w": "majority", "wtimeout": 4000}
}

async fn write(member: &Member, command: &str, login: &Login, with_password: bool) -> Result<(), Error> {
    let roles: Vec<_> = wanted(login).into_iter().map(|(role, db)| doc! {"role": role, "db": db}).collect();
    let mut document = doc! {command: login.user.as_str(), "roles": roles};
    if with_password {
        document.insert("pwd", login.password.expose_secret());
        document.insert("mechanisms", vec!["SCRAM-SHA-256"]);
    }
    document.insert("writeConcern", majority());
    member.admin(&format!("{command} {}", login.user), document).await.map(drop)
}

fn id(user: &str) -> Document {
    doc! {"user": user, "db": "admin"}
}

fn wanted(login: &Login) -> BTreeSet<(String, String)> {
    if login.user == BACKUP {
        let databases = Component::WITH_DATABASE.map(|service| ("read".to_owned(), service.name().to_owned()));
        return databases.into_iter().chain([(WINDOW.to_owned(), "admin".to_owned())]).collect();
    }
    ["readWrite", "dbAdmin"].into_iter().map(|role| (role.to_owned(), login.service().to_owned())).collect()
}

fn granted(user: &Document) -> BTreeSet<(String, String)> {
    let roles = user.get_array("roles").map(Vec::as_slice).unwrap_or_default();
    let text = |role: &Document, key| role.get_str(key).unwrap_or_default().to_owned();
    roles.iter().filter_map(Bson::as_document).map(|role| (text(role, "role"), text(role, "db"))).collect()
}
