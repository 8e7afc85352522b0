//! What events of accounts mean for files.

use contract::event::{UserDeleted, UserUpdated};
use contract::id::{MediaId, UserId};
use contract::media::Media;
use jiff::{SignedDuration, Timestamp};
use mongodb::bson::{DateTime, doc};
use reqwest::{Method, StatusCode};
use servers::ObjectStorage;

use crate::service::{Service, User, noise, until};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

fn updated(user: UserId, avatar_id: Option<MediaId>) -> UserUpdated {
    UserUpdated { user_id: user, username: "ada".to_owned(), display_name: "Ada".to_owned(), avatar_id }
}

async fn status(who: &User<'_>, file: &Media) -> StatusCode {
    who.get(&format!("/media/{}/content", file.id)).await.status()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_of_an_account_is_seen_by_every_user_for_as_long_as_it_is_that() {
    let service = Service::start().await;
    let (ada, bob) = (service.user(), service.user());
    let (old, new) = (ada.stored("old.png", PNG).await, ada.stored("new.png", PNG).await);
    assert_eq!(status(&bob, &old).await, StatusCode::NOT_FOUND);

    let now = Timestamp::now();
    service.publish(updated(ada.id, Some(old.id)), now).await;
    until("Bob sees the picture", async || status(&bob, &old).await == StatusCode::OK).await;
    let picture = bob.get(&format!("/media/{}/content", old.id)).await;
    assert_eq!(picture.headers()["content-type"], "image/png");
    assert_eq!(picture.headers()["x-content-type-options"], "nosniff");
    assert_eq!(picture.bytes().await.unwrap(), PNG);
    assert_eq!(bob.get(&format!("/media/{}", old.id)).await.status(), StatusCode::NOT_FOUND, "not what is known of it");
    let deleted = bob.request(Method::DELETE, &format!("/media/{}", old.id)).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NOT_FOUND);

    service.publish(updated(ada.id, Some(new.id)), now + SignedDuration::from_secs(2)).await;
    until("Bob sees the new one", async || status(&bob, &new).await == StatusCode::OK).await;
    assert_eq!(status(&bob, &old).await, StatusCode::NOT_FOUND);

    // What is older and comes later changes nothing: the one after it has been dealt with.
    service.publish(updated(ada.id, Some(old.id)), now + SignedDuration::from_secs(1)).await;
    service.publish(updated(bob.id, Some(MediaId::generate())), now).await;
    let known = service.database.collection::<mongodb::bson::Document>("avatars");
    until("both are known", async || known.count_documents(doc! {}).await.unwrap() == 2).await;
    assert_eq!((status(&bob, &new).await, status(&bob, &old).await), (StatusCode::OK, StatusCode::NOT_FOUND));

    service.publish(updated(ada.id, None), now + SignedDuration::from_secs(3)).await;
    until("there is no picture", async || status(&bob, &new).await == StatusCode::NOT_FOUND).await;
    assert_eq!(status(&ada, &new).await, StatusCode::OK, "it is still hers");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_a_picture_of_what_is_somebody_elses_or_no_image() {
    let service = Service::start().await;
    let (ada, eve) = (service.user(), service.user());
    let (hers, text) = (ada.stored("private.png", PNG).await, eve.stored("x.txt", b"text").await);
    let now = Timestamp::now();
    service.publish(updated(eve.id, Some(hers.id)), now).await;
    service.publish(updated(ada.id, Some(text.id)), now).await;
    let known = service.database.collection::<mongodb::bson::Document>("avatars");
    until("both are known", async || known.count_documents(doc! {}).await.unwrap() == 2).await;
    assert_eq!((status(&eve, &hers).await, status(&ada, &text).await), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    service.publish(updated(eve.id, Some(text.id)), now + SignedDuration::from_secs(1)).await;
    let of_text = doc! {"_id": eve.id.to_string(), "mediaId": text.id.to_string()};
    until("it is known", async || known.count_documents(of_text.clone()).await.unwrap() == 1).await;
    assert_eq!(status(&ada, &text).await, StatusCode::NOT_FOUND);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_gone_takes_its_files_along_and_nobody_elses() {
    let mut store = ObjectStorage::start().unwrap();
    let service = Service::start_with(&store, &[]).await;
    let (ada, bob) = (service.user(), service.user());
    for number in 0..3 {
        ada.stored(&format!("{number}.bin"), &noise(number, 1000)).await;
    }
    let picture = ada.stored("me.png", PNG).await;
    let bobs = bob.stored("x.txt", b"bob's").await;
    service.publish(updated(ada.id, Some(picture.id)), Timestamp::now()).await;
    until("Bob sees the picture", async || status(&bob, &picture).await == StatusCode::OK).await;

    // The first try fails, and is made again.
    store.stop().unwrap();
    service.publish(UserDeleted { user_id: ada.id }, Timestamp::now()).await;
    until("a file is about to go", async || service.count("deleting").await > 0).await;
    store.restart().unwrap();
    until("all of them are gone", async || service.objects().await.len() == 1).await;
    let left = async || service.records().count_documents(doc! {"ownerId": ada.id.to_string()}).await.unwrap();
    until("nothing is known of them", async || left().await == 0).await;
    service.publish(UserDeleted { user_id: ada.id }, Timestamp::now()).await;
    service.publish(updated(bob.id, Some(bobs.id)), Timestamp::now()).await;
    let known = service.database.collection::<mongodb::bson::Document>("avatars");
    until("the later event is dealt with", async || known.count_documents(doc! {}).await.unwrap() == 1).await;
    assert_eq!(status(&bob, &bobs).await, StatusCode::OK);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_left_that_died_is_removed_after_a_day() {
    let service = Service::start_with(ObjectStorage::shared(), &[("ORPHANS__LOOK_EVERY_SECONDS", "1")]).await;
    let ada = service.user();
    let [kept, pending, deleting, young] = [
        ada.stored("a.txt", b"a").await,
        ada.stored("b.txt", b"b").await,
        ada.stored("c.txt", b"c").await,
        ada.stored("d.txt", b"d").await,
    ];
    let key = service.records().find_one(doc! {"_id": pending.id.to_string()}).await.unwrap().unwrap();
    let key = key.get_str("key").unwrap().to_owned();
    service.store.create_multipart_upload().bucket(&service.bucket).key(key).send().await.unwrap();
    assert_eq!(service.multipart_uploads().await, 1);

    let yesterday = DateTime::from_millis(DateTime::now().timestamp_millis() - 86_401_000);
    for (file, change) in [
        (&kept, doc! {"createdAt": yesterday}),
        (&young, doc! {"state": "pending"}),
        (&deleting, doc! {"createdAt": yesterday, "state": "deleting"}),
        (&pending, doc! {"createdAt": yesterday, "state": "pending"}),
    ] {
        service.records().update_one(doc! {"_id": file.id.to_string()}, doc! {"$set": change}).await.unwrap();
    }

    until("two are gone", async || service.records().count_documents(doc! {}).await.unwrap() == 2).await;
    assert_eq!(service.objects().await.len(), 2);
    assert_eq!(service.multipart_uploads().await, 0);
    assert_eq!(ada.get(&format!("/media/{}/content", kept.id)).await.text().await.unwrap(), "a");
    service.stop().await;
}
