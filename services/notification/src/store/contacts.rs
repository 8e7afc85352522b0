//! Contacts, in the collection `contacts`, by user.
//!
//! Events come in any order: each part of a contact has the time of the event that told it, and an older event changes
//! nothing. Of a user who is gone an empty record stays, so that a late event does not bring them back.

use contract::id::UserId;
use jiff::Timestamp;
use mongodb::{
    bson::{Document, doc},
    error::Error,
};
use runtime::connect::{Collection, Database};
use serde::Deserialize;

use super::{is_duplicate, stored};
use crate::contact::Contact;

/// The contacts of all users.
#[derive(Clone, Debug)]
pub struct Contacts {
    records: Collection<Record>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    display_name: Option<String>,
}

impl Contacts {
    /// The contacts in `database`.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self { records: database.collection("contacts") }
    }

    /// Remembers the contact of a new user, as far as nothing newer is known.
    pub async fn add(&self, contact: &Contact) -> Result<(), Error> {
        let email = doc! {"$ifNull": ["$email", literal(&contact.email)]};
        let name = doc! {"$ifNull": ["$displayName", literal(&contact.display_name)]};
        self.upsert(contact.user_id, doc! {}, vec![doc! {"$set": {"email": email, "displayName": name}}]).await
    }

    /// Remembers another address, told at `at`.
    pub async fn change_email(&self, contact: &Contact, at: Timestamp) -> Result<(), Error> {
        let older = doc! {"emailAt": {"$not": {"$gte": stored(at)}}};
        let set = doc! {
            "email": literal(&contact.email),
            "emailAt": stored(at),
            "displayName": {"$ifNull": ["$displayName", literal(&contact.display_name)]},
        };
        self.upsert(contact.user_id, older, vec![doc! {"$set": set}]).await
    }

    /// Remembers another name, told at `at`.
    pub async fn change_name(&self, user: UserId, display_name: &str, at: Timestamp) -> Result<(), Error> {
        let older = doc! {"nameAt": {"$not": {"$gte": stored(at)}}};
        let set = doc! {"displayName": literal(display_name), "nameAt": stored(at)};
        self.upsert(user, older, vec![doc! {"$set": set}]).await
    }

    /// Forgets a user who is gone, for good.
    pub async fn forget(&self, user: UserId) -> Result<(), Error> {
        let gone = doc! {"_id": user.to_string(), "gone": true};
        let documents = self.records.with_type::<Document>();
        documents.now().replace_one(doc! {"_id": user.to_string()}, gone).upsert(true).await?;
        Ok(())
    }

    /// The contact of a user, if it has been heard of.
    pub async fn find(&self, user: UserId) -> Result<Option<Contact>, Error> {
        let record = self.records.now().find_one(doc! {"_id": user.to_string()}).await?;
        Ok(record.and_then(|record| {
            Some(Contact { user_id: user, email: record.email?, display_name: record.display_name? })
        }))
    }

    /// Changes the record of `user`, making it where there is none; one that `only_if` does not fit stays as it is.
    async fn upsert(&self, user: UserId, only_if: Document, change: Vec<Document>) -> Result<(), Error> {
        let mut filter = doc! {"_id": user.to_string(), "gone": {"$exists": false}};
        filter.extend(only_if);
        match self.records.now().update_one(filter.clone(), change.clone()).upsert(true).await {
            Ok(_) => Ok(()),
            // There is a record: one that does not fit, or one that another event has just made.
            Err(error) if is_duplicate(&error) => {
                self.records.now().update_one(filter, change).await?;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// In a pipeline a string that begins with `$` would be a path.
fn literal(text: &str) -> Document {
    doc! {"$literal": text}
}
