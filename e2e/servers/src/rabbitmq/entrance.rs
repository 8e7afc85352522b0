//! One address for several nodes, as a Service of Kubernetes is: a connection goes to a node that takes it.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use anyhow::Result;
use rand::seq::SliceRandom as _;

/// Listens on a free port of 127.0.0.1 until the process ends; answers with its address.
pub(super) fn open(nodes: Vec<String>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    thread::Builder::new().name("entrance".to_owned()).spawn(move || {
        for client in listener.incoming().flatten() {
            let mut nodes = nodes.clone();
            nodes.shuffle(&mut rand::rng());
            // Where none takes it, the client sees its connection closed.
            if let Some(node) = nodes.iter().find_map(|node| TcpStream::connect(node).ok()) {
                thread::spawn(move || forward(&client, &node));
            }
        }
    })?;
    Ok(address)
}

/// Carries bytes both ways until either side ends.
fn forward(client: &TcpStream, node: &TcpStream) {
    thread::scope(|threads| {
        threads.spawn(|| carry(client, node));
        carry(node, client);
    });
}

fn carry(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
