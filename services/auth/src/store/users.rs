//! Accounts in the collection `users`.
//!
//! Two accounts never share an e-mail address or a user name: unique indexes on their keys decide it, also between two
//! who register at the same moment. `displayNameKey` is there only where it differs from `usernameKey`, since a search
//! that finds the one has found the other.

mod administration;
mod credentials;
mod record;
mod second_step;

use std::sync::Arc;

use contract::event::Envelope;
use contract::id::UserId;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::IndexModel;
use mongodb::bson::{self, Document, doc};
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::{IndexOptions, ReadConcern, ReturnDocument};
use runtime::connect::{Collection, Database};
use tokio::sync::OnceCell;

use self::record::Record;
use super::millis;
use crate::accounts::{Account, DisplayName, NameKey, NewAvatar, UniqueName, Username};
use crate::password::PasswordHash;

pub use administration::{AccountFilter, AdminError, Standing};

/// Accounts.
#[derive(Clone, Debug)]
pub struct UserStore {
    users: Collection<Record>,
    guards: Collection<Document>,
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

/// What of a profile to change.
#[derive(Clone, Debug, Default)]
pub struct ProfileChange {
    /// New user name.
    pub username: Option<Username>,
    /// New display name.
    pub display_name: Option<DisplayName>,
    /// New picture.
    pub avatar: Option<NewAvatar>,
}

impl UserStore {
    /// The collection of all accounts, which is also the outbox of what happens to them.
    pub const COLLECTION: &str = "users";

    pub(super) fn new(database: &Database) -> Self {
        Self {
            users: database.collection(Self::COLLECTION),
            guards: database.collection("guards"),
            indexes: Arc::default(),
        }
    }

    /// The collection, for the relay of its outbox.
    #[must_use]
    pub fn collection(&self) -> Collection<Document> {
        self.users.with_type()
    }

    pub(super) async fn prepare(&self) -> Result<(), Error> {
        self.indexes.get_or_try_init(|| self.make_indexes()).await.copied()
    }

    async fn make_indexes(&self) -> Result<(), Error> {
        let index = |keys, options| IndexModel::builder().keys(keys).options(options).build();
        let unique = IndexOptions::builder().unique(true).build();
        let sparse = IndexOptions::builder().sparse(true).build();
        let expiring = IndexOptions::builder().expire_after(std::time::Duration::ZERO).build();
        self.users
            .now()
            .create_indexes([
                index(doc! {"emailKey": 1}, unique.clone()),
                index(doc! {"usernameKey": 1}, unique),
                index(doc! {"displayNameKey": 1, "usernameKey": 1}, sparse.clone()),
                index(doc! {"roles": 1, "_id": -1}, IndexOptions::default()),
                index(doc! {"purgeAt": 1}, expiring),
            ])
            .await?;
        self.make_guard().await
    }

    /// Adds `account`, and `told` to the outbox with it.
    pub async fn insert(&self, account: &Account, told: Vec<Envelope>) -> Result<(), WriteUserError> {
        // Without its unique indexes the collection would take anything.
        self.prepare().await?;
        match self.users.now().insert_one(Record::new(account, told)).await {
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
        // Documents, because a name may be kept by an account that is gone.
        let documents = self.collection();
        let documents = documents.now();
        let holders = documents.find(filter).read_concern(ReadConcern::local()).await?;
        let holders: Vec<Document> = holders.try_collect().await?;
        let is =
            |holder: &Document, key: &str, name: &NameKey| holder.get_str(key).is_ok_and(|held| held == name.as_str());
        let holds = |key: &str, name: &NameKey| holders.iter().any(|holder| is(holder, key, name));
        let mut taken = Vec::new();
        if holds("emailKey", email) {
            taken.push(UniqueName::Email);
        }
        if holds("usernameKey", username) {
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
        self.users.now().update_one(filter, doc! {"$set": {"passwordHash": bson::serialize_to_bson(new)?}}).await?;
        Ok(())
    }

    /// Changes the profile and answers the account as it is then; `None` if there is no such account. `user.updated` is
    /// to be told afterwards.
    pub async fn change_profile(
        &self,
        id: UserId,
        change: &ProfileChange,
        now: Timestamp,
    ) -> Result<Option<Account>, WriteUserError> {
        self.prepare().await?;
        let mut set = doc! {"updatedAt": millis(now)};
        let mut remove = doc! {};
        if let Some(username) = &change.username {
            set.insert("username", username.to_string());
            set.insert("usernameKey", username.key().as_str());
        }
        if let Some(name) = &change.display_name {
            set.insert("displayName", name.to_string());
            set.insert("displayNameKey", name.key().as_str());
        }
        match change.avatar {
            Some(NewAvatar(Some(avatar))) => _ = set.insert("avatarId", avatar.to_string()),
            // In a pipeline this is what takes a field away.
            Some(NewAvatar(None)) => _ = remove.insert("avatarId", "$$REMOVE"),
            None => {}
        }
        // A pipeline, because whether the display name's key is kept depends on both names as they are in the end.
        let same = doc! {"$eq": ["$displayNameKey", "$usernameKey"]};
        let pipeline = vec![
            doc! {"$set": {"displayNameKey": {"$ifNull": ["$displayNameKey", "$usernameKey"]}}},
            doc! {"$set": literal(set).into_iter().chain(remove).collect::<Document>()},
            doc! {"$set": {"displayNameKey": {"$cond": [same, "$$REMOVE", "$displayNameKey"]}}},
        ];
        let renamed =
            self.users.now().find_one_and_update(living(id), pipeline).return_document(ReturnDocument::After).await;
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

    /// Adds `told` to the outbox of an account.
    pub async fn tell(&self, id: UserId, told: &Envelope) -> Result<(), Error> {
        self.users.now().update_one(living(id), doc! {"$push": {"outbox": bson::serialize_to_bson(told)?}}).await?;
        Ok(())
    }

    /// Changes the account where `filter` holds as well; answers whether it did.
    async fn change(&self, id: UserId, filter: Document, update: Document) -> Result<bool, Error> {
        let filter: Document = living(id).into_iter().chain(filter).collect();
        Ok(self.users.now().update_one(filter, update).await?.matched_count == 1)
    }

    async fn one(&self, mut filter: Document) -> Result<Option<Account>, Error> {
        filter.insert("deletedAt", doc! {"$exists": false});
        Ok(self.users.now().find_one(filter).await?.map(Account::from))
    }

    async fn list(&self, mut filter: Document, order: Document, limit: usize) -> Result<Vec<Account>, Error> {
        filter.insert("deletedAt", doc! {"$exists": false});
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.users.now().find(filter).sort(order).limit(limit).await?.map_ok(Account::from).try_collect().await
    }
}

/// The account of this id, unless it is gone.
fn living(id: UserId) -> Document {
    doc! {"_id": id.to_string(), "deletedAt": {"$exists": false}}
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
