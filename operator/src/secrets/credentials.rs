use std::collections::BTreeMap;

use rand::CryptoRng;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use super::existing::{Existing, broken};
use super::login::{Login, checked};
use super::rotation::Ring;
use super::signing_keys::position;
use super::{Error, Names};
use crate::build::Component;

/// Name of the Secret, after the platform's, and of the key in it. In a service's Secret the key of the same name holds the generation that its
/// connection strings are of.
pub(super) const OBJECT: &str = "credentials";
pub(super) const KEY: &str = "credentials.json";
/// What stands before the number in the id of a generation.
const PREFIX: &str = "cr-";

/// The servers that services log in to, the key of a service's Secret that holds the connection string, and the services.
const SERVERS: [(Component, &str, &[&str]); 3] = [
    (Component::MongoDb, "mongodb-uri", &["auth", "chat", "media", "notification"]),
    (Component::Redis, "redis-url", &["gateway", "auth", "chat"]),
    (Component::RabbitMq, "rabbitmq-uri", &["auth", "chat", "media", "notification"]),
];

/// What services log in to the platform's own servers with: one generation that they use, and during a rotation a second one. Servers accept
/// all of them.
///
/// In `MongoDB` and `RabbitMQ` each generation has users of its own, `chat` and then `chat-2`; in Redis it is another password of one user.
#[derive(Clone, Debug)]
pub struct Credentials {
    text: SecretString,
    ring: File,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    current: String,
    generations: BTreeMap<String, Generation>,
    /// Those that no server is to accept any more, until that is proven.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    retired: BTreeMap<String, Generation>,
}

/// Logins by server and service.
type Generation = BTreeMap<String, BTreeMap<String, Stored>>;

#[derive(Clone, Debug, Deserialize)]
struct Stored {
    user: String,
    password: SecretString,
}

impl Credentials {
    /// Takes what is there. A platform of before there were generations has its first one in the services' own Secrets; what is missing for
    /// one of the platform's `own` servers is made.
    pub(super) fn complete(
        existing: &Existing,
        names: &Names,
        own: &[Component],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, Error> {
        let secret = names.object(OBJECT);
        let text = existing.text(&secret, KEY)?;
        let mut file = match text {
            Some(text) => parse(&secret, text)?,
            None => adopt(existing, names, own)?,
        };
        let mut is_whole = text.is_some();
        for (id, generation) in &mut file.generations {
            for (server, _, services) in SERVERS.iter().filter(|(server, ..)| own.contains(server)) {
                let logins = generation.entry(server.name().to_owned()).or_default();
                for service in *services {
                    logins.entry((*service).to_owned()).or_insert_with(|| {
                        is_whole = false;
                        Stored::generate(*server, service, number(id), rng)
                    });
                }
            }
        }
        Ok(match text.filter(|_| is_whole) {
            Some(text) => Self { text: text.into(), ring: file },
            None => Self::written(file),
        })
    }

    fn written(ring: File) -> Self {
        // It has no map with keys other than text, which alone have no JSON form.
        let text = Zeroizing::new(serde_json::to_string(&ring).unwrap_or_default());
        Self { text: SecretString::from(text.as_str()), ring }
    }

    /// As it is kept.
    pub(crate) fn text(&self) -> &str {
        self.text.expose_secret()
    }

    /// What a server is to accept, by service and generation.
    #[must_use]
    pub fn accepted(&self, server: Component) -> Vec<Login> {
        logins(&self.ring.generations, server)
    }

    /// What a server is to refuse.
    #[must_use]
    pub fn refused(&self, server: Component) -> Vec<Login> {
        logins(&self.ring.retired, server)
    }

    /// What a service logs in with.
    #[must_use]
    pub fn of(&self, server: Component, service: &str) -> Option<Login> {
        let generation = self.ring.generations.get(&self.ring.current)?;
        generation.get(server.name())?.get(service).map(Stored::login)
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        self.ring.generations.keys().chain(self.ring.retired.keys()).map(|id| number(id))
    }
}

impl Ring for Credentials {
    fn ids(&self) -> Vec<&str> {
        self.ring.generations.keys().map(String::as_str).collect()
    }

    fn current(&self) -> &str {
        &self.ring.current
    }

    fn with_one_more(&self, rng: &mut (impl CryptoRng + ?Sized)) -> (Self, String) {
        let number = self.numbers().max().unwrap_or(0) + 1;
        let id = format!("{PREFIX}{number}");
        let mut file = self.ring.clone();
        // For the servers that the one in use is for.
        let servers = file.generations.get(&file.current).into_iter().flat_map(BTreeMap::keys);
        let own = SERVERS.iter().filter(|(server, ..)| servers.clone().any(|name| name == server.name()));
        let mut generation = Generation::new();
        for (server, _, services) in own {
            let made =
                services.iter().map(|service| ((*service).to_owned(), Stored::generate(*server, service, number, rng)));
            generation.insert(server.name().to_owned(), made.collect());
        }
        file.generations.insert(id.clone(), generation);
        (Self::written(file), id)
    }

    fn switched(&self, to: &str) -> Option<Self> {
        self.ring
            .generations
            .contains_key(to)
            .then(|| Self::written(File { current: to.to_owned(), ..self.ring.clone() }))
    }

    fn without_others(&self) -> Self {
        let mut ring = self.ring.clone();
        let current = ring.current.clone();
        let (kept, gone) = ring.generations.into_iter().partition(|(id, _)| *id == current);
        ring.generations = kept;
        ring.retired.extend(gone);
        Self::written(ring)
    }

    fn settled(&self) -> Self {
        Self::written(File { retired: BTreeMap::new(), ..self.ring.clone() })
    }
}

impl Stored {
    fn generate(server: Component, service: &str, number: u32, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let user = match server {
            Component::MongoDb | Component::RabbitMq if number > 1 => format!("{service}-{number}"),
            _ => service.to_owned(),
        };
        let Login { user, password } = Login::generate(&user, rng);
        Self { user, password }
    }

    fn login(&self) -> Login {
        Login { user: self.user.clone(), password: self.password.clone() }
    }
}

impl Serialize for Stored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Stored", 2)?;
        fields.serialize_field("user", &self.user)?;
        fields.serialize_field("password", self.password.expose_secret())?;
        fields.end()
    }
}

fn logins(generations: &BTreeMap<String, Generation>, server: Component) -> Vec<Login> {
    let services = SERVERS.iter().filter(|(known, ..)| *known == server).flat_map(|(_, _, services)| *services);
    let of = |service: &&str| {
        let found = generations.values().filter_map(|generation| generation.get(server.name())?.get(*service));
        found.map(Stored::login).collect::<Vec<_>>()
    };
    services.flat_map(of).collect()
}

/// The number in an id, 1 where it has none.
fn number(id: &str) -> u32 {
    id.strip_prefix(PREFIX).and_then(|number| number.parse().ok()).unwrap_or(1)
}

fn parse(secret: &str, text: &str) -> Result<File, Error> {
    let ring: File = serde_json::from_str(text)
        .map_err(|error| broken(secret, KEY, format!("is no list of credentials in JSON ({})", position(&error))))?;
    if !ring.generations.contains_key(&ring.current) {
        return Err(broken(secret, KEY, "names a current generation that is not among its generations"));
    }
    let all = ring.generations.values().chain(ring.retired.values());
    for (service, login) in all.flat_map(BTreeMap::values).flatten() {
        checked(secret, KEY, login.password.expose_secret())?;
        if !Login::is_of(&login.user, service) {
            return Err(broken(secret, KEY, format!("has a user of {service} that is not called so")));
        }
    }
    Ok(ring)
}

/// The generation that the services' own Secrets hold. Its number is that of its users, should somebody have lost the rest.
fn adopt(existing: &Existing, names: &Names, own: &[Component]) -> Result<File, Error> {
    let (mut generation, mut newest) = (Generation::new(), 1);
    for (server, key, services) in SERVERS.iter().filter(|(server, ..)| own.contains(server)) {
        for service in *services {
            let Some(login) = Login::from_uri(existing, &names.object(service), key, service)? else { continue };
            let told = existing.text(&names.object(service), OBJECT)?.map_or(1, |id| number(id.trim()));
            newest = newest.max(login.number()).max(told);
            let Login { user, password } = login;
            let of_server = generation.entry(server.name().to_owned()).or_default();
            of_server.insert((*service).to_owned(), Stored { user, password });
        }
    }
    let current = format!("{PREFIX}{newest}");
    Ok(File { generations: [(current.clone(), generation)].into(), current, retired: BTreeMap::new() })
}

#[cfg(test)]
mod tests;
