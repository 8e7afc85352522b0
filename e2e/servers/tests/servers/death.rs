use std::env;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use servers::{RabbitMq, Redis};

const VICTIM: &str = "CHATPLATFORM_TEST_VICTIM";

/// Not a test by itself: what `servers_die_with_a_test_process_that_is_killed` runs and kills.
#[test]
#[ignore = "is run by another test"]
fn start_servers_and_wait_to_be_killed() {
    if env::var_os(VICTIM).is_none() {
        return;
    }
    let redis = Redis::start().unwrap();
    let rabbitmq = RabbitMq::start().unwrap();
    let management = rabbitmq.management_url().replace("http://", "");
    eprintln!("addresses {} {} {management}", redis.address(), rabbitmq.address());
    loop {
        std::thread::park();
    }
}

#[test]
fn servers_die_with_a_test_process_that_is_killed() {
    let temporary = tempfile::tempdir().unwrap();
    let mut victim = Command::new(env::current_exe().unwrap())
        .args(["--exact", "death::start_servers_and_wait_to_be_killed", "--ignored", "--nocapture"])
        .env(VICTIM, "1")
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stderr.take().unwrap()).lines();
    let line = lines.find_map(|line| Some(line.ok()?.strip_prefix("addresses ")?.to_owned())).unwrap();
    let addresses: Vec<&str> = line.split(' ').collect();
    assert!(addresses.iter().all(|address| TcpStream::connect(address).is_ok()), "not running: {addresses:?}");

    victim.kill().unwrap();
    victim.wait().unwrap();

    let deadline = Instant::now() + Duration::from_secs(15);
    let left = || {
        let answering = addresses.iter().filter(|address| TcpStream::connect(address).is_ok()).count();
        answering + temporary.path().read_dir().unwrap().count()
    };
    while left() > 0 {
        assert!(Instant::now() < deadline, "servers or data are left: {addresses:?}, {}", temporary.path().display());
        sleep(Duration::from_millis(50));
    }
}
