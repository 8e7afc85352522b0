//! Second steps, in the documents of their accounts. Every change is one conditional write, so that of several requests
//! at once one alone gets what can be had once.

use contract::event::Envelope;
use contract::id::UserId;
use mongodb::bson::{self, doc};
use mongodb::error::Error;

use super::UserStore;
use super::record::{PendingRecord, SealedRecord, SecondStepRecord, binary};
use crate::second_step::recovery::Digest;
use crate::second_step::sealing::Sealed;
use crate::second_step::{Pending, SecondStep};

impl UserStore {
    /// Keeps a secret that has been shown, in the place of an earlier one, unless there is a second step already.
    pub async fn begin_second_step(&self, id: UserId, pending: &Pending) -> Result<bool, Error> {
        let pending = bson::serialize_to_bson(&PendingRecord::from(pending))?;
        let none_yet = doc! {"secondStep": {"$exists": false}};
        self.change(id, none_yet, doc! {"$set": {"pendingSecondStep": pending}}).await
    }

    /// Makes of the `pending` secret a second step, unless it is no longer the one that waits.
    pub async fn confirm_second_step(
        &self,
        id: UserId,
        pending: &Pending,
        second_step: &SecondStep,
        told: &Envelope,
    ) -> Result<bool, Error> {
        let the_same = doc! {
            "secondStep": {"$exists": false},
            "pendingSecondStep.secret.ciphertext": binary(&pending.secret.ciphertext),
        };
        let update = doc! {
            "$set": {"secondStep": bson::serialize_to_bson(&SecondStepRecord::from(second_step))?},
            "$unset": {"pendingSecondStep": ""},
            "$push": {"outbox": bson::serialize_to_bson(told)?},
        };
        self.change(id, the_same, update).await
    }

    /// Uses up the code of a time step, unless that or a later one has been used.
    pub async fn use_step(&self, id: UserId, step: i64) -> Result<bool, Error> {
        let unused = doc! {"secondStep.lastStep": {"$lt": step}};
        self.change(id, unused, doc! {"$set": {"secondStep.lastStep": step}}).await
    }

    /// Uses up a recovery code, unless it has been used or is none.
    pub async fn use_recovery_code(&self, id: UserId, code: Digest) -> Result<bool, Error> {
        let code = binary(&code.0);
        let unused = doc! {"secondStep.recovery": code.clone()};
        self.change(id, unused, doc! {"$pull": {"secondStep.recovery": code}}).await
    }

    /// Puts new recovery codes in the place of all old ones, if there is a second step.
    pub async fn renew_recovery_codes(&self, id: UserId, codes: &[Digest]) -> Result<bool, Error> {
        let codes: Vec<_> = codes.iter().map(|code| binary(&code.0)).collect();
        let enabled = doc! {"secondStep": {"$exists": true}};
        self.change(id, enabled, doc! {"$set": {"secondStep.recovery": codes}}).await
    }

    /// Keeps the secret as `new`, unless it is no longer kept as `old`.
    pub async fn reseal_second_step(&self, id: UserId, old: &Sealed, new: &Sealed) -> Result<bool, Error> {
        let the_same = doc! {"secondStep.secret.ciphertext": binary(&old.ciphertext)};
        let new = bson::serialize_to_bson(&SealedRecord::from(new))?;
        self.change(id, the_same, doc! {"$set": {"secondStep.secret": new}}).await
    }

    /// Forgets the second step, if there is one.
    pub async fn disable_second_step(&self, id: UserId, told: &Envelope) -> Result<bool, Error> {
        let update = doc! {
            "$unset": {"secondStep": "", "pendingSecondStep": ""},
            "$push": {"outbox": bson::serialize_to_bson(told)?},
        };
        self.change(id, doc! {"secondStep": {"$exists": true}}, update).await
    }
}
