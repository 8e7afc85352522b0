//! Making an account: people do it themselves where that is open to them, and admins for others.

use contract::claims::Role;
use contract::event::UserRegistered;
use contract::id::UserId;
use jiff::Timestamp;
use runtime::config::{Fault, Section};
use serde::Deserialize;

use crate::accounts::{Account, DisplayName, Email, KeyDigest, UniqueName, Username};
use crate::addresses::Addresses;
use crate::audit::{Act, Actor, Entry};
use crate::events::Events;
use crate::one_time::{Issued, Purpose, Token};
use crate::password::{Hasher, HasherError, Password};
use crate::settings::Settings;
use crate::store::users::WriteUserError;
use crate::store::{AuditStore, OneTimeStore, Store, UserStore};

/// What a person gives to have an account.
#[derive(Clone, Debug)]
pub struct Registration {
    /// E-mail address.
    pub email: Email,
    /// User name.
    pub username: Username,
    /// Name shown to others.
    pub display_name: DisplayName,
    /// Password.
    pub password: Password,
    /// By what the request is known if it comes again.
    pub key: Option<KeyDigest>,
}

/// What an admin gives to make an account for somebody, who chooses the password.
#[derive(Debug)]
pub struct Invitation {
    /// E-mail address, for which the admin vouches.
    pub email: Email,
    /// User name.
    pub username: Username,
    /// Name shown to others.
    pub display_name: DisplayName,
}

/// An account that was made for somebody.
#[derive(Debug)]
pub struct Invited {
    /// The account.
    pub account: Account,
    /// URL at which its owner chooses the first password, once.
    pub link: String,
    /// Until when.
    pub expires_at: Timestamp,
}

/// `[registration]`: who makes accounts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admission {
    /// Whether people make their own.
    pub open: bool,
    /// The domains that their addresses have to be of; empty for any.
    pub email_domains: Vec<String>,
}

impl Admission {
    fn check(&self, email: &Email) -> Result<(), RegistrationError> {
        if !self.open {
            return Err(RegistrationError::Closed);
        }
        let is_of = |domain: &String| email.domain().eq_ignore_ascii_case(domain);
        if self.email_domains.is_empty() || self.email_domains.iter().any(is_of) {
            return Ok(());
        }
        Err(RegistrationError::Domain(self.email_domains.clone()))
    }
}

impl Section for Admission {
    fn faults(&self) -> Vec<Fault> {
        let fault = |domain: &String| {
            Fault::new("email_domains", format!("{domain:?} is no domain of an address such as acme.example"))
        };
        self.email_domains.iter().filter(|domain| !Email::is_domain(domain)).map(fault).collect()
    }
}

/// Why there is no new account.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// People do not make accounts here.
    #[error("registration is closed")]
    Closed,
    /// The address is of none of these domains.
    #[error("the address is of none of the domains {0:?}")]
    Domain(Vec<String>),
    /// Another account has these names.
    #[error("taken by another account: {0:?}")]
    Taken(Vec<UniqueName>),
    /// The password could not be hashed.
    #[error(transparent)]
    Hasher(#[from] HasherError),
    /// The database.
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

impl Registration {
    /// Whether the account was made by this very request, as far as can be told without its password.
    #[must_use]
    pub fn made(&self, account: &Account) -> bool {
        self.key.is_some()
            && self.key == account.registered_by
            && self.username.key() == account.username.key()
            && self.display_name == account.display_name
    }
}

/// Makes accounts.
#[derive(Clone, Debug)]
pub struct Registrar {
    users: UserStore,
    admission: Admission,
    platform_url: String,
    hasher: Hasher,
    tokens: OneTimeStore,
    audit: AuditStore,
    addresses: Addresses,
    events: Events,
}

impl Registrar {
    /// Makes accounts in `store`.
    #[must_use]
    pub fn new(settings: &Settings, store: &Store, hasher: Hasher, events: Events) -> Self {
        Self {
            users: store.users.clone(),
            admission: settings.registration.clone(),
            platform_url: settings.tokens.issuer.clone(),
            hasher,
            tokens: store.one_time.clone(),
            audit: store.audit.clone(),
            addresses: Addresses::new(settings, store, events.clone()),
            events,
        }
    }

    /// Makes the account if that is open to everybody, and `user.registered` with it, and a first letter where the platform
    /// sends mail.
    pub async fn register(&self, registration: Registration) -> Result<Account, RegistrationError> {
        self.admission.check(&registration.email)?;
        let id = UserId::new(self.events.now(), &mut rand::rng());
        self.make(id, registration, true).await
    }

    /// Makes the account for somebody, who chooses its password with the token within days. Nobody logs in before: until
    /// then its password is one that was drawn and forgotten.
    pub async fn invite(&self, invitation: Invitation, by: &Actor) -> Result<Invited, RegistrationError> {
        let Invitation { email, username, display_name } = invitation;
        let now = self.events.now();
        let (id, token) = (UserId::new(now, &mut rand::rng()), Token::generate(&mut rand::rng()));
        let password = Password::drawn(&mut rand::rng());
        // Like every act of those in charge, noted before it is done.
        self.audit.add(&Entry::new(by, Act::UserInvited, id, now)).await?;
        let account = self.make(id, Registration { email, username, display_name, password, key: None }, false).await?;
        let expires_at = now + Purpose::Invitation.lifetime();
        let issued = Issued {
            purpose: Purpose::Invitation,
            user: id,
            email: Some(account.email.clone()),
            epoch: account.epoch,
            created_at: now,
            expires_at,
        };
        self.tokens.add(&token, &issued).await?;
        let link = format!("{}/reset-password#token={token}", self.platform_url);
        Ok(Invited { account, link, expires_at })
    }

    async fn make(&self, id: UserId, registration: Registration, ask: bool) -> Result<Account, RegistrationError> {
        let Registration { email, username, display_name, password, key } = registration;
        // Asked before the costly part. Who decides is the database, when the account is written.
        let taken = self.users.taken(&email.key(), &username.key()).await?;
        if !taken.is_empty() {
            return Err(RegistrationError::Taken(taken));
        }
        let password = self.hasher.hash(password).await?;
        let now = self.events.now();
        let account = Account {
            id,
            email,
            username,
            display_name,
            avatar: None,
            email_verified_at: None,
            verify_by: if ask { self.addresses.verify_by(now) } else { None },
            password,
            second_step: None,
            pending_second_step: None,
            epoch: 0,
            disabled_at: None,
            roles: vec![Role::User],
            registered_by: key,
            created_at: now,
            updated_at: now,
        };
        let registered = UserRegistered {
            user_id: id,
            username: account.username.to_string(),
            email: account.email.to_string(),
            display_name: account.display_name.to_string(),
        };
        let mut told = vec![self.events.envelope(registered)];
        if ask {
            told.extend(self.addresses.welcome(id, &account.email, &account.display_name).await?);
        }
        match self.users.insert(&account, told).await {
            Ok(()) => {
                self.events.wake(id);
                Ok(account)
            }
            Err(WriteUserError::Taken(names)) => Err(RegistrationError::Taken(names)),
            Err(WriteUserError::Database(error)) => Err(error.into()),
        }
    }
}
