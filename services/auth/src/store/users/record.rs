//! An account as a document.

use contract::claims::Role;
use contract::event::Envelope;
use contract::id::{MediaId, UserId};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{self, Binary};
use serde::{Deserialize, Serialize};

use crate::accounts::{Account, DisplayName, Email, KeyDigest, NameKey, Username};
use crate::password::PasswordHash;
use crate::second_step::recovery::Digest;
use crate::second_step::sealing::Sealed;
use crate::second_step::{Pending, SecondStep};
use crate::store::{millis, timestamp};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    #[serde(rename = "_id")]
    id: UserId,
    email: Email,
    email_key: NameKey,
    username: Username,
    username_key: NameKey,
    display_name: DisplayName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name_key: Option<NameKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    avatar_id: Option<MediaId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email_verified_at: Option<bson::DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verify_by: Option<bson::DateTime>,
    password_hash: PasswordHash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    second_step: Option<SecondStepRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending_second_step: Option<PendingRecord>,
    #[serde(default)]
    epoch: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disabled_at: Option<bson::DateTime>,
    roles: Vec<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    registered_by: Option<KeyDigest>,
    created_at: bson::DateTime,
    updated_at: bson::DateTime,
    #[serde(default)]
    outbox: Vec<Envelope>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecondStepRecord {
    secret: SealedRecord,
    last_step: i64,
    recovery: Vec<Binary>,
    since: bson::DateTime,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PendingRecord {
    secret: SealedRecord,
    shown_at: bson::DateTime,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SealedRecord {
    key_id: String,
    nonce: Binary,
    ciphertext: Binary,
}

impl Record {
    pub(super) fn new(account: &Account, told: Vec<Envelope>) -> Self {
        let username_key = account.username.key();
        Self {
            id: account.id,
            email: account.email.clone(),
            email_key: account.email.key(),
            username: account.username.clone(),
            display_name: account.display_name.clone(),
            display_name_key: Some(account.display_name.key()).filter(|key| *key != username_key),
            username_key,
            avatar_id: account.avatar,
            email_verified_at: account.email_verified_at.map(millis),
            verify_by: account.verify_by.map(millis),
            password_hash: account.password.clone(),
            second_step: account.second_step.as_ref().map(SecondStepRecord::from),
            pending_second_step: account.pending_second_step.as_ref().map(PendingRecord::from),
            epoch: account.epoch,
            disabled_at: account.disabled_at.map(millis),
            roles: account.roles.clone(),
            registered_by: account.registered_by.clone(),
            created_at: millis(account.created_at),
            updated_at: millis(account.updated_at),
            outbox: told,
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
            avatar: record.avatar_id,
            email_verified_at: record.email_verified_at.map(timestamp),
            verify_by: record.verify_by.map(timestamp),
            password: record.password_hash,
            second_step: record.second_step.map(SecondStep::from),
            pending_second_step: record.pending_second_step.map(Pending::from),
            epoch: record.epoch,
            disabled_at: record.disabled_at.map(timestamp),
            roles: record.roles,
            registered_by: record.registered_by,
            created_at: timestamp(record.created_at),
            updated_at: timestamp(record.updated_at),
        }
    }
}

impl From<&SecondStep> for SecondStepRecord {
    fn from(second_step: &SecondStep) -> Self {
        Self {
            secret: SealedRecord::from(&second_step.secret),
            last_step: second_step.last_step,
            recovery: second_step.recovery.iter().map(|digest| binary(&digest.0)).collect(),
            since: millis(second_step.since),
        }
    }
}

impl From<SecondStepRecord> for SecondStep {
    fn from(record: SecondStepRecord) -> Self {
        Self {
            secret: record.secret.into(),
            last_step: record.last_step,
            // Nothing but `binary` of a digest is ever written there.
            recovery: record.recovery.into_iter().filter_map(|hash| hash.bytes.try_into().ok().map(Digest)).collect(),
            since: timestamp(record.since),
        }
    }
}

impl From<&Pending> for PendingRecord {
    fn from(pending: &Pending) -> Self {
        Self { secret: SealedRecord::from(&pending.secret), shown_at: millis(pending.shown_at) }
    }
}

impl From<PendingRecord> for Pending {
    fn from(record: PendingRecord) -> Self {
        Self { secret: record.secret.into(), shown_at: timestamp(record.shown_at) }
    }
}

impl From<&Sealed> for SealedRecord {
    fn from(sealed: &Sealed) -> Self {
        Self { key_id: sealed.key_id.clone(), nonce: binary(&sealed.nonce), ciphertext: binary(&sealed.ciphertext) }
    }
}

impl From<SealedRecord> for Sealed {
    fn from(record: SealedRecord) -> Self {
        Self { key_id: record.key_id, nonce: record.nonce.bytes, ciphertext: record.ciphertext.bytes }
    }
}

/// Bytes as BSON's binary.
pub(super) fn binary(bytes: &[u8]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}
