//! The databases that a backup is written into, each by a user of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::TryStreamExt as _;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::options::{ClientOptions, WriteConcern};
use mongodb::{Client, Database};

use crate::DATABASES;
use crate::error::Error;
use crate::name::Name;
use crate::snapshot::Collection;

/// The mark of a restore that is under way, or was cut off.
const MARK: &str = "restore";
/// What services write at their start, before anybody uses them.
const BOOKKEEPING: [&str; 3] = ["migrations", LEASES[0].0, LEASES[1].0];
/// Who is at work on a database says so there, and until when.
const LEASES: [(&str, &str); 2] = [("migrationLease", "$expiresAt"), ("outbox_leases", "$until")];
/// Collections of the server's own begin so.
const SYSTEM: &str = "system.";
/// How long to look for the primary.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a backup goes.
pub struct Target {
    databases: BTreeMap<&'static str, Database>,
}

impl Target {
    /// The databases by the connection strings that `uri` answers for each.
    pub async fn open(uri: impl Fn(&str) -> Result<String, Error>) -> Result<Self, Error> {
        let mut databases = BTreeMap::new();
        for name in DATABASES {
            let options = ClientOptions::parse(uri(name)?).await;
            let mut options = options.map_err(Error::database("take the connection string"))?;
            options.app_name = Some(MARK.to_owned());
            options.server_selection_timeout.get_or_insert(PATIENCE);
            options.write_concern = Some(WriteConcern::majority());
            let client = Client::with_options(options).map_err(Error::database("take the connection string"))?;
            databases.insert(name, client.database(name));
        }
        Ok(Self { databases })
    }

    /// Nobody is at work on the databases, and there is nothing in them that somebody could miss.
    pub(super) async fn refuse_data(&self) -> Result<(), Error> {
        for (name, database) in &self.databases {
            let collections = collections(database).await?;
            for (leases, until) in LEASES.iter().filter(|(leases, _)| collections.iter().any(|name| name == leases)) {
                let held = doc! {"$expr": {"$gt": [until, "$$NOW"]}};
                let found = database.collection::<Document>(leases).find_one(held).await;
                if found.map_err(Error::database("tell who is at work"))?.is_some() {
                    return Err(Error::InUse { database: (*name).to_owned() });
                }
            }
            if collections.iter().any(|name| name == MARK) {
                // What is there comes from a restore that was cut off.
                continue;
            }
            for collection in collections.iter().filter(|name| !BOOKKEEPING.contains(&name.as_str())) {
                let found = database.collection::<Document>(collection).find_one(doc! {}).await;
                if found.map_err(Error::database("say whether it is empty"))?.is_some() {
                    return Err(Error::NotEmpty { database: (*name).to_owned(), collection: collection.clone() });
                }
            }
        }
        Ok(())
    }

    /// Marks every database, and then removes what is in them.
    pub(super) async fn begin(&self, name: &Name) -> Result<(), Error> {
        for database in self.databases.values() {
            let mark = doc! {"$set": {"backup": name.to_string()}, "$currentDate": {"begunAt": true}};
            let marked = database.collection::<Document>(MARK).update_one(doc! {"_id": MARK}, mark).upsert(true).await;
            marked.map_err(Error::database("take a mark"))?;
        }
        for database in self.databases.values() {
            for collection in collections(database).await?.iter().filter(|name| *name != MARK) {
                let dropped = database.collection::<Document>(collection).drop().await;
                dropped.map_err(Error::database(format!("drop {}.{collection}", database.name())))?;
            }
        }
        Ok(())
    }

    /// Makes a collection, with its options.
    pub(super) async fn create(&self, collection: &Collection) -> Result<(), Error> {
        let mut command = doc! {"create": &collection.name};
        command.extend(collection.options.clone());
        let made = self.of(collection)?.run_command(command).await;
        made.map(drop).map_err(Error::database(format!("make {}.{}", collection.database, collection.name)))
    }

    /// Writes documents; answers how many.
    pub(super) async fn insert(&self, collection: &Collection, batch: Vec<RawDocumentBuf>) -> Result<u64, Error> {
        if batch.is_empty() {
            return Ok(0);
        }
        let count = batch.len() as u64;
        let documents = self.of(collection)?.collection::<RawDocumentBuf>(&collection.name);
        // What was written before a rule was there is in the backup too.
        let written = documents.insert_many(batch).ordered(true).bypass_document_validation(true).await;
        written.map_err(Error::database(format!("write {}.{}", collection.database, collection.name)))?;
        Ok(count)
    }

    /// Makes the indexes of a collection.
    pub(super) async fn index(&self, collection: &Collection) -> Result<(), Error> {
        let is_own = |index: &&Document| index.get_str("name").is_ok_and(|name| name != "_id_");
        let indexes: Vec<Document> = collection.indexes.iter().filter(is_own).cloned().collect();
        if indexes.is_empty() {
            return Ok(());
        }
        let command = doc! {"createIndexes": &collection.name, "indexes": indexes};
        let made = self.of(collection)?.run_command(command).await;
        made.map(drop).map_err(Error::database(format!("index {}.{}", collection.database, collection.name)))
    }

    /// Whether a collection has as many documents as the backup.
    pub(super) async fn compare(&self, collection: &Collection, wanted: u64) -> Result<(), Error> {
        let documents = self.of(collection)?.collection::<Document>(&collection.name);
        let found = documents.count_documents(doc! {}).await;
        let found = found.map_err(Error::database(format!("count {}.{}", collection.database, collection.name)))?;
        if found == wanted {
            return Ok(());
        }
        let (database, collection) = (collection.database.clone(), collection.name.clone());
        Err(Error::Differs { database, collection, found, wanted })
    }

    /// Takes the marks away: the restore is whole.
    pub(super) async fn end(&self) -> Result<(), Error> {
        for database in self.databases.values() {
            let dropped = database.collection::<Document>(MARK).drop().await;
            dropped.map_err(Error::database("drop a mark"))?;
        }
        Ok(())
    }

    fn of(&self, collection: &Collection) -> Result<&Database, Error> {
        self.databases.get(collection.database.as_str()).ok_or_else(|| Error::Damaged {
            file: "collections.bson.gz".to_owned(),
            fault: format!("it tells of a database {:?}, which no platform has", collection.database),
        })
    }
}

async fn collections(database: &Database) -> Result<Vec<String>, Error> {
    let command = doc! {"listCollections": 1, "filter": {"type": "collection"}, "nameOnly": true};
    let cursor = database.run_cursor_command(command).await.map_err(Error::database("list collections"))?;
    let found: Vec<Document> = cursor.try_collect().await.map_err(Error::database("list collections"))?;
    let names = found.iter().filter_map(|collection| Some(collection.get_str("name").ok()?.to_owned()));
    Ok(names.filter(|name| !name.starts_with(SYSTEM)).collect())
}
