//! Who says how many pods a Deployment has: the operator, or an autoscaler.
//!
//! A field that its only field manager leaves out of what it applies is taken away, and the number of pods is then 1 again. So before the
//! operator leaves it out for the first time, another field manager says what is there
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership>), and the autoscaler takes it over from
//! that one with its first change. The way back needs nothing: what is applied by force counts at once.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;

use super::{Applier, Error, refused};
use crate::build::autoscaler;
use crate::observe::Observed;

/// Who says it between the operator and an autoscaler.
const HANDOVER: &str = "chatplatform-operator-handover";

/// What has to be done about the number of pods before a Deployment is applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// Nothing: it is said in what is applied, or by somebody else.
    Nothing,
    /// The operator says it for now.
    Say(i32),
    /// Another field manager says it first.
    HandOver(i32),
}

/// The Deployments as they shall be, without a moment in which one has fewer pods than before.
pub(super) async fn set(
    to: &Applier<'_>,
    wanted: Vec<Deployment>,
    observed: &Observed,
) -> Result<Vec<Deployment>, Error> {
    let (mut ready, mut left) = (Vec::new(), Vec::new());
    for mut deployment in wanted {
        let name = deployment.name_any();
        let live = observed.deployments.iter().find(|live| live.name_any() == name);
        let has_autoscaler = observed.autoscalers.iter().any(|autoscaler| autoscaler.name_any() == name);
        let fewest = autoscaler::fewest(to.platform, &deployment);
        match (step(fewest, live, has_autoscaler, observed.scaled_by_us.contains(&name)), live) {
            (Step::Say(replicas), _) => deployment.spec.get_or_insert_default().replicas = Some(replicas),
            (Step::HandOver(replicas), Some(live)) if !hand_over(to, live, replicas).await? => {
                left.push(live.clone());
                continue;
            }
            (Step::Nothing | Step::HandOver(_), _) => {}
        }
        ready.push(deployment);
    }
    let mut applied = to.of().set(ready, &observed.deployments).await?;
    applied.extend(left);
    Ok(applied)
}

/// What comes first where an autoscaler keeps at least `fewest` pods; none where the operator says how many there are.
fn step(fewest: Option<i32>, live: Option<&Deployment>, has_autoscaler: bool, ours: bool) -> Step {
    let Some(fewest) = fewest else { return Step::Nothing };
    let there = live.map(|live| live.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1));
    match there {
        // A new one would have a single pod until the autoscaler has looked, and what has none the autoscaler lets alone.
        None | Some(0) => Step::Say(fewest),
        Some(there) if there < fewest && !has_autoscaler => Step::Say(fewest),
        Some(there) if ours => Step::HandOver(there),
        Some(_) => Step::Nothing,
    }
}

/// Has another field manager say how many pods there are; tells whether it does.
async fn hand_over(to: &Applier<'_>, live: &Deployment, replicas: i32) -> Result<bool, Error> {
    let name = live.name_any();
    tracing::info!(name, replicas, namespace = to.platform.names.namespace, "handing over to the autoscaler");
    let said = json!({
        "apiVersion": Deployment::api_version(&()),
        "kind": Deployment::kind(&()),
        // Of this very one, so that none is made where it has gone.
        "metadata": {"name": name, "uid": live.uid()},
        "spec": {"replicas": replicas},
    });
    // Not by force: who has changed it since it was read says it already.
    let patched = to.api::<Deployment>().patch(&name, &PatchParams::apply(HANDOVER), &Patch::Apply(&said)).await;
    match patched {
        Ok(_) => Ok(true),
        // That change starts another run, which sees who says it.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(refused("hand over", &Deployment::kind(&()), &name)(error)),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::DeploymentSpec;

    use super::*;

    fn live(replicas: i32) -> Deployment {
        let spec = DeploymentSpec { replicas: Some(replicas), ..DeploymentSpec::default() };
        Deployment { spec: Some(spec), ..Deployment::default() }
    }

    #[test]
    fn without_an_autoscaler_what_is_applied_says_it() {
        for there in [None, Some(live(0)), Some(live(3))] {
            for (has_autoscaler, ours) in [(false, false), (false, true), (true, false), (true, true)] {
                assert_eq!(step(None, there.as_ref(), has_autoscaler, ours), Step::Nothing);
            }
        }
    }

    #[test]
    fn what_the_operator_alone_says_is_handed_over_as_it_is() {
        for there in [2, 3, 20] {
            assert_eq!(step(Some(2), Some(&live(there)), false, true), Step::HandOver(there));
            assert_eq!(step(Some(2), Some(&live(there)), true, true), Step::HandOver(there));
        }
    }

    #[test]
    fn what_somebody_else_says_is_left_to_them() {
        for there in [1, 2, 3, 20] {
            assert_eq!(step(Some(2), Some(&live(there)), true, false), Step::Nothing);
        }
    }

    #[test]
    fn a_new_deployment_begins_with_the_fewest() {
        assert_eq!(step(Some(3), None, false, false), Step::Say(3));
        assert_eq!(step(Some(3), None, true, false), Step::Say(3));
    }

    #[test]
    fn too_few_are_more_before_an_autoscaler_is_there() {
        assert_eq!(step(Some(3), Some(&live(1)), false, true), Step::Say(3));
        assert_eq!(step(Some(3), Some(&live(1)), false, false), Step::Say(3));
        assert_eq!(step(Some(3), Some(&live(1)), true, false), Step::Nothing);
    }

    #[test]
    fn an_autoscaler_does_not_begin_at_none_and_so_the_operator_does() {
        for (has_autoscaler, ours) in [(false, false), (false, true), (true, false), (true, true)] {
            assert_eq!(step(Some(2), Some(&live(0)), has_autoscaler, ours), Step::Say(2));
        }
    }

    /// What the API server does with the number of pods, by the rules of server-side apply: a value that its last manager stops saying
    /// becomes the default, 1.
    #[derive(Clone, Debug)]
    struct Field {
        value: i32,
        ours: bool,
        others: bool,
    }

    impl Field {
        fn apply(&mut self, replicas: Option<i32>) {
            if let Some(replicas) = replicas {
                self.others = self.others && replicas == self.value;
                (self.value, self.ours) = (replicas, true);
                return;
            }
            if self.ours && !self.others {
                self.value = 1;
            }
            self.ours = false;
        }

        fn round(&mut self, replicas: i32, fewest: Option<i32>, has_autoscaler: bool) {
            let decided = step(fewest, Some(&live(self.value)), has_autoscaler, self.ours && !self.others);
            match decided {
                Step::Say(replicas) => return self.apply(Some(replicas)),
                Step::HandOver(said) => {
                    assert_eq!(said, self.value, "a handover changes nothing");
                    self.others = true;
                }
                Step::Nothing => {}
            }
            self.apply(fewest.is_none().then_some(replicas));
        }
    }

    #[test]
    fn switching_on_and_off_at_any_time_never_leaves_fewer_than_wanted() {
        // Each number is a choice: switched on or off, and whether the autoscaler changes something before the next round.
        for choices in 0..4_u32.pow(6) {
            let mut field = Field { value: 2, ours: true, others: false };
            let mut has_autoscaler = false;
            for place in 0..6 {
                let choice = choices / 4_u32.pow(place) % 4;
                let on = choice % 2 == 1;
                field.round(2, on.then_some(2), has_autoscaler);
                assert!(field.value >= 2, "{choices:b} at {place}: {field:?}");
                has_autoscaler = on;
                if has_autoscaler && choice >= 2 {
                    field = Field { value: if field.value == 2 { 4 } else { 2 }, ours: false, others: true };
                }
            }
        }
    }
}
