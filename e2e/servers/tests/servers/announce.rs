use std::env;
use std::process::Command;

use servers::{MongoDb, ObjectStorage, RabbitMq, Redis, Smtp};

const GUEST: &str = "CHATPLATFORM_TEST_GUEST";

/// Not a test by itself: what `another_process_finds_the_announced_servers` runs.
#[test]
#[ignore = "is run by another test"]
fn print_the_shared_servers() {
    if env::var_os(GUEST).is_some() {
        // These talk to the servers: none would be made by one that is not there.
        let _ = (Redis::shared().database(), ObjectStorage::shared().bucket(), RabbitMq::shared().virtual_host());
        eprintln!("servers: {}", addresses().join(" "));
    }
}

#[test]
fn another_process_finds_the_announced_servers() {
    let variables = servers::announce().unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "announce::print_the_shared_servers", "--ignored", "--nocapture"])
        .env(GUEST, "1")
        .envs(variables)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.contains(&format!("servers: {}", addresses().join(" "))), "{output}");
}

fn addresses() -> [String; 6] {
    [
        MongoDb::shared().uri(),
        Redis::shared().url(),
        RabbitMq::shared().uri_of("/"),
        RabbitMq::shared().management_url(),
        ObjectStorage::shared().endpoint(),
        Smtp::shared().messages_url(),
    ]
}
