//! What somebody with access to the cluster may do with the program itself:
//! `kubectl exec deploy/acme-auth -- /usr/local/bin/auth grant-admin ada`; `invite ada@acme.example ada` makes the account
//! before, where people do not register by themselves.
//!
//! So the first admin comes to be: no password or secret has to be made, handed over and forgotten, and whoever may run
//! programs in the service's pod could read its database anyway.

use std::num::NonZeroUsize;

use anyhow::{Context as _, anyhow, bail};
use contract::claims::Role;
use runtime::clock::Clock;
use runtime::outbox::Waker;
use runtime::{config, connect, program};

use crate::accounts::{DisplayName, Email, NameKey, Username};
use crate::audit::Actor;
use crate::events::Events;
use crate::password::Hasher;
use crate::registration::{Invitation, Invited, Registrar};
use crate::sessions::Client;
use crate::settings::{DEFAULTS, Settings};
use crate::store::Store;
use crate::store::users::Standing;

const GRANT_ADMIN: &str = "grant-admin NAME makes an admin of the account with this user name or e-mail address";
const INVITE: &str = "invite EMAIL USERNAME makes an account, and prints where its owner chooses the password";

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Makes an admin of an account.
    GrantAdmin {
        /// Its user name or e-mail address.
        name: String,
    },
    /// Makes an account for somebody.
    Invite {
        /// Its e-mail address.
        email: String,
        /// Its user name.
        username: String,
    },
}

/// The command that the program's arguments ask for, if it is one of these.
pub fn parse(arguments: &[String]) -> anyhow::Result<Option<Command>> {
    match arguments {
        [command, name] if command == "grant-admin" => Ok(Some(Command::GrantAdmin { name: name.clone() })),
        [command, ..] if command == "grant-admin" => bail!("{GRANT_ADMIN}"),
        [command, email, username] if command == "invite" => {
            Ok(Some(Command::Invite { email: email.clone(), username: username.clone() }))
        }
        [command, ..] if command == "invite" => bail!("{INVITE}"),
        _ => Ok(None),
    }
}

/// Runs a command under the settings of the service, and says on standard output what it did.
pub fn run(command: &Command) -> anyhow::Result<()> {
    program::choose_tls_provider();
    let settings: Settings = config::load(DEFAULTS)?;
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start threads")?;
    let done = threads.block_on(async {
        match command {
            Command::GrantAdmin { name } => grant_admin(&settings, name).await,
            Command::Invite { email, username } => invite(&settings, email, username).await,
        }
    })?;
    #[expect(clippy::print_stdout, reason = "it is what a command is for")]
    {
        println!("{done}");
    }
    Ok(())
}

async fn grant_admin(settings: &Settings, name: &str) -> anyhow::Result<String> {
    let store = Store::new(&connect::mongodb(&settings.mongodb).await?);
    let key = NameKey::of(name.trim());
    let account = match store.users.by_username(&key).await? {
        Some(account) => account,
        None => store.users.by_email(&key).await?.with_context(|| {
            format!(
                "no account has the user name or e-mail address {name:?}: register it first, or make it by `invite`, then run this again"
            )
        })?,
    };
    let mut roles = account.roles.clone();
    if roles.contains(&Role::Admin) {
        return Ok(format!("{} is an admin already", account.username));
    }
    roles.push(Role::Admin);
    let actor = by("grant-admin");
    let now = Clock::system().now();
    store.users.change_standing(account.id, &Standing::Roles(roles), &actor, true, &store.audit, now).await?;
    Ok(format!("{} ({}) is an admin from the next log-in or refresh on", account.username, account.id))
}

async fn invite(settings: &Settings, email: &str, username: &str) -> anyhow::Result<String> {
    let email = Email::parse(email).map_err(|fault| anyhow!("{email:?} {fault}"))?;
    let username = Username::parse(username).map_err(|fault| anyhow!("{username:?} {fault}"))?;
    let invitation = Invitation { display_name: DisplayName::from(&username), email, username };
    let store = Store::new(&connect::mongodb(&settings.mongodb).await?);
    let events = Events::new(Waker::of_nobody(), Clock::system());
    let registrar = Registrar::new(settings, &store, Hasher::new(NonZeroUsize::MIN)?, events);
    let Invited { account, link, expires_at } = registrar.invite(invitation, &by("invite")).await?;
    Ok(format!("{} ({}) chooses a password until {expires_at} at {link}", account.username, account.id))
}

fn by(command: &str) -> Actor {
    Actor { id: None, name: command.to_owned(), client: Client::default() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_command_takes_one_name_and_everything_else_is_the_services_own() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parse(&words("grant-admin ada")).unwrap(), Some(Command::GrantAdmin { name: "ada".to_owned() }));
        for own in ["", "migrate"] {
            assert_eq!(parse(&words(own)).unwrap(), None, "{own}");
        }
        for wrong in ["grant-admin", "grant-admin ada eve"] {
            assert!(parse(&words(wrong)).unwrap_err().to_string().contains("grant-admin NAME"), "{wrong}");
        }
        let invite = Command::Invite { email: "ada@acme.example".to_owned(), username: "ada".to_owned() };
        assert_eq!(parse(&words("invite ada@acme.example ada")).unwrap(), Some(invite));
        assert!(parse(&words("invite ada")).unwrap_err().to_string().contains("invite EMAIL USERNAME"));
    }
}
