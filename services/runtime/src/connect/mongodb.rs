//! The database of a service. Its connection string may change while the service runs: then another client takes the place of the one before,
//! which goes once whoever works with it has finished.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Weak},
};

use ::mongodb::{
    Client, ClientSession,
    bson::{Document, doc},
    options::{Acknowledgment, ClientOptions, CollectionOptions, ReadConcern, WriteConcern},
};
use arc_swap::ArcSwap;
use contract::keys::KeyUse;

use super::{
    CONNECT_TIMEOUT, ConnectError,
    credential::{Credential, Generation, Generations, Source},
};
use crate::{config, telemetry::chain};

/// A database, whichever client leads to it at the moment. Clones share it.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    name: String,
    current: ArcSwap<Line>,
    follows: Option<Followed>,
}

/// Where the connection string is looked for, and who goes by which.
struct Followed {
    settings: config::MongoDb,
    source: Source,
    generations: Generations,
}

/// A client, and what it was made by.
struct Line {
    database: ::mongodb::Database,
    /// Nobody's where the client was made elsewhere.
    by: Option<(Credential, Arc<Generation>)>,
}

/// A thing of the database by the client of this moment, which stays as long as this does.
pub struct Lent<T> {
    thing: T,
    _line: Arc<Line>,
}

/// A collection of the database. Clones share the way to it.
pub struct Collection<T> {
    database: Database,
    name: Arc<str>,
    options: CollectionOptions,
    /// Says what is in it.
    of: std::marker::PhantomData<fn() -> T>,
}

impl Database {
    /// By the connection string in the settings' file, and by another one as soon as it stands there and the server takes it. Must be called
    /// within a tokio runtime.
    pub(super) async fn open(settings: &config::MongoDb) -> Result<Self, ConnectError> {
        let source = Source::new(&settings.uri_file);
        let credential = source.read()?;
        let generations = Generations::default();
        let line = line(settings, credential, &generations).await?;
        let follows = Some(Followed { settings: settings.clone(), source, generations });
        let name = settings.database.clone();
        let inner = Arc::new(Inner { name, current: ArcSwap::from_pointee(line), follows });
        tokio::spawn(follow(Arc::downgrade(&inner)));
        Ok(Self(inner))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The database by the client of this moment. Take it for one piece of work, and let it go then.
    #[must_use]
    pub fn now(&self) -> Lent<::mongodb::Database> {
        let line = self.0.current.load_full();
        Lent { thing: line.database.clone(), _line: line }
    }

    /// A collection of it.
    #[must_use]
    pub fn collection<T: Send + Sync>(&self, name: &str) -> Collection<T> {
        self.collection_with_options(name, CollectionOptions::default())
    }

    /// A collection of it, by options of its own.
    #[must_use]
    pub fn collection_with_options<T: Send + Sync>(&self, name: &str, options: CollectionOptions) -> Collection<T> {
        Collection { database: self.clone(), name: name.into(), options, of: std::marker::PhantomData }
    }

    /// Which generations of its credential this process goes by, for [`crate::keys::KeyRings::with`].
    #[must_use]
    pub fn credentials_in_use(&self) -> KeyUse {
        let followed = self.0.follows.as_ref();
        followed.map_or_else(KeyUse::default, |followed| followed.generations.in_use(&followed.source))
    }
}

impl<T: Send + Sync> Collection<T> {
    /// The collection by the client of this moment. Take it for one piece of work, and let it go then.
    #[must_use]
    pub fn now(&self) -> Lent<::mongodb::Collection<T>> {
        let line = self.database.0.current.load_full();
        Lent { thing: self.by(&line.database), _line: line }
    }

    /// The collection by the client of a session: what belongs to one transaction goes by one client.
    #[must_use]
    pub fn within(&self, session: &ClientSession) -> ::mongodb::Collection<T> {
        self.by(&session.client().database(self.database.name()))
    }

    /// The same collection, of other things.
    #[must_use]
    pub fn with_type<U: Send + Sync>(&self) -> Collection<U> {
        self.database.collection_with_options(&self.name, self.options.clone())
    }

    /// The database that it is in.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn by(&self, database: &::mongodb::Database) -> ::mongodb::Collection<T> {
        database.collection_with_options(&self.name, self.options.clone())
    }
}

/// A client of the credential. It connects when it is first needed.
async fn line(
    settings: &config::MongoDb,
    credential: Credential,
    generations: &Generations,
) -> Result<Line, ConnectError> {
    let mut options = ClientOptions::parse(&credential.text).await?;
    options.app_name.get_or_insert_with(|| settings.database.clone());
    options.server_selection_timeout.get_or_insert(CONNECT_TIMEOUT);
    options.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
    options.read_concern.get_or_insert_with(ReadConcern::majority);
    options
        .write_concern
        .get_or_insert_with(|| WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    let database = Client::with_options(options)?.database(&settings.database);
    let generation = generations.begin(&credential);
    Ok(Line { database, by: Some((credential, generation)) })
}

/// Goes by another connection string as soon as it is there and works, until nobody holds the database any more.
async fn follow(inner: Weak<Inner>) {
    loop {
        let Some((source, used)) = inner.upgrade().and_then(|inner| inner.used()) else { return };
        let found = source.differs(&used).await;
        let Some(inner) = inner.upgrade() else { return };
        match inner.try_another(found).await {
            Ok(()) => tracing::info!("going by another connection string of MongoDB"),
            // It is tried again at the next look.
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "another connection string of MongoDB does not work; keeping the old one"
                );
            }
        }
    }
}

impl Inner {
    fn used(&self) -> Option<(Source, Credential)> {
        let line = self.current.load();
        Some((self.follows.as_ref()?.source.clone(), line.by.as_ref()?.0.clone()))
    }

    /// Takes a new client in the place of the old one, once it has logged in. Who works with the old one finishes.
    async fn try_another(&self, credential: Credential) -> Result<(), ConnectError> {
        let Some(followed) = &self.follows else { return Ok(()) };
        // Nobody goes by it before it is known to work.
        let trial = Generations::default();
        let Line { database, by } = line(&followed.settings, credential, &trial).await?;
        database.run_command(doc! {"ping": 1}).await?;
        let by = by.map(|(credential, _)| {
            let generation = followed.generations.begin(&credential);
            (credential, generation)
        });
        self.current.store(Arc::new(Line { database, by }));
        Ok(())
    }
}

impl From<::mongodb::Database> for Database {
    /// A database by a client that was made elsewhere, which is never another one.
    fn from(database: ::mongodb::Database) -> Self {
        let name = database.name().to_owned();
        Self(Arc::new(Inner { name, current: ArcSwap::from_pointee(Line { database, by: None }), follows: None }))
    }
}

impl<T> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.thing
    }
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self {
            database: self.database.clone(),
            name: Arc::clone(&self.name),
            options: self.options.clone(),
            of: std::marker::PhantomData,
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.0.name).finish()
    }
}

impl<T> fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Collection").field(&self.database.0.name).field(&self.name).finish()
    }
}

impl<T> fmt::Debug for Lent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}

/// Whether the database answers, for [`crate::health::Health::check`].
pub(super) async fn ping(database: &Database) -> Result<(), String> {
    let command: Document = doc! {"ping": 1};
    match database.now().run_command(command).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
