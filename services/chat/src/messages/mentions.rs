//! Whom a text mentions: `@name`, and `@all`, which is for admins and the owner of a group.

use std::collections::BTreeSet;

use contract::conversation::{ConversationType, MemberRole};
use contract::id::UserId;

use crate::store::{StoredConversation, StoredName};

/// Most names that are looked for in one text.
const MOST_NAMES: usize = 64;
/// What mentions everybody.
const EVERYBODY: &str = "all";

/// What a text says behind its `@` signs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    /// Names in lower case, whether or not anybody has them.
    pub(super) names: BTreeSet<String>,
    /// Whether everybody is mentioned.
    pub(super) everybody: bool,
}

impl Mentions {
    /// Reads a text. An `@` within a word is none, so an e-mail address mentions nobody.
    pub(super) fn of(text: &str) -> Self {
        let mut mentions = Self::default();
        for (at, _) in text.match_indices('@') {
            let within = |before: char| before.is_alphanumeric() || "._-@/".contains(before);
            if text[..at].chars().next_back().is_some_and(within) {
                continue;
            }
            let rest = &text[at + 1..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c)).unwrap_or(rest.len());
            // A letter of another alphabet right behind: no user name.
            if rest[end..].chars().next().is_some_and(char::is_alphanumeric) {
                continue;
            }
            // A name ends with a letter or a digit; the dot behind it ends the sentence.
            let name = rest[..end].trim_end_matches(['.', '_', '-']).to_ascii_lowercase();
            if name == EVERYBODY {
                mentions.everybody = true;
            } else if !name.is_empty() && mentions.names.len() < MOST_NAMES {
                mentions.names.insert(name);
            }
        }
        mentions
    }

    /// The members mentioned, in the order of their joining. Nobody mentions themselves, and who may not mention everybody mentions nobody by that.
    pub(super) fn members(
        &self,
        conversation: &StoredConversation,
        sender: UserId,
        known: &[StoredName],
    ) -> Vec<UserId> {
        let may = conversation.kind == ConversationType::Group
            && conversation.role_of(sender).is_some_and(|role| role >= MemberRole::Admin);
        let everybody = self.everybody && may;
        let named = |user: UserId| known.iter().any(|known| known.user == user && self.names.contains(&known.name));
        let members = conversation.member_ids().into_iter();
        members.filter(|user| *user != sender && (everybody || named(*user))).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(text: &str) -> Vec<String> {
        Mentions::of(text).names.into_iter().collect()
    }

    #[test]
    fn a_name_stands_behind_an_at_sign_that_begins_a_word() {
        assert_eq!(names("@ada, have you seen @Bob-the.Builder? (@cleo)"), ["ada", "bob-the.builder", "cleo"]);
        assert_eq!(names("Ask @ada."), ["ada"]);
        assert_eq!(names("@ada @ADA @Ada"), ["ada"]);
    }

    #[test]
    fn addresses_paths_and_other_alphabets_mention_nobody() {
        for text in ["ada@example.org", "npm i @", "@@ada", "https://example.org/@ada", "@adaé", "a @ b"] {
            assert_eq!(names(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn everybody_is_no_name() {
        let mentions = Mentions::of("@all: lunch, @ada");
        assert!(mentions.everybody);
        assert_eq!(mentions.names, BTreeSet::from(["ada".to_owned()]));
        assert!(!Mentions::of("@allan").everybody);
    }

    #[test]
    fn a_text_full_of_names_is_looked_through_for_so_many_only() {
        let text = (0..1_000).map(|n| format!("@user{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(Mentions::of(&text).names.len(), MOST_NAMES);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[@a-z.é _-]{0,60}|\\PC{0,60}") {
            for name in Mentions::of(&text).names {
                let said = format!("@{name}");
                prop_assert!(text.to_lowercase().contains(&said), "{}", said);
            }
        }
    }
}
