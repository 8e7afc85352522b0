//! `RabbitMQ` 3.10 with its management plugin.

mod cluster;
mod entrance;
mod install;
mod management;

use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result};

use crate::instance::Instance;
use crate::ports::Port;
use crate::{names, shared};
pub use cluster::{QueueNodes, RabbitMqCluster};
use management::Management;

pub(crate) const URI: &str = "CHATPLATFORM_TEST_RABBITMQ_URI";
pub(crate) const MANAGEMENT_URL: &str = "CHATPLATFORM_TEST_RABBITMQ_MANAGEMENT_URL";
const USER: &str = "admin";
const PASSWORD: &str = "admin";

/// A `RabbitMQ` broker of one node. What is durable survives a restart.
pub struct RabbitMq {
    address: String,
    tls_address: Option<String>,
    management: Management,
    broker: Option<Instance>,
    _mapper: Option<Instance>,
    _ports: Vec<Port>,
}

impl RabbitMq {
    /// The broker that all tests share. Use a [`RabbitMq::virtual_host`] of one's own.
    ///
    /// # Panics
    /// When the broker does not start.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<RabbitMq> = OnceLock::new();
        shared::get_or_start(&SERVER, || match (shared::announced(URI), shared::announced(MANAGEMENT_URL)) {
            (Some(uri), Some(management)) => Self::announced(&uri, management),
            _ => Self::start(),
        })
    }

    /// A broker of one's own.
    pub fn start() -> Result<Self> {
        Self::start_with(None)
    }

    /// A broker of one's own that takes encrypted connections too, with a certificate and its key, both PEM.
    pub fn start_with_certificate(certificate: &str, key: &str) -> Result<Self> {
        Self::start_with(Some((certificate, key)))
    }

    fn start_with(certificate: Option<(&str, &str)>) -> Result<Self> {
        let system = install::rabbitmq()?;
        let [amqp, amqps, management, mapper, distribution] =
            [Port::reserve()?, Port::reserve()?, Port::reserve()?, Port::reserve()?, Port::reserve()?];
        let epmd = start_mapper(&system, &mapper)?;
        let api = Management::new(format!("http://{}", management.address()));
        let launch = install::server(&system, &mapper, &distribution);
        let tls_address = certificate.is_some().then(|| amqps.address());
        let listeners = [amqp.address()].into_iter().chain(tls_address.clone()).collect();
        let mut broker = Instance::new("rabbitmq-server", launch, ready(&api, listeners))?;
        configure(broker.folder(), &amqp, &management, "")?;
        if let Some((certificate, key)) = certificate {
            encrypt(broker.folder(), &amqps, certificate, key)?;
        }
        broker.start()?;
        Ok(Self {
            address: amqp.address(),
            tls_address,
            management: api,
            broker: Some(broker),
            _mapper: Some(epmd),
            _ports: vec![amqp, amqps, management, mapper, distribution],
        })
    }

    /// AMQP URI of a new virtual host in which the administrator may do everything.
    ///
    /// # Panics
    /// When the broker refuses to make one.
    #[must_use]
    pub fn virtual_host(&self) -> String {
        let name = names::fresh("test");
        match self.management.create_virtual_host(&name, USER) {
            Ok(()) => self.uri_of(&name),
            Err(error) => panic!("RabbitMQ made no virtual host: {error:#}"),
        }
    }

    /// AMQP URI of an existing virtual host, as a new user who may do everything there. Neither name nor password may hold characters that a
    /// URI must escape.
    pub fn add_user(&self, user: &str, password: &str, virtual_host: &str) -> Result<String> {
        self.management.add_user(user, password, virtual_host)?;
        Ok(format!("amqp://{user}:{password}@{}/{virtual_host}", self.address))
    }

    /// Removes a user, who is disconnected by that.
    pub fn remove_user(&self, user: &str) -> Result<()> {
        self.management.remove_user(user)
    }

    /// AMQP URI of an existing virtual host, as the administrator.
    #[must_use]
    pub fn uri_of(&self, virtual_host: &str) -> String {
        uri(&self.address, virtual_host)
    }

    /// `host:port` of AMQP.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// `host:port` of encrypted AMQP, where there is a certificate for it.
    #[must_use]
    pub fn tls_address(&self) -> Option<&str> {
        self.tls_address.as_deref()
    }

    /// Base URL of the management API (`/api/...`), without credentials.
    #[must_use]
    pub fn management_url(&self) -> String {
        self.management.url().to_owned()
    }

    /// Name of the administrator.
    #[must_use]
    pub fn user(&self) -> &'static str {
        USER
    }

    /// Password of the administrator.
    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Ends the broker in order (SIGTERM), and waits until it has ended.
    pub fn stop(&mut self) -> Result<()> {
        self.broker.as_mut().map_or(Ok(()), Instance::stop)
    }

    /// Ends the broker as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(broker) = &mut self.broker {
            broker.kill();
        }
    }

    /// Starts the broker again on the same ports and data.
    pub fn restart(&mut self) -> Result<()> {
        self.broker.as_mut().map_or(Ok(()), Instance::restart)
    }

    fn announced(uri: &str, management: String) -> Result<Self> {
        let (_, rest) = uri.split_once('@').with_context(|| format!("{URI} has no credentials"))?;
        let (address, _) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self {
            address: address.to_owned(),
            tls_address: None,
            management: Management::new(management),
            broker: None,
            _mapper: None,
            _ports: Vec::new(),
        })
    }
}

fn uri(address: &str, virtual_host: &str) -> String {
    format!("amqp://{USER}:{PASSWORD}@{address}/{}", virtual_host.replace('/', "%2f"))
}

/// The port mapper of Erlang normally stays behind as a daemon that all nodes of a machine share.
fn start_mapper(system: &Path, port: &Port) -> Result<Instance> {
    let address = port.address();
    let ready = move || TcpStream::connect(&address).map(drop).map_err(Into::into);
    let mut mapper = Instance::new("epmd", install::epmd(system, port), ready)?;
    mapper.start()?;
    Ok(mapper)
}

/// Whether a node takes connections at all its listeners and answers for the broker.
fn ready(api: &Management, listeners: Vec<String>) -> impl Fn() -> Result<()> + Send + Sync + 'static + use<> {
    let api = api.clone();
    move || {
        api.get("/api/overview")?;
        listeners.iter().try_for_each(|address| TcpStream::connect(address).map(drop).map_err(Into::into))
    }
}

fn configure(folder: &Path, amqp: &Port, management: &Port, more: &str) -> Result<()> {
    let settings = format!(
        "listeners.tcp.1 = {}\n\
         management.tcp.ip = 127.0.0.1\n\
         management.tcp.port = {}\n\
         default_user = {USER}\n\
         default_pass = {PASSWORD}\n\
         loopback_users = none\n\
         disk_free_limit.absolute = 50MB\n\
         log.console = true\n\
         {more}",
        amqp.address(),
        management.number(),
    );
    fs::write(folder.join("rabbitmq.conf"), settings)?;
    fs::write(folder.join("enabled_plugins"), "[rabbitmq_management].\n")?;
    Ok(())
}

fn encrypt(folder: &Path, amqps: &Port, certificate: &str, key: &str) -> Result<()> {
    let [certificate_file, key_file] = ["tls.crt", "tls.key"].map(|name| folder.join(name));
    fs::write(&certificate_file, certificate)?;
    fs::write(&key_file, key)?;
    let mut settings = fs::read_to_string(folder.join("rabbitmq.conf"))?;
    write!(
        settings,
        "\nlisteners.ssl.1 = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\nssl_options.verify = verify_none\n",
        amqps.address(),
        certificate_file.display(),
        key_file.display(),
    )?;
    Ok(fs::write(folder.join("rabbitmq.conf"), settings)?)
}

type Launch = Box<dyn Fn(&Path) -> Command + Send + Sync>;
