//! Letters about accounts, in the collection `letters`, by the event that called for them.
//!
//! While a letter is due it holds all that is to be said; sent or given up, it keeps its id alone for a while, so that its event
//! coming again sends nothing, and no link outlives its use here.

use std::time::Duration;

use contract::id::{EventId, UserId};
use jiff::{SignedDuration, Timestamp};
use mongodb::{
    IndexModel,
    bson::{DateTime, doc},
    error::Error,
    options::{IndexOptions, ReturnDocument},
};
use runtime::connect::{Collection, Database};
use serde::{Deserialize, Serialize};

use super::{is_duplicate, later, restored, stored};
use crate::contact::Contact;
use crate::email::account::{Letter, Recipient};

/// How long the id of a letter is kept after it was settled: longer than an event may come again.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The letters of all users.
#[derive(Clone, Debug)]
pub struct Letters {
    records: Collection<Record>,
}

/// A letter that one worker has claimed.
#[derive(Clone, Debug)]
pub struct DueLetter {
    /// The event that called for it.
    pub id: EventId,
    /// Whom it is for.
    pub recipient: Recipient,
    /// What it says.
    pub letter: Letter,
    /// When it was written.
    pub created_at: Timestamp,
    /// How many times it has been claimed, this time included.
    pub attempts: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(rename = "_id")]
    id: EventId,
    user_id: UserId,
    /// Where it goes, if that is not to be looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<Address>,
    letter: Letter,
    created_at: DateTime,
    due_at: DateTime,
    attempts: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Address {
    email: String,
    display_name: String,
}

impl Letters {
    /// The letters in `database`.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self { records: database.collection("letters") }
    }

    /// Creates the indexes; does nothing where they are there.
    pub async fn prepare(&self) -> Result<(), Error> {
        let sparse = IndexOptions::builder().sparse(true).build();
        let expiring = IndexOptions::builder().expire_after(Duration::ZERO).build();
        self.records
            .now()
            .create_indexes([
                IndexModel::builder().keys(doc! {"dueAt": 1}).options(sparse).build(),
                IndexModel::builder().keys(doc! {"userId": 1}).build(),
                IndexModel::builder().keys(doc! {"purgeAt": 1}).options(expiring).build(),
            ])
            .await?;
        Ok(())
    }

    /// Keeps a letter, due at once, unless its event has called for it before. Answers whether it is new.
    pub async fn store(
        &self,
        id: EventId,
        recipient: &Recipient,
        letter: &Letter,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let to = match recipient {
            Recipient::At(contact) => {
                Some(Address { email: contact.email.clone(), display_name: contact.display_name.clone() })
            }
            Recipient::User(_) => None,
        };
        let record = Record {
            id,
            user_id: recipient.user(),
            to,
            letter: letter.clone(),
            created_at: stored(now),
            due_at: stored(now),
            attempts: 0,
        };
        match self.records.now().insert_one(record).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Claims the letter that has been due longest. Nobody else gets it during `lease`, which has to outlast the sending.
    pub async fn claim(&self, now: Timestamp, lease: Duration) -> Result<Option<DueLetter>, Error> {
        let claimed = self
            .records
            .now()
            .find_one_and_update(
                doc! {"dueAt": {"$lte": stored(now)}},
                doc! {"$set": {"dueAt": stored(later(now, lease))}, "$inc": {"attempts": 1}},
            )
            .sort(doc! {"dueAt": 1})
            .return_document(ReturnDocument::After)
            .await?;
        Ok(claimed.map(DueLetter::from))
    }

    /// When the next letter is due, if there is one.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        let next = self.records.now().find_one(doc! {"dueAt": {"$exists": true}}).sort(doc! {"dueAt": 1}).await?;
        Ok(next.map(|record| restored(record.due_at)))
    }

    /// The letter has been sent, or is not going to be for this reason: what it said is forgotten.
    pub async fn settled(&self, id: EventId, now: Timestamp, given_up: Option<&str>) -> Result<(), Error> {
        let mut set = doc! {"settledAt": stored(now), "purgeAt": stored(now + KEPT)};
        if let Some(reason) = given_up {
            set.insert("givenUp", reason);
        }
        let forgotten = doc! {"to": "", "letter": "", "dueAt": ""};
        self.records.now().update_one(doc! {"_id": id.to_string()}, doc! {"$set": set, "$unset": forgotten}).await?;
        Ok(())
    }

    /// Lets the letter be tried again, from `until` on.
    pub async fn postpone(&self, id: EventId, until: Timestamp) -> Result<(), Error> {
        let still_due = doc! {"_id": id.to_string(), "dueAt": {"$exists": true}};
        self.records.now().update_one(still_due, doc! {"$set": {"dueAt": stored(until)}}).await?;
        Ok(())
    }

    /// Forgets all letters to `user`.
    pub async fn forget(&self, user: UserId) -> Result<(), Error> {
        self.records.now().delete_many(doc! {"userId": user.to_string()}).await?;
        Ok(())
    }
}

impl From<Record> for DueLetter {
    fn from(record: Record) -> Self {
        let user_id = record.user_id;
        let recipient = match record.to {
            Some(Address { email, display_name }) => Recipient::At(Contact { user_id, email, display_name }),
            None => Recipient::User(user_id),
        };
        Self {
            id: record.id,
            recipient,
            letter: record.letter,
            created_at: restored(record.created_at),
            attempts: record.attempts,
        }
    }
}
