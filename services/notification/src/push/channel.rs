//! What is pushed: notifications of users who have a device.

use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use mongodb::error::Error;
use runtime::clock::Clock;

use super::{
    fcm::{Fcm, PATIENCE, PushError},
    message::message,
    standing::Standing,
};
use crate::{
    counters::Counters,
    delivery::{Channel, Claimed, Outcome, held_back},
    store::{
        Contacts, Devices, Notifications, Preferences,
        devices::Target,
        notifications::{Due, Way},
    },
};

/// How long a claim holds: well over what sending may take, which is two requests for a token and two with it.
const LEASE: Duration = Duration::from_secs(6 * PATIENCE.as_secs());

/// The way to devices.
#[derive(Debug)]
pub struct Push {
    /// Where what is due stands.
    pub notifications: Notifications,
    /// Where it goes.
    pub devices: Devices,
    /// Where senders are looked up.
    pub contacts: Contacts,
    /// How users want to be told.
    pub preferences: Preferences,
    /// The way to Firebase.
    pub fcm: Fcm,
    /// Where the web client is.
    pub web_url: String,
    /// A notification this old is no news.
    pub give_up_after: SignedDuration,
    /// How we stand with Firebase.
    pub standing: Standing,
    /// Tells the time.
    pub clock: Clock,
    /// Counts what happens.
    pub counters: Counters,
}

impl Channel for Push {
    const NAME: &'static str = "push";

    type Due = Due;

    async fn claim(&self, now: Timestamp) -> Result<Option<Claimed<Due>>, Error> {
        let claimed = self.notifications.claim(Way::Push, now, LEASE).await?;
        Ok(claimed.map(|due| Claimed { id: due.notification.id.to_string(), attempts: due.attempts, due }))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        self.notifications.next_due(Way::Push).await
    }

    async fn send(&self, claimed: &Claimed<Due>) -> Outcome {
        let (due, now) = (&claimed.due, self.clock.now());
        let notification = &due.notification;
        if now.duration_since(due.since) > self.give_up_after {
            return Outcome::GivenUp("it could not be pushed in time".to_owned());
        }
        if let Some(held_back) = held_back(&self.preferences, notification.user_id, |wanted| wanted.push, now).await {
            return held_back;
        }
        let found =
            futures::try_join!(self.devices.targets(notification.user_id), self.contacts.find(notification.sender_id));
        let (targets, sender) = match found {
            Ok(found) => found,
            Err(error) => return Outcome::NotYet(format!("devices cannot be looked up: {error}")),
        };
        let sender = sender.as_ref().map(|contact| contact.display_name.as_str());
        let left = targets.iter().filter(|target| !due.done.contains(&target.id));
        let sent = join_all(left.map(|target| async move {
            let message = message(&target.token, notification, sender, &self.web_url, now);
            let outcome = self.fcm.send(&message).await;
            self.settle_device(due, target, outcome).await
        }))
        .await;
        match (sent.is_empty(), due.done.is_empty()) {
            (true, true) => Outcome::Unwanted("the user has no device any more"),
            (true, false) => Outcome::Sent,
            (false, is_first) => sum(sent, !is_first),
        }
    }

    async fn settle(&self, due: &Due, now: Timestamp, dropped: Option<&str>) -> Result<(), Error> {
        self.notifications.settled(Way::Push, due.notification.id, now, dropped).await
    }

    async fn postpone(&self, due: &Due, until: Timestamp, afresh: bool) -> Result<(), Error> {
        self.notifications.postpone(Way::Push, due.notification.id, until, afresh).await
    }
}

/// What became of one device: it has been told, it never will be, or it is tried again.
type ForDevice = Result<bool, Outcome>;

impl Push {
    async fn settle_device(&self, due: &Due, target: &Target, outcome: Result<(), PushError>) -> ForDevice {
        let id = due.notification.id;
        let is_told = outcome.is_ok();
        if let Err(error) = &outcome {
            self.counters.refused_push(error.name());
        }
        let kept = match outcome {
            Ok(()) => {
                self.standing.good();
                self.notifications.done_with(id, target.id).await
            }
            Err(PushError::Dead(reason)) => {
                tracing::info!(device = %target.id, reason, "a device is gone");
                self.devices.remove_dead(target).await
            }
            Err(error @ PushError::OtherProject(_)) => {
                // If it is the platform that has the wrong project, all devices are such: none of them is removed.
                tracing::warn!(device = %target.id, %error, "not pushed");
                self.standing.mismatched(self.clock.now());
                self.notifications.done_with(id, target.id).await
            }
            Err(error @ PushError::Refused(_)) => {
                tracing::warn!(device = %target.id, %error, "not pushed");
                self.notifications.done_with(id, target.id).await
            }
            Err(error) => {
                let reason = error.to_string();
                self.standing.failed(&reason);
                let retry_after = match error {
                    PushError::Unavailable { retry_after, .. } => retry_after,
                    _ => None,
                };
                return Err(Outcome::ServerAway { reason, retry_after });
            }
        };
        let kept = kept.map(|()| is_told);
        kept.map_err(|error| Outcome::NotYet(format!("what became of a device cannot be recorded: {error}")))
    }
}

/// What became of a notification, by what became of it on each device; `tried_before` if there are others that are done with.
fn sum(devices: Vec<ForDevice>, tried_before: bool) -> Outcome {
    let is_told = tried_before || devices.contains(&Ok(true));
    let done = if is_told { Outcome::Sent } else { Outcome::GivenUp("no device takes it".to_owned()) };
    devices.into_iter().filter_map(Result::err).fold(done, |all, one| match (&all, &one) {
        // A server that wants a pause has it, whatever the others said.
        (Outcome::ServerAway { retry_after: longest, .. }, Outcome::ServerAway { retry_after, .. })
            if longest >= retry_after =>
        {
            all
        }
        (Outcome::ServerAway { .. }, Outcome::NotYet(_)) => all,
        _ => one,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away(seconds: u64) -> ForDevice {
        let retry_after = (seconds > 0).then(|| Duration::from_secs(seconds));
        Err(Outcome::ServerAway { reason: "away".to_owned(), retry_after })
    }

    fn not_yet() -> ForDevice {
        Err(Outcome::NotYet("the database".to_owned()))
    }

    #[test]
    fn a_notification_is_done_with_when_all_devices_are_and_waits_as_long_as_the_longest_pause() {
        assert_eq!(sum(vec![Ok(true), Ok(false)], false), Outcome::Sent);
        assert!(matches!(sum(vec![Ok(false)], false), Outcome::GivenUp(_)));
        assert_eq!(sum(vec![Ok(false)], true), Outcome::Sent);
        for devices in [
            vec![Ok(true), away(30), away(60), not_yet()],
            vec![away(60), away(0), Ok(false)],
            vec![not_yet(), away(60)],
        ] {
            let waits = sum(devices, false);
            assert!(
                matches!(waits, Outcome::ServerAway { retry_after: Some(pause), .. } if pause.as_secs() == 60),
                "{waits:?}"
            );
        }
        assert!(matches!(sum(vec![Ok(true), not_yet()], false), Outcome::NotYet(_)));
    }
}
