//! Which files are pictures of accounts, in the collection `avatars`: as the auth service last told.

use contract::id::{MediaId, UserId};
use jiff::Timestamp;
use mongodb::bson::{DateTime, Document, doc};
use runtime::connect::{Collection, Database};

use super::files::{FilesError, is_duplicate};

/// The pictures of all accounts.
#[derive(Clone, Debug)]
pub struct Avatars {
    records: Collection<Document>,
}

impl Avatars {
    /// The pictures in `database`.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self { records: database.collection("avatars") }
    }

    /// Takes note that `picture`, or none, was the user's at that time. What is older than what is known changes nothing.
    pub async fn note(&self, user: UserId, picture: Option<MediaId>, at: Timestamp) -> Result<(), FilesError> {
        let at = DateTime::from_millis(at.as_millisecond());
        let not_newer = doc! {"_id": user.to_string(), "at": {"$lte": at}};
        let now = if let Some(picture) = picture {
            doc! {"$set": {"mediaId": picture.to_string(), "at": at}}
        } else {
            doc! {"$set": {"at": at}, "$unset": {"mediaId": ""}}
        };
        match self.records.now().update_one(not_newer, now).upsert(true).await {
            Ok(_) => Ok(()),
            // There is a newer one, so this one would have been made beside it.
            Err(error) if is_duplicate(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the file is the user's picture.
    pub async fn is_picture_of(&self, id: MediaId, user: UserId) -> Result<bool, FilesError> {
        let filter = doc! {"_id": user.to_string(), "mediaId": id.to_string()};
        Ok(self.records.now().find_one(filter).await?.is_some())
    }

    /// Forgets the user.
    pub async fn forget(&self, user: UserId) -> Result<(), FilesError> {
        self.records.now().delete_one(doc! {"_id": user.to_string()}).await?;
        Ok(())
    }
}
