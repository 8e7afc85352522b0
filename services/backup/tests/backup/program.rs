//! The program itself, as a container runs it.

use std::fs;
use std::process::{Command, Output};

use servers::MongoDb;

use crate::world::{PREFIX, World, bulk, content, file};

fn program(world: &World, command: &str, more: &[(&str, String)]) -> Output {
    let storage = &world.settings.object_storage;
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let settings = [
        ("MONGODB__URI_FILE", path(&world.settings.mongodb.uri_file)),
        ("OBJECT_STORAGE__ENDPOINT", storage.endpoint.clone()),
        ("OBJECT_STORAGE__BUCKET", storage.bucket.clone()),
        ("OBJECT_STORAGE__PATH_STYLE", "true".to_owned()),
        ("OBJECT_STORAGE__ACCESS_KEY_ID_FILE", path(&storage.access_key_id_file)),
        ("OBJECT_STORAGE__SECRET_ACCESS_KEY_FILE", path(&storage.secret_access_key_file)),
        ("BACKUP__PREFIX", PREFIX.to_owned()),
        ("BACKUP__PLATFORM", PREFIX.to_owned()),
        ("BACKUP__REPORT_FILE", path(&world.folder().join("report"))),
    ];
    let settings = settings.into_iter().chain(more.iter().cloned());
    let settings = settings.map(|(name, value)| (format!("CHATPLATFORM_{name}"), value));
    Command::new(env!("CARGO_BIN_EXE_backup")).arg(command).env_clear().envs(settings).output().unwrap()
}

fn report(world: &World) -> String {
    fs::read_to_string(world.folder().join("report")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_backs_up_checks_and_restores_and_reports_each() {
    let (world, new) = (World::new(), MongoDb::start().unwrap());
    world.database("chat").await.collection("messages").insert_many(bulk(500)).await.unwrap();
    let run = program(&world, "run", &[]);
    assert!(run.status.success(), "{run:?}");
    let told: serde_json::Value = serde_json::from_str(&report(&world)).unwrap();
    assert_eq!(told["documents"], 500);
    let name = told["backup"].as_str().unwrap().to_owned();

    let check = program(&world, "restore", &[("RESTORE__CHECK_ONLY", "true".to_owned())]);
    assert!(check.status.success(), "{check:?}");

    for database in backup::DATABASES {
        file(world.folder(), database, &new.uri());
    }
    let folder = ("RESTORE__URI_FOLDER", world.folder().to_str().unwrap().to_owned());
    let restore = program(&world, "restore", &[folder.clone(), ("RESTORE__FROM", name)]);
    assert!(restore.status.success(), "{restore:?}");
    assert_eq!(content(&new).await, content(&world.source).await);

    let again = program(&world, "restore", &[folder]);
    assert!(!again.status.success());
    assert!(report(&world).contains("is not empty"), "{}", report(&world));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_missing_are_told_all_at_once() {
    let world = World::new();
    let none = Command::new(env!("CARGO_BIN_EXE_backup")).arg("run").env_clear().output().unwrap();
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    for setting in ["mongodb.uri_file", "object_storage.endpoint", "object_storage.bucket", "backup.prefix"] {
        assert!(said.contains(setting), "{setting} is not in {said}");
    }
    let unknown = program(&world, "undo", &[]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("`run` or `restore`"), "{unknown:?}");
}
