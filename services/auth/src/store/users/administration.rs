//! What an account may do, changed together with the audit log, and the rule that there is always an admin.

use contract::claims::Role;
use contract::event::Envelope;
use contract::id::UserId;
use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use mongodb::ClientSession;
use mongodb::bson::{self, Document, doc};
use mongodb::error::Error;
use mongodb::options::{ReadConcern, WriteConcern};

use super::record::Record;
use super::{UserStore, beginning_with, living};
use crate::accounts::{Account, NameKey};
use crate::audit::{Act, Actor, Entry};
use crate::store::{AuditStore, millis};

/// How long the user name of a deleted account belongs to nobody: long enough that nobody is taken for who is gone.
const NAME_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The document that every transaction writes that may leave the platform with one admin less: of two at once one
/// waits for the other, and then counts again.
const ADMINS: &str = "admins";

/// What of an account changes.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Nobody logs in any more, and all sessions are over.
    Disabled {
        /// Why.
        reason: Option<String>,
    },
    /// The user logs in again.
    Enabled,
    /// These roles, in the place of all others.
    Roles(Vec<Role>),
}

/// Why nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// There is no such account.
    #[error("no such account")]
    NotFound,
    /// Without this admin there would be none.
    #[error("the last admin")]
    LastAdmin,
    /// Moderators cannot touch moderators and admins.
    #[error("the account is a moderator's or an admin's")]
    Protected,
    /// The database.
    #[error(transparent)]
    Database(#[from] Error),
}

/// Which accounts to list.
#[derive(Clone, Debug, Default)]
pub struct AccountFilter {
    /// Those whose user name or e-mail address begins so.
    pub beginning: Option<NameKey>,
    /// Those with this role.
    pub role: Option<Role>,
    /// Those that are disabled, or that are not.
    pub disabled: Option<bool>,
}

impl UserStore {
    /// Makes the document that transactions meet at.
    pub(super) async fn make_guard(&self) -> Result<(), Error> {
        let guard = doc! {"$setOnInsert": {"writes": 0_i64}};
        self.guards.now().update_one(doc! {"_id": ADMINS}, guard).upsert(true).await?;
        Ok(())
    }

    /// Up to `limit` accounts, newest first, made before `after`.
    pub async fn list_accounts(
        &self,
        wanted: &AccountFilter,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Account>, Error> {
        let mut filter = doc! {};
        if let Some(beginning) = &wanted.beginning {
            let range = beginning_with(beginning);
            filter.insert("$or", [doc! {"usernameKey": range.clone()}, doc! {"emailKey": range}]);
        }
        if let Some(role) = wanted.role {
            filter.insert("roles", bson::serialize_to_bson(&role)?);
        }
        if let Some(disabled) = wanted.disabled {
            filter.insert("disabledAt", doc! {"$exists": disabled});
        }
        if let Some(after) = after {
            filter.insert("_id", doc! {"$lt": after.to_string()});
        }
        self.list(filter, doc! {"_id": -1}, limit).await
    }

    /// Changes what the account may do, with an entry in `audit`. Answers the account as it was before.
    pub async fn change_standing(
        &self,
        id: UserId,
        standing: &Standing,
        actor: &Actor,
        may_touch_staff: bool,
        audit: &AuditStore,
        now: Timestamp,
    ) -> Result<Account, AdminError> {
        let work = ChangeStanding { users: self, id, standing, actor, may_touch_staff, audit, now };
        self.transact(work, |session, work| work.run(session).boxed()).await
    }

    /// Deletes the account: what is left is its user name, for a while, and `told` in the outbox.
    pub async fn delete(&self, id: UserId, told: &Envelope, now: Timestamp) -> Result<(), AdminError> {
        let work = Delete { users: self, id, told, now };
        self.transact(work, |session, work| work.run(session).boxed()).await
    }

    async fn transact<C: Send, R: Send>(
        &self,
        work: C,
        run: impl for<'b> FnMut(
            &'b mut ClientSession,
            &'b mut C,
        ) -> futures::future::BoxFuture<'b, Result<Result<R, AdminError>, Error>>,
    ) -> Result<R, AdminError> {
        self.prepare().await?;
        // It stays until the transaction is over.
        let users = self.users.now();
        let mut session = users.client().start_session().await?;
        let transaction =
            session.start_transaction().read_concern(ReadConcern::snapshot()).write_concern(WriteConcern::majority());
        transaction.and_run(work, run).await?
    }

    /// Whether the platform has an admin who can log in beside `id`.
    async fn has_another_admin(&self, id: UserId, session: &mut ClientSession) -> Result<bool, Error> {
        let others = doc! {
            "_id": {"$ne": id.to_string()},
            "roles": "admin",
            "disabledAt": {"$exists": false},
            "deletedAt": {"$exists": false},
        };
        Ok(self.users.within(session).find_one(others).session(session).await?.is_some())
    }

    async fn meet_at_guard(&self, session: &mut ClientSession) -> Result<(), Error> {
        let guards = self.guards.within(session);
        guards.update_one(doc! {"_id": ADMINS}, doc! {"$inc": {"writes": 1_i64}}).session(session).await?;
        Ok(())
    }
}

fn is_active_admin(account: &Account) -> bool {
    account.has(Role::Admin) && account.disabled_at.is_none()
}

struct ChangeStanding<'a> {
    users: &'a UserStore,
    id: UserId,
    standing: &'a Standing,
    actor: &'a Actor,
    may_touch_staff: bool,
    audit: &'a AuditStore,
    now: Timestamp,
}

impl ChangeStanding<'_> {
    async fn run(&self, session: &mut ClientSession) -> Result<Result<Account, AdminError>, Error> {
        self.users.meet_at_guard(session).await?;
        let users = self.users.users.within(session);
        let Some(before) = users.find_one(living(self.id)).session(&mut *session).await? else {
            return Ok(Err(AdminError::NotFound));
        };
        let before = Account::from(before);
        let is_staff = before.has(Role::Moderator) || before.has(Role::Admin);
        if is_staff && !self.may_touch_staff {
            return Ok(Err(AdminError::Protected));
        }
        let is_lost = match self.standing {
            Standing::Disabled { .. } => true,
            Standing::Enabled => false,
            Standing::Roles(roles) => !roles.contains(&Role::Admin),
        };
        if is_lost && is_active_admin(&before) && !self.users.has_another_admin(self.id, session).await? {
            return Ok(Err(AdminError::LastAdmin));
        }
        let Some((act, update)) = self.change(&before)? else { return Ok(Ok(before)) };
        users.update_one(living(self.id), update).session(&mut *session).await?;
        let entry = Entry::new(self.actor, act, self.id, self.now);
        self.audit.add_within(&entry, session).await?;
        Ok(Ok(before))
    }

    /// What to note and what to write; nothing where the account is so already.
    fn change(&self, before: &Account) -> Result<Option<(Act, Document)>, Error> {
        let now = millis(self.now);
        Ok(match self.standing {
            Standing::Disabled { reason } if before.disabled_at.is_none() => {
                let update = doc! {"$set": {"disabledAt": now, "updatedAt": now}, "$inc": {"epoch": 1_i64}};
                Some((Act::UserDisabled { reason: reason.clone() }, update))
            }
            Standing::Enabled if before.disabled_at.is_some() => {
                Some((Act::UserEnabled, doc! {"$set": {"updatedAt": now}, "$unset": {"disabledAt": ""}}))
            }
            Standing::Roles(after) if before.roles != *after => {
                let update = doc! {"$set": {"roles": bson::serialize_to_bson(after)?, "updatedAt": now}};
                Some((Act::RolesChanged { before: before.roles.clone(), after: after.clone() }, update))
            }
            _ => None,
        })
    }
}

struct Delete<'a> {
    users: &'a UserStore,
    id: UserId,
    told: &'a Envelope,
    now: Timestamp,
}

impl Delete<'_> {
    async fn run(&self, session: &mut ClientSession) -> Result<Result<(), AdminError>, Error> {
        self.users.meet_at_guard(session).await?;
        let documents = self.users.collection().within(session);
        let Some(document) = documents.find_one(living(self.id)).session(&mut *session).await? else {
            return Ok(Err(AdminError::NotFound));
        };
        let username_key = document.get("usernameKey").cloned();
        let mut outbox = document.get_array("outbox").cloned().unwrap_or_default();
        let account = Account::from(bson::deserialize_from_document::<Record>(document)?);
        if is_active_admin(&account) && !self.users.has_another_admin(self.id, session).await? {
            return Ok(Err(AdminError::LastAdmin));
        }
        outbox.push(bson::serialize_to_bson(self.told)?);
        let gone = doc! {
            "_id": self.id.to_string(),
            // No address begins so, and no two of these are the same: the unique index takes it.
            "emailKey": format!("\u{0}{}", self.id),
            "usernameKey": username_key,
            "deletedAt": millis(self.now),
            "purgeAt": millis(self.now + NAME_KEPT),
            "outbox": outbox,
        };
        documents.replace_one(living(self.id), gone).session(session).await?;
        Ok(Ok(()))
    }
}
