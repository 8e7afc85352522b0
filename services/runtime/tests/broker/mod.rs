//! A virtual host of one's own on a real broker, and events to send through it.

use std::{io::Write, time::Duration};

use contract::{
    event::{Envelope, SessionRevoked},
    id::{SessionId, UserId},
};
use runtime::{clock::Clock, messaging::Connector};
use tempfile::NamedTempFile;

pub(crate) const SOON: Duration = Duration::from_secs(90);

pub(crate) struct Broker {
    pub(crate) connector: Connector,
    _file: NamedTempFile,
}

impl Broker {
    pub(crate) async fn shared() -> Self {
        let uri = tokio::task::spawn_blocking(|| servers::RabbitMq::shared().virtual_host()).await.unwrap();
        Self::at(&uri)
    }

    pub(crate) fn at(uri: &str) -> Self {
        let mut file = NamedTempFile::new().unwrap();
        writeln!(file, "{uri}").unwrap();
        Self { connector: Connector::new(file.path(), "test"), _file: file }
    }
}

pub(crate) fn event() -> Envelope {
    let event = SessionRevoked { user_id: UserId::generate(), session_id: SessionId::generate(), reason: None };
    Envelope::new("test", event.into(), None, Clock::system().now(), &mut rand::rng())
}

pub(crate) async fn until(what: &str, holds: impl AsyncFnMut() -> bool) {
    assert!(comes(holds).await, "waited in vain until {what}");
}

/// Whether something comes to hold in time.
pub(crate) async fn comes(mut holds: impl AsyncFnMut() -> bool) -> bool {
    let deadline = tokio::time::Instant::now() + SOON;
    while !holds().await {
        if tokio::time::Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    true
}
