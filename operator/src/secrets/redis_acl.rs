//! Who may do what in Redis (Redis manual, "ACL"): each service sees its own keys and channels alone.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::login::Login;

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

impl Rules {
    /// Rules of a service or of the operator, by user name.
    #[must_use]
    pub fn of(user: &str) -> Self {
        match user {
            "gateway" => Self { commands: SERVICE, keys: "~gateway:* %R~auth:revoked:*", channels: "&auth:*" },
            "auth" => Self { commands: SERVICE, keys: "~auth:*", channels: "&auth:*" },
            "chat" => Self { commands: SERVICE, keys: "~chat:* %R~auth:revoked:*", channels: "&chat:* &auth:*" },
            "operator" => Self { commands: "-@all +@connection +acl +info +role", keys: "", channels: "" },
            // For probes: its password is empty, and all it can do is ask whether the server answers.
            "probe" => Self { commands: "-@all +ping", keys: "", channels: "" },
            _ => Self { commands: "-@all", keys: "", channels: "" },
        }
    }

    /// The rules as words of `ACL SETUSER` after a `reset`.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        [self.keys, self.channels, self.commands].into_iter().flat_map(str::split_whitespace)
    }
}

/// The file `users.acl`. The user `default`, to whom a client without a login belongs, is off; the user `probe` may PING and
/// nothing else, with any password.
pub(super) fn file<'a>(logins: impl IntoIterator<Item = &'a Login>) -> String {
    let mut file = String::from(
        "user default off resetpass resetchannels -@all\nuser probe on nopass resetchannels -@all +ping\n",
    );
    for login in logins {
        let hash = password_hash(login.exposed());
        let rules = Rules::of(&login.user).words().collect::<Vec<_>>().join(" ");
        // Writing to a String does not fail.
        let _ = writeln!(file, "user {} on #{hash} resetchannels {rules}", login.user);
    }
    file
}

/// A password as Redis keeps it: SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn password_hash(password: &str) -> String {
    hex::encode(Sha256::digest(password))
}
