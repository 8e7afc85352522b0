//! What is sent by e-mail: letters about accounts before all others, as somebody waits for them, then notifications.

use std::time::Duration;

use contract::id::UserId;
use jiff::{SignedDuration, Timestamp};
use mongodb::error::Error;
use runtime::{clock::Clock, telemetry::chain};

use super::{
    account::Recipient,
    letter::{self, LetterError, Letterhead},
    mailer::{Mailer, PATIENCE, SendError},
};
use crate::{
    contact::Contact,
    delivery::{Channel, Claimed, Outcome, held_back},
    store::{
        Contacts, Letters, Notifications, Preferences,
        letters::DueLetter,
        notifications::{Due, Way},
    },
};

/// How long a claim holds: well over what sending may take.
const LEASE: Duration = Duration::from_secs(3 * PATIENCE.as_secs());

/// How often a recipient's contact is looked for before the e-mail is given up: for about two minutes, pauses growing.
/// A registration's event may be behind that of the first message.
const CONTACT_ATTEMPTS: u32 = 8;

/// The way by e-mail.
#[derive(Debug)]
pub struct Email {
    /// Where what is due stands.
    pub notifications: Notifications,
    /// Where letters about accounts stand.
    pub letters: Letters,
    /// Where recipients and senders are looked up.
    pub contacts: Contacts,
    /// How users want to be told.
    pub preferences: Preferences,
    /// The way to the mail server.
    pub mailer: Mailer,
    /// What all letters have in common.
    pub letterhead: Letterhead,
    /// An e-mail this old is given up.
    pub give_up_after: SignedDuration,
    /// Tells the time.
    pub clock: Clock,
}

/// An e-mail that is due.
#[derive(Debug)]
pub enum DueEmail {
    /// A letter about an account.
    Letter(DueLetter),
    /// A notification.
    Notification(Due),
}

impl Channel for Email {
    const NAME: &'static str = "e-mail";

    type Due = DueEmail;

    async fn claim(&self, now: Timestamp) -> Result<Option<Claimed<DueEmail>>, Error> {
        if let Some(letter) = self.letters.claim(now, LEASE).await? {
            let (id, attempts) = (letter.id.to_string(), letter.attempts);
            return Ok(Some(Claimed { id, attempts, due: DueEmail::Letter(letter) }));
        }
        let claimed = self.notifications.claim(Way::Email, now, LEASE).await?;
        Ok(claimed.map(|due| Claimed {
            id: due.notification.id.to_string(),
            attempts: due.attempts,
            due: DueEmail::Notification(due),
        }))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        let (notification, letter) =
            futures::try_join!(self.notifications.next_due(Way::Email), self.letters.next_due())?;
        Ok(notification.into_iter().chain(letter).min())
    }

    async fn send(&self, claimed: &Claimed<DueEmail>) -> Outcome {
        let letter = match &claimed.due {
            DueEmail::Letter(due) => self.letter(due).await,
            DueEmail::Notification(due) => self.notification(due).await,
        };
        let letter = match letter {
            Ok(letter) => letter,
            Err(outcome) => return outcome,
        };
        match self.mailer.send(letter).await {
            Ok(()) => Outcome::Sent,
            Err(error @ SendError::Refused(_)) => Outcome::GivenUp(chain(&error)),
            Err(error) => Outcome::ServerAway { reason: chain(&error), retry_after: None },
        }
    }

    async fn settle(&self, due: &DueEmail, now: Timestamp, dropped: Option<&str>) -> Result<(), Error> {
        match due {
            DueEmail::Letter(due) => self.letters.settled(due.id, now, dropped).await,
            DueEmail::Notification(due) => {
                self.notifications.settled(Way::Email, due.notification.id, now, dropped).await
            }
        }
    }

    async fn postpone(&self, due: &DueEmail, until: Timestamp, afresh: bool) -> Result<(), Error> {
        match due {
            // Letters wait for no quiet hours.
            DueEmail::Letter(due) => self.letters.postpone(due.id, until).await,
            DueEmail::Notification(due) => {
                self.notifications.postpone(Way::Email, due.notification.id, until, afresh).await
            }
        }
    }
}

impl Email {
    /// What goes to the mail server for a letter about an account, or why nothing does.
    async fn letter(&self, due: &DueLetter) -> Result<lettre::Message, Outcome> {
        let now = self.clock.now();
        if due.letter.expires_at().is_some_and(|expires_at| now >= expires_at) {
            return Err(Outcome::GivenUp("its link has expired".to_owned()));
        }
        self.still_news(due.created_at, now)?;
        let recipient = match &due.recipient {
            Recipient::At(contact) => contact.clone(),
            Recipient::User(user) => known(self.contact(*user).await?, due.attempts)?,
        };
        due.letter.write(&self.letterhead, due.id, &recipient).map_err(|error| Outcome::GivenUp(error.to_string()))
    }

    /// What goes to the mail server for a notification, or why nothing does.
    async fn notification(&self, due: &Due) -> Result<lettre::Message, Outcome> {
        let (notification, now) = (&due.notification, self.clock.now());
        self.still_news(due.since, now)?;
        if let Some(held_back) = held_back(&self.preferences, notification.user_id, |wanted| wanted.email, now).await {
            return Err(held_back);
        }
        let (recipient, sender) =
            futures::try_join!(self.contact(notification.user_id), self.contact(notification.sender_id))?;
        let recipient = known(recipient, due.attempts)?;
        let sender = sender.as_ref().map(|contact| contact.display_name.as_str());
        letter::write(&self.letterhead, notification.id, &recipient, sender)
            .map_err(|error @ (LetterError::Address(_) | LetterError::Parts(_))| Outcome::GivenUp(error.to_string()))
    }

    fn still_news(&self, since: Timestamp, now: Timestamp) -> Result<(), Outcome> {
        if now.duration_since(since) > self.give_up_after {
            return Err(Outcome::GivenUp("it could not be sent in time".to_owned()));
        }
        Ok(())
    }

    async fn contact(&self, user: UserId) -> Result<Option<Contact>, Outcome> {
        let found = self.contacts.find(user).await;
        found.map_err(|error| Outcome::NotYet(format!("contacts cannot be looked up: {error}")))
    }
}

fn known(recipient: Option<Contact>, attempts: u32) -> Result<Contact, Outcome> {
    recipient.ok_or_else(|| {
        if attempts < CONTACT_ATTEMPTS {
            Outcome::NotYet("the recipient's address is not known yet".to_owned())
        } else {
            Outcome::GivenUp("the recipient's address is not known".to_owned())
        }
    })
}
