mod external;
mod trio;

use futures::StreamExt as _;
use operator::build::Component;
use operator::provision::redis::{Instance, Target, provision};
use operator::secrets::{self, Credentials, Login, Material};
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value, cmd};
use secrecy::ExposeSecret;
use servers::Redis;

use super::{login, material, nobody, rotating, value};

fn start(material: &Material, acl: &str) -> (Redis, Target) {
    let server = Redis::start_with_users(acl).unwrap();
    let target = target(material, &server.address());
    (server, target)
}

fn own(material: &Material) -> &secrets::Redis {
    material.redis.own().unwrap()
}

fn target(material: &Material, address: &str) -> Target {
    let own = own(material);
    Target {
        servers: vec![instance("acme-redis-0", address)],
        sentinels: vec![],
        operator: own.operator.clone(),
        users: users(material, &material.credentials),
        refused: vec![],
    }
}

/// Users that a server is to accept.
fn users(material: &Material, credentials: &Credentials) -> Vec<Login> {
    let own = own(material);
    credentials.accepted(Component::Redis).into_iter().chain([own.replication.clone(), own.sentinel.clone()]).collect()
}

fn instance(pod: &str, address: &str) -> Instance {
    let (host, port) = address.rsplit_once(':').unwrap();
    Instance { pod: pod.to_owned(), host: host.to_owned(), port: port.parse().unwrap() }
}

async fn connect(address: &str, login: &Login) -> Result<MultiplexedConnection, RedisError> {
    let url = format!("redis://{}:{}@{address}/", login.user, login.password.expose_secret());
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await
}

/// The server's answer to a command, or the first word of its refusal.
async fn run(connection: &mut MultiplexedConnection, words: &[&str]) -> Result<Value, String> {
    let mut command = cmd(words[0]);
    for word in &words[1..] {
        command.arg(word);
    }
    command.query_async(connection).await.map_err(|error: RedisError| error.code().unwrap_or("?").to_owned())
}

#[tokio::test]
async fn the_file_alone_gives_every_user_its_rights_and_no_more() {
    let material = material();
    let (server, target) = start(&material, &value(&material, "acme-redis", "users.acl"));

    let state = provision(&target).await.unwrap();
    assert!(state.ready, "{state:?}");
    assert_eq!(state.message, "master acme-redis-0");
    assert_eq!(state.changes, Vec::<String>::new());
    assert!(state.version.unwrap().starts_with("7."));

    let refused = Err("NOPERM".to_owned());
    let mut gateway = connect(&server.address(), login(&target.users, "gateway")).await.unwrap();
    assert!(run(&mut gateway, &["SET", "gateway:limit:a", "1"]).await.is_ok());
    assert!(run(&mut gateway, &["EVAL", "return redis.call('INCR', KEYS[1])", "1", "gateway:limit:a"]).await.is_ok());
    assert!(run(&mut gateway, &["GET", "auth:revoked:1"]).await.is_ok());
    assert!(run(&mut gateway, &["SUBSCRIBE", "auth:revocations"]).await.is_ok());
    assert_eq!(run(&mut gateway, &["SET", "auth:revoked:1", "1"]).await, refused);
    assert_eq!(run(&mut gateway, &["GET", "auth:session:1"]).await, refused);
    assert_eq!(run(&mut gateway, &["EVAL", "return redis.call('GET', KEYS[1])", "1", "chat:a"]).await, refused);

    let mut auth = connect(&server.address(), login(&target.users, "auth")).await.unwrap();
    assert!(run(&mut auth, &["SET", "auth:revoked:1", "1", "EX", "600"]).await.is_ok());
    assert!(run(&mut auth, &["PUBLISH", "auth:revocations", "{}"]).await.is_ok());
    assert_eq!(run(&mut auth, &["PUBLISH", "chat:a", "{}"]).await, refused);
    for forbidden in [&["FLUSHALL"][..], &["KEYS", "*"], &["CONFIG", "GET", "*"], &["ACL", "LIST"], &["SHUTDOWN"]] {
        assert_eq!(run(&mut auth, forbidden).await, refused, "{forbidden:?}");
    }

    let mut chat = connect(&server.address(), login(&target.users, "chat")).await.unwrap();
    assert!(run(&mut chat, &["GET", "auth:revoked:1"]).await.is_ok());
    assert!(run(&mut chat, &["PUBLISH", "chat:rooms", "{}"]).await.is_ok());
    assert_eq!(run(&mut chat, &["SET", "gateway:limit:a", "1"]).await, refused);
}

#[tokio::test]
async fn nobody_enters_without_a_login_and_a_probe_may_only_ask_whether_it_answers() {
    let material = material();
    let (server, _) = start(&material, &value(&material, "acme-redis", "users.acl"));
    let mut stranger = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    assert_eq!(run(&mut stranger, &["PING"]).await, Err("NOAUTH".to_owned()));

    let probe = redis::Client::open(server.url_for("probe", "x")).unwrap();
    let mut probe = probe.get_multiplexed_async_connection().await.unwrap();
    assert!(run(&mut probe, &["PING"]).await.is_ok());
    assert_eq!(run(&mut probe, &["GET", "chat:a"]).await, Err("NOPERM".to_owned()));
}

#[tokio::test]
async fn differences_are_corrected_in_the_running_server() {
    let material = material();
    let (server, target) = start(&material, &value(&material, "acme-redis", "users.acl"));
    // The Secrets have other passwords now, and the file in the pod is still the old one.
    let fresh = super::material();
    let users = fresh.credentials.accepted(Component::Redis);
    let kept = target.users.iter().filter(|login| ["replication", "sentinel"].contains(&login.user.as_str()));
    let changed = Target { users: users.into_iter().chain(kept.cloned()).collect(), ..target.clone() };
    let mut operator = connect(&server.address(), &target.operator).await.unwrap();
    run(&mut operator, &["ACL", "SETUSER", "default", "on", "nopass", "+@all", "~*"]).await.unwrap();
    run(&mut operator, &["ACL", "SETUSER", "chat", "~*"]).await.unwrap();

    let state = provision(&changed).await.unwrap();
    assert_eq!(
        state.changes,
        [
            "corrected user gateway of acme-redis-0",
            "corrected user auth of acme-redis-0",
            "corrected user chat of acme-redis-0",
            "turned the default user of acme-redis-0 off"
        ]
    );
    for (old, new) in target.users.iter().zip(&changed.users).take(3) {
        assert!(connect(&server.address(), old).await.is_err());
        assert!(connect(&server.address(), new).await.is_ok());
    }
    let mut chat = connect(&server.address(), login(&changed.users, "chat")).await.unwrap();
    assert_eq!(run(&mut chat, &["SET", "auth:a", "1"]).await, Err("NOPERM".to_owned()));
    assert_eq!(provision(&changed).await.unwrap().changes, Vec::<String>::new());
}

#[tokio::test]
async fn a_wrong_password_and_a_server_that_is_not_there_are_told_apart() {
    let material = material();
    let (_server, target) = start(&material, &value(&material, "acme-redis", "users.acl"));
    let wrong = Target { operator: own(&super::material()).operator.clone(), ..target };
    assert_eq!(provision(&wrong).await.unwrap_err().category(), "RedisAccessDenied");
    let error = provision(&self::target(&material, &nobody())).await.unwrap_err();
    assert_eq!(error.category(), "RedisUnreachable", "{error}");
}

#[tokio::test]
async fn a_second_password_is_added_to_each_user_and_the_first_is_refused_in_the_end_while_who_is_connected_stays() {
    let material = material();
    let (server, target) = start(&material, &value(&material, "acme-redis", "users.acl"));
    let (both, alone) = rotating(&material);
    let old = material.credentials.accepted(Component::Redis);
    let mut connected = connect(&server.address(), login(&old, "chat")).await.unwrap();
    let (mut listening, mut heard) =
        redis::Client::open(server.url_for("chat", login(&old, "chat").password.expose_secret()))
            .unwrap()
            .get_async_pubsub()
            .await
            .unwrap()
            .split();
    listening.subscribe("chat:rooms").await.unwrap();

    let spread = Target { users: users(&material, &both), ..target.clone() };
    let state = provision(&spread).await.unwrap();
    assert!(state.users_agree);
    let corrected = ["gateway", "auth", "chat"].map(|user| format!("corrected user {user} of acme-redis-0"));
    assert_eq!(state.changes, corrected);
    for accepted in both.accepted(Component::Redis) {
        connect(&server.address(), &accepted).await.unwrap();
    }
    assert_eq!(provision(&spread).await.unwrap().changes, Vec::<String>::new());

    let refused = alone.refused(Component::Redis);
    let retired = Target { users: users(&material, &alone), refused: refused.clone(), ..target };
    let state = provision(&retired).await.unwrap();
    assert_eq!((state.users_agree, state.changes), (true, corrected.to_vec()));
    for old in &refused {
        let error = connect(&server.address(), old).await.err().unwrap();
        assert_eq!(error.kind(), redis::ErrorKind::AuthenticationFailed, "{error}");
    }
    let mut new = connect(&server.address(), login(&alone.accepted(Component::Redis), "chat")).await.unwrap();
    assert!(run(&mut new, &["PUBLISH", "chat:rooms", "{}"]).await.is_ok());
    // The password is asked for at the log-in alone.
    assert!(run(&mut connected, &["SET", "chat:a", "1"]).await.is_ok());
    let message = tokio::time::timeout(std::time::Duration::from_secs(10), heard.next()).await.unwrap().unwrap();
    assert_eq!(message.get_payload_bytes(), b"{}");
    assert_eq!(provision(&retired).await.unwrap().changes, Vec::<String>::new());
    // A server with a file of before, as after a restart, is corrected; one that keeps accepting what is to be refused does not agree.
    let lenient = Target { users: users(&material, &both), ..retired };
    let error = provision(&lenient).await.unwrap_err();
    assert!(error.to_string().contains("failed to refuse a password of before of user"), "{error}");
}
