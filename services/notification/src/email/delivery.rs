//! The workers that send what is due.

mod letters;

use std::{sync::Arc, time::Duration};

use contract::id::UserId;
use futures::future::join_all;
use jiff::SignedDuration;
use runtime::clock::Clock;
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    letter::{self, LetterError, Letterhead},
    mailer::{Mailer, PATIENCE, SendError},
    schedule::pause,
};
use crate::{
    counters::Counters,
    store::{Contacts, Letters, Notifications, notifications::Due},
};

/// How long a claim holds: well over what sending may take.
const LEASE: Duration = Duration::from_secs(3 * PATIENCE.as_secs());

/// How often a recipient's contact is looked for before the e-mail is given up: for about two minutes, pauses growing.
/// A registration's event may be behind that of the first message.
const CONTACT_ATTEMPTS: u32 = 8;

/// How long a worker rests at most: what another replica left behind is found after so long.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Sends e-mails that are due.
#[derive(Debug)]
pub struct Delivery {
    /// Where what is due stands.
    pub notifications: Notifications,
    /// Where letters about accounts stand.
    pub letters: Letters,
    /// Where recipients and senders are looked up.
    pub contacts: Contacts,
    /// The way to the mail server.
    pub mailer: Mailer,
    /// What all letters have in common.
    pub letterhead: Letterhead,
    /// An e-mail this old is given up.
    pub give_up_after: SignedDuration,
    /// How many are sent at once.
    pub workers: u32,
    /// Tells the time.
    pub clock: Clock,
    /// Counts what happens.
    pub counters: Counters,
    /// Rung when something has become due.
    pub bell: Arc<Notify>,
}

/// What became of one claimed e-mail.
enum Outcome {
    /// The mail server has it.
    Sent,
    /// It is tried later; the fault lies with the recipient or with nobody.
    NotYet(String),
    /// It is tried later; the mail server takes nothing at present.
    ServerAway(SendError),
    /// It is not going to be sent.
    GivenUp(String),
}

impl Delivery {
    /// Sends until `stop`; what has been claimed is finished first.
    pub async fn run(self, stop: CancellationToken) {
        join_all((0..self.workers).map(|_| self.work(&stop))).await;
    }

    async fn work(&self, stop: &CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let rung = self.bell.notified();
            tokio::pin!(rung);
            // From here on a bell is heard, even one that rings before the wait below.
            rung.as_mut().enable();
            let rest = match self.send_next().await {
                Ok(Progress::Sent) => {
                    failures = 0;
                    continue;
                }
                Ok(Progress::NothingDue(rest)) => rest,
                Ok(Progress::ServerAway) => {
                    failures += 1;
                    // Nothing else would fare better now, so the bell does not matter.
                    let rest = pause(failures, &mut rand::rng());
                    rested(stop, rest).await;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(error = %error, "e-mails that are due cannot be looked up");
                    failures += 1;
                    pause(failures, &mut rand::rng())
                }
            };
            tokio::select! {
                () = rung => {}
                () = rested(stop, rest) => {}
            }
        }
    }

    async fn send_next(&self) -> Result<Progress, mongodb::error::Error> {
        if let Some(progress) = self.send_next_letter().await? {
            return Ok(progress);
        }
        let now = self.clock.now();
        let Some(due) = self.notifications.claim(now, LEASE).await? else {
            return Ok(Progress::NothingDue(self.rest().await?));
        };
        let id = due.notification.id;
        let outcome = self.send(&due).await;
        let now = self.clock.now();
        match outcome {
            Outcome::Sent => {
                self.notifications.emailed(id, now).await?;
                self.counters.emails_sent.inc();
                Ok(Progress::Sent)
            }
            Outcome::GivenUp(reason) => {
                tracing::warn!(notification = %id, reason, "e-mail given up");
                self.notifications.give_up(id, now, &reason).await?;
                self.counters.emails_given_up.inc();
                Ok(Progress::Sent)
            }
            Outcome::NotYet(reason) => {
                tracing::info!(notification = %id, reason, attempts = due.attempts, "e-mail postponed");
                self.postpone(&due).await?;
                Ok(Progress::Sent)
            }
            Outcome::ServerAway(error) => {
                tracing::warn!(notification = %id, error = %chain(&error), attempts = due.attempts, "e-mail postponed");
                self.postpone(&due).await?;
                self.counters.email_failures.inc();
                Ok(Progress::ServerAway)
            }
        }
    }

    async fn postpone(&self, due: &Due) -> Result<(), mongodb::error::Error> {
        let pause = pause(due.attempts, &mut rand::rng());
        self.notifications.postpone(due.notification.id, self.clock.now(), pause).await
    }

    /// Until the next one is due, within reason.
    async fn rest(&self) -> Result<Duration, mongodb::error::Error> {
        let (notification, letter) = futures::try_join!(self.notifications.next_due(), self.letters.next_due())?;
        let next = notification.into_iter().chain(letter).min();
        let wait = next.map(|due| due.duration_since(self.clock.now()));
        let wait = wait.map_or(LONGEST_REST, |wait| Duration::try_from(wait).unwrap_or_default());
        Ok(wait.min(LONGEST_REST))
    }

    async fn send(&self, due: &Due) -> Outcome {
        let notification = &due.notification;
        let age = self.clock.now().duration_since(notification.created_at);
        if age > self.give_up_after {
            return Outcome::GivenUp("it could not be sent in time".to_owned());
        }
        let (recipient, sender) = match self.people(notification.user_id, notification.sender_id).await {
            Ok(people) => people,
            Err(error) => return Outcome::NotYet(format!("contacts cannot be looked up: {error}")),
        };
        let Some(recipient) = recipient else {
            return if due.attempts < CONTACT_ATTEMPTS {
                Outcome::NotYet("the recipient's address is not known yet".to_owned())
            } else {
                Outcome::GivenUp("the recipient's address is not known".to_owned())
            };
        };
        let sender = sender.as_ref().map(|contact| contact.display_name.as_str());
        let letter = match letter::write(&self.letterhead, notification.id, &recipient, sender) {
            Ok(letter) => letter,
            Err(error @ (LetterError::Address(_) | LetterError::Parts(_))) => {
                return Outcome::GivenUp(error.to_string());
            }
        };
        match self.mailer.send(letter).await {
            Ok(()) => Outcome::Sent,
            Err(error @ SendError::Refused(_)) => Outcome::GivenUp(chain(&error)),
            Err(error) => Outcome::ServerAway(error),
        }
    }

    async fn people(
        &self,
        recipient: UserId,
        sender: UserId,
    ) -> Result<(Option<crate::contact::Contact>, Option<crate::contact::Contact>), mongodb::error::Error> {
        futures::try_join!(self.contacts.find(recipient), self.contacts.find(sender))
    }
}

enum Progress {
    /// One has been settled; there may be another.
    Sent,
    /// The mail server takes nothing at present.
    ServerAway,
    /// There is nothing to do for so long.
    NothingDue(Duration),
}

async fn rested(stop: &CancellationToken, rest: Duration) {
    // Both ends of the wait mean the same: look again.
    let _ = stop.run_until_cancelled(sleep(rest)).await;
}

/// An error with all its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
