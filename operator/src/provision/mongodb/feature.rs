//! The feature compatibility version: which form the data on disk may take. It follows the servers, and never precedes one: what a newer
//! form holds, an older server cannot read.

use std::time::Duration;

use mongodb::bson::{Document, doc};

use super::contacts::Contacts;
use super::member::Member;
use super::pace::{Halt, Pace};
use super::short;
use crate::validate::mongodb_release::Release;

/// It goes through all collections.
const RAISING: Duration = Duration::from_secs(8);

/// Raises the version to that of the servers once all members run it; tells what it waits for.
pub(super) async fn reconcile(
    primary: &Member,
    members: &[String],
    contacts: &mut Contacts<'_>,
    pace: &mut Pace,
) -> Result<Option<String>, Halt> {
    let running = primary.version().await?;
    let Some(release) = Release::parse(&running) else { return Ok(None) };
    let series = release.series();
    let ask = doc! {"getParameter": 1, "featureCompatibilityVersion": 1};
    let answer = primary.admin("tell its feature compatibility version", ask).await?;
    let found = Compatibility::new(&answer);
    if found.is(&series) {
        return Ok(None);
    }
    for host in members {
        let waits = |what: &str| Some(format!("{} {what} {series}, for feature compatibility", short(host)));
        let Some(member) = contacts.reach(host).await? else { return Ok(waits("to answer, and to run")) };
        if Release::parse(&member.version().await?).is_none_or(|release| release.series() != series) {
            return Ok(waits("to run"));
        }
    }
    pace.step()?;
    let mut command = doc! {"setFeatureCompatibilityVersion": series.as_str()};
    if release.major() >= 7 {
        // There is no way back from here, which the server wants to hear (manual, "setFeatureCompatibilityVersion").
        command.insert("confirm", true);
    }
    let action = format!("raise its feature compatibility version from {} to {series}", found.version);
    primary.command_within(RAISING, command).await.map_err(|error| primary.failed(&action, &error))?;
    pace.changed(format!("raised the feature compatibility version from {} to {series}", found.version));
    Ok(None)
}

/// What the server says of it.
struct Compatibility {
    version: String,
    /// Whether a change of it was begun and is not over.
    changing: bool,
}

impl Compatibility {
    fn new(answer: &Document) -> Self {
        let found = answer.get_document("featureCompatibilityVersion").ok();
        Self {
            version: found.and_then(|found| found.get_str("version").ok()).unwrap_or_default().to_owned(),
            changing: found.is_some_and(|found| found.contains_key("targetVersion")),
        }
    }

    fn is(&self, series: &str) -> bool {
        self.version == series && !self.changing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_was_begun_and_not_ended_does_not_count() {
        let answer = |found: Document| doc! {"featureCompatibilityVersion": found};
        assert!(Compatibility::new(&answer(doc! {"version": "6.0"})).is("6.0"));
        assert!(!Compatibility::new(&answer(doc! {"version": "5.0"})).is("6.0"));
        assert!(!Compatibility::new(&answer(doc! {"version": "6.0", "targetVersion": "6.0"})).is("6.0"));
    }
}
