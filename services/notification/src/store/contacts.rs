//! Contacts, in the collection `contacts`, by user.

use contract::id::UserId;
use mongodb::{Collection, Database, bson::doc};
use serde::{Deserialize, Serialize};

use crate::contact::Contact;

/// The contacts of all users.
#[derive(Clone, Debug)]
pub struct Contacts {
    records: Collection<Record>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(rename = "_id")]
    user_id: UserId,
    email: String,
    display_name: String,
}

impl Contacts {
    /// The contacts in `database`.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self { records: database.collection("contacts") }
    }

    /// Remembers a contact in place of what was known of the user. Doing it twice is doing it once.
    pub async fn put(&self, contact: &Contact) -> Result<(), mongodb::error::Error> {
        let record = Record {
            user_id: contact.user_id,
            email: contact.email.clone(),
            display_name: contact.display_name.clone(),
        };
        self.records.replace_one(doc! {"_id": contact.user_id.to_string()}, record).upsert(true).await?;
        Ok(())
    }

    /// The contact of a user, if it has been heard of.
    pub async fn find(&self, user: UserId) -> Result<Option<Contact>, mongodb::error::Error> {
        let record = self.records.find_one(doc! {"_id": user.to_string()}).await?;
        Ok(record.map(|Record { user_id, email, display_name }| Contact { user_id, email, display_name }))
    }
}
