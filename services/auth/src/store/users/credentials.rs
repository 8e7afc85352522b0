//! Passwords and addresses, in the documents of their accounts.

use contract::event::Envelope;
use contract::id::UserId;
use jiff::Timestamp;
use mongodb::bson::{self, doc};
use mongodb::error::Error;

use super::{UserStore, WriteUserError, is_duplicate};
use crate::accounts::{Email, UniqueName};
use crate::password::PasswordHash;
use crate::store::millis;

impl UserStore {
    /// Keeps `password` and counts the epoch on from `epoch`, which ends every session; unless it has been counted on
    /// already.
    pub async fn change_password(
        &self,
        id: UserId,
        epoch: i64,
        password: &PasswordHash,
        told: &Envelope,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let update = doc! {
            "$set": {"passwordHash": bson::serialize_to_bson(password)?, "updatedAt": millis(now)},
            "$inc": {"epoch": 1_i64},
            "$push": {"outbox": bson::serialize_to_bson(told)?},
        };
        self.change(id, epoch_is(epoch), update).await
    }

    /// Notes that mail to `email` arrives, if that is the account's address still.
    pub async fn verify_email(&self, id: UserId, email: &Email, now: Timestamp) -> Result<bool, Error> {
        let update = doc! {"$set": {"emailVerifiedAt": millis(now)}, "$unset": {"verifyBy": ""}};
        self.change(id, doc! {"emailKey": email.key().as_str()}, update).await
    }

    /// Puts `new` in the place of the address `old`, if that is the account's address still.
    pub async fn change_email(
        &self,
        id: UserId,
        old: &Email,
        new: &Email,
        verified: bool,
        told: &Envelope,
        now: Timestamp,
    ) -> Result<bool, WriteUserError> {
        let mut set = doc! {"email": new.to_string(), "emailKey": new.key().as_str(), "updatedAt": millis(now)};
        let mut unset = doc! {"verifyBy": ""};
        if verified {
            set.insert("emailVerifiedAt", millis(now));
        } else {
            unset.insert("emailVerifiedAt", "");
        }
        let told = bson::serialize_to_bson(told).map_err(Error::from)?;
        let update = doc! {"$set": set, "$unset": unset, "$push": {"outbox": told}};
        match self.change(id, doc! {"emailKey": old.key().as_str()}, update).await {
            Ok(changed) => Ok(changed),
            Err(error) if is_duplicate(&error) => Err(WriteUserError::Taken(vec![UniqueName::Email])),
            Err(error) => Err(error.into()),
        }
    }
}

/// Accounts that are older than the count have none.
fn epoch_is(epoch: i64) -> bson::Document {
    if epoch == 0 {
        doc! {"epoch": {"$in": [0_i64, bson::Bson::Null]}}
    } else {
        doc! {"epoch": epoch}
    }
}
