//! A name server of the test's own, and pods that come and go behind its names.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
};

use axum::Router;
use runtime::{
    config::Server,
    service::{Service, ServiceError},
    shutdown::Shutdown,
};
use tokio::{net::UdpSocket, task::JoinHandle};

/// Seconds for which answers may be remembered, as `CoreDNS` says by default: the gateway must not.
const TTL: u32 = 30;
const TYPE_A: [u8; 2] = [0, 1];
/// Where the question begins in a message (RFC 1035, section 4.1.1).
const QUESTION: usize = 12;

type Table = Arc<Mutex<BTreeMap<String, Vec<Ipv4Addr>>>>;

/// Answers for names by UDP (RFC 1035).
pub(crate) struct Names {
    pub(crate) address: SocketAddr,
    table: Table,
    answering: JoinHandle<()>,
}

impl Names {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let table = Table::default();
        let known = Arc::clone(&table);
        let answering = tokio::spawn(async move {
            let mut query = [0; 512];
            loop {
                let Ok((length, client)) = socket.recv_from(&mut query).await else { return };
                let answer = answer(&query[..length], &known.lock().unwrap());
                let _ = socket.send_to(&answer, client).await;
            }
        });
        Self { address, table, answering }
    }

    /// From now on `name` leads to these.
    pub(crate) fn set(&self, name: &str, addresses: &[Ipv4Addr]) {
        self.table.lock().unwrap().insert(name.to_owned(), addresses.to_vec());
    }

    /// Answers nothing any more.
    pub(crate) fn fall_silent(&self) {
        self.answering.abort();
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.answering.abort();
    }
}

fn answer(query: &[u8], table: &BTreeMap<String, Vec<Ipv4Addr>>) -> Vec<u8> {
    let mut labels = Vec::new();
    let mut at = QUESTION;
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..end].to_vec()).unwrap().to_ascii_lowercase());
        at = end;
    }
    let end = at + 5;
    let found = table.get(&labels.join("."));
    let addresses: &[Ipv4Addr] = match found {
        Some(addresses) if query[at + 1..at + 3] == TYPE_A => addresses,
        _ => &[],
    };
    // An answer, recursion available; NXDOMAIN for who is not known.
    let code = if found.is_some() { 0 } else { 3 };
    let mut message = [&query[..2], &[0x81, 0x80 | code, 0, 1]].concat();
    message.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
    message.extend([0; 4]);
    message.extend(&query[QUESTION..end]);
    for address in addresses {
        // A pointer to the name in the question, type A, class IN.
        message.extend([0xc0, 12, 0, 1, 0, 1]);
        message.extend(TTL.to_be_bytes());
        message.extend([0, 4]);
        message.extend(address.octets());
    }
    message
}

/// A port that is free on every address of this machine's own network.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

/// An address in 127.0.0.0/8 that no other pod of these tests has: all of them are this machine.
pub(crate) fn free_address() -> Ipv4Addr {
    static LAST: AtomicU8 = AtomicU8::new(1);
    Ipv4Addr::new(127, 7, 7, LAST.fetch_add(1, Ordering::SeqCst))
}

/// A service of the platform in a process that could be a pod: it drains and stops as every one of them does.
pub(crate) struct Pod {
    pub(crate) address: Ipv4Addr,
    shutdown: Shutdown,
    serving: JoinHandle<Result<(), ServiceError>>,
}

impl Pod {
    pub(crate) async fn start(address: Ipv4Addr, port: u16, settle_seconds: u64, router: Router) -> Self {
        let server = Server {
            listen: SocketAddr::from((address, port)),
            admin_listen: "127.0.0.1:0".parse().unwrap(),
            drain_seconds: 5,
            settle_seconds,
        };
        let bound = Service::new("pod", &server).router(router).bind().await.unwrap();
        Self { address, shutdown: bound.shutdown(), serving: tokio::spawn(bound.serve()) }
    }

    /// Stops it as SIGTERM does, and waits until it is gone.
    pub(crate) async fn stop(self) {
        self.shutdown.begin();
        self.serving.await.unwrap().unwrap();
    }
}
