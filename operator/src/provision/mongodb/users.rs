use std::collections::BTreeSet;

use mongodb::bson::{Bson, Document, doc};
use secrecy::ExposeSecret;

use super::access::Access;
use super::member::Member;
use super::pace::{Halt, Pace};
use crate::provision::{Error, Server};
use crate::secrets::Login;

/// Creates users and corrects their roles and passwords. A password is compared by logging in with it.
pub(super) async fn reconcile(member: &Member, users: &[Login], access: &Access, pace: &mut Pace) -> Result<(), Halt> {
    let asked: Vec<Bson> = users.iter().map(|login| id(login).into()).collect();
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
    Ok(())
}

/// Removes users of before, and makes sure that they cannot log in any more.
pub(super) async fn refuse(member: &Member, users: &[Login], access: &Access, pace: &mut Pace) -> Result<(), Halt> {
    if users.is_empty() {
        return Ok(());
    }
    let asked: Vec<Bson> = users.iter().map(|login| id(login).into()).collect();
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

fn id(login: &Login) -> Document {
    doc! {"user": login.user.as_str(), "db": "admin"}
}

fn wanted(login: &Login) -> BTreeSet<(String, String)> {
    ["readWrite", "dbAdmin"].into_iter().map(|role| (role.to_owned(), login.service().to_owned())).collect()
}

fn granted(user: &Document) -> BTreeSet<(String, String)> {
    let roles = user.get_array("roles").map(Vec::as_slice).unwrap_or_default();
    let text = |role: &Document, key| role.get_str(key).unwrap_or_default().to_owned();
    roles.iter().filter_map(Bson::as_document).map(|role| (text(role, "role"), text(role, "db"))).collect()
}
