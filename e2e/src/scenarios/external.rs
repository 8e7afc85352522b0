//! A platform whose servers somebody else runs: here those of the platform on stage, by users that were made by hand.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::faults::name_of;
use super::forward::{Forward, Login, as_another};
use super::people::{Person, text};
use super::rest::Rest;
use super::status::condition;
use super::wait::until;
use super::{Stage, production, redis, replica_set};
use crate::command::Run;

/// The platform that borrows, and its user at every server.
const NAME: &str = "borrower";
const PASSWORD: &str = "a-password-made-by-hand";
const BUCKET: &str = "media";
const CONDITIONS: [&str; 4] = ["MongoDBReady", "RedisReady", "RabbitMQReady", "ObjectStorageReady"];
const READY_WITHIN: Duration = Duration::from_mins(2);
/// Servers of others are asked once a minute, and more than once before the status turns.
const TOLD_WITHIN: Duration = Duration::from_secs(150);

pub(super) fn a_platform_on_others_servers_deploys_none_and_tells_when_they_refuse_it(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let _gone = Gone(stage);
    let uri = make_users(stage)?;
    stage.apply(&connections(stage, &uri)?)?;
    stage.apply(&way(stage).to_string())?;
    stage.apply(&document(stage).to_string())?;
    until("the borrower is Ready", READY_WITHIN, || {
        let platform = stage.kubectl_json(["get", "chatplatform", NAME])?;
        for kind in ["Ready"].into_iter().chain(CONDITIONS) {
            let condition = condition(&platform, kind)?;
            ensure!(condition["status"] == "True", "{kind}: {}", condition["message"]);
        }
        Ok(())
    })?;
    let label = format!("--selector=app.kubernetes.io/instance={NAME}");
    let servers = stage.kubectl(["get", "statefulsets,persistentvolumeclaims", &label, "--output=name"])?;
    ensure!(servers.is_empty(), "servers were deployed: {servers}");
    is_usable(stage)?;

    // Somebody changes the password, and the Secret is told a wrong one.
    let before = running(stage)?;
    let wrong = as_another(&uri, NAME, "a-wrong-password", "admin")?;
    stage.apply(&connections(stage, &wrong)?)?;
    until("MongoDBReady says what the server said", TOLD_WITHIN, || {
        let platform = stage.kubectl_json(["get", "chatplatform", NAME])?;
        let condition = condition(&platform, "MongoDBReady")?;
        let message = condition["message"].as_str().unwrap_or_default();
        ensure!(
            condition["status"] == "False" && message.contains("Authentication failed"),
            "{}: {message}",
            condition["status"]
        );
        Ok(())
    })?;
    let after = running(stage)?;
    ensure!(before.is_subset(&after), "pods that served are gone: {:?}", before.difference(&after));
    is_usable(stage)?;

    stage.apply(&connections(stage, &uri)?)?;
    until("the borrower is Ready again", TOLD_WITHIN, || {
        let ready = condition(&stage.kubectl_json(["get", "chatplatform", NAME])?, "Ready")?;
        ensure!(ready["status"] == "True", "{}", ready["message"]);
        Ok(())
    })
}

/// Makes a user at each server, as its administrator would; answers the connection string of `MongoDB`.
fn make_users(stage: &Stage) -> Result<String> {
    let forward = Forward::to(stage, &format!("pod/{}", replica_set::primary(stage)?), replica_set::PORT)?;
    // It holds the file of the authority that the URI names.
    let login = Login::mongodb_system(stage)?;
    let order = json!({
        "uri": login.to_one(forward.port)?,
        "user": NAME,
        "password": PASSWORD,
        "databases": ["auth", "chat", "media", "notification"],
    });
    Run::new("node").arg("user.mjs").in_directory(stage.packages.folder()).input(order.to_string()).execute()?;

    let password = format!(">{PASSWORD}");
    let user = ["ACL", "SETUSER", NAME, "on", &password, "~*", "&*", "+@all", "-@dangerous"];
    let said = redis::ask(stage, &redis::master(stage)?, &user)?;
    ensure!(said == "OK", "Redis does not make a user: {said}");

    let broker = format!("{}-rabbitmq-0", stage.platform);
    let script = format!(
        "rabbitmqctl --quiet add_vhost {NAME} && \
         (rabbitmqctl --quiet add_user {NAME} {PASSWORD} || rabbitmqctl --quiet change_password {NAME} {PASSWORD}) && \
         rabbitmqctl --quiet set_permissions --vhost {NAME} {NAME} '.*' '.*' '.*'"
    );
    stage.exec(&broker, "rabbitmq", &["sh", "-c", &script])?;

    as_another(&stage.secret(&format!("{}-chat", stage.platform), "mongodb-uri")?, NAME, PASSWORD, "admin")
}

/// The Secrets that the borrower's document names.
fn connections(stage: &Stage, mongodb: &str) -> Result<String> {
    let (master, platform, namespace) = (redis::master(stage)?, &stage.platform, &stage.namespace);
    let authority = stage.secret(&format!("{platform}-chat"), "ca.crt")?;
    let store = format!("{platform}-object-storage");
    let secrets = [
        ("borrowed-mongodb", json!({"uri": mongodb, "ca.crt": authority})),
        (
            "borrowed-redis",
            json!({"url": format!("redis://{NAME}:{PASSWORD}@{master}.{platform}-redis.{namespace}.svc:6379/0")}),
        ),
        (
            "borrowed-rabbitmq",
            json!({"uri": format!("amqp://{NAME}:{PASSWORD}@{platform}-rabbitmq.{namespace}.svc:5672/{NAME}")}),
        ),
        (
            "borrowed-bucket",
            json!({
                "accessKeyId": stage.secret(&store, "access-key-id")?,
                "secretAccessKey": stage.secret(&store, "secret-access-key")?,
            }),
        ),
    ];
    let items: Vec<Value> = secrets
        .into_iter()
        .map(|(name, data)| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}))
        .collect();
    Ok(json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())
}

/// Lets the borrower's pods in to the servers, which their own platform closes to everybody else.
fn way(stage: &Stage) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": NAME},
        "spec": {
            "podSelector": {
                "matchLabels": {"app.kubernetes.io/instance": stage.platform},
                "matchExpressions": [{
                    "key": "app.kubernetes.io/name",
                    "operator": "In",
                    "values": ["mongodb", "redis", "rabbitmq", "object-storage"],
                }],
            },
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app.kubernetes.io/instance": NAME}}}]}],
        },
    })
}

fn document(stage: &Stage) -> Value {
    let connection = |secret: &str| json!({"external": {"connectionSecretRef": {"name": secret}}});
    json!({
        "apiVersion": "chatplatform.dev/v1alpha1",
        "kind": "ChatPlatform",
        "metadata": {"name": NAME},
        "spec": {
            "host": "borrower.example.com",
            "deletionPolicy": "Delete",
            "mongodb": connection("borrowed-mongodb"),
            "redis": connection("borrowed-redis"),
            "rabbitmq": connection("borrowed-rabbitmq"),
            "objectStorage": {"external": {
                "endpoint": format!("http://{}-object-storage.{}.svc:7070", stage.platform, stage.namespace),
                "bucket": BUCKET,
                "pathStyle": true,
                "credentialsSecretRef": {"name": "borrowed-bucket"},
            }},
        },
    })
}

/// Somebody registers, writes, and reads what they wrote.
fn is_usable(stage: &Stage) -> Result<()> {
    let forward = Forward::to(stage, &format!("service/{NAME}-edge"), 443)?;
    let authority = stage.secret(&format!("{NAME}-edge-tls"), "ca.crt")?;
    let rest = Rest::new(&format!("https://localhost:{}", forward.port), &authority)?;
    let ada = Person::register(&rest, "ada")?;
    let group = ada.open_group(&rest, &[])?;
    let sent = ada.send(&rest, &group, "on borrowed servers")?;
    let history = ada.history(&rest, &group)?;
    ensure!(history == [sent], "the history is {history:?}");
    Ok(())
}

/// Name and identity of the borrower's pods that are ready.
fn running(stage: &Stage) -> Result<BTreeSet<String>> {
    let label = format!("--selector=app.kubernetes.io/instance={NAME}");
    let listed = stage.kubectl_json(["get", "pods", &label])?;
    let pods = listed["items"].as_array().map_or(&[][..], Vec::as_slice);
    pods.iter()
        .filter(|pod| condition(pod, "Ready").is_ok_and(|ready| ready["status"] == "True"))
        .map(|pod| Ok(format!("{} {}", name_of(pod)?, text(&pod["metadata"], "uid")?)))
        .collect()
}

/// Takes the borrower away when dropped, however the scenario ended.
struct Gone<'a>(&'a Stage);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        // Nothing depends on it: the users it had go with the servers.
        let _ = self.0.kubectl(["delete", "chatplatform", NAME, "--ignore-not-found", "--wait=false"]);
        let _ = self.0.kubectl(["delete", "networkpolicy", NAME, "--ignore-not-found", "--wait=false"]);
    }
}
