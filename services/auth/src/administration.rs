//! What those in charge do: each act with an entry in the audit log.

use contract::claims::Role;
use contract::id::{AuditId, SessionId, UserId};
use runtime::clock::Clock;

use crate::accounts::Account;
use crate::audit::{Act, Actor, Entry};
use crate::second_step::{SecondSteps, StepError};
use crate::sessions::{EndReason, Session, Sessions};
use crate::store::users::{AccountFilter, AdminError, Standing};
use crate::store::{AuditStore, UserStore};

/// Somebody in charge: a moderator or an admin.
#[derive(Clone, Debug)]
pub struct InCharge {
    /// As the audit log names them.
    pub actor: Actor,
    /// Whether they may touch moderators and admins too.
    pub is_admin: bool,
}

/// The acts.
#[derive(Clone, Debug)]
pub struct Administration {
    /// Where accounts are kept.
    pub users: UserStore,
    /// Ended where that is asked for.
    pub sessions: Sessions,
    /// Taken away where that is asked for.
    pub second_steps: SecondSteps,
    /// Where acts are noted.
    pub audit: AuditStore,
    /// The time.
    pub clock: Clock,
}

/// Why an act was not done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The account's standing is not to be changed so.
    #[error(transparent)]
    Standing(#[from] AdminError),
    /// The account has no such session.
    #[error("no such session")]
    NoSession,
    /// The second step cannot be taken away.
    #[error(transparent)]
    SecondStep(#[from] StepError),
    /// The database.
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

impl Administration {
    /// Accounts, newest first.
    pub async fn list(
        &self,
        wanted: &AccountFilter,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Account>, ActError> {
        Ok(self.users.list_accounts(wanted, after, limit).await?)
    }

    /// One account.
    pub async fn account(&self, id: UserId) -> Result<Account, ActError> {
        Ok(self.users.get(id).await?.ok_or(AdminError::NotFound)?)
    }

    /// Lets nobody log in as `id` any more, and ends all their sessions.
    pub async fn disable(&self, by: &InCharge, id: UserId, reason: Option<String>) -> Result<Account, ActError> {
        self.change(by, id, &Standing::Disabled { reason }).await?;
        self.sessions.end_all(id, EndReason::ByStaff).await?;
        self.account(id).await
    }

    /// Lets `id` log in again.
    pub async fn enable(&self, by: &InCharge, id: UserId) -> Result<Account, ActError> {
        self.change(by, id, &Standing::Enabled).await?;
        self.account(id).await
    }

    /// Gives `id` these roles in the place of all others. Access tokens that are out say the old ones until they expire;
    /// the routes of this service look at the account itself.
    pub async fn set_roles(&self, by: &InCharge, id: UserId, roles: Vec<Role>) -> Result<Account, ActError> {
        self.change(by, id, &Standing::Roles(roles)).await?;
        self.account(id).await
    }

    /// The sessions of `id`, newest first.
    pub async fn sessions(&self, id: UserId) -> Result<Vec<Session>, ActError> {
        self.account(id).await?;
        Ok(self.sessions.of_user(id).await?)
    }

    /// Ends all sessions of `id`.
    pub async fn end_sessions(&self, by: &InCharge, id: UserId) -> Result<(), ActError> {
        self.touchable(by, id).await?;
        self.note(by, Act::SessionsEnded, id).await?;
        Ok(self.sessions.end_all(id, EndReason::ByStaff).await?)
    }

    /// Ends one session of `id`.
    pub async fn end_session(&self, by: &InCharge, id: UserId, session: SessionId) -> Result<(), ActError> {
        self.touchable(by, id).await?;
        let found = self.sessions.live(session).await?.filter(|session| session.user == id);
        let found = found.ok_or(ActError::NoSession)?;
        self.note(by, Act::SessionEnded { session_id: session }, id).await?;
        Ok(self.sessions.end(&found, EndReason::ByStaff).await?)
    }

    /// Takes the second step of `id` away, whose app and recovery codes are lost.
    pub async fn remove_second_step(&self, by: &InCharge, id: UserId) -> Result<(), ActError> {
        if self.touchable(by, id).await?.second_step.is_none() {
            return Err(StepError::NotEnabled.into());
        }
        self.note(by, Act::SecondStepRemoved, id).await?;
        Ok(self.second_steps.disable(id).await?)
    }

    /// The audit log, newest first: all of it, or what was done by or to `user`.
    pub async fn log(
        &self,
        user: Option<UserId>,
        after: Option<AuditId>,
        limit: usize,
    ) -> Result<Vec<Entry>, ActError> {
        Ok(self.audit.list(user, after, limit).await?)
    }

    async fn change(&self, by: &InCharge, id: UserId, standing: &Standing) -> Result<(), ActError> {
        let now = self.clock.now();
        self.users.change_standing(id, standing, &by.actor, by.is_admin, &self.audit, now).await?;
        Ok(())
    }

    async fn touchable(&self, by: &InCharge, id: UserId) -> Result<Account, ActError> {
        let account = self.account(id).await?;
        let is_staff = account.has(Role::Moderator) || account.has(Role::Admin);
        if is_staff && !by.is_admin { Err(AdminError::Protected.into()) } else { Ok(account) }
    }

    /// Written before the act: there may be an entry whose act failed, and no act without an entry.
    async fn note(&self, by: &InCharge, act: Act, subject: UserId) -> Result<(), ActError> {
        Ok(self.audit.add(&Entry::new(&by.actor, act, subject, self.clock.now())).await?)
    }
}
