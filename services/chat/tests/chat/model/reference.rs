//! What the conversation must be, by what has been acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use contract::id::UserId;
use serde_json::Value;

use super::plan::Action;

/// A message as far as it is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) deleted: bool,
    /// Who reacted, by emoji.
    pub(super) reactions: BTreeMap<String, BTreeSet<UserId>>,
}

/// The reference.
#[derive(Debug, Default)]
pub(super) struct Reference {
    messages: BTreeMap<String, Said>,
    senders: BTreeMap<String, usize>,
    users: BTreeMap<usize, UserId>,
}

impl Said {
    /// Reads a message as REST and sockets show it.
    pub(super) fn read(message: &Value) -> Self {
        let reactions: BTreeMap<String, BTreeSet<UserId>> =
            serde_json::from_value(message["reactions"].clone()).unwrap();
        Self {
            text: message["text"].as_str().unwrap().to_owned(),
            deleted: message["deletedAt"].is_string(),
            reactions,
        }
    }

    pub(super) fn deleted() -> Self {
        Self { deleted: true, ..Self::default() }
    }
}

impl Reference {
    /// Tells who a user is.
    pub(super) fn know(&mut self, user: usize, id: UserId) {
        self.users.insert(user, id);
    }

    /// Messages that are not deleted, and who sent them.
    pub(super) fn alive(&self) -> Vec<(String, usize)> {
        let alive = self.messages.iter().filter(|(_, said)| !said.deleted);
        alive.map(|(id, _)| (id.clone(), self.senders[id])).collect()
    }

    /// An action has been acknowledged; of a new message, with its id.
    pub(super) fn apply(&mut self, action: &Action, new: Option<&str>) {
        match action {
            Action::Send { user, text } => {
                let id = new.expect("a new message has an id").to_owned();
                let said = Said { text: text.clone(), ..Said::default() };
                assert!(self.messages.insert(id.clone(), said).is_none(), "{id} was given twice");
                self.senders.insert(id, *user);
            }
            Action::Edit { message, text, .. } => text.clone_into(&mut self.said(message).text),
            Action::Delete { message, .. } => *self.said(message) = Said::deleted(),
            Action::React { user, message, emoji } => {
                let user = self.users[user];
                self.said(message).reactions.entry((*emoji).to_owned()).or_default().insert(user);
            }
            Action::Unreact { user, message, emoji } => {
                let user = self.users[user];
                let reactions = &mut self.said(message).reactions;
                if let Some(users) = reactions.get_mut(*emoji) {
                    users.remove(&user);
                }
                reactions.retain(|_, users| !users.is_empty());
            }
        }
    }

    /// Compares what somebody sees.
    pub(super) fn agrees_with(&self, who: &str, seen: &BTreeMap<String, Said>) {
        for (id, said) in &self.messages {
            match seen.get(id) {
                None => panic!("{who} misses {id}, {said:?}"),
                Some(other) => assert_eq!(other, said, "{who} sees something else of {id}"),
            }
        }
        for id in seen.keys() {
            assert!(self.messages.contains_key(id), "{who} sees {id}, which was never acknowledged");
        }
    }

    fn said(&mut self, id: &str) -> &mut Said {
        self.messages.get_mut(id).expect("a message that was sent")
    }
}
