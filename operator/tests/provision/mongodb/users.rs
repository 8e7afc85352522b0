use backup::snapshot::Snapshot;
use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use operator::provision::mongodb::provision;
use operator::secrets::Login;

use super::cluster::{Cluster, SERVICES, random};

const UNAUTHORIZED: i32 = 13;

fn is_unauthorized(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(error) if error.code == UNAUTHORIZED)
}

async fn enters(cluster: &Cluster, login: &Login) -> bool {
    match cluster.client(login).database("admin").run_command(doc! {"ping": 1}).await {
        Ok(_) => true,
        Err(error) if matches!(*error.kind, ErrorKind::Authentication { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_writes_and_reads_its_own_database_and_no_other() {
    let cluster = Cluster::start(1);
    cluster.provision().await;
    for user in SERVICES {
        cluster.write(user, 1).await.unwrap();
        assert_eq!(cluster.written(user).await, [1]);
    }
    for user in SERVICES {
        let client = cluster.client(cluster.login(user));
        for other in SERVICES.into_iter().filter(|other| *other != user).chain(["admin", "local", "config"]) {
            let things = client.database(other).collection::<Document>("things");
            let write = things.insert_one(doc! {"a": 1}).await.unwrap_err();
            assert!(is_unauthorized(&write), "{user} writes to {other}: {write}");
            let read = things.find_one(doc! {}).await.unwrap_err();
            assert!(is_unauthorized(&read), "{user} reads {other}: {read}");
            let drop = client.database(other).drop().await.unwrap_err();
            assert!(is_unauthorized(&drop), "{user} drops {other}: {drop}");
        }
        let create = doc! {"createUser": "mallory", "pwd": "p", "roles": ["root"]};
        let error = client.database(user).run_command(create).await.unwrap_err();
        assert!(is_unauthorized(&error), "{user} makes users: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_that_were_changed_by_hand_or_in_the_secrets_are_corrected() {
    let mut cluster = Cluster::start(1);
    cluster.provision().await;
    cluster.command(0, doc! {"revokeRolesFromUser": "chat", "roles": [{"role": "dbAdmin", "db": "chat"}]}).await;
    cluster.command(0, doc! {"dropUser": "media"}).await;
    let old = cluster.login("auth").clone();
    let auth = cluster.target.users.iter_mut().find(|login| login.user == "auth").unwrap();
    auth.password = random().into();

    let state = provision(&cluster.target).await.unwrap();
    assert_eq!(state.changes, ["corrected user auth", "corrected user chat", "created user media"]);
    assert!(!enters(&cluster, &old).await);
    for login in &cluster.target.users {
        assert!(enters(&cluster, login).await, "{}", login.user);
    }
    assert_eq!(provision(&cluster.target).await.unwrap().changes, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_user_of_each_service_has_the_database_of_the_first_and_takes_its_place() {
    let mut cluster = Cluster::start(1);
    cluster.provision().await;
    let old = cluster.target.users.clone();
    let new = SERVICES.map(|user| Login { user: format!("{user}-2"), password: random().into() });
    cluster.target.users.extend(new.clone());
    let state = provision(&cluster.target).await.unwrap();
    assert!(state.users_agree);
    assert_eq!(state.changes, SERVICES.map(|user| format!("created user {user}-2")));
    for login in old.iter().chain(&new) {
        let client = cluster.client(login);
        let things = client.database(login.service()).collection::<Document>("things");
        things.insert_one(doc! {"by": &login.user}).await.unwrap();
    }
    let foreign = cluster.client(&new[0]).database("chat").collection::<Document>("things");
    assert!(is_unauthorized(&foreign.insert_one(doc! {"a": 1}).await.unwrap_err()));

    cluster.target.users = new.to_vec();
    cluster.target.refused = old.clone();
    let state = provision(&cluster.target).await.unwrap();
    assert!(state.users_agree);
    assert_eq!(state.changes, SERVICES.map(|user| format!("removed user {user}")));
    for (old, new) in old.iter().zip(&new) {
        assert!(!enters(&cluster, old).await, "{}", old.user);
        assert!(enters(&cluster, new).await, "{}", new.user);
        let things = cluster.client(new).database(new.service()).collection::<Document>("things");
        assert_eq!(things.count_documents(doc! {}).await.unwrap(), 2);
    }
    assert_eq!(provision(&cluster.target).await.unwrap().changes, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_of_backups_reads_all_databases_of_one_moment_and_writes_none() {
    let mut cluster = Cluster::start(3);
    cluster.target.users.push(Login { user: "backup".to_owned(), password: random().into() });
    let made = cluster.provision().await.changes;
    assert!(
        made.contains(&"made role snapshotWindow".to_owned()) && made.contains(&"created user backup".to_owned()),
        "{made:?}"
    );
    for user in SERVICES {
        cluster.write_to_members(user, 1, 3).await;
    }
    let login = cluster.login("backup").clone();
    let mut snapshot = Snapshot::open(&cluster.uri(&login)).await.unwrap();
    let collections = snapshot.begin(&SERVICES).await.unwrap();
    for user in SERVICES {
        cluster.write(user, 2).await.unwrap();
    }
    assert_eq!(collections.iter().map(|one| one.database.as_str()).collect::<Vec<_>>(), SERVICES);
    for collection in &collections {
        let found: Vec<_> = snapshot.documents(collection).await.unwrap().try_collect().await.unwrap();
        assert_eq!(found.len(), 1, "{} is of another moment", collection.database);
    }
    let primary = cluster.primary().await;
    let asked = doc! {"getParameter": 1, "minSnapshotHistoryWindowInSeconds": 1};
    let windows = async || {
        let mut windows = Vec::new();
        for member in 0..3 {
            let answer = cluster.command(member, asked.clone()).await;
            windows.push(answer.get_i32("minSnapshotHistoryWindowInSeconds").unwrap());
        }
        windows
    };
    let meanwhile = windows().await;
    assert_eq!(meanwhile.iter().filter(|window| **window > 300).count(), 1, "{meanwhile:?}");
    assert_eq!(meanwhile[primary], 300, "the primary has the work though others are there");
    snapshot.close().await;
    assert_eq!(windows().await, [300; 3]);

    let client = cluster.client(&login);
    for database in SERVICES {
        let error = client.database(database).collection("things").insert_one(doc! {"a": 1}).await.unwrap_err();
        assert!(is_unauthorized(&error), "it writes to {database}: {error}");
    }
    let error = client.database("admin").collection::<Document>("system.users").find_one(doc! {}).await.unwrap_err();
    assert!(is_unauthorized(&error), "it reads users: {error}");

    cluster.target.users.retain(|login| login.user != "backup");
    assert_eq!(provision(&cluster.target).await.unwrap().changes, ["removed user backup"]);
    assert!(!enters(&cluster, &login).await);
}
