//! Devices, in the collection `devices`.
//!
//! A token stands for one installation of a client, so it is unique: who registers it last has it. One that has not been registered again
//! for a while is forgotten, as clients register at each start, and a token that nobody uses is worth nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::{
    device::{Device, DevicePlatform, NewDevice},
    id::{DeviceId, SessionId, UserId},
};
use futures::TryStreamExt;
use jiff::Timestamp;
use mongodb::{
    IndexModel,
    bson::{DateTime, doc},
    error::Error,
    options::{IndexOptions, ReturnDocument},
};
use runtime::connect::{Collection, Database};
use serde::{Deserialize, Serialize};

use super::{is_duplicate, restored, stored};

/// How many devices a user has at most; the one that was registered longest ago makes way.
pub const MOST: usize = 20;

/// How long a device is kept that is not registered again.
const KEPT: Duration = Duration::from_hours(60 * 24);

/// How often a registration is tried that meets another one of the same token.
const TRIES: usize = 3;

/// The devices of all users.
#[derive(Clone, Debug)]
pub struct Devices {
    records: Collection<Record>,
}

/// Where a push goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// The device.
    pub id: DeviceId,
    /// Its token.
    pub token: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(rename = "_id")]
    id: DeviceId,
    user_id: UserId,
    /// The log-in that it was last registered by, with which it ends.
    session_id: SessionId,
    token: String,
    platform: DevicePlatform,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    created_at: DateTime,
    seen_at: DateTime,
}

impl Devices {
    /// The devices in `database`.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self { records: database.collection("devices") }
    }

    /// Makes the indexes; does nothing where they are there.
    pub async fn prepare(&self) -> Result<(), Error> {
        let unique = IndexOptions::builder().unique(true).build();
        let expiring = IndexOptions::builder().expire_after(KEPT).build();
        self.records
            .now()
            .create_indexes([
                IndexModel::builder().keys(doc! {"token": 1}).options(unique).build(),
                IndexModel::builder().keys(doc! {"userId": 1, "seenAt": -1}).build(),
                IndexModel::builder().keys(doc! {"sessionId": 1}).build(),
                IndexModel::builder().keys(doc! {"seenAt": 1}).options(expiring).build(),
            ])
            .await?;
        Ok(())
    }

    /// Registers a device of `user`; says whether it is new. A token that was somebody else's is theirs no more.
    pub async fn register(
        &self,
        user: UserId,
        session: SessionId,
        new: &NewDevice,
        now: Timestamp,
    ) -> Result<(Device, bool), Error> {
        let mut tries = 0;
        let (record, is_new) = loop {
            tries += 1;
            match self.claim_token(user, session, new, now).await {
                // Somebody has registered the same token between our two steps.
                Err(error) if is_duplicate(&error) && tries < TRIES => {}
                outcome => break outcome?,
            }
        };
        self.keep_within_bounds(user).await?;
        Ok((record.into(), is_new))
    }

    async fn claim_token(
        &self,
        user: UserId,
        session: SessionId,
        new: &NewDevice,
        now: Timestamp,
    ) -> Result<(Record, bool), Error> {
        let id = DeviceId::new(now, &mut rand::rng());
        // The other owner knows its id, and what was done by it: here it is another device.
        self.records.now().delete_one(doc! {"token": &new.token, "userId": {"$ne": user.to_string()}}).await?;
        let platform = mongodb::bson::serialize_to_bson(&new.platform)?;
        let record = self
            .records
            .now()
            .find_one_and_update(
                doc! {"token": &new.token, "userId": user.to_string()},
                doc! {
                    "$set": {"sessionId": session.to_string(), "platform": platform, "name": new.name.clone(), "seenAt": stored(now)},
                    "$setOnInsert": {"_id": id.to_string(), "createdAt": stored(now)},
                },
            )
            .upsert(true)
            .return_document(ReturnDocument::After)
            .await?;
        // With `upsert` and the document after it, there is always one.
        let record = record.ok_or_else(|| Error::custom("a device that was stored is not there"))?;
        let is_new = record.id == id;
        Ok((record, is_new))
    }

    async fn keep_within_bounds(&self, user: UserId) -> Result<(), Error> {
        let too_many = self
            .records
            .now()
            .find(doc! {"userId": user.to_string()})
            .sort(doc! {"seenAt": -1, "_id": -1})
            .skip(MOST as u64)
            .await?;
        let too_many: Vec<String> = too_many.map_ok(|record| record.id.to_string()).try_collect().await?;
        if !too_many.is_empty() {
            self.records.now().delete_many(doc! {"_id": {"$in": too_many}}).await?;
        }
        Ok(())
    }

    /// The devices of `user`, the one that was registered last first.
    pub async fn list(&self, user: UserId) -> Result<Vec<Device>, Error> {
        let found =
            self.records.now().find(doc! {"userId": user.to_string()}).sort(doc! {"seenAt": -1, "_id": -1}).await?;
        found.map_ok(Device::from).try_collect().await
    }

    /// Where pushes to `user` go.
    pub async fn targets(&self, user: UserId) -> Result<Vec<Target>, Error> {
        let found = self.records.now().find(doc! {"userId": user.to_string()}).await?;
        found.map_ok(|record| Target { id: record.id, token: record.token }).try_collect().await
    }

    /// Those of `users` who have a device.
    pub async fn owners(&self, users: &BTreeSet<UserId>) -> Result<BTreeSet<UserId>, Error> {
        let users: Vec<String> = users.iter().map(ToString::to_string).collect();
        let owners = self.records.now().distinct("userId", doc! {"userId": {"$in": users}}).await?;
        Ok(owners.iter().filter_map(|owner| owner.as_str()?.parse().ok()).collect())
    }

    /// Removes a device of `user`; says whether there was one.
    pub async fn remove(&self, id: DeviceId, user: UserId) -> Result<bool, Error> {
        let removed = self.records.now().delete_one(doc! {"_id": id.to_string(), "userId": user.to_string()}).await?;
        Ok(removed.deleted_count > 0)
    }

    /// Removes a device whose token is worth nothing any more. One that has another token by now stays.
    pub async fn remove_dead(&self, target: &Target) -> Result<(), Error> {
        self.records.now().delete_one(doc! {"_id": target.id.to_string(), "token": &target.token}).await?;
        Ok(())
    }

    /// Removes what was registered by a log-in that has ended.
    pub async fn end_session(&self, session: SessionId) -> Result<(), Error> {
        self.records.now().delete_many(doc! {"sessionId": session.to_string()}).await?;
        Ok(())
    }

    /// Forgets all devices of `user`.
    pub async fn forget(&self, user: UserId) -> Result<(), Error> {
        self.records.now().delete_many(doc! {"userId": user.to_string()}).await?;
        Ok(())
    }
}

impl std::fmt::Debug for Target {
    // Whoever knows the token and the project's key can write to the device.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Target").field(&self.id).finish()
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Record").field(&self.id).finish()
    }
}

impl From<Record> for Device {
    fn from(record: Record) -> Self {
        Self {
            id: record.id,
            platform: record.platform,
            name: record.name,
            created_at: restored(record.created_at),
            seen_at: restored(record.seen_at),
        }
    }
}
