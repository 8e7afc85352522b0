//! Who may do what in Redis and in its sentinels (Redis manual, "ACL"): each service sees its own keys and channels alone.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::login::Login;

/// The user by which replicas log in to their master.
pub(super) const REPLICATION: &str = "replication";
/// The user by which sentinels log in to servers and to each other, and the scripts of the pods to both.
pub(super) const SENTINEL: &str = "sentinel";

/// What a user may log in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A server.
    Server,
    /// A sentinel, which knows where the servers are.
    Sentinel,
}

/// What a user of Redis may do, each part as `ACL SETUSER` takes it and `ACL GETUSER` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Commands, such as `+@all -@dangerous`; no two of these words may overlap but the first, for the server orders them anew.
    pub commands: &'static str,
    /// Key patterns, such as `~auth:*`; `%R~` reads only.
    pub keys: &'static str,
    /// Patterns of Pub/Sub channels, such as `&auth:*`.
    pub channels: &'static str,
}

// Everything but what changes or watches the server (all of @admin is @dangerous) and what walks over every key of everybody.
const SERVICE: &str = "+@all -@dangerous";
// By which sentinels know one another, and hear of changes.
const HELLO: &str = "&__sentinel__:hello";

impl Rules {
    /// Rules of a service, of the operator or of the trio itself, by user name.
    #[must_use]
    pub fn of(user: &str, place: Place) -> Self {
        match place {
            Place::Server => Self::in_server(user),
            Place::Sentinel => Self::in_sentinel(user),
        }
    }

    fn in_server(user: &str) -> Self {
        let (commands, keys, channels) = match user {
            "gateway" => (SERVICE, "~gateway:* %R~auth:revoked:*", "&auth:*"),
            "auth" => (SERVICE, "~auth:*", "&auth:*"),
            "chat" => (SERVICE, "~chat:* %R~auth:revoked:*", "&chat:* &auth:*"),
            "operator" => ("-@all +@connection +acl +info +role", "", ""),
            REPLICATION => ("-@all +psync +replconf +ping", "", ""),
            // What the manual gives a sentinel, and pausing for a master that hands over.
            SENTINEL => (
                "-@all +multi +exec +slaveof +ping +subscribe +publish +info +role +config|rewrite +script|kill \
                 +client|setname +client|kill +client|pause +client|unpause",
                "",
                HELLO,
            ),
            // For probes: its password is empty, and all it can do is ask whether the server answers.
            "probe" => ("-@all +ping", "", ""),
            _ => ("-@all", "", ""),
        };
        Self { commands, keys, channels }
    }

    fn in_sentinel(user: &str) -> Self {
        let (commands, channels) = match user {
            // Who is master, and when another is.
            "gateway" | "auth" | "chat" => (
                "-@all +ping +subscribe +unsubscribe +sentinel|get-master-addr-by-name +sentinel|master",
                "&+switch-master",
            ),
            "operator" => ("-@all +@connection +acl +info +sentinel|get-master-addr-by-name +sentinel|master", ""),
            SENTINEL => (
                "-@all +ping +publish +client|setname +sentinel|is-master-down-by-addr \
                 +sentinel|get-master-addr-by-name +sentinel|master +sentinel|failover +sentinel|debug",
                HELLO,
            ),
            _ => ("-@all", ""),
        };
        Self { commands, keys: "", channels }
    }

    /// The rules as words of `ACL SETUSER` after a `reset`.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        [self.keys, self.channels, self.commands].into_iter().flat_map(str::split_whitespace)
    }
}

/// The ACL file of servers or sentinels. The user `default`, to whom a client without a login belongs, is off; the user `probe` may
/// PING and nothing else, with any password.
pub(super) fn file<'a>(logins: impl IntoIterator<Item = &'a Login>, place: Place) -> String {
    let mut file = String::from("user default off resetpass resetchannels -@all\n");
    if place == Place::Server {
        file.push_str("user probe on nopass resetchannels -@all +ping\n");
    }
    // A user has as many passwords as there are logins of its name.
    let mut users: Vec<(&str, Vec<String>)> = Vec::new();
    for login in logins {
        let hash = format!("#{}", password_hash(login.exposed()));
        match users.iter_mut().find(|(user, _)| *user == login.user) {
            Some((_, hashes)) => hashes.push(hash),
            None => users.push((&login.user, vec![hash])),
        }
    }
    for (user, hashes) in users {
        let rules = Rules::of(user, place).words().collect::<Vec<_>>().join(" ");
        // Writing to a String does not fail.
        let _ = writeln!(file, "user {user} on {} resetchannels {rules}", hashes.join(" "));
    }
    file
}

/// A password as Redis keeps it: SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn password_hash(password: &str) -> String {
    hex::encode(Sha256::digest(password))
}
