//! A new set, made once and never again.

use mongodb::bson::doc;

use super::contacts::Contacts;
use super::member::Standing;
use super::pace::{Halt, Pace};
use super::{Target, configuration};
use crate::build::secrets::ESTABLISHED;
use crate::provision::{Error, Server};

/// Initiates the set where it is certain that nobody has: all who could know of one answer, and none does.
pub(super) async fn ensure(target: &Target, contacts: &mut Contacts<'_>, pace: &mut Pace) -> Result<(), Halt> {
    if contacts.of(Standing::Belongs).next().is_some() {
        return Ok(());
    }
    // A member out of reach may know the set.
    if let Some(error) = contacts.take_unreachable() {
        return Err(error.into());
    }
    if let Some(member) = contacts.of(Standing::Removed).next() {
        return Err(Halt::Failed(member.conflict(
            "has the data of a set that knows it by another name, or not at all",
            "Give the platform the name and the namespace that it had when its volumes were made",
        )));
    }
    let found =
        target.members.first().and_then(|host| contacts.of(Standing::Fresh).find(|member| member.address() == host));
    let Some(first) = found else {
        return Err(Halt::Failed(Error::Failed {
            server: Server::MongoDb,
            address: target.replica_set.clone(),
            action: "find a member".to_owned(),
            cause: "the set has none".to_owned(),
        }));
    };
    if target.established {
        return Err(Halt::Failed(first.conflict(
            "is empty, and so is every other member, though the set has had data: all volumes are lost",
            &format!(
                "Restore one of them from a backup. To begin anew with nothing, remove annotation {ESTABLISHED} from the Secret of the \
                 replica set's key file"
            ),
        )));
    }
    pace.step()?;
    first.admin("initiate the replica set", doc! {"replSetInitiate": configuration::first(target)}).await?;
    pace.changed(format!("initiated replica set {}", target.replica_set));
    Ok(())
}
