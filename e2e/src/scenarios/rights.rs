//! What the operator may do: each right that its chart gives is needed, and no other is.
//!
//! The operator starts with no right at all on a platform that is there, and is given a right only once the API server has refused it for
//! want of that very one, while everything happens that an operator has to do with. What it has been given in the end is what its rules
//! must be: a right that was never asked for is one too many, and one that it asks for and the chart does not give is one too few.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::Stage;
use super::faults::{Away, OPERATOR};
use crate::interrupt;
use crate::platform::OPERATOR_NAMESPACE;

/// The name of its role and of its lease; the role of the election has a name of its own.
const NAME: &str = "chatplatform-operator";
const ELECTION: &str = "chatplatform-operator-election";
/// How long it may take until everything was asked for that something gives cause to.
const LIMIT: Duration = Duration::from_mins(2);
/// Between two looks at what was refused.
const POLL: Duration = Duration::from_millis(300);
/// How long nothing may be refused until the operator is made to look again.
const AGAIN: Duration = Duration::from_secs(3);
/// A Service of which nothing is deleted here, and an annotation whose change is reason enough for another run.
const TOUCHED: &str = "gateway";
const TOUCH: &str = "example.com/touched";

/// What the document says besides, so that every kind of object is made.
fn with_every_kind() -> Value {
    json!({"spec": {"web": {"replicas": 2}}})
}

/// An object of every kind that a platform always has, to be made anew; whatever they make stays.
const DELETED: [(&str, &str); 6] = [
    ("secret", "edge-tls"),
    ("configmap", "web"),
    ("service", "notification"),
    ("networkpolicy", "default-deny"),
    ("statefulset", "redis"),
    ("deployment", "notification"),
];

pub(super) fn an_operator_that_begins_without_rights_asks_for_exactly_those_that_its_chart_gives(
    stage: &Stage,
) -> Result<()> {
    stage.wait_until_ready()?;
    let away = Away::begin(stage, &OPERATOR)?;
    let mut rights = Rights::withdraw(stage)?;
    system(stage, &["delete", "lease", NAME, "--ignore-not-found"])?;
    away.end()?;
    let outcome = everything_happens(stage, &mut rights);
    let asked = rights.granted.len();
    drop(rights);
    // As it was, whatever came of it.
    remove(stage, &["persistentvolumeclaim/data-{}-redis-7", "persistentvolumeclaim/data-{}-mongodb-7"])?;
    stage.change(&json!({}))?;
    stage.wait_until_usable()?;
    outcome?;
    stage.note(format!("{asked} rights"));
    Ok(())
}

/// Has the operator do all that it ever does.
fn everything_happens(stage: &Stage, rights: &mut Rights<'_>) -> Result<()> {
    let watching = |right: &Right| matches!(right.verb.as_str(), "list" | "watch") || right.resource == "leases";
    rights.grant_until_asked_for(watching).context("while it starts")?;
    rights.grant_until(|| stage.wait_until_ready_within(POLL)).context("while it finds the platform as it is")?;

    // A volume that is smaller than it should be. That the class does not let it grow is no matter.
    claim(stage, "redis", "1Mi")?;
    rights.grant_until_asked_for(|right| right.is("persistentvolumeclaims", "patch")).context("to enlarge a volume")?;
    remove(stage, &["persistentvolumeclaim/data-{}-redis-7"])?;

    stage.change(&with_every_kind())?;
    for (kind, name) in DELETED {
        let name = format!("{}-{name}", stage.platform);
        stage.kubectl(["delete", kind, &name, "--cascade=orphan", "--wait=false"])?;
    }
    stage.apply(&left_over(stage).to_string())?;
    // Of a member that is no more, and too large to be enlarged.
    claim(stage, "mongodb", "1Ti")?;
    // A pod of an older form.
    let pod = format!("{}-mongodb-0", stage.platform);
    stage.kubectl(["label", "pod", &pod, "controller-revision-hash=older", "--overwrite"])?;
    rights.grant_until_asked_for(|right| !right.is("events", "patch")).context("after all that")?;

    // The same event again.
    for _ in 0..2 {
        stage.change(&json!({"spec": {"paused": true}}))?;
        stage.wait_until_observed()?;
        stage.change(&json!({}))?;
        stage.wait_until_observed()?;
    }
    rights.grant_until_asked_for(|_| true).context("after two pauses")
}

/// A right: to do something to objects of a kind.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Right {
    group: String,
    resource: String,
    verb: String,
}

impl Right {
    fn is(&self, resource: &str, verb: &str) -> bool {
        self.resource == resource && self.verb == verb
    }
}

/// The rights of the operator, fewer than its chart gives for as long as this lives.
struct Rights<'a> {
    stage: &'a Stage,
    roles: Vec<Role>,
    granted: BTreeSet<Right>,
    touched: u32,
}

/// A role, as the chart has made it.
struct Role {
    kind: &'static str,
    name: &'static str,
    rules: Value,
    /// Its rights, each with the rule that gives it alone.
    rights: BTreeMap<Right, Value>,
}

impl<'a> Rights<'a> {
    /// Leaves the operator none.
    fn withdraw(stage: &'a Stage) -> Result<Self> {
        let role = |kind, name| {
            let rules = system_json(stage, &["get", kind, name])?["rules"].clone();
            let rights = rights_of(&rules);
            ensure!(!rights.is_empty(), "the {kind} {name} gives no right");
            anyhow::Ok(Role { kind, name, rules, rights })
        };
        let roles = vec![role("clusterrole", NAME)?, role("role", ELECTION)?];
        let rights = Self { stage, roles, granted: BTreeSet::new(), touched: 0 };
        rights.roles.iter().try_for_each(|role| role.set(stage, &json!([])))?;
        Ok(rights)
    }

    /// Gives what is asked for until that is all of the wanted ones.
    fn grant_until_asked_for(&mut self, wanted: impl Fn(&Right) -> bool) -> Result<()> {
        let all: BTreeSet<Right> =
            self.roles.iter().flat_map(|role| role.rights.keys()).filter(|right| wanted(right)).cloned().collect();
        let (deadline, stage) = (Instant::now() + LIMIT, self.stage);
        self.touch()?;
        let mut again = Instant::now() + AGAIN;
        loop {
            self.grant_what_is_asked_for()?;
            let missing: Vec<&Right> = all.difference(&self.granted).collect();
            if missing.is_empty() {
                return Ok(());
            }
            interrupt::check()?;
            if Instant::now() > deadline {
                let platform = stage.read_platform()?;
                bail!("nobody asked for {missing:?}; the status is {}", platform["status"]["conditions"]);
            }
            // A look that came before the last right was known to the API server was in vain.
            if Instant::now() > again {
                self.touch()?;
                again = Instant::now() + AGAIN;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Gives what is asked for until something has come true.
    fn grant_until(&mut self, true_by_now: impl Fn() -> Result<()>) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            self.grant_what_is_asked_for()?;
            match true_by_now() {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => interrupt::check()?,
            }
        }
    }

    fn grant_what_is_asked_for(&mut self) -> Result<()> {
        // There is no log while a container is about to start.
        let said = system(self.stage, &["logs", &format!("--selector=app.kubernetes.io/name={NAME}"), "--tail=-1"]);
        let asked = refused(&said.unwrap_or_default());
        let fresh: BTreeSet<Right> = asked.difference(&self.granted).cloned().collect();
        if fresh.is_empty() {
            return Ok(());
        }
        for right in &fresh {
            let given = self.roles.iter().any(|role| role.rights.contains_key(right));
            ensure!(given, "the operator asks for {right:?}, which its chart does not give");
        }
        self.granted.extend(fresh);
        for role in &self.roles {
            let rules = role.rights.iter().filter(|(right, _)| self.granted.contains(right)).map(|(_, rule)| rule);
            role.set(self.stage, &rules.cloned().collect())?;
        }
        self.touch()
    }

    /// Has the operator look at the platform now. By itself it would do so after a pause that grows, and at what nobody watches in minutes.
    fn touch(&mut self) -> Result<()> {
        self.touched += 1;
        let (service, touch) = (format!("{}-{TOUCHED}", self.stage.platform), format!("{TOUCH}={}", self.touched));
        self.stage.kubectl(["annotate", "service", &service, &touch, "--overwrite"]).map(drop)
    }
}

impl Drop for Rights<'_> {
    fn drop(&mut self) {
        for role in &self.roles {
            // What went wrong with that is seen by whoever waits for the platform next.
            let _ = role.set(self.stage, &role.rules);
        }
        let service = format!("{}-{TOUCHED}", self.stage.platform);
        let _ = self.stage.kubectl(["annotate", "service", &service, &format!("{TOUCH}-")]);
    }
}

impl Role {
    fn set(&self, stage: &Stage, rules: &Value) -> Result<()> {
        let patch = json!({"rules": rules}).to_string();
        let arguments = ["patch", self.kind, self.name, "--type=merge", "--patch", &patch];
        let run = stage.cluster.kubectl_command(arguments).args(["--namespace", OPERATOR_NAMESPACE]);
        run.shielded().execute()
    }
}

/// The rights that rules give.
fn rights_of(rules: &Value) -> BTreeMap<Right, Value> {
    let words = |rule: &Value, field: &str| -> Vec<String> {
        let words = rule[field].as_array().map_or(&[][..], Vec::as_slice);
        words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let mut found = BTreeMap::new();
    for rule in rules.as_array().map_or(&[][..], Vec::as_slice) {
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                for verb in words(rule, "verbs") {
                    let mut alone = rule.clone();
                    alone["apiGroups"] = json!([group]);
                    alone["resources"] = json!([resource]);
                    alone["verbs"] = json!([verb]);
                    found.insert(Right { group: group.clone(), resource: resource.clone(), verb }, alone);
                }
            }
        }
    }
    found
}

/// The rights for want of which the operator was refused, by its log.
fn refused(log: &str) -> BTreeSet<Right> {
    let errors = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    errors.filter_map(|line| refused_in(line["error"].as_str()?)).collect()
}

/// `... is forbidden: User "..." cannot list resource "secrets" in API group "" at the cluster scope`
fn refused_in(error: &str) -> Option<Right> {
    let (_, rest) = error.split_once("\" cannot ")?;
    let (verb, rest) = rest.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once("\" in API group \"")?;
    let (group, _) = rest.split_once('"')?;
    Some(Right { group: group.to_owned(), resource: resource.to_owned(), verb: verb.to_owned() })
}

/// An object of every kind that is the platform's by its labels and not wanted by it.
fn left_over(stage: &Stage) -> Value {
    let labels = labels(stage, "web");
    let selector = json!({"matchLabels": {"example.com/is": "nobody"}});
    let pods = json!({
        "metadata": {"labels": selector["matchLabels"]},
        "spec": {"containers": [{"name": "none", "image": "none"}]},
    });
    let object = |version: &str, kind: &str, rest: Value| {
        let mut object = json!({
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": format!("{}-left-over", stage.platform), "labels": labels},
        });
        json_patch::merge(&mut object, &rest);
        object
    };
    let workload = json!({"spec": {"replicas": 0, "selector": selector, "template": pods}});
    let mut set = workload.clone();
    set["spec"]["serviceName"] = "none".into();
    json!({"apiVersion": "v1", "kind": "List", "items": [
        object("v1", "ConfigMap", json!({})),
        object("v1", "Secret", json!({})),
        object("v1", "Service", json!({"spec": {"clusterIP": "None", "ports": [{"port": 80}]}})),
        object("apps/v1", "Deployment", workload),
        object("apps/v1", "StatefulSet", set),
        object("policy/v1", "PodDisruptionBudget", json!({"spec": {"maxUnavailable": 1, "selector": selector}})),
        object("networking.k8s.io/v1", "NetworkPolicy", json!({"spec": {"podSelector": selector}})),
    ]})
}

/// Makes the volume claim of a pod that there is none of.
fn claim(stage: &Stage, component: &str, size: &str) -> Result<()> {
    let claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": format!("data-{}-{component}-7", stage.platform), "labels": labels(stage, component)},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    });
    stage.apply(&claim.to_string())
}

/// Removes objects, if they are there; `{}` stands for the platform's name.
fn remove(stage: &Stage, objects: &[&str]) -> Result<()> {
    for object in objects {
        stage.kubectl(["delete", &object.replace("{}", &stage.platform), "--ignore-not-found"])?;
    }
    Ok(())
}

fn labels(stage: &Stage, component: &str) -> Value {
    json!({
        "app.kubernetes.io/name": component,
        "app.kubernetes.io/instance": stage.platform,
        "app.kubernetes.io/managed-by": NAME,
    })
}

/// `kubectl` in the operator's namespace.
fn system(stage: &Stage, arguments: &[&str]) -> Result<String> {
    stage.cluster.kubectl(arguments.iter().chain(&["--namespace", OPERATOR_NAMESPACE]))
}

fn system_json(stage: &Stage, arguments: &[&str]) -> Result<Value> {
    stage.cluster.kubectl_json(arguments.iter().chain(&["--namespace", OPERATOR_NAMESPACE]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(group: &str, resource: &str, verb: &str) -> Right {
        Right { group: group.to_owned(), resource: resource.to_owned(), verb: verb.to_owned() }
    }

    #[test]
    fn what_was_refused_is_read_from_the_log() {
        let log = concat!(
            r#"{"level":"WARN","error":"failed to perform initial object list: ApiError: secrets is forbidden: "#,
            r#"User \"system:serviceaccount:a:b\" cannot list resource \"secrets\" in API group \"\" at the cluster scope: Forbidden"}"#,
            "\nno json\n",
            r#"{"level":"WARN","error":"cannot write the status: ApiError: chatplatforms.chatplatform.dev \"acme\" is forbidden: User \"u\" "#,
            r#"cannot patch resource \"chatplatforms/status\" in API group \"chatplatform.dev\" in the namespace \"n\": Forbidden"}"#,
            "\n",
            r#"{"level":"WARN","error":"cannot apply: the name is taken"}"#,
        );
        let found = refused(log);
        let expected = [right("", "secrets", "list"), right("chatplatform.dev", "chatplatforms/status", "patch")];
        assert_eq!(found, expected.into_iter().collect());
    }

    #[test]
    fn a_rule_gives_each_verb_on_each_resource_and_stays_bound_to_names() {
        let rules = json!([{
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["one"],
            "verbs": ["get", "update"],
        }]);
        let rights = rights_of(&rules);
        assert_eq!(rights.len(), 2);
        let update = &rights[&right("coordination.k8s.io", "leases", "update")];
        assert_eq!(update["resourceNames"], json!(["one"]));
        assert_eq!(update["verbs"], json!(["update"]));
    }
}
