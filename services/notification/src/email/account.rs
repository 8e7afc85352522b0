//! Letters about an account: links that prove that mail arrives, and news that its owner has to know.

use contract::event::MailedToken;
use contract::id::{EventId, UserId};
use jiff::Timestamp;
use lettre::Message;
use serde::{Deserialize, Serialize};

use super::letter::{LetterError, Letterhead, compose};
use crate::contact::Contact;
use crate::headline::presentable;

/// Whom a letter is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// Who is reached at an address that the letter itself is about.
    At(Contact),
    /// A user, at the address known when the letter is sent.
    User(UserId),
}

/// What a letter says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Letter {
    /// A link that shows that mail arrives.
    VerifyEmail {
        /// Goes into the link.
        token: MailedToken,
        /// Until when the link works.
        expires_at: Timestamp,
    },
    /// A link to choose a new password.
    ResetPassword {
        /// Goes into the link.
        token: MailedToken,
        /// Until when the link works.
        expires_at: Timestamp,
    },
    /// To the old address: it is no longer the account's.
    EmailChanged,
    /// The password is another.
    PasswordChanged,
    /// Logging in takes a second step, or no longer does.
    SecondStepChanged {
        /// Whether it does.
        enabled: bool,
    },
    /// A session was ended because its tokens were in two hands.
    SessionEndedForSafety,
}

impl Recipient {
    /// The user.
    #[must_use]
    pub fn user(&self) -> UserId {
        match self {
            Self::At(contact) => contact.user_id,
            Self::User(user) => *user,
        }
    }
}

impl Letter {
    /// Until when it is of use; `None` where that does not end by itself.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::VerifyEmail { expires_at, .. } | Self::ResetPassword { expires_at, .. } => Some(*expires_at),
            _ => None,
        }
    }

    /// Writes the letter of event `id` to `recipient`.
    pub fn write(&self, head: &Letterhead, id: EventId, recipient: &Contact) -> Result<Message, LetterError> {
        let name = presentable(&recipient.display_name);
        let greeting = name.map_or_else(|| "Hello,".to_owned(), |name| format!("Hello {name},"));
        let text = format!("{greeting}\r\n\r\n{}\r\n", self.text(&head.web_url).join("\r\n\r\n"));
        compose(head, &id.to_string(), recipient, self.subject(), text)
    }

    fn subject(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } => "Confirm your e-mail address",
            Self::ResetPassword { .. } => "Choose a new password",
            Self::EmailChanged => "Your e-mail address was changed",
            Self::PasswordChanged => "Your password was changed",
            Self::SecondStepChanged { enabled: true } => "Logging in takes a second step now",
            Self::SecondStepChanged { enabled: false } => "Logging in takes no second step any more",
            Self::SessionEndedForSafety => "You were logged out for safety",
        }
    }

    /// Its paragraphs.
    fn text(&self, url: &str) -> Vec<String> {
        // In the fragment, so that it is in no server's log and no Referer.
        let link = |page: &str, token: &MailedToken| format!("{url}/{page}#token={}", token.0);
        let not_you =
            format!("If that was not you, choose a new password at {url}/forgot-password and log out everywhere.");
        match self {
            Self::VerifyEmail { token, expires_at } => vec![
                format!("confirm that this is your e-mail address: {}", link("verify-email", token)),
                format!("The link works once, until {}.", moment(*expires_at)),
                format!("If you have nothing to do with {url}, ignore this e-mail."),
            ],
            Self::ResetPassword { token, expires_at } => vec![
                format!("choose a new password: {}", link("reset-password", token)),
                format!("The link works once, until {}. You will be logged out everywhere.", moment(*expires_at)),
                "If you did not ask for this, ignore this e-mail: your password stays as it is.".to_owned(),
            ],
            Self::EmailChanged => vec![
                format!(
                    "your account at {url} has another e-mail address now. This one gets no further e-mail from it."
                ),
                format!("If that was not you, ask an administrator of {url} for help at once."),
            ],
            Self::PasswordChanged => {
                vec![format!("the password of your account at {url} was changed."), not_you]
            }
            Self::SecondStepChanged { enabled: true } => {
                vec![format!("logging in at {url} takes a code of your authenticator app from now on."), not_you]
            }
            Self::SecondStepChanged { enabled: false } => {
                vec![format!("logging in at {url} takes your password alone from now on."), not_you]
            }
            Self::SessionEndedForSafety => vec![
                format!(
                    "one of your sessions at {url} was ended, because its key was used twice: somebody may have copied it."
                ),
                "Log in again. If this happens more often, choose a new password.".to_owned(),
            ],
        }
    }
}

/// `27 November 2026 at 18:05 UTC`.
fn moment(at: Timestamp) -> String {
    at.strftime("%-d %B %Y at %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn written(letter: &Letter) -> String {
        let head = Letterhead {
            from: "Acme Chat <chat@acme.example>".parse().unwrap(),
            web_url: "https://chat.acme.example".to_owned(),
        };
        let ada = Contact {
            user_id: UserId::generate(),
            email: "ada@example.org".to_owned(),
            display_name: "Ada".to_owned(),
        };
        let sent = String::from_utf8(letter.write(&head, EventId::generate(), &ada).unwrap().formatted()).unwrap();
        // As a mail program shows it (RFC 2045, section 6.7).
        sent.replace("=\r\n", "").replace("=3D", "=")
    }

    #[test]
    fn a_link_carries_its_token_where_no_server_logs_it_and_says_how_long_it_works() {
        let token = || MailedToken("abc_DEF-123".to_owned());
        let expires_at = "2026-11-27T18:05:00Z".parse().unwrap();
        let letter = written(&Letter::VerifyEmail { token: token(), expires_at });
        assert!(letter.contains("https://chat.acme.example/verify-email#token=abc_DEF-123\r\n"), "{letter}");
        assert!(letter.contains("until 27 November 2026 at 18:05 UTC."), "{letter}");
        let letter = written(&Letter::ResetPassword { token: token(), expires_at });
        assert!(letter.contains("https://chat.acme.example/reset-password#token=abc_DEF-123\r\n"), "{letter}");
    }

    #[test]
    fn every_letter_has_a_subject_a_greeting_and_the_address_of_the_platform() {
        let expires_at = Timestamp::UNIX_EPOCH;
        let token = || MailedToken("t".to_owned());
        for letter in [
            Letter::VerifyEmail { token: token(), expires_at },
            Letter::ResetPassword { token: token(), expires_at },
            Letter::EmailChanged,
            Letter::PasswordChanged,
            Letter::SecondStepChanged { enabled: true },
            Letter::SecondStepChanged { enabled: false },
            Letter::SessionEndedForSafety,
        ] {
            let text = written(&letter);
            assert!(text.contains("\r\n\r\nHello Ada,\r\n"), "{text}");
            assert!(text.contains(&format!("Subject: {}\r\n", letter.subject())), "{text}");
            assert!(text.contains("https://chat.acme.example"), "{text}");
            assert!(text.contains("Auto-Submitted: auto-generated"), "{text}");
        }
    }
}
