//! The audit log: what those in charge did, to whom, when and from where. It is written with the act itself and never
//! changed.

use contract::claims::Role;
use contract::id::{AuditId, SessionId, UserId};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::accounts::Account;
use crate::sessions::Client;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Identity; entries sort by it in the order of their time.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub act: Act,
    /// To whom.
    pub subject: UserId,
}

/// Who acted, as they were called at that moment, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// The account; absent where somebody with access to the cluster ran a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<UserId>,
    /// The account's user name, or the command.
    pub name: String,
    /// From where.
    #[serde(flatten)]
    pub client: Client,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Act {
    /// The account was made for the user, who chooses its password.
    UserInvited,
    /// The user can no longer log in.
    UserDisabled {
        /// Why, in the words of who did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The user can log in again.
    UserEnabled,
    /// The user may do other things than before.
    RolesChanged {
        /// The roles until then.
        before: Vec<Role>,
        /// The roles from then on.
        after: Vec<Role>,
    },
    /// All sessions of the user were ended.
    SessionsEnded,
    /// One session of the user was ended.
    SessionEnded {
        /// Which.
        session_id: SessionId,
    },
    /// The user's second step was taken away.
    SecondStepRemoved,
}

impl Actor {
    /// `account`, calling from `client`.
    #[must_use]
    pub fn of(account: &Account, client: Client) -> Self {
        Self { id: Some(account.id), name: account.username.to_string(), client }
    }
}

impl Entry {
    /// An entry of the moment `at`.
    #[must_use]
    pub fn new(actor: &Actor, act: Act, subject: UserId, at: Timestamp) -> Self {
        Self { id: AuditId::new(at, &mut rand::rng()), at, actor: actor.clone(), act, subject }
    }
}
