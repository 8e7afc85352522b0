//! What is due to be sent: claimed by one worker at a time, and settled.

use std::time::Duration;

use contract::{
    id::{DeviceId, NotificationId},
    notification::Notification,
};
use jiff::Timestamp;
use mongodb::{
    bson::{Document, doc},
    error::Error,
    options::ReturnDocument,
};

use super::{
    Notifications,
    record::{DueSending, Record},
};
use crate::store::{later, restored, stored};

/// A way by which a notification goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To an address.
    Email,
    /// To devices.
    Push,
}

/// A notification that one worker has claimed for one way.
#[derive(Clone, Debug)]
pub struct Due {
    /// What it is about.
    pub notification: Notification,
    /// How many times it has been claimed, this time included.
    pub attempts: u32,
    /// Since when it could have been sent.
    pub since: Timestamp,
    /// The devices that need not be tried again.
    pub done: Vec<DeviceId>,
}

impl Way {
    /// The field that is there while it is due.
    fn field(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Push => "push",
        }
    }

    /// The field that says when it was sent, and the one that says why it was not.
    fn outcome(self) -> (&'static str, &'static str) {
        match self {
            Self::Email => ("emailedAt", "emailGivenUp"),
            Self::Push => ("pushedAt", "pushGivenUp"),
        }
    }

    fn of(self, record: &Record) -> Option<&DueSending> {
        match self {
            Self::Email => record.email.as_ref(),
            Self::Push => record.push.as_ref(),
        }
    }

    fn path(self, name: &str) -> String {
        format!("{}.{name}", self.field())
    }
}

impl Notifications {
    /// Claims what has been due longest. Nobody else gets it during `lease`, which has to outlast the sending.
    pub async fn claim(&self, way: Way, now: Timestamp, lease: Duration) -> Result<Option<Due>, Error> {
        let (due_at, attempts) = (way.path("dueAt"), way.path("attempts"));
        let claimed = self
            .records
            .now()
            .find_one_and_update(
                doc! {&due_at: {"$lte": stored(now)}},
                doc! {"$set": {&due_at: stored(later(now, lease))}, "$inc": {attempts: 1}},
            )
            .sort(doc! {&due_at: 1})
            .return_document(ReturnDocument::After)
            .await?;
        Ok(claimed.map(|record| {
            let due = way.of(&record).cloned();
            let notification = Notification::from(record);
            Due {
                attempts: due.as_ref().map_or(0, |due| due.attempts),
                since: due.as_ref().and_then(|due| due.since).map_or(notification.created_at, restored),
                done: due.map(|due| due.done).unwrap_or_default(),
                notification,
            }
        }))
    }

    /// When the next is due, if there is one.
    pub async fn next_due(&self, way: Way) -> Result<Option<Timestamp>, Error> {
        let due_at = way.path("dueAt");
        let next = self.records.now().find_one(doc! {&due_at: {"$exists": true}}).sort(doc! {&due_at: 1}).await?;
        Ok(next.and_then(|record| way.of(&record).map(|due| restored(due.due_at))))
    }

    /// Records that it has been sent, or is not going to be for this reason.
    pub async fn settled(
        &self,
        way: Way,
        id: NotificationId,
        now: Timestamp,
        dropped: Option<&str>,
    ) -> Result<(), Error> {
        let (sent, given_up) = way.outcome();
        let outcome = match dropped {
            None => doc! {sent: stored(now)},
            Some(reason) => doc! {given_up: {"at": stored(now), "reason": reason}},
        };
        let change = doc! {"$set": outcome, "$unset": {way.field(): ""}};
        self.records.now().update_one(doc! {"_id": id.to_string()}, change).await?;
        Ok(())
    }

    /// Lets it be tried again, from `until` on; `afresh` as if it had come up only then.
    pub async fn postpone(&self, way: Way, id: NotificationId, until: Timestamp, afresh: bool) -> Result<(), Error> {
        let mut set = doc! {way.path("dueAt"): stored(until)};
        if afresh {
            set.extend(doc! {way.path("since"): stored(until), way.path("attempts"): 0});
        }
        self.records.now().update_one(still_due(way, id), doc! {"$set": set}).await?;
        Ok(())
    }

    /// Records that a device need not be tried again: it has the notification, or never will.
    pub async fn done_with(&self, id: NotificationId, device: DeviceId) -> Result<(), Error> {
        let change = doc! {"$addToSet": {Way::Push.path("done"): device.to_string()}};
        self.records.now().update_one(still_due(Way::Push, id), change).await?;
        Ok(())
    }
}

/// Read in the meantime, it is not due any more, and stays so.
fn still_due(way: Way, id: NotificationId) -> Document {
    doc! {"_id": id.to_string(), way.field(): {"$exists": true}}
}
