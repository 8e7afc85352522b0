//! Where Redis is: a URL of one server, or of the sentinels that know which server is master.
//!
//! `redis://user:password@host:port/database`, `rediss://` for TLS, and
//! `redis+sentinel://user:password@host:port,host:port/master/database` (`rediss+sentinel://` for TLS to sentinels and servers).
//! The operator writes it and the services read it. The same user and password are good for the sentinels and for the servers.

use std::{fmt, str::FromStr};

/// The port of a sentinel that names none.
const SENTINEL_PORT: u16 = 26379;

/// A connection URL of Redis.
#[derive(Clone, PartialEq, Eq)]
pub enum RedisUrl {
    /// One server: the URL as a client takes it.
    Server(String),
    /// Servers of which the sentinels know the master.
    Sentinels(SentinelUrl),
}

/// Sentinels, and what to ask them for.
#[derive(Clone, PartialEq, Eq)]
pub struct SentinelUrl {
    tls: bool,
    /// `user:password`, as it stands in the URL.
    userinfo: Option<String>,
    /// `host:port` of each sentinel.
    hosts: Vec<String>,
    master: String,
    database: u32,
}

/// Why a text is no such URL. Never with the text, for there is a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// It begins with something else.
    #[error("must begin with redis://, rediss://, redis+sentinel:// or rediss+sentinel://")]
    Scheme,
    /// No sentinel is named, or one has no host or no port that could be.
    #[error("must name the sentinels as host:port,host:port after redis+sentinel://user:password@")]
    Hosts,
    /// It does not say which master.
    #[error("must name the master after the sentinels: redis+sentinel://host:port/master/database")]
    Master,
    /// The database is not a number.
    #[error("must end with the number of the database, or leave it out: redis+sentinel://host:port/master/0")]
    Database,
}

impl FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        match text.split_once("://") {
            Some(("redis" | "rediss", _)) => Ok(Self::Server(text.to_owned())),
            Some(("redis+sentinel", rest)) => SentinelUrl::parse(false, rest).map(Self::Sentinels),
            Some(("rediss+sentinel", rest)) => SentinelUrl::parse(true, rest).map(Self::Sentinels),
            _ => Err(RedisUrlError::Scheme),
        }
    }
}

impl SentinelUrl {
    fn parse(tls: bool, rest: &str) -> Result<Self, RedisUrlError> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (userinfo, hosts) = match authority.rsplit_once('@') {
            Some((userinfo, hosts)) => (Some(userinfo.to_owned()), hosts),
            None => (None, authority),
        };
        let hosts = hosts.split(',').map(with_port).collect::<Option<Vec<_>>>().ok_or(RedisUrlError::Hosts)?;
        let (master, database) = path.split_once('/').unwrap_or((path, ""));
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if master.is_empty() || !master.chars().all(fits) {
            return Err(RedisUrlError::Master);
        }
        let database = match database {
            "" => 0,
            number => number.parse().map_err(|_| RedisUrlError::Database)?,
        };
        Ok(Self { tls, userinfo, hosts, master: master.to_owned(), database })
    }

    /// The name under which the sentinels know the master.
    #[must_use]
    pub fn master(&self) -> &str {
        &self.master
    }

    /// The sentinels: `host:port` of each, and the URL by which a client logs in to it.
    pub fn sentinels(&self) -> impl Iterator<Item = (&str, String)> {
        self.hosts.iter().map(|host| (host.as_str(), self.client_url(host, None)))
    }

    /// The URL by which a client logs in to the server at `host`, an address as sentinels give it.
    #[must_use]
    pub fn server(&self, host: &str, port: u16) -> String {
        let host = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        self.client_url(&host, Some(self.database))
    }

    fn client_url(&self, host: &str, database: Option<u32>) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let userinfo = self.userinfo.as_ref().map_or_else(String::new, |userinfo| format!("{userinfo}@"));
        let database = database.map_or_else(String::new, |database| database.to_string());
        format!("{scheme}://{userinfo}{host}/{database}")
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(url) => f.write_str(url),
            Self::Sentinels(SentinelUrl { tls, userinfo, hosts, master, database }) => {
                let scheme = if *tls { "rediss+sentinel" } else { "redis+sentinel" };
                let userinfo = userinfo.as_ref().map_or_else(String::new, |userinfo| format!("{userinfo}@"));
                write!(f, "{scheme}://{userinfo}{}/{master}/{database}", hosts.join(","))
            }
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(_) => f.debug_tuple("Server").finish_non_exhaustive(),
            Self::Sentinels(url) => url.fmt(f),
        }
    }
}

impl fmt::Debug for SentinelUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentinelUrl").field("hosts", &self.hosts).field("master", &self.master).finish_non_exhaustive()
    }
}

/// `host:port`, with the port of sentinels if there is none; none if it is no such thing. An IPv6 address stands in brackets.
fn with_port(host: &str) -> Option<String> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let bracketed = name.starts_with('[') && name.ends_with(']');
    let fits = !name.is_empty() && !name.contains(['/', '?', '#', '@']) && (bracketed || !name.contains(':'));
    match port {
        _ if !fits => None,
        None => Some(format!("{name}:{SENTINEL_PORT}")),
        Some(port) => port.parse::<u16>().ok().filter(|port| *port > 0).map(|port| format!("{name}:{port}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn sentinels(text: &str) -> SentinelUrl {
        match text.parse() {
            Ok(RedisUrl::Sentinels(url)) => url,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_sentinel_and_the_server_they_name_is_logged_in_to_with_the_same_user() {
        let url = sentinels("redis+sentinel://chat:pw@r-0.r.ns.svc:26379,r-1.r.ns.svc/chatplatform/2");
        assert_eq!(url.master(), "chatplatform");
        let expected = [
            ("r-0.r.ns.svc:26379", "redis://chat:pw@r-0.r.ns.svc:26379/".to_owned()),
            ("r-1.r.ns.svc:26379", "redis://chat:pw@r-1.r.ns.svc:26379/".to_owned()),
        ];
        assert_eq!(url.sentinels().collect::<Vec<_>>(), expected);
        assert_eq!(
            url.server("r-1.r.ns.svc.cluster.local.", 6379),
            "redis://chat:pw@r-1.r.ns.svc.cluster.local.:6379/2"
        );
        assert_eq!(url.server("::1", 6379), "redis://chat:pw@[::1]:6379/2");
    }

    #[test]
    fn tls_is_for_sentinels_and_servers_alike_and_a_login_may_be_missing() {
        let url = sentinels("rediss+sentinel://[::1]:5,[::2]/main");
        let expected =
            [("[::1]:5", "rediss://[::1]:5/".to_owned()), ("[::2]:26379", "rediss://[::2]:26379/".to_owned())];
        assert_eq!(url.sentinels().collect::<Vec<_>>(), expected);
        assert_eq!(url.server("a", 1), "rediss://a:1/0");
    }

    #[test]
    fn the_url_of_one_server_is_left_to_the_client() {
        for text in ["redis://a:b@c:1/2", "rediss://c"] {
            assert_eq!(text.parse(), Ok(RedisUrl::Server(text.to_owned())));
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (text, fault) in [
            ("http://u:secret@h", RedisUrlError::Scheme),
            ("redis+sentinel://u:secret@/main", RedisUrlError::Hosts),
            ("redis+sentinel://u:secret@a:1,/main", RedisUrlError::Hosts),
            ("redis+sentinel://u:secret@a:0/main", RedisUrlError::Hosts),
            ("redis+sentinel://u:secret@::1/main", RedisUrlError::Hosts),
            ("redis+sentinel://u:secret@a:1", RedisUrlError::Master),
            ("redis+sentinel://u:secret@a:1/two words/0", RedisUrlError::Master),
            ("redis+sentinel://u:secret@a:1/main/first", RedisUrlError::Database),
        ] {
            let error = text.parse::<RedisUrl>().unwrap_err();
            assert_eq!(error, fault, "{text}");
            assert!(!error.to_string().contains("secret"));
        }
        assert!(!format!("{:?}", "redis://u:secret@h".parse::<RedisUrl>().unwrap()).contains("secret"));
        assert!(!format!("{:?}", sentinels("redis+sentinel://u:secret@h/m")).contains("secret"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(
            tls in any::<bool>(), login in prop::option::of("[a-z]{1,8}:[A-Za-z0-9_~.-]{1,20}"),
            hosts in prop::collection::vec("[a-z]{1,5}(-[0-9])?(\\.[a-z]{1,5}){0,3}:[1-9][0-9]{0,3}", 1..4),
            master in "[a-z]{1,12}", database in 0_u32..16,
        ) {
            let scheme = if tls { "rediss+sentinel" } else { "redis+sentinel" };
            let login = login.map_or_else(String::new, |login| format!("{login}@"));
            let text = format!("{scheme}://{login}{}/{master}/{database}", hosts.join(","));
            prop_assert_eq!(text.parse::<RedisUrl>().unwrap().to_string(), text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(redis\\+sentinel://)?\\PC*") {
            let _ = text.parse::<RedisUrl>();
        }
    }
}
