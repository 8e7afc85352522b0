//! E-mails that are due: claimed by one worker at a time, and settled.

use std::time::Duration;

use contract::{id::NotificationId, notification::Notification};
use jiff::Timestamp;
use mongodb::{
    bson::{Document, doc},
    error::Error,
    options::ReturnDocument,
};

use super::Notifications;
use crate::store::{restored, stored};

/// A notification whose e-mail one worker has claimed.
#[derive(Clone, Debug)]
pub struct Due {
    /// What it is about.
    pub notification: Notification,
    /// How many times it has been claimed, this time included.
    pub attempts: u32,
}

impl Notifications {
    /// Claims the e-mail that has been due longest. Nobody else gets it during `lease`, which has to outlast the sending.
    pub async fn claim(&self, now: Timestamp, lease: Duration) -> Result<Option<Due>, Error> {
        let claimed = self
            .records
            .find_one_and_update(
                doc! {"email.dueAt": {"$lte": stored(now)}},
                doc! {"$set": {"email.dueAt": stored(later(now, lease))}, "$inc": {"email.attempts": 1}},
            )
            .sort(doc! {"email.dueAt": 1})
            .return_document(ReturnDocument::After)
            .await?;
        Ok(claimed.map(|record| {
            let attempts = record.email.as_ref().map_or(0, |email| email.attempts);
            Due { notification: record.into(), attempts }
        }))
    }

    /// When the next e-mail is due, if there is one.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        let next = self.records.find_one(doc! {"email.dueAt": {"$exists": true}}).sort(doc! {"email.dueAt": 1}).await?;
        Ok(next.and_then(|record| record.email).map(|email| restored(email.due_at)))
    }

    /// Records that the mail server has taken the e-mail.
    pub async fn emailed(&self, id: NotificationId, now: Timestamp) -> Result<(), Error> {
        self.settle(id, doc! {"emailedAt": stored(now)}).await
    }

    /// Records that the e-mail is not going to be sent, and why.
    pub async fn give_up(&self, id: NotificationId, now: Timestamp, reason: &str) -> Result<(), Error> {
        self.settle(id, doc! {"emailGivenUp": {"at": stored(now), "reason": reason}}).await
    }

    /// Lets the e-mail be tried again, after `pause`.
    pub async fn postpone(&self, id: NotificationId, now: Timestamp, pause: Duration) -> Result<(), Error> {
        // Read in the meantime, it is not due any more, and stays so.
        let still_due = doc! {"_id": id.to_string(), "email": {"$exists": true}};
        self.records.update_one(still_due, doc! {"$set": {"email.dueAt": stored(later(now, pause))}}).await?;
        Ok(())
    }

    async fn settle(&self, id: NotificationId, outcome: Document) -> Result<(), Error> {
        self.records.update_one(doc! {"_id": id.to_string()}, doc! {"$set": outcome, "$unset": {"email": ""}}).await?;
        Ok(())
    }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}
