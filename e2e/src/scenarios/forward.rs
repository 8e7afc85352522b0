//! Ports of this machine that lead to a pod or a Service, for servers that the edge does not show.

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;
use url::Url;

use super::listener::Listener;
use super::site::Site;
use crate::cluster::Cluster;

/// `kubectl port-forward`, for as long as this lives. It ends with the pod that it leads to.
pub(crate) struct Forward {
    /// The port on this side.
    pub(crate) port: u16,
    // It ends when this does.
    _process: Listener,
}

impl Forward {
    /// From any free port of `localhost`; `target` is such as `pod/acme-mongodb-0`.
    pub(crate) fn to(site: &Site, target: &str, port: u16) -> Result<Self> {
        Self::open(&site.cluster, &site.namespace, target, &format!(":{port}"), "localhost")
    }

    /// The same into another namespace than the platform's.
    pub(crate) fn elsewhere(cluster: &Cluster, namespace: &str, target: &str, port: u16) -> Result<Self> {
        Self::open(cluster, namespace, target, &format!(":{port}"), "localhost")
    }

    /// From the same port of one of this machine's loopback addresses.
    pub(crate) fn at(site: &Site, target: &str, port: u16, address: &str) -> Result<Self> {
        Self::open(&site.cluster, &site.namespace, target, &format!("{port}:{port}"), address)
    }

    fn open(cluster: &Cluster, namespace: &str, target: &str, ports: &str, address: &str) -> Result<Self> {
        let arguments = ["port-forward", "--namespace", namespace, "--address", address, target, ports];
        let process = Listener::start(cluster, &arguments, port_of)?;
        Ok(Self { port: process.port, _process: process })
    }
}

/// `Forwarding from 127.0.0.1:40321 -> 27017`
fn port_of(line: &str) -> Option<u16> {
    let (from, _) = line.strip_prefix("Forwarding from ")?.split_once(" -> ")?;
    from.rsplit_once(':')?.1.parse().ok()
}

/// A connection string of a Secret of the platform, for use from this machine.
pub(crate) struct Login {
    uri: String,
    /// The certificate that the server's is checked against; none where it speaks without TLS.
    authority: Option<NamedTempFile>,
}

impl Login {
    /// The `MongoDB` login of a service.
    pub(crate) fn mongodb(site: &Site, service: &str) -> Result<Self> {
        let secret = format!("{}-{service}", site.platform);
        let uri = site.secret(&secret, "mongodb-uri")?;
        let authority = if uri.contains("tls=true") { Some(file_of(&site.secret(&secret, "ca.crt")?)?) } else { None };
        Ok(Self { uri, authority })
    }

    /// `MongoDB`'s own user, as whom members log in with each other; it may do anything.
    pub(crate) fn mongodb_system(site: &Site) -> Result<Self> {
        let Self { uri, authority } = Self::mongodb(site, "chat")?;
        let key = site.secret(&format!("{}-mongodb", site.platform), "keyfile")?;
        // White space in a key file counts for nothing.
        let key: String = key.split_whitespace().collect();
        Ok(Self { uri: as_another(&uri, "__system", &key, "local")?, authority })
    }

    /// The connection string for one member by way of a port of this machine.
    pub(crate) fn to_one(&self, port: u16) -> Result<String> {
        let mut url = parsed(&self.uri)?;
        url.set_host(Some("localhost"))?;
        url.set_port(Some(port)).ok().context("the URI takes no port")?;
        url.set_path("/");
        let source = url.query_pairs().find(|(name, _)| name == "authSource").map(|(_, value)| value.into_owned());
        let mut options = url.query_pairs_mut();
        options.clear().append_pair("authSource", source.as_deref().unwrap_or("admin"));
        options.append_pair("directConnection", "true");
        self.with_tls(&mut options)?;
        drop(options);
        Ok(url.into())
    }

    /// The connection string for the whole set, by the members' own names.
    pub(crate) fn to_all(&self) -> Result<String> {
        let (hosts, mut url) = (hosts_of(&self.uri)?.to_owned(), parsed(&self.uri)?);
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| name != "tlsCAFile" && name != "tls")
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let mut options = url.query_pairs_mut();
        options.clear().extend_pairs(kept);
        self.with_tls(&mut options)?;
        drop(options);
        Ok(String::from(url).replacen(STAND_IN, &hosts, 1))
    }

    fn with_tls(&self, options: &mut url::form_urlencoded::Serializer<'_, url::UrlQuery<'_>>) -> Result<()> {
        if let Some(authority) = &self.authority {
            let file = authority.path().to_str().context("the folder of temporary files has an odd name")?;
            options.append_pair("tls", "true").append_pair("tlsCAFile", file);
        }
        Ok(())
    }
}

/// Stands for a list of several hosts, which is no URL (manual, "Connection Strings").
const STAND_IN: &str = "members.invalid";

fn parsed(uri: &str) -> Result<Url> {
    Url::parse(&uri.replacen(hosts_of(uri)?, STAND_IN, 1)).context("the Secret holds no MongoDB URI")
}

fn hosts_of(uri: &str) -> Result<&str> {
    let (_, rest) = uri.split_once("://").context("the Secret holds no URI")?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    Ok(authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts))
}

/// The same servers for another user.
pub(crate) fn as_another(uri: &str, user: &str, password: &str, source: &str) -> Result<String> {
    let (hosts, mut url) = (hosts_of(uri)?.to_owned(), parsed(uri)?);
    url.set_username(user).ok().context("the URI takes no user")?;
    // `set_password` leaves characters as they are that are special to those who read such strings.
    let password: String = url::form_urlencoded::byte_serialize(password.as_bytes()).collect();
    url.set_password(Some(&password)).ok().context("the URI takes no password")?;
    url.set_path("/");
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != "authSource" && name != "tlsCAFile")
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(kept).append_pair("authSource", source);
    Ok(String::from(url).replacen(STAND_IN, &hosts, 1))
}

fn file_of(certificate: &str) -> Result<NamedTempFile> {
    let file = NamedTempFile::new()?;
    std::fs::write(file.path(), certificate)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const URI: &str = "mongodb://chat:p~w@a-0.a.default.svc:27017,a-1.a.default.svc:27017/chat?replicaSet=rs0&authSource=admin&tls=true&tlsCAFile=/etc/chatplatform/secrets/ca.crt";

    #[test]
    fn the_port_is_read_from_what_kubectl_says() {
        assert_eq!(port_of("Forwarding from 127.0.0.1:40321 -> 27017"), Some(40321));
        assert_eq!(port_of("Forwarding from [::1]:40321 -> 27017"), Some(40321));
        assert_eq!(port_of("Handling connection for 40321"), None);
    }

    #[test]
    fn a_uri_of_the_cluster_is_reached_by_a_local_port() {
        let plain = Login { uri: URI.to_owned(), authority: None };
        assert_eq!(
            plain.to_one(5000).unwrap(),
            "mongodb://chat:p~w@localhost:5000/?authSource=admin&directConnection=true"
        );
    }

    #[test]
    fn the_certificate_is_read_from_a_file_of_this_machine() {
        let login = Login { uri: URI.to_owned(), authority: Some(file_of("a certificate").unwrap()) };
        for uri in [login.to_one(5000).unwrap(), login.to_all().unwrap()] {
            assert!(uri.contains("tls=true&tlsCAFile=") && !uri.contains("chatplatform"), "{uri}");
        }
        assert!(login.to_all().unwrap().starts_with("mongodb://chat:p~w@a-0.a.default.svc:27017,a-1.a.default.svc:27017/chat?replicaSet=rs0&authSource=admin&tls=true"));
    }

    #[test]
    fn another_user_of_the_same_servers_brings_their_own_password() {
        let uri = as_another(URI, "__system", "a+b/c==", "local").unwrap();
        assert_eq!(
            uri,
            "mongodb://__system:a%2Bb%2Fc%3D%3D@a-0.a.default.svc:27017,a-1.a.default.svc:27017/?replicaSet=rs0&tls=true&authSource=local"
        );
    }
}
