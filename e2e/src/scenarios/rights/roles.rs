//! The operator's roles, as its chart has made them, taken away and given back right by right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use crate::interrupt;
use crate::platform::OPERATOR_NAMESPACE;
use crate::scenarios::Stage;

/// The name of its role and of its lease; the role of the election has a name of its own.
pub(super) const NAME: &str = "chatplatform-operator";
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

/// A right: to do something to objects of a kind.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Right {
    pub(super) group: String,
    pub(super) resource: String,
    pub(super) verb: String,
}

impl Right {
    pub(super) fn is(&self, resource: &str, verb: &str) -> bool {
        self.resource == resource && self.verb == verb
    }
}

/// The rights of the operator, fewer than its chart gives for as long as this lives.
pub(super) struct Rights<'a> {
    stage: &'a Stage,
    roles: Vec<Role>,
    /// The groups of kinds that the cluster knows.
    groups: BTreeSet<String>,
    pub(super) granted: BTreeSet<Right>,
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
    pub(super) fn withdraw(stage: &'a Stage) -> Result<Self> {
        let role = |kind, name| {
            let rules = system_json(stage, &["get", kind, name])?["rules"].clone();
            let rights = rights_of(&rules);
            ensure!(!rights.is_empty(), "the {kind} {name} gives no right");
            anyhow::Ok(Role { kind, name, rules, rights })
        };
        let roles = vec![role("clusterrole", NAME)?, role("role", ELECTION)?];
        let versions = stage.cluster.kubectl(["api-versions"])?;
        // The oldest group has no name, and so no slash.
        let groups = versions.lines().map(|line| line.split_once('/').map_or("", |(group, _)| group).to_owned());
        let rights = Self { stage, roles, groups: groups.collect(), granted: BTreeSet::new(), touched: 0 };
        rights.roles.iter().try_for_each(|role| role.set(stage, &json!([])))?;
        Ok(rights)
    }

    /// Gives what is asked for until that is all of the wanted ones.
    pub(super) fn grant_until_asked_for(&mut self, wanted: impl Fn(&Right) -> bool) -> Result<()> {
        let rights = self.roles.iter().flat_map(|role| role.rights.keys());
        // Of kinds that the cluster does not know nobody can be refused an object.
        let known = rights.filter(|right| self.groups.contains(&right.group));
        let all: BTreeSet<Right> = known.filter(|right| wanted(right)).cloned().collect();
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
    pub(super) fn grant_until(&mut self, true_by_now: impl Fn() -> Result<()>) -> Result<()> {
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

/// `kubectl` in the operator's namespace.
pub(super) fn system(stage: &Stage, arguments: &[&str]) -> Result<String> {
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
