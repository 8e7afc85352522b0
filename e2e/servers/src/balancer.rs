//! What a Service of Kubernetes is to its clients: one address, and behind it, for each connection, one of several pods.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use crate::program::Program;

/// Leads each new connection to the next of its programs. Those that are open stay where they are, as with kube-proxy, whatever
/// becomes of the list. Dropping it takes no new ones any more.
pub struct Balancer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    endpoints: Mutex<Vec<SocketAddr>>,
    next: AtomicUsize,
    over: AtomicBool,
}

impl Balancer {
    /// Leads to nobody yet: connections are closed at once.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for a balancer")?;
        let balancer = Self { address: listener.local_addr()?, shared: Arc::default() };
        let shared = Arc::clone(&balancer.shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.over.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.lead(&client));
            }
        });
        Ok(balancer)
    }

    /// Where clients connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Leads new connections to these programs alone.
    pub fn lead_to(&self, programs: &[&Program]) -> Result<()> {
        let endpoints = programs.iter().map(|program| program.address()).collect::<Result<_>>()?;
        *self.shared.endpoints.lock().unwrap_or_else(PoisonError::into_inner) = endpoints;
        Ok(())
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        // Its thread waits for somebody. It fails only when that one has ended already.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    /// Bytes to and fro until both sides have ended. A side that breaks off breaks off the other.
    fn lead(&self, client: &TcpStream) {
        let endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(endpoint) = endpoints.get(turn % endpoints.len().max(1)) else { return };
        let Ok(server) = TcpStream::connect(endpoint) else { return };
        thread::scope(|scope| {
            scope.spawn(|| pour(client, &server));
            pour(&server, client);
        });
    }
}

fn pour(from: &TcpStream, to: &TcpStream) {
    let _ = to.set_nodelay(true);
    let ended = io::copy(&mut &*from, &mut &*to);
    // Fails where the other side has gone already.
    let _ = to.shutdown(if ended.is_ok() { Shutdown::Write } else { Shutdown::Both });
}
