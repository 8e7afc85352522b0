//! The replica set: initiated, configured, with a user per service.
//!
//! The operator logs in as `__system` with the content of the key file, which works before the set is initiated and needs neither
//! a shell in the pod nor the localhost exception.

mod configuration;
mod member;
mod users;

use std::time::Duration;

use mongodb::bson::{Document, doc};
use secrecy::SecretString;
use tokio::time::Instant;

use self::member::Member;
use super::{Error, Provisioning, Server, State, bounded};
use crate::secrets::{Login, Material, Names};

/// How long one run waits for an election to end. With the settings of [`configuration`] it takes about three seconds.
const ELECTION: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);

/// A replica set as it shall be.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name of the set.
    pub replica_set: String,
    /// `host:port` of every member, as members and clients know them.
    pub members: Vec<String>,
    /// Content of the key file.
    pub key_file: SecretString,
    /// Users; each has `readWrite` and `dbAdmin` on the database of its own name.
    pub users: Vec<Login>,
}

impl Target {
    /// The set of a platform.
    #[must_use]
    pub fn new(names: &Names, material: &Material) -> Self {
        Self {
            replica_set: Names::REPLICA_SET.to_owned(),
            members: names.mongodb_members(),
            key_file: material.mongodb.key_file.clone(),
            users: material.mongodb.users.clone(),
        }
    }
}

/// Makes the set agree with `target`.
#[must_use]
pub fn provision(target: &Target) -> Provisioning<'_> {
    bounded(Server::MongoDb, run(target))
}

async fn run(target: &Target) -> Result<State, Error> {
    let mut changes = Vec::new();
    let member = any_initiated(target, &mut changes).await?;
    let (member, writable) = primary(member, target).await?;
    if !writable {
        let report = Report::read(&member).await?;
        return Ok(State { ready: false, changes, ..report.state(target) });
    }
    configuration::reconcile(&member, target, &mut changes).await?;
    users::reconcile(&member, &target.users, &mut changes).await?;
    let report = Report::read(&member).await?;
    Ok(State { changes, ..report.state(target) })
}

/// A member that belongs to the set, which is initiated first where nobody has done so.
async fn any_initiated(target: &Target, changes: &mut Vec<String>) -> Result<Member, Error> {
    let mut fresh = Vec::new();
    let mut unreachable = None;
    for address in &target.members {
        let member = match Member::open(address, &target.key_file).await {
            Ok(member) => member,
            Err(error @ Error::Unreachable { .. }) => {
                unreachable.get_or_insert(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        match member.replica_set().await? {
            Some(name) if name == target.replica_set => return Ok(member),
            Some(name) => {
                return Err(member.conflict(
                    format!("belongs to the replica set {name}, not to {}", target.replica_set),
                    "Its volume holds another set's data: give this platform volumes of its own",
                ));
            }
            None => fresh.push(member),
        }
    }
    // A member out of reach may know the set already; only when all of them say otherwise is it a new one.
    if let Some(error) = unreachable {
        return Err(error);
    }
    let Some(first) = fresh.into_iter().next() else {
        return Err(Error::Failed {
            server: Server::MongoDb,
            address: target.replica_set.clone(),
            action: "find a member".to_owned(),
            cause: "the set has none".to_owned(),
        });
    };
    configuration::initiate(&first, target).await?;
    changes.push(format!("initiated replica set {}", target.replica_set));
    Ok(first)
}

/// The primary and `true`, or, when none takes writes in time, whoever was asked last.
async fn primary(mut member: Member, target: &Target) -> Result<(Member, bool), Error> {
    let until = Instant::now() + ELECTION;
    loop {
        let hello = member.admin("ask for the primary", doc! {"hello": 1}).await?;
        // The winner of an election is named before it takes writes.
        if hello.get_bool("isWritablePrimary").unwrap_or(false) {
            return Ok((member, true));
        }
        if Instant::now() >= until {
            return Ok((member, false));
        }
        match hello.get_str("primary") {
            Ok(primary) if primary != member.address() => member = Member::open(primary, &target.key_file).await?,
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

/// What the set says of itself.
struct Report {
    version: Option<String>,
    members: Vec<(String, String)>,
}

impl Report {
    async fn read(member: &Member) -> Result<Self, Error> {
        let build = member.admin("tell its version", doc! {"buildInfo": 1}).await?;
        let status = member.admin("tell the state of the set", doc! {"replSetGetStatus": 1}).await?;
        let text = |member: &Document, key| member.get_str(key).unwrap_or("?").to_owned();
        let members = status.get_array("members").map(Vec::as_slice).unwrap_or_default();
        Ok(Self {
            version: build.get_str("version").ok().map(str::to_owned),
            members: members
                .iter()
                .filter_map(|member| member.as_document())
                .map(|member| (text(member, "name"), text(member, "stateStr")))
                .collect(),
        })
    }

    fn state(self, target: &Target) -> State {
        let serving = |name: &str| {
            self.members
                .iter()
                .any(|(member, state)| member == name && matches!(state.as_str(), "PRIMARY" | "SECONDARY"))
        };
        let ready = target.members.iter().filter(|name| serving(name)).count();
        let primary = self.members.iter().find(|(_, state)| state == "PRIMARY");
        let states: Vec<_> = self.members.iter().map(|(name, state)| format!("{} {state}", short(name))).collect();
        State {
            ready: primary.is_some() && ready == target.members.len(),
            version: self.version,
            message: match primary {
                Some(_) => format!("{ready} of {} members serve: {}", target.members.len(), states.join(", ")),
                None => format!("No primary yet: {}", states.join(", ")),
            },
            changes: Vec::new(),
        }
    }
}

/// The pod's name is enough for people.
fn short(address: &str) -> &str {
    address.split('.').next().filter(|host| host.parse::<u8>().is_err()).unwrap_or(address)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn report(states: &[&str]) -> State {
        let name = |index: usize| format!("acme-mongodb-{index}.acme-mongodb.chat.svc:27017");
        let members = states.iter().enumerate().map(|(index, state)| (name(index), (*state).to_owned())).collect();
        let target = Target {
            replica_set: "rs0".to_owned(),
            members: (0..states.len()).map(name).collect(),
            key_file: SecretString::from("k"),
            users: Vec::new(),
        };
        Report { version: Some("6.0.5".to_owned()), members }.state(&target)
    }

    #[test]
    fn a_set_is_ready_when_every_member_serves_and_one_is_primary() {
        let state = report(&["PRIMARY", "SECONDARY", "SECONDARY"]);
        assert!(state.ready);
        assert_eq!(
            state.message,
            "3 of 3 members serve: acme-mongodb-0 PRIMARY, acme-mongodb-1 SECONDARY, acme-mongodb-2 SECONDARY"
        );
    }

    #[test]
    fn a_set_without_a_primary_or_with_a_member_that_recovers_is_not_ready() {
        assert!(!report(&["SECONDARY"]).ready);
        assert!(report(&["SECONDARY"]).message.starts_with("No primary yet"));
        let state = report(&["PRIMARY", "RECOVERING", "SECONDARY"]);
        assert!(!state.ready);
        assert!(state.message.starts_with("2 of 3 members serve"), "{}", state.message);
    }

    #[test]
    fn an_address_of_numbers_is_shown_whole() {
        assert_eq!(short("127.0.0.1:27017"), "127.0.0.1:27017");
        assert_eq!(short("acme-mongodb-0.acme-mongodb.chat.svc:27017"), "acme-mongodb-0");
    }
}
