//! How users want to be told, in the collection `preferences`, by user.

use contract::{
    id::UserId,
    notification::{NotificationPreferences, QuietHours},
};
use mongodb::{bson::doc, error::Error};
use runtime::connect::{Collection, Database};
use serde::{Deserialize, Serialize};

/// The preferences of all users.
#[derive(Clone, Debug)]
pub struct Preferences {
    records: Collection<Record>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(rename = "_id")]
    user_id: UserId,
    email: bool,
    push: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quiet_hours: Option<QuietHours>,
}

impl Preferences {
    /// The preferences in `database`.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self { records: database.collection("preferences") }
    }

    /// Those of `user`; of who has said nothing, the usual ones.
    pub async fn of(&self, user: UserId) -> Result<NotificationPreferences, Error> {
        let record = self.records.now().find_one(doc! {"_id": user.to_string()}).await?;
        Ok(record.map_or_else(NotificationPreferences::default, |record| NotificationPreferences {
            email: record.email,
            push: record.push,
            quiet_hours: record.quiet_hours,
        }))
    }

    /// Remembers what `user` says.
    pub async fn set(&self, user: UserId, preferences: &NotificationPreferences) -> Result<(), Error> {
        let NotificationPreferences { email, push, quiet_hours } = preferences.clone();
        let record = Record { user_id: user, email, push, quiet_hours };
        self.records.now().replace_one(doc! {"_id": user.to_string()}, record).upsert(true).await?;
        Ok(())
    }

    /// Forgets what `user` said.
    pub async fn forget(&self, user: UserId) -> Result<(), Error> {
        self.records.now().delete_one(doc! {"_id": user.to_string()}).await?;
        Ok(())
    }
}
