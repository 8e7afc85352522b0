//! Which events are told by a letter.

use contract::event::{Envelope, Event, RevocationReason};

use super::Handler;
use crate::contact::Contact;
use crate::email::account::{Letter, Recipient};

impl Handler {
    /// Keeps the letter that an event calls for, to be sent, if it calls for one and letters are sent at all.
    pub(super) async fn write_letter(&self, envelope: &Envelope) -> Result<(), mongodb::error::Error> {
        let Some((recipient, letter)) = letter(&envelope.event).filter(|_| self.by_email) else { return Ok(()) };
        if self.letters.store(envelope.id, &recipient, &letter, self.clock.now()).await? {
            self.bell.notify_waiters();
        }
        Ok(())
    }
}

/// To whom and of what an event is told by a letter.
fn letter(event: &Event) -> Option<(Recipient, Letter)> {
    let at = |user_id, email: &str, display_name: &str| {
        Recipient::At(Contact { user_id, email: email.to_owned(), display_name: display_name.to_owned() })
    };
    Some(match event {
        Event::EmailVerificationRequested(asked) => (
            at(asked.user_id, &asked.email, &asked.display_name),
            Letter::VerifyEmail { token: asked.token.clone(), expires_at: asked.expires_at },
        ),
        Event::PasswordResetRequested(asked) => (
            at(asked.user_id, &asked.email, &asked.display_name),
            Letter::ResetPassword { token: asked.token.clone(), expires_at: asked.expires_at },
        ),
        Event::EmailChanged(change) => {
            (at(change.user_id, &change.previous_email, &change.display_name), Letter::EmailChanged)
        }
        Event::PasswordChanged(change) => (Recipient::User(change.user_id), Letter::PasswordChanged),
        Event::SecondStepChanged(change) => {
            (Recipient::User(change.user_id), Letter::SecondStepChanged { enabled: change.enabled })
        }
        Event::SessionRevoked(revoked) if revoked.reason == Some(RevocationReason::TokenReused) => {
            (Recipient::User(revoked.user_id), Letter::SessionEndedForSafety)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use contract::event::{EmailChanged, SessionRevoked};
    use contract::id::{SessionId, UserId};

    use super::*;

    #[test]
    fn of_a_changed_address_the_old_one_is_told() {
        let changed = EmailChanged {
            user_id: UserId::generate(),
            display_name: "Ada".to_owned(),
            email: "new@example.org".to_owned(),
            previous_email: "old@example.org".to_owned(),
        };
        match letter(&changed.into()) {
            Some((Recipient::At(contact), Letter::EmailChanged)) => assert_eq!(contact.email, "old@example.org"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_ended_sessions_only_one_that_was_ended_for_safety_is_told() {
        let revoked =
            |reason| SessionRevoked { user_id: UserId::generate(), session_id: SessionId::generate(), reason }.into();
        assert!(letter(&revoked(None)).is_none());
        assert!(letter(&revoked(Some(RevocationReason::Ended))).is_none());
        let told = letter(&revoked(Some(RevocationReason::TokenReused)));
        assert!(matches!(told, Some((Recipient::User(_), Letter::SessionEndedForSafety))), "{told:?}");
    }
}
