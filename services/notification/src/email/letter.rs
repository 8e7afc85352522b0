//! The e-mail that tells someone of a message they missed, and what all e-mails have in common. It holds nothing of the
//! message itself.

use contract::id::NotificationId;
use lettre::{
    Message,
    address::AddressError,
    message::{
        Mailbox,
        header::{ContentType, Header, HeaderName, HeaderValue},
    },
};

use crate::contact::Contact;
use crate::headline::{headline, presentable};

/// Why a letter cannot be written; trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// The recipient's address is none.
    #[error("the address cannot be used: {0}")]
    Address(#[from] AddressError),
    /// The parts do not make an e-mail.
    #[error("the e-mail cannot be put together: {0}")]
    Parts(#[from] lettre::error::Error),
}

/// What all letters of a platform have in common.
#[derive(Clone, Debug)]
pub struct Letterhead {
    /// Whom they come from.
    pub from: Mailbox,
    /// Where the web client is; every letter links to it.
    pub web_url: String,
}

/// Writes the letter about notification `id` to `recipient`. `sender` is the display name of who wrote the message, where known.
pub fn write(
    head: &Letterhead,
    id: NotificationId,
    recipient: &Contact,
    sender: Option<&str>,
) -> Result<Message, LetterError> {
    let sender = sender.and_then(presentable);
    let text = body(head, presentable(&recipient.display_name).as_deref(), sender.as_deref());
    compose(head, &id.to_string(), recipient, &headline(sender.as_deref()), text)
}

/// Puts a letter together; `id` tells it from all others of this platform.
pub(super) fn compose(
    head: &Letterhead,
    id: &str,
    recipient: &Contact,
    subject: &str,
    text: String,
) -> Result<Message, LetterError> {
    let to = Mailbox::new(presentable(&recipient.display_name), recipient.email.parse()?);
    let message = Message::builder()
        .from(head.from.clone())
        .to(to)
        .subject(subject)
        // The same in every copy, so that mail programs can tell a repeated letter.
        .message_id(Some(format!("<{id}@{}>", head.from.email.domain())))
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN)
        .body(text)?;
    Ok(message)
}

fn body(head: &Letterhead, recipient: Option<&str>, sender: Option<&str>) -> String {
    let greeting = recipient.map_or_else(|| "Hello,".to_owned(), |name| format!("Hello {name},"));
    let sender = sender.unwrap_or("Someone");
    let url = &head.web_url;
    format!(
        "{greeting}\r\n\r\n\
         {sender} sent you a message while you were away.\r\n\r\n\
         Read it here: {url}\r\n\r\n\
         This e-mail does not show the message, to keep it private.\r\n"
    )
}

/// RFC 3834: written by a program, so that no holiday notice answers it.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use contract::id::UserId;
    use proptest::prelude::*;

    use super::*;

    fn head() -> Letterhead {
        Letterhead {
            from: "Acme Chat <chat@acme.example>".parse().unwrap(),
            web_url: "https://chat.acme.example".to_owned(),
        }
    }

    fn contact(name: &str) -> Contact {
        Contact { user_id: UserId::generate(), email: "bob@example.org".to_owned(), display_name: name.to_owned() }
    }

    fn written(recipient: &str, sender: Option<&str>) -> String {
        let id = NotificationId::generate();
        String::from_utf8(write(&head(), id, &contact(recipient), sender).unwrap().formatted()).unwrap()
    }

    #[test]
    fn a_letter_names_the_sender_and_links_to_the_platform() {
        let text = written("Bob", Some("Alice"));
        assert!(text.contains("Subject: Alice sent you a message\r\n"), "{text}");
        assert!(text.contains("From: \"Acme Chat\" <chat@acme.example>\r\n"), "{text}");
        assert!(text.contains("To: Bob <bob@example.org>\r\n"), "{text}");
        assert!(text.contains("Auto-Submitted: auto-generated\r\n"), "{text}");
        assert!(text.contains("Hello Bob,\r\n\r\nAlice sent you a message while you were away."), "{text}");
        assert!(text.contains("Read it here: https://chat.acme.example\r\n"), "{text}");
    }

    #[test]
    fn an_unknown_sender_is_someone() {
        let text = written("Bob", None);
        assert!(text.contains("Subject: You have a new message\r\n"), "{text}");
        assert!(text.contains("Someone sent you a message"), "{text}");
    }

    #[test]
    fn two_copies_of_a_letter_have_one_message_id() {
        let id = NotificationId::generate();
        let copy = || String::from_utf8(write(&head(), id, &contact("Bob"), None).unwrap().formatted()).unwrap();
        let message_id = format!("Message-ID: <{id}@acme.example>\r\n");
        assert!(copy().contains(&message_id) && copy().contains(&message_id), "{}", copy());
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        let recipient = Contact { email: "nobody".to_owned(), ..contact("Bob") };
        let refused = write(&head(), NotificationId::generate(), &recipient, None);
        assert!(matches!(refused, Err(LetterError::Address(_))));
    }

    proptest! {
        #[test]
        fn no_name_adds_a_header_or_ends_the_head(recipient in ".{0,80}", sender in ".{0,80}") {
            let sender = format!("{sender}\r\nBcc: victim@example.org\r\n\r\n");
            let text = written(&recipient, Some(&sender));
            let (head, _) = text.split_once("\r\n\r\n").unwrap();
            prop_assert!(!head.lines().any(|line| line.starts_with("Bcc:")), "{}", head);
            prop_assert!(head.contains("Message-ID:"), "{}", head);
        }
    }
}
