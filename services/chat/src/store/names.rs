//! By which names users can be mentioned.

use std::collections::BTreeSet;

use contract::id::UserId;
use futures::TryStreamExt as _;
use mongodb::bson::doc;

use super::{Store, StoreError, StoredName};

impl Store {
    /// Remembers a user's name.
    pub async fn name(&self, user: UserId, name: &str) -> Result<(), StoreError> {
        let this_one = doc! {"_id": user.to_string()};
        self.names.now().update_one(this_one, doc! {"$set": {"name": name}}).upsert(true).await?;
        Ok(())
    }

    /// Forgets a user's name.
    pub async fn forget_name(&self, user: UserId) -> Result<(), StoreError> {
        self.names.now().delete_one(doc! {"_id": user.to_string()}).await?;
        Ok(())
    }

    /// Those of these users who have one of these names, which are in lower case.
    pub async fn named(&self, users: &[UserId], names: &BTreeSet<String>) -> Result<Vec<StoredName>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let users: Vec<String> = users.iter().map(ToString::to_string).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let filter = doc! {"_id": {"$in": users}, "name": {"$in": names}};
        Ok(self.names.now().find(filter).await?.try_collect().await?)
    }
}
