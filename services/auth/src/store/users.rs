//! Accounts in the collection `users`.
//!
//! Two accounts never share an e-mail address or a user name: unique indexes on their keys decide it, also between two
//! who register at the same moment. `displayNameKey` is there only where it differs from `usernameKey`, since a search
//! that finds the one has found the other.

use std::sync::Arc;

use contract::claims::Role;
use contract::event::Envelope;
use contract::id::UserId;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::bson::{self, Document, doc};
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::{IndexOptions, ReadConcern, ReturnDocument};
use mongodb::{Collection, Database, IndexModel};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::{millis, timestamp};
use crate::accounts::{Account, DisplayName, Email, NameKey, UniqueName, Username};
use crate::password::PasswordHash;

/// Accounts.
#[derive(Clone, Debug)]
pub struct UserStore {
    users: Collection<Record>,
    indexes: Arc<OnceCell<()>>,
}

/// Why an account was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteUserError {
    /// Another account has these names.
    #[error("taken by another account: {0:?}")]
    Taken(Vec<UniqueName>),
    /// The database.
    #[error(transparent)]
    Database(#[from] Error),
}

/// Which names of an account to change.
#[derive(Clone, Debug, Default)]
pub struct NameChange {
    /// New user name.
    pub username: Option<Username>,
    /// New display name.
    pub display_name: Option<DisplayName>,
}

impl UserStore {
    /// The collection of all accounts, which is also the outbox of `user.registered`.
    pub const COLLECTION: &str = "users";

    pub(super) fn new(database: &Database) -> Self {
        Self { users: database.collection(Self::COLLECTION), indexes: Arc::default() }
    }

    /// The collection, for the relay of its outbox.
    #[must_use]
    pub fn collection(&self) -> Collection<Document> {
        self.users.clone_with_type()
    }

    pub(super) async fn prepare(&self) -> Result<(), Error> {
        self.indexes.get_or_try_init(|| self.make_indexes()).await.copied()
    }

    async fn make_indexes(&self) -> Result<(), Error> {
        let index = |keys, options| IndexModel::builder().keys(keys).options(options).build();
        let unique = IndexOptions::builder().unique(true).build();
        let sparse = IndexOptions::builder().sparse(true).build();
        self.users
            .create_indexes([
                index(doc! {"emailKey": 1}, unique.clone()),
                index(doc! {"usernameKey": 1}, unique),
                index(doc! {"displayNameKey": 1, "usernameKey": 1}, sparse),
            ])
            .await?;
        Ok(())
    }

    /// Adds `account`, and `registered` to the outbox with it.
    pub async fn insert(&self, account: &Account, registered: Envelope) -> Result<(), WriteUserError> {
        // Without its unique indexes the collection would take anything.
        self.prepare().await?;
        match self.users.insert_one(Record::new(account, registered)).await {
            Ok(_) => Ok(()),
            Err(error) if is_duplicate(&error) => {
                Err(WriteUserError::Taken(self.taken(&account.email.key(), &account.username.key()).await?))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Which of the two names belong to an account already.
    pub async fn taken(&self, email: &NameKey, username: &NameKey) -> Result<Vec<UniqueName>, Error> {
        let filter = doc! {"$or": [{"emailKey": email.as_str()}, {"usernameKey": username.as_str()}]};
        // Local, because what has just kept us from writing may not have reached a majority yet.
        let holders = self.users.find(filter).read_concern(ReadConcern::local()).await?;
        let holders: Vec<Record> = holders.try_collect().await?;
        let mut taken = Vec::new();
        if holders.iter().any(|holder| holder.email_key == *email) {
            taken.push(UniqueName::Email);
        }
        if holders.iter().any(|holder| holder.username_key == *username) {
            taken.push(UniqueName::Username);
        }
        Ok(taken)
    }

    /// The account of this id.
    pub async fn get(&self, id: UserId) -> Result<Option<Account>, Error> {
        self.one(doc! {"_id": id.to_string()}).await
    }

    /// The account of this e-mail address.
    pub async fn by_email(&self, email: &NameKey) -> Result<Option<Account>, Error> {
        self.one(doc! {"emailKey": email.as_str()}).await
    }

    /// The account of this user name.
    pub async fn by_username(&self, username: &NameKey) -> Result<Option<Account>, Error> {
        self.one(doc! {"usernameKey": username.as_str()}).await
    }

    /// Keeps `new` as the password in the place of `old`; nothing happens if it has been changed meanwhile.
    pub async fn rehash(&self, id: UserId, old: &PasswordHash, new: &PasswordHash) -> Result<(), Error> {
        let filter = doc! {"_id": id.to_string(), "passwordHash": bson::serialize_to_bson(old)?};
        self.users.update_one(filter, doc! {"$set": {"passwordHash": bson::serialize_to_bson(new)?}}).await?;
        Ok(())
    }

    /// Changes names and answers the account as it is then; `None` if there is no such account.
    pub async fn rename(
        &self,
        id: UserId,
        change: &NameChange,
        now: Timestamp,
    ) -> Result<Option<Account>, WriteUserError> {
        self.prepare().await?;
        let mut set = doc! {"updatedAt": millis(now)};
        if let Some(username) = &change.username {
            set.insert("username", username.to_string());
            set.insert("usernameKey", username.key().as_str());
        }
        if let Some(name) = &change.display_name {
            set.insert("displayName", name.to_string());
            set.insert("displayNameKey", name.key().as_str());
        }
        // A pipeline, because whether the display name's key is kept depends on both names as they are in the end.
        let same = doc! {"$eq": ["$displayNameKey", "$usernameKey"]};
        let pipeline = vec![
            doc! {"$set": {"displayNameKey": {"$ifNull": ["$displayNameKey", "$usernameKey"]}}},
            doc! {"$set": literal(set)},
            doc! {"$set": {"displayNameKey": {"$cond": [same, "$$REMOVE", "$displayNameKey"]}}},
        ];
        let renamed = self
            .users
            .find_one_and_update(doc! {"_id": id.to_string()}, pipeline)
            .return_document(ReturnDocument::After)
            .await;
        match renamed {
            Ok(record) => Ok(record.map(Account::from)),
            Err(error) if is_duplicate(&error) => Err(WriteUserError::Taken(vec![UniqueName::Username])),
            Err(error) => Err(error.into()),
        }
    }

    /// Up to `limit` accounts whose user name begins with `prefix`, in its order, after the user name `after`.
    pub async fn by_username_prefix(
        &self,
        prefix: &NameKey,
        after: Option<&NameKey>,
        limit: usize,
    ) -> Result<Vec<Account>, Error> {
        let mut range = beginning_with(prefix);
        if let Some(after) = after {
            range.insert("$gt", after.as_str());
        }
        self.list(doc! {"usernameKey": range}, doc! {"usernameKey": 1}, limit).await
    }

    /// Up to `limit` accounts whose display name begins with `prefix` and whose user name does not, in the order of
    /// display name and user name, after the pair `after`.
    pub async fn by_display_name_prefix(
        &self,
        prefix: &NameKey,
        after: Option<&(NameKey, NameKey)>,
        limit: usize,
    ) -> Result<Vec<Account>, Error> {
        let mut filter = match after {
            None => doc! {"displayNameKey": beginning_with(prefix)},
            Some((display_name, username)) => {
                let mut greater = beginning_with(prefix);
                greater.insert("$gt", display_name.as_str());
                let equal = doc! {"displayNameKey": display_name.as_str(), "usernameKey": {"$gt": username.as_str()}};
                doc! {"$or": [{"displayNameKey": greater}, equal]}
            }
        };
        filter.insert("$nor", [doc! {"usernameKey": beginning_with(prefix)}]);
        self.list(filter, doc! {"displayNameKey": 1, "usernameKey": 1}, limit).await
    }

    async fn one(&self, filter: Document) -> Result<Option<Account>, Error> {
        Ok(self.users.find_one(filter).await?.map(Account::from))
    }

    async fn list(&self, filter: Document, order: Document, limit: usize) -> Result<Vec<Account>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.users.find(filter).sort(order).limit(limit).await?.map_ok(Account::from).try_collect().await
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(rename = "_id")]
    id: UserId,
    email: Email,
    email_key: NameKey,
    username: Username,
    username_key: NameKey,
    display_name: DisplayName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name_key: Option<NameKey>,
    password_hash: PasswordHash,
    roles: Vec<Role>,
    created_at: bson::DateTime,
    updated_at: bson::DateTime,
    #[serde(default)]
    outbox: Vec<Envelope>,
}

impl Record {
    fn new(account: &Account, registered: Envelope) -> Self {
        let username_key = account.username.key();
        Self {
            id: account.id,
            email: account.email.clone(),
            email_key: account.email.key(),
            username: account.username.clone(),
            display_name: account.display_name.clone(),
            display_name_key: Some(account.display_name.key()).filter(|key| *key != username_key),
            username_key,
            password_hash: account.password.clone(),
            roles: account.roles.clone(),
            created_at: millis(account.created_at),
            updated_at: millis(account.updated_at),
            outbox: vec![registered],
        }
    }
}

impl From<Record> for Account {
    fn from(record: Record) -> Self {
        Self {
            id: record.id,
            email: record.email,
            username: record.username,
            display_name: record.display_name,
            password: record.password_hash,
            roles: record.roles,
            created_at: timestamp(record.created_at),
            updated_at: timestamp(record.updated_at),
        }
    }
}

/// The range of all keys that begin with `prefix`: `MongoDB` compares strings by their UTF-8, in which nothing sorts
/// after U+10FFFF.
fn beginning_with(prefix: &NameKey) -> Document {
    doc! {"$gte": prefix.as_str(), "$lt": format!("{}\u{10ffff}", prefix.as_str())}
}

/// In a pipeline a string that begins with `$` would be a path.
fn literal(set: Document) -> Document {
    set.into_iter().map(|(field, value)| (field, doc! {"$literal": value}.into())).collect()
}

/// Code 11000 of the server: a unique index refused the write.
fn is_duplicate(error: &Error) -> bool {
    const DUPLICATE_KEY: i32 = 11_000;
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(fault)) => fault.code == DUPLICATE_KEY,
        ErrorKind::Command(fault) => fault.code == DUPLICATE_KEY,
        _ => false,
    }
}
