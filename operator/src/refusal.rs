//! Why the API server does not take an object: who is in the way, told from its words, and what to do about it. It has one code, 403, for
//! a right that the operator lacks, a quota that is used up, and a policy that forbids; the words are those of Kubernetes' own releases,
//! and what is not recognised is told as it is.

use crate::reason::Reason;

/// What the admission of claims says, with the code of what is forbidden, of a class whose volumes keep their size.
const CANNOT_GROW: &str = "must support resize";

/// Who is in the way, if an error is a refusal. A webhook gives it any code it likes.
#[must_use]
pub fn of(error: &kube::Error) -> Option<Reason> {
    match error {
        kube::Error::Api(status) => reason(&status.message),
        _ => None,
    }
}

/// What the API server said, without the dump of its answer, and what to do where it refuses.
#[must_use]
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => with_cure(&status.message),
        _ => error.to_string(),
    }
}

/// A message, and what to do where it is a refusal.
#[must_use]
pub fn with_cure(message: &str) -> String {
    match cure(message) {
        Some(cure) => format!("{message}: {cure}"),
        None => message.to_owned(),
    }
}

/// Who is in the way, if a message is a refusal.
#[must_use]
pub fn reason(message: &str) -> Option<Reason> {
    let says = |words: &str| message.contains(words);
    if says("because it is being terminated") || says(CANNOT_GROW) {
        // The namespace goes, and everything with it; or it is the nature of a volume.
        None
    } else if says("exceeded quota") || says("failed quota") {
        Some(Reason::QuotaExceeded)
    } else if right(message).is_some() {
        Some(Reason::MissingRights)
    } else if says("denied the request")
        || says("denied request")
        || says("violates PodSecurity")
        || says("is forbidden")
    {
        Some(Reason::AdmissionDenied)
    } else {
        None
    }
}

/// What to do, after the API server's own words.
fn cure(message: &str) -> Option<String> {
    if message.contains(CANNOT_GROW) {
        return Some("set allowVolumeExpansion in the StorageClass, if its provisioner can enlarge volumes".to_owned());
    }
    Some(match reason(message)? {
        Reason::QuotaExceeded => {
            "raise the ResourceQuota of the namespace, or lower replicas, requests or sizes in the spec".to_owned()
        }
        Reason::MissingRights => {
            let rule = right(message)?;
            format!("give the operator the right, in the role that its chart makes for it: {rule}")
        }
        _ => "a policy of the cluster forbids it: change the policy, or exempt the namespace from it".to_owned(),
    })
}

/// The rule of a role that a refusal asks for, of a message such as `User "system:serviceaccount:a:b" cannot patch resource "services" in
/// API group "" in the namespace "c"`.
fn right(message: &str) -> Option<String> {
    let (verb, rest) = message.split_once("\" cannot ")?.1.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once('"')?;
    let group = rest.strip_prefix(" in API group \"")?.split_once('"')?.0;
    Some(format!("apiGroups: [{group:?}], resources: [{resource}], verbs: [{verb}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = r#"services "acme-auth" is forbidden: User "system:serviceaccount:ops:operator" cannot patch resource "services" in API group "" in the namespace "team""#;
    const QUOTA: &str =
        r#"pods "acme-auth-5f" is forbidden: exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3"#;

    #[test]
    fn a_right_that_is_missing_is_told_as_the_rule_to_add() {
        assert_eq!(reason(RIGHT), Some(Reason::MissingRights));
        let cure = cure(RIGHT).unwrap_or_default();
        assert!(cure.ends_with(r#": apiGroups: [""], resources: [services], verbs: [patch]"#), "{cure}");
    }

    #[test]
    fn a_quota_is_not_taken_for_a_missing_right() {
        assert_eq!(reason(QUOTA), Some(Reason::QuotaExceeded));
        assert!(cure(QUOTA).is_some_and(|cure| cure.contains("ResourceQuota")));
        let no_limit = r#"pods "a" is forbidden: failed quota: small: must specify limits.cpu for: auth"#;
        assert_eq!(reason(no_limit), Some(Reason::QuotaExceeded));
    }

    #[test]
    fn policies_of_every_kind_are_told() {
        for words in [
            r#"pods "a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true"#,
            r#"admission webhook "validate.kyverno.svc" denied the request: registry is not allowed"#,
            r#"deployments.apps "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: too many replicas"#,
            r#"pods "a" is forbidden: maximum memory usage per Container is 64Mi, but limit is 128Mi"#,
        ] {
            assert_eq!(reason(words), Some(Reason::AdmissionDenied), "{words}");
        }
    }

    #[test]
    fn a_volume_that_cannot_grow_is_no_matter_of_policy() {
        let words = r#"persistentvolumeclaims "data-acme-redis-0" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"#;
        assert_eq!(reason(words), None);
        assert!(
            with_cure(words)
                .ends_with("set allowVolumeExpansion in the StorageClass, if its provisioner can enlarge volumes")
        );
    }

    #[test]
    fn what_is_no_refusal_has_no_cure() {
        for words in [
            "etcdserver: request timed out",
            r#"secrets "a" is forbidden: unable to create new content in namespace team because it is being terminated"#,
        ] {
            assert_eq!((reason(words), with_cure(words)), (None, words.to_owned()));
        }
    }
}
