//! The members of the set that can be reached.

use std::collections::BTreeMap;
use std::sync::Arc;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

use super::Target;
use super::access::Access;
use super::member::{Member, Standing};
use super::pace::Pace;
use crate::provision::Error;

/// Everybody who was asked, by address.
pub(super) struct Contacts<'a> {
    access: &'a Access,
    set: &'a str,
    reached: BTreeMap<String, (Arc<Member>, Standing)>,
    unreachable: BTreeMap<String, Error>,
}

impl<'a> Contacts<'a> {
    /// Asks all members, and those that shall leave, at once. One that cannot be reached is no error, one that refuses us is.
    pub(super) async fn open(target: &'a Target, access: &'a Access) -> Result<Self, Error> {
        let mut contacts =
            Self { access, set: &target.replica_set, reached: BTreeMap::new(), unreachable: BTreeMap::new() };
        let addresses = target.members.iter().chain(&target.leaving);
        let asked = addresses.map(|address| async move { (address, contact(address, access, contacts.set).await) });
        for (address, outcome) in futures::future::join_all(asked).await {
            contacts.note(address, outcome)?;
        }
        Ok(contacts)
    }

    /// A member, which is asked now where it was not before; none while it cannot be reached.
    pub(super) async fn reach(&mut self, address: &str) -> Result<Option<Arc<Member>>, Error> {
        if !self.reached.contains_key(address) && !self.unreachable.contains_key(address) {
            let outcome = contact(address, self.access, self.set).await;
            self.note(address, outcome)?;
        }
        Ok(self.reached.get(address).map(|(member, _)| Arc::clone(member)))
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.reached.values().map(|(member, _)| member)
    }

    /// Members of this standing, when they were asked.
    pub(super) fn of(&self, standing: Standing) -> impl Iterator<Item = &Arc<Member>> {
        self.reached.values().filter(move |(_, found)| *found == standing).map(|(member, _)| member)
    }

    pub(super) fn is_reached(&self, address: &str) -> bool {
        self.reached.contains_key(address)
    }

    /// Whether nobody has tried to reach it in vain.
    pub(super) fn may_answer(&self, address: &str) -> bool {
        !self.unreachable.contains_key(address)
    }

    /// Takes out somebody who could not be reached.
    pub(super) fn take_unreachable(&mut self) -> Option<Error> {
        self.unreachable.pop_first().map(|(_, error)| error)
    }

    /// The primary, once it takes writes, and not before it is another than `former`; none when there is none in time.
    pub(super) async fn primary(&mut self, former: Option<&str>, pace: &Pace) -> Result<Option<Arc<Member>>, Error> {
        loop {
            let mut newest: Option<(Option<ObjectId>, Arc<Member>)> = None;
            let mut named = None;
            let hello = |member: Arc<Member>| async move {
                let answer = member.command(doc! {"hello": 1}).await;
                (member, answer)
            };
            for (member, answer) in futures::future::join_all(self.members().cloned().map(hello)).await {
                // One that dies meanwhile is no reason not to ask the others.
                let Ok(hello) = answer else { continue };
                if is_writable(&hello) && former != Some(member.address()) {
                    // One that lost the others without noticing yet has been elected earlier.
                    let election = hello.get_object_id("electionId").ok();
                    if newest.as_ref().is_none_or(|(other, _)| *other < election) {
                        newest = Some((election, member));
                    }
                } else if let Ok(primary) = hello.get_str("primary") {
                    named = Some(primary.to_owned());
                }
            }
            if let Some((_, primary)) = newest {
                return Ok(Some(primary));
            }
            // It may be one that nobody has told us of.
            if let Some(named) = named.filter(|named| !self.is_reached(named)) {
                self.reach(&named).await?;
            }
            if !pace.wait().await {
                return Ok(None);
            }
        }
    }

    fn note(&mut self, address: &str, outcome: Result<(Member, Standing), Error>) -> Result<(), Error> {
        match outcome {
            Ok((member, standing)) => {
                self.reached.insert(address.to_owned(), (Arc::new(member), standing));
            }
            Err(error @ Error::Unreachable { .. }) => {
                self.unreachable.insert(address.to_owned(), error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

async fn contact(address: &str, access: &Access, set: &str) -> Result<(Member, Standing), Error> {
    let member = Member::open(address, access).await?;
    let standing = member.standing(set).await?;
    Ok((member, standing))
}

/// The winner of an election is named before it takes writes.
fn is_writable(hello: &Document) -> bool {
    hello.get_bool("isWritablePrimary").unwrap_or(false)
}
