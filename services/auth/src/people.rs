//! Finding people by the beginning of a name.

use contract::page::{Cursor, Page};
use contract::user::User;
use serde::{Deserialize, Serialize};

use crate::accounts::{Account, NameKey};
use crate::store::UserStore;

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// Among those found by user name: after this one.
    Username(NameKey),
    /// Among those found by display name: after this pair of display name and user name.
    DisplayName(NameKey, NameKey),
}

/// One page of the people whose user name begins with `prefix`, in its order, and then of those whose display name
/// does. Both halves are ranges of an index, so that a page costs the same wherever it is.
pub async fn find(
    users: &UserStore,
    prefix: &NameKey,
    after: Option<Position>,
    limit: usize,
) -> Result<Page<User>, mongodb::error::Error> {
    let wanted = limit + 1;
    let (after_username, after_display_name) = match after {
        None => (None, None),
        Some(Position::Username(username)) => (Some(username), None),
        Some(Position::DisplayName(display_name, username)) => (None, Some((display_name, username))),
    };
    let mut found: Vec<(Account, Position)> = Vec::new();
    if after_display_name.is_none() {
        let by_username = users.by_username_prefix(prefix, after_username.as_ref(), wanted).await?;
        found.extend(by_username.into_iter().map(|account| {
            let position = Position::Username(account.username.key());
            (account, position)
        }));
    }
    if found.len() < wanted {
        let wanted = wanted - found.len();
        let by_display_name = users.by_display_name_prefix(prefix, after_display_name.as_ref(), wanted).await?;
        found.extend(by_display_name.into_iter().map(|account| {
            let position = Position::DisplayName(account.display_name.key(), account.username.key());
            (account, position)
        }));
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| more).map(|(_, position)| Cursor::encode(position));
    Ok(Page { items: found.into_iter().map(|(account, _)| account.public()).collect(), next_cursor })
}
