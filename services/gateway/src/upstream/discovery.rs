//! Which addresses a service has now, asked of the name server over and over: a headless Service of Kubernetes names the
//! addresses of the pods that are ready.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
};

use super::Base;

/// How long a name server may take. What was known before serves meanwhile.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Asks name servers. Clones share its sockets.
#[derive(Clone)]
pub struct Names(TokioResolver);

impl Names {
    /// Asks these, or those of `/etc/resolv.conf` if there are none.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, NetError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = if servers.is_empty() {
            TokioResolver::builder(provider)?
        } else {
            let servers = servers.iter().map(|server| name_server(*server)).collect();
            TokioResolver::builder_with_config(ResolverConfig::from_name_servers(servers), provider)
        };
        let options = builder.options_mut();
        options.timeout = ANSWER_WITHIN;
        // A pod of a cluster of both families has an address of each, and is one pod all the same.
        options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
        // Whoever asks us asks for what is so now.
        options.cache_size = 0;
        options.positive_max_ttl = Some(Duration::ZERO);
        options.negative_max_ttl = Some(Duration::ZERO);
        Ok(Self(builder.build()?))
    }

    /// The addresses of a service, in order. None if its name leads nowhere: no pod is ready, or there is no such Service yet.
    pub async fn addresses(&self, base: &Base) -> Result<Vec<SocketAddr>, NetError> {
        let at_port = |address: IpAddr| SocketAddr::new(address, base.port());
        if let Ok(address) = base.host().parse::<IpAddr>() {
            return Ok(vec![at_port(address)]);
        }
        match self.0.lookup_ip(base.host()).await {
            Ok(found) => {
                let mut addresses: Vec<_> = found.iter().map(at_port).collect();
                addresses.sort_unstable();
                addresses.dedup();
                Ok(addresses)
            }
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(server.ip());
    for connection in &mut config.connections {
        connection.port = server.port();
    }
    config
}
