//! Sessions in the collection `sessions`.
//!
//! A session's refresh tokens change by compare-and-set on the family that was read: of two requests with one token one
//! writes, and the other reads again and finds what the first has made of it.

use contract::event::Envelope;
use contract::id::{SessionId, UserId};
use futures::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use mongodb::IndexModel;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{self, Binary, Document, doc};
use mongodb::error::Error;
use mongodb::options::IndexOptions;
use runtime::connect::{Collection, Database};
use serde::{Deserialize, Serialize};

use super::{millis, timestamp};
use crate::sessions::{Client, Ended, Session};
use crate::tokens::refresh::{Exchanged, Family};

/// How long the database keeps a session that is over: long enough for its event to leave through any outage of the
/// broker that somebody would let pass.
const KEPT_AFTER_END: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Sessions.
#[derive(Clone, Debug)]
pub struct SessionStore {
    sessions: Collection<Record>,
}

impl SessionStore {
    /// The collection of all sessions, which is also the outbox of `session.revoked`.
    pub const COLLECTION: &str = "sessions";

    pub(super) fn new(database: &Database) -> Self {
        Self { sessions: database.collection(Self::COLLECTION) }
    }

    /// The collection, for the relay of its outbox.
    #[must_use]
    pub fn collection(&self) -> Collection<Document> {
        self.sessions.with_type()
    }

    pub(super) async fn make_indexes(&self) -> Result<(), Error> {
        let index = |keys, options| IndexModel::builder().keys(keys).options(options).build();
        let expiring = IndexOptions::builder().expire_after(std::time::Duration::ZERO).build();
        let sparse = IndexOptions::builder().sparse(true).build();
        self.sessions
            .now()
            .create_indexes([
                index(doc! {"userId": 1, "_id": -1}, None),
                index(doc! {"purgeAt": 1}, Some(expiring)),
                index(doc! {"unannounced": 1}, Some(sparse)),
            ])
            .await?;
        Ok(())
    }

    /// Adds `session`.
    pub async fn insert(&self, session: &Session) -> Result<(), Error> {
        self.sessions.now().insert_one(Record::from(session)).await?;
        Ok(())
    }

    /// The session of this id, be it over or not.
    pub async fn get(&self, id: SessionId) -> Result<Option<Session>, Error> {
        Ok(self.sessions.now().find_one(doc! {"_id": id.to_string()}).await?.map(Session::from))
    }

    /// Stores `session` as it has become by a refresh, unless its tokens are no longer those of `family` or it is over.
    /// Answers whether it was stored.
    pub async fn refreshed(&self, session: &Session, family: &Family) -> Result<bool, Error> {
        let record = Record::from(session);
        let set = doc! {
            "family": bson::serialize_to_bson(&record.family)?,
            "lastUsedAt": record.last_used_at,
            "expiresAt": record.expires_at,
            "purgeAt": record.purge_at,
            "client": bson::serialize_to_bson(&record.client)?,
        };
        let mut filter = with_family(family);
        filter.insert("_id", session.id.to_string());
        filter.insert("ended", doc! {"$exists": false});
        Ok(self.sessions.now().update_one(filter, doc! {"$set": set}).await?.matched_count == 1)
    }

    /// Lets the session go on at its account's new `epoch`.
    pub async fn adopt(&self, id: SessionId, epoch: i64) -> Result<(), Error> {
        self.sessions.now().update_one(doc! {"_id": id.to_string()}, doc! {"$set": {"epoch": epoch}}).await?;
        Ok(())
    }

    /// Ends the session, with `revoked` in its outbox, unless it is over already or, where a `family` is given, its
    /// tokens are no longer those. Answers whether it was ended now.
    pub async fn end(
        &self,
        id: SessionId,
        ended: &Ended,
        family: Option<&Family>,
        revoked: &Envelope,
    ) -> Result<bool, Error> {
        let mut filter = family.map(with_family).unwrap_or_default();
        filter.insert("_id", id.to_string());
        filter.insert("ended", doc! {"$exists": false});
        let set = doc! {
            "ended": {"at": millis(ended.at), "reason": bson::serialize_to_bson(&ended.reason)?},
            "purgeAt": millis(ended.at + KEPT_AFTER_END),
            "unannounced": millis(ended.at),
        };
        let update = doc! {"$set": set, "$push": {"outbox": bson::serialize_to_bson(revoked)?}};
        Ok(self.sessions.now().update_one(filter, update).await?.matched_count == 1)
    }

    /// The user's sessions that are not over at `now`, newest first.
    pub async fn live(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, Error> {
        let filter = doc! {
            "userId": user.to_string(),
            "ended": {"$exists": false},
            "expiresAt": {"$gt": millis(now)},
        };
        let newest_first = doc! {"_id": -1};
        self.sessions.now().find(filter).sort(newest_first).await?.map_ok(Session::from).try_collect().await
    }

    /// Sessions whose end has not been made known yet.
    pub async fn unannounced(&self) -> Result<Vec<(SessionId, UserId)>, Error> {
        let filter = doc! {"unannounced": {"$exists": true}};
        let found: Vec<Record> = self.sessions.now().find(filter).limit(1000).await?.try_collect().await?;
        Ok(found.into_iter().map(|record| (record.id, record.user_id)).collect())
    }

    /// The end of this session has been made known.
    pub async fn announced(&self, id: SessionId) -> Result<(), Error> {
        let update = doc! {"$unset": {"unannounced": ""}};
        self.sessions.now().update_one(doc! {"_id": id.to_string()}, update).await?;
        Ok(())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(rename = "_id")]
    id: SessionId,
    user_id: UserId,
    created_at: bson::DateTime,
    last_used_at: bson::DateTime,
    expires_at: bson::DateTime,
    /// When the database may forget it.
    purge_at: bson::DateTime,
    client: Client,
    family: FamilyRecord,
    #[serde(default)]
    epoch: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<EndedRecord>,
    /// Since when its end waits to be made known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unannounced: Option<bson::DateTime>,
    #[serde(default)]
    outbox: Vec<Envelope>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndedRecord {
    at: bson::DateTime,
    reason: crate::sessions::EndReason,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FamilyRecord {
    key: Bytes32,
    generation: u32,
    current: Bytes32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<ExchangedRecord>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExchangedRecord {
    hash: Bytes32,
    sealed_successor: Bytes32,
    at: bson::DateTime,
    forgiven: bool,
}

/// Thirty-two bytes as BSON's binary.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Binary", into = "Binary")]
struct Bytes32([u8; 32]);

impl From<Bytes32> for Binary {
    fn from(bytes: Bytes32) -> Self {
        Self { subtype: BinarySubtype::Generic, bytes: bytes.0.to_vec() }
    }
}

impl TryFrom<Binary> for Bytes32 {
    type Error = &'static str;

    fn try_from(binary: Binary) -> Result<Self, &'static str> {
        binary.bytes.try_into().map(Self).map_err(|_| "not 32 bytes")
    }
}

fn with_family(family: &Family) -> Document {
    doc! {"family.generation": family.generation, "family.current": Binary::from(Bytes32(family.current))}
}

impl From<&Session> for Record {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id,
            user_id: session.user,
            created_at: millis(session.created_at),
            last_used_at: millis(session.last_used_at),
            expires_at: millis(session.expires_at),
            purge_at: millis(session.expires_at),
            client: session.client.clone(),
            family: FamilyRecord::from(&session.family),
            epoch: session.epoch,
            ended: session.ended.as_ref().map(|ended| EndedRecord { at: millis(ended.at), reason: ended.reason }),
            unannounced: None,
            outbox: Vec::new(),
        }
    }
}

impl From<Record> for Session {
    fn from(record: Record) -> Self {
        Self {
            id: record.id,
            user: record.user_id,
            created_at: timestamp(record.created_at),
            last_used_at: timestamp(record.last_used_at),
            expires_at: timestamp(record.expires_at),
            client: record.client,
            family: record.family.into(),
            epoch: record.epoch,
            ended: record.ended.map(|ended| Ended { at: timestamp(ended.at), reason: ended.reason }),
        }
    }
}

impl From<&Family> for FamilyRecord {
    fn from(family: &Family) -> Self {
        Self {
            key: Bytes32(family.key),
            generation: family.generation,
            current: Bytes32(family.current),
            previous: family.previous.as_ref().map(|previous| ExchangedRecord {
                hash: Bytes32(previous.hash),
                sealed_successor: Bytes32(previous.sealed_successor),
                at: millis(previous.at),
                forgiven: previous.forgiven,
            }),
        }
    }
}

impl From<FamilyRecord> for Family {
    fn from(record: FamilyRecord) -> Self {
        Self {
            key: record.key.0,
            generation: record.generation,
            current: record.current.0,
            previous: record.previous.map(|previous| Exchanged {
                hash: previous.hash.0,
                sealed_successor: previous.sealed_successor.0,
                at: timestamp(previous.at),
                forgiven: previous.forgiven,
            }),
        }
    }
}
