//! How users can be reached.

use contract::{
    event::{EmailChanged, UserRegistered},
    id::UserId,
};

/// A user's address and name, as they last told them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Who.
    pub user_id: UserId,
    /// E-mail address.
    pub email: String,
    /// The name others see.
    pub display_name: String,
}

impl From<&UserRegistered> for Contact {
    fn from(event: &UserRegistered) -> Self {
        Self { user_id: event.user_id, email: event.email.clone(), display_name: event.display_name.clone() }
    }
}

impl From<&EmailChanged> for Contact {
    fn from(event: &EmailChanged) -> Self {
        Self { user_id: event.user_id, email: event.email.clone(), display_name: event.display_name.clone() }
    }
}
