//! Which backups go.

use jiff::{SignedDuration, Timestamp};

use crate::bucket::{Bucket, Inventory};
use crate::error::Error;
use crate::name::Name;

/// How old what is left of a backup must be that did not end: older than any that is still being made.
const LEFT_OVER: SignedDuration = SignedDuration::from_hours(48);

/// Removes all but the newest whole backups, and what is left of those that did not end. Called once a new one is whole, and never before;
/// answers the names of those that are gone.
pub async fn apply(bucket: &Bucket, keep: usize, now: Timestamp) -> Result<Vec<Name>, Error> {
    let gone = superfluous(&bucket.inventory().await?, keep, now);
    for name in &gone {
        bucket.remove(name).await?;
    }
    let before = now - LEFT_OVER;
    bucket.objects().abort_uploads(&format!("{}/", bucket.prefix()), before.into()).await?;
    Ok(gone)
}

fn superfluous(inventory: &Inventory, keep: usize, now: Timestamp) -> Vec<Name> {
    let old = inventory.whole.iter().rev().skip(keep);
    let left_over = inventory.parts.iter().filter(|name| now.duration_since(name.begun()) > LEFT_OVER);
    old.chain(left_over).cloned().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_newest_are_kept_and_what_did_not_end_goes_when_nobody_can_be_at_it_any_more() {
        let name = |day: u8| format!("202611{day:02}T030000Z-00000000").parse::<Name>().unwrap();
        let names = |days: &[u8]| days.iter().map(|day| name(*day)).collect();
        let inventory = Inventory { whole: names(&[20, 21, 22, 23]), parts: names(&[19, 24, 25]) };
        let now = "2026-11-26T04:00:00Z".parse().unwrap();
        assert_eq!(superfluous(&inventory, 2, now), [21, 20, 19, 24].map(name));
        assert_eq!(superfluous(&inventory, 9, now), [19, 24].map(name));
    }
}
