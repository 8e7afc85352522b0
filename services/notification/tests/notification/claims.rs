//! Due e-mails among several workers.

use std::{collections::BTreeSet, time::Duration};

use contract::id::UserId;
use futures::future::join_all;
use jiff::Timestamp;
use mongodb::Client;
use notification::store::{
    Notifications,
    notifications::{Told, Way},
};
use servers::MongoDb;

use crate::events::message;

const LEASE: Duration = Duration::from_mins(1);

async fn notifications(users: usize, now: Timestamp) -> (Notifications, mongodb::Database) {
    let client = Client::with_uri_str(MongoDb::shared().uri()).await.unwrap();
    let database = client.database(&format!("notification-{:x}", rand::random::<u64>()));
    let notifications = Notifications::new(&database.clone().into());
    notifications.prepare().await.unwrap();
    let users: BTreeSet<_> = (0..users).map(|_| UserId::generate()).collect();
    let sender = UserId::generate();
    let members: Vec<_> = users.iter().copied().collect();
    notifications
        .store(&message(sender, &members, &[]), &users, &Told { by_email: true, ..Told::default() }, now)
        .await
        .unwrap();
    (notifications, database)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_workers_claim_each_e_mail_once() {
    let now = Timestamp::now();
    let (notifications, database) = notifications(50, now).await;
    let worker = async || {
        let mut claimed = Vec::new();
        while let Some(due) = notifications.claim(Way::Email, now, LEASE).await.unwrap() {
            claimed.push(due.notification.id);
        }
        claimed
    };
    let claimed: Vec<_> = join_all((0..8).map(|_| worker())).await.concat();
    assert_eq!(claimed.len(), 50);
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), 50);
    database.drop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_worker_had_claimed_is_claimed_again_when_its_lease_is_over() {
    let now = Timestamp::now();
    let (notifications, database) = notifications(1, now).await;
    let first = notifications.claim(Way::Email, now, LEASE).await.unwrap().unwrap();
    assert_eq!(first.attempts, 1);
    assert!(notifications.claim(Way::Email, now + Duration::from_secs(59), LEASE).await.unwrap().is_none());

    let second = notifications.claim(Way::Email, now + Duration::from_mins(1), LEASE).await.unwrap().unwrap();

    assert_eq!((second.notification.id, second.attempts), (first.notification.id, 2));
    notifications.settled(Way::Email, first.notification.id, now, None).await.unwrap();
    assert!(notifications.claim(Way::Email, now + 2 * LEASE, LEASE).await.unwrap().is_none());
    assert_eq!(notifications.next_due(Way::Email).await.unwrap(), None);
    database.drop().await.unwrap();
}
