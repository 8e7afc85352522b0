//! What may be said: the limits of a message, of a nonce and of a reaction.

use std::collections::HashSet;

use contract::message::NewMessage;
use contract::problem::FieldError;

/// Longest text of a message, in characters (Unicode scalar values).
pub const LONGEST_TEXT: usize = 8_000;
/// Longest nonce, in bytes.
pub const LONGEST_NONCE: usize = 64;
/// Most files of one message.
pub const MOST_MEDIA: usize = 10;
/// Longest emoji of a reaction, in bytes: room for a family of four with skin tones.
pub const LONGEST_EMOJI: usize = 64;

/// The faults of a message that somebody wants to send; none if it may be.
#[must_use]
pub fn faults(message: &NewMessage) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if !message.text.is_empty() || message.media_ids.is_empty() {
        faults.extend(text_fault(&message.text));
    }
    if let Some(nonce) = &message.nonce
        && !(1..=LONGEST_NONCE).contains(&nonce.len())
    {
        faults.push(fault("nonce", format!("must be 1 to {LONGEST_NONCE} bytes long")));
    }
    if message.media_ids.len() > MOST_MEDIA {
        faults.push(fault("mediaIds", format!("must be at most {MOST_MEDIA}")));
    }
    if message.media_ids.iter().collect::<HashSet<_>>().len() != message.media_ids.len() {
        faults.push(fault("mediaIds", "must not repeat".to_owned()));
    }
    faults
}

/// The fault of a text, if it has one.
#[must_use]
pub fn text_fault(text: &str) -> Option<FieldError> {
    if text.trim().is_empty() {
        return Some(fault("text", "must not be empty".to_owned()));
    }
    // Bytes first: a text of that many bytes has at most as many characters, and counting them all is not free.
    (text.len() > LONGEST_TEXT && text.chars().count() > LONGEST_TEXT)
        .then(|| fault("text", format!("must be at most {LONGEST_TEXT} characters long")))
}

/// The fault of a reaction's emoji, if it has one. Which code points are emoji changes each year; short and printable is enough.
#[must_use]
pub fn emoji_fault(emoji: &str) -> Option<FieldError> {
    let proper =
        (1..=LONGEST_EMOJI).contains(&emoji.len()) && !emoji.chars().any(|c| c.is_control() || c.is_whitespace());
    (!proper).then(|| fault("emoji", format!("must be 1 to {LONGEST_EMOJI} bytes without spaces")))
}

fn fault(field: &str, message: String) -> FieldError {
    FieldError { field: field.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use contract::id::MediaId;

    use super::*;

    fn message(text: &str) -> NewMessage {
        NewMessage { text: text.to_owned(), nonce: None, reply_to: None, media_ids: Vec::new() }
    }

    fn fields(message: &NewMessage) -> Vec<String> {
        faults(message).into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn a_text_is_counted_in_characters_not_bytes() {
        assert!(fields(&message(&"ö".repeat(LONGEST_TEXT))).is_empty());
        assert_eq!(fields(&message(&"ö".repeat(LONGEST_TEXT + 1))), ["text"]);
    }

    #[test]
    fn an_empty_text_needs_a_file() {
        assert_eq!(fields(&message("")), ["text"]);
        assert_eq!(fields(&message(" \n\t")), ["text"]);
        assert!(fields(&NewMessage { media_ids: vec![MediaId::generate()], ..message("") }).is_empty());
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let id = MediaId::generate();
        let bad = NewMessage { nonce: Some(String::new()), media_ids: vec![id; MOST_MEDIA + 1], ..message(" ") };
        assert_eq!(fields(&bad), ["text", "nonce", "mediaIds", "mediaIds"]);
    }

    #[test]
    fn a_reaction_is_short_and_has_no_spaces() {
        assert_eq!(emoji_fault("👍"), None);
        assert_eq!(emoji_fault("👩🏽‍👩🏽‍👧🏽‍👦🏽"), None);
        for bad in ["", "two words", "\u{0}", &"x".repeat(LONGEST_EMOJI + 1)] {
            assert!(emoji_fault(bad).is_some(), "{bad:?}");
        }
    }
}
