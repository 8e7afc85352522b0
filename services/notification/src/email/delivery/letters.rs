//! Sending letters about accounts.

use contract::id::UserId;

use super::{CONTACT_ATTEMPTS, Delivery, LEASE, Outcome, Progress, chain, pause};
use crate::contact::Contact;
use crate::email::account::Recipient;
use crate::email::mailer::SendError;
use crate::store::letters::DueLetter;

impl Delivery {
    /// Sends the letter that has been due longest; `None` if none is due.
    pub(super) async fn send_next_letter(&self) -> Result<Option<Progress>, mongodb::error::Error> {
        let Some(due) = self.letters.claim(self.clock.now(), LEASE).await? else { return Ok(None) };
        let outcome = self.send_letter(&due).await;
        let now = self.clock.now();
        let id = due.id;
        Ok(Some(match outcome {
            Outcome::Sent => {
                self.letters.settled(id, now, None).await?;
                self.counters.emails_sent.inc();
                Progress::Sent
            }
            Outcome::GivenUp(reason) => {
                tracing::warn!(event = %id, reason, "letter given up");
                self.letters.settled(id, now, Some(&reason)).await?;
                self.counters.emails_given_up.inc();
                Progress::Sent
            }
            Outcome::NotYet(reason) => {
                tracing::info!(event = %id, reason, attempts = due.attempts, "letter postponed");
                self.postpone_letter(&due).await?;
                Progress::Sent
            }
            Outcome::ServerAway(error) => {
                tracing::warn!(event = %id, error = %chain(&error), attempts = due.attempts, "letter postponed");
                self.postpone_letter(&due).await?;
                self.counters.email_failures.inc();
                Progress::ServerAway
            }
        }))
    }

    async fn postpone_letter(&self, due: &DueLetter) -> Result<(), mongodb::error::Error> {
        let pause = pause(due.attempts, &mut rand::rng());
        self.letters.postpone(due.id, self.clock.now(), pause).await
    }

    async fn send_letter(&self, due: &DueLetter) -> Outcome {
        let now = self.clock.now();
        if due.letter.expires_at().is_some_and(|expires_at| now >= expires_at) {
            return Outcome::GivenUp("its link has expired".to_owned());
        }
        if now.duration_since(due.created_at) > self.give_up_after {
            return Outcome::GivenUp("it could not be sent in time".to_owned());
        }
        let recipient = match self.recipient(&due.recipient, due.attempts).await {
            Ok(recipient) => recipient,
            Err(outcome) => return outcome,
        };
        let letter = match due.letter.write(&self.letterhead, due.id, &recipient) {
            Ok(letter) => letter,
            Err(error) => return Outcome::GivenUp(error.to_string()),
        };
        match self.mailer.send(letter).await {
            Ok(()) => Outcome::Sent,
            Err(error @ SendError::Refused(_)) => Outcome::GivenUp(chain(&error)),
            Err(error) => Outcome::ServerAway(error),
        }
    }

    async fn recipient(&self, recipient: &Recipient, attempts: u32) -> Result<Contact, Outcome> {
        let user: UserId = match recipient {
            Recipient::At(contact) => return Ok(contact.clone()),
            Recipient::User(user) => *user,
        };
        match self.contacts.find(user).await {
            Ok(Some(contact)) => Ok(contact),
            Ok(None) if attempts < CONTACT_ATTEMPTS => {
                Err(Outcome::NotYet("the recipient's address is not known yet".to_owned()))
            }
            Ok(None) => Err(Outcome::GivenUp("the recipient's address is not known".to_owned())),
            Err(error) => Err(Outcome::NotYet(format!("contacts cannot be looked up: {error}"))),
        }
    }
}
