//! The replica set: initiated, of the wanted members, configured, with a user per service.
//!
//! The operator logs in as `__system` with the content of the key file, which works before the set is initiated and needs neither
//! a shell in the pod nor the localhost exception. One run takes as many steps as there is time for, and may end after any of them.

mod access;
mod certificate;
mod configuration;
mod contacts;
mod external;
mod feature;
mod founding;
mod member;
mod membership;
mod pace;
mod report;
mod set;
mod trust;
mod users;
mod write_concern;

use std::sync::Arc;

use secrecy::SecretString;

pub use external::external;

use self::access::Access;
use self::contacts::Contacts;
use self::member::Member;
use self::membership::{Next, Step};
use self::pace::{Halt, Pace};
use self::set::Set;
use super::{Error, Provisioning, Server, State, bounded};
use crate::build::Component;
use crate::secrets::{self, Login, Material, Names};

/// A replica set as it shall be.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name of the set.
    pub replica_set: String,
    /// `host:port` of every member, as members and clients know them.
    pub members: Vec<String>,
    /// `host:port` of further pods that may still run, because the set shrinks. A set is not initiated before they were asked.
    pub leaving: Vec<String>,
    /// Content of the key file.
    pub key_file: SecretString,
    /// Users; each has `readWrite` and `dbAdmin` on the database of its service's name, but the one of backups, which reads all.
    pub users: Vec<Login>,
    /// Users of before, who are to be refused.
    pub refused: Vec<Login>,
    /// The authority whose certificates are believed, PEM. Without one, connections are plain.
    pub authority: Option<String>,
    /// The certificate that members shall show, PEM.
    pub certificate: Option<String>,
    /// The member that shall be primary no more: its pod's name, or `host:port`.
    pub step_down: Option<String>,
    /// Whether the set is known to have had data. Then members that are all empty have lost it, and are not made a new set of.
    pub established: bool,
}

impl Target {
    /// The set of a platform, of which so many pods run: those beyond its members are to leave.
    #[must_use]
    pub fn new(names: &Names, pods: u32, own: &secrets::MongoDb, material: &Material) -> Self {
        let members = names.mongodb_members();
        Self {
            replica_set: Names::REPLICA_SET.to_owned(),
            leaving: names.mongodb_hosts(pods).skip(members.len()).collect(),
            members,
            key_file: own.key_file.clone(),
            users: material.credentials.accepted(Component::MongoDb).into_iter().chain(own.backup.clone()).collect(),
            refused: material.credentials.refused(Component::MongoDb),
            authority: Some(material.authority.pem().to_owned()),
            certificate: Some(own.certificate.pem().to_owned()),
            step_down: None,
            established: false,
        }
    }
}

/// Makes the set agree with `target`.
#[must_use]
pub fn provision(target: &Target) -> Provisioning<'_> {
    provision_by(target, usize::MAX)
}

/// The same, by at most so many changes. What is left over is for the next run, as after a crash.
#[must_use]
pub fn provision_by(target: &Target, steps: usize) -> Provisioning<'_> {
    bounded(Server::MongoDb, run(target, steps))
}

async fn run(target: &Target, steps: usize) -> Result<State, Error> {
    let access = Access::new(target)?;
    let mut run = Run {
        target,
        access: &access,
        contacts: Contacts::open(target, &access).await?,
        pace: Pace::new(steps),
        waits: Vec::new(),
        notes: Vec::new(),
        users_agree: false,
    };
    match run.agree().await {
        Ok(()) => {}
        Err(Halt::Spent) => run.waits.push("the next step".to_owned()),
        Err(Halt::Failed(error)) => {
            let changes = run.pace.into_changes();
            if changes.is_empty() {
                return Err(error);
            }
            // What was changed is told; what failed then, the next run meets again if it lasts.
            return Ok(State { message: error.to_string(), changes, ..State::default() });
        }
    }
    run.report().await
}

struct Run<'a> {
    target: &'a Target,
    access: &'a Access,
    contacts: Contacts<'a>,
    pace: Pace,
    /// What comes before the set agrees.
    waits: Vec<String>,
    /// What is still to come though it agrees.
    notes: Vec<String>,
    users_agree: bool,
}

impl Run<'_> {
    async fn agree(&mut self) -> Result<(), Halt> {
        founding::ensure(self.target, &mut self.contacts, &mut self.pace).await?;
        let Some(mut primary) = self.contacts.primary(None, &self.pace).await? else { return Ok(()) };
        if self.target.step_down.as_deref().is_some_and(|name| is(&primary, name)) {
            self.pace.step()?;
            let Some(next) = self.hand_over(&primary).await? else { return Ok(()) };
            primary = next;
        }
        // Before the members: an explicit default must be there when their number changes (manual, "replSetReconfig").
        write_concern::reconcile(&primary, &mut self.pace).await?;
        users::reconcile(&primary, &self.target.users, self.access, &mut self.pace).await?;
        users::refuse(&primary, &self.target.refused, self.access, &mut self.pace).await?;
        self.users_agree = true;
        let waits = self.settle(&mut primary).await?;
        if waits.is_none() {
            let members = &self.target.members;
            let waits = feature::reconcile(&primary, members, &mut self.contacts, &mut self.pace).await?;
            self.notes.extend(waits);
        }
        self.waits.extend(waits);
        self.notes.extend(certificate::reconcile(self.target, self.access, &self.contacts, &mut self.pace).await?);
        Ok(())
    }

    /// Changes settings and members until they are as they shall be, and tells what that waits for if it takes longer.
    async fn settle(&mut self, primary: &mut Arc<Member>) -> Result<Option<String>, Halt> {
        loop {
            let set = Set::read(primary, |host| self.contacts.may_answer(host)).await?;
            let done = if let Some(corrected) = configuration::corrected(&set.config) {
                self.pace.step()?;
                let done = configuration::install(primary, corrected).await?;
                done.then(|| "corrected the settings of elections and members".to_owned())
            } else {
                match membership::next(&set, &self.target.members, |host| self.contacts.is_reached(host)) {
                    Next::Agrees => return Ok(None),
                    Next::Wait { reason, soon } => {
                        if soon && self.pace.wait().await {
                            continue;
                        }
                        return Ok(Some(reason));
                    }
                    Next::Take(Step::HandOver(_)) => {
                        self.pace.step()?;
                        match self.hand_over(primary).await? {
                            Some(next) => *primary = next,
                            None => return Ok(Some("another primary".to_owned())),
                        }
                        continue;
                    }
                    Next::Take(step) => {
                        self.pace.step()?;
                        let done = configuration::install(primary, configuration::changed(&set.config, &step)).await?;
                        done.then(|| sentence(&step))
                    }
                }
            };
            match done {
                Some(change) => self.pace.changed(change),
                // The primary may be another by now.
                None => match self.contacts.primary(None, &self.pace).await? {
                    Some(found) if self.pace.wait().await => *primary = found,
                    _ => return Ok(Some("the set to settle after a change".to_owned())),
                },
            }
        }
    }

    /// Has the primary step down; tells who is primary now.
    async fn hand_over(&mut self, primary: &Member) -> Result<Option<Arc<Member>>, Halt> {
        for member in self.contacts.members().filter(|member| member.address() != primary.address()) {
            configuration::stand_for_election(member).await;
        }
        if !configuration::step_down(primary).await? {
            return Ok(self.contacts.primary(None, &self.pace).await?);
        }
        let next = self.contacts.primary(Some(primary.address()), &self.pace).await?;
        let former = short(primary.address());
        self.pace.changed(match &next {
            Some(next) => format!("{former} stepped down, {} is primary", short(next.address())),
            None => format!("{former} stepped down"),
        });
        Ok(next)
    }

    /// What the set says of itself in the end.
    async fn report(mut self) -> Result<State, Error> {
        let primary = self.contacts.primary(None, &self.pace).await?;
        // Any other member sees it too, if less of it.
        let mut failure = None;
        for member in primary.iter().chain(self.contacts.members()) {
            let answers = |host: &str| self.contacts.may_answer(host);
            let seen = async { Ok::<_, Error>((Set::read(member, answers).await?, member.version().await?)) };
            match seen.await {
                Ok((set, version)) => {
                    let state = report::state(self.target, &set, &self.waits, &self.notes);
                    let users_agree = self.users_agree;
                    return Ok(State {
                        version: Some(version),
                        changes: self.pace.into_changes(),
                        users_agree,
                        ..state
                    });
                }
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        Err(failure.or_else(|| self.contacts.take_unreachable()).unwrap_or(Error::TimedOut { server: Server::MongoDb }))
    }
}

fn sentence(step: &Step) -> String {
    match step {
        Step::Add(host) => format!("added member {}", short(host)),
        Step::GiveVote(host) => format!("gave member {} its vote", short(host)),
        Step::HandOver(host) => format!("{} stepped down", short(host)),
        Step::Remove(host) => format!("removed member {}", short(host)),
    }
}

fn is(member: &Member, name: &str) -> bool {
    member.address() == name || short(member.address()) == name
}

/// The pod's name is enough for people.
fn short(address: &str) -> &str {
    address.split('.').next().filter(|host| host.parse::<u8>().is_err()).unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn an_address_of_numbers_is_shown_whole() {
        assert_eq!(short("127.0.0.1:27017"), "127.0.0.1:27017");
        assert_eq!(short("acme-mongodb-0.acme-mongodb.chat.svc:27017"), "acme-mongodb-0");
    }
}
