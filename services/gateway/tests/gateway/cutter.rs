//! A TCP proxy that cuts connections in the middle.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nowhere.
    Nowhere,
    /// As soon as it is there.
    AtOnce,
    /// After as many bytes to the service, once there are more.
    Request(usize),
    /// After as many bytes from the service, once there are more.
    Answer(usize),
    /// Not cut: after as many bytes from the service, none comes any more.
    Silence(usize),
}

/// Stands before a service.
pub(crate) struct Cutter {
    pub(crate) address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
    connections: Arc<AtomicUsize>,
}

struct Plan {
    cut: Cut,
    /// How many connections it is for; those after them are left alone.
    times: usize,
}

impl Cutter {
    pub(crate) async fn before(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Arc::new(Mutex::new(Plan { cut: Cut::Nowhere, times: 0 }));
        let connections = Arc::new(AtomicUsize::new(0));
        let (planned, count) = (Arc::clone(&plan), Arc::clone(&connections));
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let cut = {
                    let mut plan = planned.lock().unwrap();
                    let is_meant = plan.times > 0;
                    plan.times = plan.times.saturating_sub(1);
                    if is_meant { plan.cut } else { Cut::Nowhere }
                };
                tokio::spawn(carry(client, service, cut));
            }
        });
        Self { address, plan, connections }
    }

    /// Cuts the next connections, as many as `times`.
    pub(crate) fn plan(&self, cut: Cut, times: usize) {
        *self.plan.lock().unwrap() = Plan { cut, times };
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn carry(mut client: TcpStream, service: SocketAddr, cut: Cut) {
    if cut == Cut::AtOnce {
        return;
    }
    let Ok(mut service) = TcpStream::connect(service).await else { return };
    let (mut from_client, mut to_client) = client.split();
    let (mut from_service, mut to_service) = service.split();
    let there = async {
        if let Cut::Request(bytes) = cut {
            let mut some = (&mut from_client).take(bytes as u64);
            let _ = tokio::io::copy(&mut some, &mut to_service).await;
            let _ = from_client.readable().await;
        } else {
            let _ = tokio::io::copy(&mut from_client, &mut to_service).await;
            let _ = to_service.shutdown().await;
            std::future::pending::<()>().await;
        }
    };
    let back = async {
        match cut {
            Cut::Answer(bytes) => {
                let mut some = (&mut from_service).take(bytes as u64);
                let _ = tokio::io::copy(&mut some, &mut to_client).await;
                let _ = from_service.readable().await;
            }
            Cut::Silence(bytes) => {
                let mut some = (&mut from_service).take(bytes as u64);
                let _ = tokio::io::copy(&mut some, &mut to_client).await;
                std::future::pending::<()>().await;
            }
            _ => {
                let _ = tokio::io::copy(&mut from_service, &mut to_client).await;
            }
        }
    };
    // Both halves end here, and with them the connections.
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}
