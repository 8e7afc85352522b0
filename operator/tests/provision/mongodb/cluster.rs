//! Members on this machine, and the set that they shall be.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use futures::TryStreamExt as _;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{
    Acknowledgment, AuthMechanism, ClientOptions, Credential, ReadConcern, ServerAddress, TlsOptions, WriteConcern,
};
use mongodb::{Client, Collection};
use operator::provision::State;
use operator::provision::mongodb::{Target, provision};
use operator::secrets::Login;
use secrecy::ExposeSecret as _;
use servers::{Authority, MongoDb};
use tempfile::NamedTempFile;
use tokio::time::Instant;

pub(super) const SERVICES: [&str; 4] = ["auth", "chat", "media", "notification"];
const LIMIT: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(50);

/// Running members, and what `provision` is asked for.
pub(super) struct Cluster {
    pub(super) authority: Authority,
    pub(super) members: Vec<MongoDb>,
    pub(super) target: Target,
    trusted: NamedTempFile,
}

impl Cluster {
    /// Members that nobody has set up, all of which shall be one set.
    pub(super) fn start(members: usize) -> Self {
        super::super::install_crypto();
        let authority = Authority::new().unwrap();
        let mut trusted = NamedTempFile::new().unwrap();
        trusted.write_all(authority.pem().as_bytes()).unwrap();
        let target = Target {
            replica_set: "rs0".to_owned(),
            members: Vec::new(),
            leaving: Vec::new(),
            key_file: random().into(),
            users: SERVICES.map(|user| Login { user: user.to_owned(), password: random().into() }).to_vec(),
            refused: Vec::new(),
            authority: Some(authority.pem()),
            certificate: None,
            step_down: None,
            established: false,
        };
        let mut cluster = Self { authority, members: Vec::new(), target, trusted };
        cluster.start_more(members);
        cluster.aim(members);
        cluster
    }

    /// Starts further members, side by side. Nobody has set them up.
    pub(super) fn start_more(&mut self, count: usize) {
        let (key, authority) = (self.target.key_file.expose_secret(), &self.authority);
        let started: Vec<MongoDb> = thread::scope(|scope| {
            let starting: Vec<_> =
                (0..count).map(|_| scope.spawn(|| MongoDb::start_member(key, authority).unwrap())).collect();
            starting.into_iter().map(|starting| starting.join().unwrap()).collect()
        });
        self.members.extend(started);
    }

    /// The first so many shall be the set.
    pub(super) fn aim(&mut self, members: usize) {
        let addresses: Vec<String> = self.members.iter().map(MongoDb::address).collect();
        self.target.members = addresses[..members].to_vec();
        self.target.leaving = addresses[members..].to_vec();
    }

    pub(super) fn address(&self, member: usize) -> String {
        self.members[member].address()
    }

    /// Runs `provision` until the set agrees and all members have caught up. Its changes are those of all runs.
    pub(super) async fn provision(&self) -> State {
        let mut changes = Vec::new();
        let deadline = Instant::now() + LIMIT;
        loop {
            // Members that have only just been killed or started may refuse for a moment.
            match provision(&self.target).await {
                Ok(state) => {
                    changes.extend(state.changes.clone());
                    if state.ready && state.members.iter().all(|member| member.caught_up) {
                        return State { changes, ..state };
                    }
                    assert!(Instant::now() < deadline, "the set does not agree: {}", state.message);
                }
                Err(error) => {
                    eprintln!("{error}");
                    assert!(Instant::now() < deadline, "{error}");
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A direct connection to a member as the cluster itself.
    fn system(&self, member: usize) -> Client {
        let mut options = self.options(&[self.address(member)]);
        options.direct_connection = Some(true);
        options.credential = Some(credential("__system", self.target.key_file.expose_secret(), "local"));
        Client::with_options(options).unwrap()
    }

    /// Runs a command on database `admin` of a member, as the cluster itself.
    pub(super) async fn try_command(&self, member: usize, command: Document) -> mongodb::error::Result<Document> {
        self.system(member).database("admin").run_command(command).await
    }

    pub(super) async fn command(&self, member: usize, command: Document) -> Document {
        self.try_command(member, command).await.unwrap()
    }

    /// What a service has: the whole set, found by the members that shall be in it.
    pub(super) fn client(&self, login: &Login) -> Client {
        let mut options = self.options(&self.target.members);
        options.repl_set_name = Some(self.target.replica_set.clone());
        options.server_selection_timeout = Some(Duration::from_secs(20));
        options.credential = Some(credential(&login.user, login.password.expose_secret(), "admin"));
        Client::with_options(options).unwrap()
    }

    /// What a service is told of the set.
    pub(super) fn uri(&self, login: &Login) -> String {
        let (password, hosts) = (login.password.expose_secret(), self.target.members.join(","));
        let authority = self.trusted.path().display();
        format!(
            "mongodb://{}:{password}@{hosts}/?replicaSet={}&authSource=admin&tls=true&tlsCAFile={authority}",
            login.user, self.target.replica_set
        )
    }

    pub(super) fn login(&self, user: &str) -> &Login {
        super::super::login(&self.target.users, user)
    }

    /// The collection that a service's tests write to.
    pub(super) fn things(&self, user: &str) -> Collection<Document> {
        self.client(self.login(user)).database(user).collection("things")
    }

    pub(super) async fn write(&self, user: &str, id: i64) -> mongodb::error::Result<()> {
        let concern = WriteConcern::builder().w(Acknowledgment::Majority).w_timeout(LIMIT).build();
        self.things(user).insert_one(doc! {"_id": id}).write_concern(concern).await.map(drop)
    }

    /// Writes and waits until so many members have it.
    pub(super) async fn write_to_members(&self, user: &str, id: i64, members: u32) {
        let concern = WriteConcern::builder().w(Acknowledgment::Nodes(members)).w_timeout(LIMIT).build();
        self.things(user).insert_one(doc! {"_id": id}).write_concern(concern).await.unwrap();
    }

    /// What a majority has of what was written.
    pub(super) async fn written(&self, user: &str) -> Vec<i64> {
        let things = self.things(user);
        let find = things.find(doc! {}).sort(doc! {"_id": 1}).read_concern(ReadConcern::majority()).max_time(LIMIT);
        let found = find.await.unwrap();
        let found: Vec<Document> = found.try_collect().await.unwrap();
        found.iter().map(|thing| integer(thing, "_id")).collect()
    }

    /// The index of the primary, once there is one that takes writes.
    pub(super) async fn primary(&self) -> usize {
        let deadline = Instant::now() + LIMIT;
        loop {
            for member in 0..self.members.len() {
                let hello = self.try_command(member, doc! {"hello": 1}).await;
                if hello.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false)) {
                    return member;
                }
            }
            assert!(Instant::now() < deadline, "no member is primary");
            tokio::time::sleep(POLL).await;
        }
    }

    /// The configuration, from the primary.
    pub(super) async fn config(&self) -> Document {
        let primary = self.primary().await;
        self.command(primary, doc! {"replSetGetConfig": 1}).await.get_document("config").unwrap().clone()
    }

    /// Addresses of the members, and whether they vote.
    pub(super) async fn votes(&self) -> Vec<(String, bool)> {
        let config = self.config().await;
        let members = config.get_array("members").unwrap().iter().map(|member| member.as_document().unwrap());
        members.map(|member| (member.get_str("host").unwrap().to_owned(), integer(member, "votes") == 1)).collect()
    }

    /// Waits until a member says of itself that it is in this state.
    pub(super) async fn until_state(&self, member: usize, state: &str) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let found = match self.try_command(member, doc! {"replSetGetStatus": 1}).await {
                Ok(status) => own_state(&status),
                Err(error) => error.to_string(),
            };
            if found == state {
                return;
            }
            assert!(Instant::now() < deadline, "{} is {found}, not {state}", self.address(member));
            tokio::time::sleep(POLL).await;
        }
    }

    fn options(&self, hosts: &[String]) -> ClientOptions {
        let mut options = ClientOptions::default();
        options.hosts = hosts.iter().map(|host| ServerAddress::parse(host).unwrap()).collect();
        options.tls = Some(TlsOptions::builder().ca_file_path(self.trusted.path().to_owned()).build().into());
        options.server_selection_timeout = Some(Duration::from_secs(5));
        options
    }
}

pub(super) fn random() -> String {
    hex::encode(rand::random::<[u8; 24]>())
}

pub(super) fn integer(document: &Document, key: &str) -> i64 {
    match document.get(key) {
        Some(Bson::Int32(number)) => i64::from(*number),
        Some(Bson::Int64(number)) => *number,
        #[expect(clippy::cast_possible_truncation, reason = "a small whole number")]
        Some(Bson::Double(number)) => *number as i64,
        other => panic!("{key} is {other:?}"),
    }
}

fn own_state(status: &Document) -> String {
    let members = status.get_array("members").unwrap().iter().filter_map(Bson::as_document);
    let own = members.into_iter().find(|member| member.get_bool("self").unwrap_or(false));
    own.and_then(|own| own.get_str("stateStr").ok()).unwrap_or("in no state").to_owned()
}

fn credential(user: &str, password: &str, source: &str) -> Credential {
    Credential::builder()
        .username(user.to_owned())
        .password(password.to_owned())
        .source(source.to_owned())
        .mechanism(AuthMechanism::ScramSha256)
        .build()
}
