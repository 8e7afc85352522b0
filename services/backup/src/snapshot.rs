//! All databases as they were at one moment, read from one member of the replica set while others write.
//!
//! Every read says the moment (`atClusterTime`, manual of `MongoDB`, "Read Concern snapshot"), and the server answers as it was then. How long it
//! keeps that is a parameter of each member, five minutes by default; it is raised on the member that is read, for as long as that lasts.

use std::time::Duration;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::bson::{self, Bson, Document, RawDocumentBuf, doc};
use mongodb::options::{ClientOptions, ReadPreference, SelectionCriteria, ServerAddress};
use mongodb::{Client, Cursor};
use tokio::time::{Instant, sleep};

use crate::error::Error;

/// The parameter: how long a moment stays readable, in seconds.
const WINDOW: &str = "minSnapshotHistoryWindowInSeconds";
/// Longer than any backup may take.
const LONG_WINDOW: i32 = 12 * 60 * 60;
/// The server's own.
const SHORT_WINDOW: i32 = 300;
/// How long to look for a member, and to wait for it to be up to date.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at how far it is.
const POLL: Duration = Duration::from_millis(50);
/// Collections of the server's own begin so.
const SYSTEM: &str = "system.";

/// One moment of a replica set.
pub struct Snapshot {
    /// Of the whole set.
    set: Client,
    /// Of the one member that is read.
    client: Client,
    at: bson::Timestamp,
    address: String,
    server: String,
}

/// A collection, and what it takes to make it again.
#[derive(Clone, Debug, PartialEq)]
pub struct Collection {
    /// Its database.
    pub database: String,
    /// Its name.
    pub name: String,
    /// Its options, as `create` takes them.
    pub options: Document,
    /// Its indexes, as `createIndexes` takes them.
    pub indexes: Vec<Document>,
}

impl Snapshot {
    /// Chooses a member to read, a secondary where there is one, and has it keep what is about to come.
    pub async fn open(uri: &str) -> Result<Self, Error> {
        let mut options = ClientOptions::parse(uri).await.map_err(Error::database("take the connection string"))?;
        options.app_name = Some("backup".to_owned());
        options.server_selection_timeout.get_or_insert(PATIENCE);
        let set = Client::with_options(options.clone()).map_err(Error::database("take the connection string"))?;
        let address = match choose(&set).await {
            Ok(address) => address,
            Err(error) => {
                // It would go on asking every member how it is.
                set.shutdown().immediate(true).await;
                return Err(error);
            }
        };
        let host = ServerAddress::parse(&address).map_err(Error::database("tell the address of a member"))?;
        options.hosts = vec![host];
        options.direct_connection = Some(true);
        options.repl_set_name = None;
        let client = Client::with_options(options).map_err(Error::database("take the address of a member"))?;
        let at = bson::Timestamp { time: 0, increment: 0 };
        let snapshot = Self { set, client, at, address, server: String::new() };
        snapshot.keep_for(LONG_WINDOW).await;
        Ok(snapshot)
    }

    /// Makes it the moment that is now, so that everything that was acknowledged before is in it. Answers the collections that there are.
    pub async fn begin(&mut self, databases: &[&str]) -> Result<Vec<Collection>, Error> {
        let build = self.client.database("admin").run_command(doc! {"buildInfo": 1}).await;
        let build = build.map_err(Error::database("tell its version"))?;
        build.get_str("version").unwrap_or_default().clone_into(&mut self.server);
        let before = self.collections(databases).await?;
        // The primary's time is ahead of all others.
        let answer = self.set.database("admin").run_command(doc! {"ping": 1}).await;
        let answer = answer.map_err(Error::database("tell its time"))?;
        self.at = match answer.get("operationTime") {
            Some(Bson::Timestamp(at)) => *at,
            _ => return Err(Error::NoReplicaSet { address: self.address.clone() }),
        };
        // Then it tells of every collection that was there.
        self.reached().await?;
        let after = self.collections(databases).await?;
        if before != after {
            return Err(Error::Unsettled);
        }
        tracing::info!(member = self.address, at = %self.at(), "the moment that is backed up");
        Ok(after)
    }

    /// Waits until a majority has the moment, and the member that is read knows of it.
    async fn reached(&self) -> Result<(), Error> {
        let (deadline, admin) = (Instant::now() + PATIENCE, self.client.database("admin"));
        loop {
            let hello = admin.run_command(doc! {"hello": 1}).await.map_err(Error::database("say how far it is"))?;
            let last = hello.get_document("lastWrite").and_then(|last| last.get_document("majorityOpTime"));
            let reached = last.and_then(|last| last.get_timestamp("ts"));
            if reached.is_ok_and(|at| (at.time, at.increment) >= self.cluster_time()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::Behind { address: self.address.clone() });
            }
            sleep(POLL).await;
        }
    }

    /// The moment.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        Timestamp::from_second(self.at.time.into()).unwrap_or_default()
    }

    /// The same, as the cluster counts: seconds, and the number of the change within the second.
    #[must_use]
    pub fn cluster_time(&self) -> (u32, u32) {
        (self.at.time, self.at.increment)
    }

    /// The version of the server.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The collections of some databases, as they are now.
    async fn collections(&self, databases: &[&str]) -> Result<Vec<Collection>, Error> {
        let mut collections = Vec::new();
        for database in databases {
            let command = doc! {"listCollections": 1, "filter": {"type": "collection"}};
            for found in self.all(database, command, "list collections").await? {
                let name = found.get_str("name").unwrap_or_default().to_owned();
                if name.starts_with(SYSTEM) {
                    continue;
                }
                let options = found.get_document("options").cloned().unwrap_or_default();
                let indexes = self.all(database, doc! {"listIndexes": &name}, "list indexes").await?;
                collections.push(Collection { database: (*database).to_owned(), name, options, indexes });
            }
        }
        collections.sort_by(|one, other| (&one.database, &one.name).cmp(&(&other.database, &other.name)));
        Ok(collections)
    }

    /// The documents of a collection.
    pub async fn documents(&self, collection: &Collection) -> Result<Cursor<RawDocumentBuf>, Error> {
        let command = doc! {"find": &collection.name, "readConcern": self.concern()};
        let cursor = self.client.database(&collection.database).run_cursor_command(command).await;
        let action = format!("read {}.{}", collection.database, collection.name);
        Ok(cursor.map_err(Error::database(action))?.with_type())
    }

    /// The different values of a field of a collection, which are texts.
    pub async fn distinct(&self, database: &str, collection: &str, field: &str) -> Result<Vec<String>, Error> {
        let there = doc! {"$match": {field: {"$exists": true}}};
        let by_value = doc! {"$group": {"_id": format!("${field}")}};
        let command = doc! {
            "aggregate": collection,
            "pipeline": [there, by_value],
            "cursor": {},
            "readConcern": self.concern(),
        };
        let action = format!("group {database}.{collection}");
        let found = self.all(database, command, &action).await?;
        Ok(found.iter().filter_map(|group| Some(group.get_str("_id").ok()?.to_owned())).collect())
    }

    /// Lets the server forget the moment.
    pub async fn close(self) {
        self.keep_for(SHORT_WINDOW).await;
        for client in [self.client, self.set] {
            client.shutdown().immediate(true).await;
        }
    }

    fn concern(&self) -> Document {
        doc! {"level": "snapshot", "atClusterTime": self.at}
    }

    /// A server that does not let us is read for as long as it keeps the moment anyway.
    async fn keep_for(&self, seconds: i32) {
        let command = doc! {"setParameter": 1, WINDOW: seconds};
        if let Err(error) = self.client.database("admin").run_command(command).await {
            tracing::warn!(member = self.address, error = %error, "cannot set how long the moment stays readable, which is five minutes by default");
        }
    }

    async fn all(&self, database: &str, command: Document, action: &str) -> Result<Vec<Document>, Error> {
        let cursor = self.client.database(database).run_cursor_command(command).await;
        let cursor: Cursor<Document> = cursor.map_err(Error::database(action))?;
        cursor.try_collect().await.map_err(Error::database(action))
    }
}

/// The address of the member to read: a secondary where there is one that answers, and else the primary.
async fn choose(set: &Client) -> Result<String, Error> {
    let admin = set.database("admin");
    let primary = admin.run_command(doc! {"hello": 1}).await.map_err(Error::database("say who is a member"))?;
    let address = |hello: &Document| hello.get_str("me").unwrap_or_default().to_owned();
    if primary.get_str("setName").is_err() {
        return Err(Error::NoReplicaSet { address: address(&primary) });
    }
    if primary.get_array("hosts").is_ok_and(|hosts| hosts.len() > 1) {
        // Not "secondary preferred", by which the primary is taken as long as it alone is known.
        let secondary = SelectionCriteria::ReadPreference(ReadPreference::Secondary { options: None });
        match admin.run_command(doc! {"hello": 1}).selection_criteria(secondary).await {
            Ok(secondary) => return Ok(address(&secondary)),
            Err(error) => tracing::warn!(%error, "no secondary answers, so the primary is read"),
        }
    }
    Ok(address(&primary))
}

impl Collection {
    /// As a document, for the file of all collections.
    #[must_use]
    pub fn to_document(&self) -> Document {
        let indexes: Vec<Bson> = self.indexes.iter().cloned().map(Bson::Document).collect();
        doc! {"database": &self.database, "name": &self.name, "options": self.options.clone(), "indexes": indexes}
    }

    /// From such a document; none where it is not one.
    #[must_use]
    pub fn from_document(document: &Document) -> Option<Self> {
        let indexes = document.get_array("indexes").ok()?.iter();
        Some(Self {
            database: document.get_str("database").ok()?.to_owned(),
            name: document.get_str("name").ok()?.to_owned(),
            options: document.get_document("options").ok()?.clone(),
            indexes: indexes.map(|index| index.as_document().cloned()).collect::<Option<_>>()?,
        })
    }

    /// The path of the file with its documents.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}.bson.gz", self.database, self.name)
    }
}
