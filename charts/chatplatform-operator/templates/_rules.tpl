{{/* What the operator may do where it looks after platforms. Each rule is there for what stands beside it. */}}
{{- define "operator.rules" -}}
# The documents it carries out. It never changes one.
- apiGroups: [chatplatform.dev]
  resources: [chatplatforms]
  verbs: [list, watch]
# Where it tells how far a platform is.
- apiGroups: [chatplatform.dev]
  resources: [chatplatforms/status]
  verbs: [patch]
# Credentials and keys that it makes and keeps for each platform, read back at each run so that they stay as they are; also the
# Secrets that documents name for TLS and e-mail, and so it must be told when any Secret changes. It asks for the metadata of others alone.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
# Configuration of the edge and the servers, and the public keys of tokens; the Services by which parts find each other.
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [get, list, watch, create, patch, delete]
# The servers with data, and the services without.
- apiGroups: [apps]
  resources: [statefulsets, deployments]
  verbs: [get, list, watch, create, patch, delete]
# The databases are brought to the form of a release before anything else of it runs, by Jobs that go when that is done.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
# Why a component is not ready, and whether a server is there to be logged in to. Members of a replica set are restarted one by one,
# by deleting their pods. Those of the edge are told of a renewed certificate by an annotation, and those of the services of another key
# ring, at which the kubelet looks at the mounted Secret at once, and not within one or two minutes.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, patch, delete]
# Whether a platform has data already: then its keys must not be made anew. Volumes are enlarged, and those of former members of a
# replica set removed, which a StatefulSet does not do.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [list, patch, delete]
# How many pods of a component run where that depends on the CPU they use, and whether that is known.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
# How many pods of a component may go at once when nodes are emptied.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# Who may connect to whom; without it every pod of the cluster reaches the servers, as far as it has a password.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
# What makes backups by the schedule of `spec.backup`, and what a person makes a Job of to restore one. This kind and the four below are
# only looked at where a document asks for them, or may have done so before.
- apiGroups: [batch]
  resources: [cronjobs]
  verbs: [get, list, watch, create, patch, delete]
# The way in for `spec.exposure.type: Ingress`.
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch, create, patch, delete]
# The way in for `spec.exposure.type: Gateway`.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# What cert-manager is asked for by `spec.tls.issuerRef`.
- apiGroups: [cert-manager.io]
  resources: [certificates]
  verbs: [get, list, watch, create, patch, delete]
# By what a Prometheus finds the pods of `spec.monitoring.podMonitor`.
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [get, list, watch, create, patch, delete]
# What happened, for people; the same again is counted in the event that is there. Why Kubernetes makes no pod or mounts no volume is
# in events alone, and is read while one is missing.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [list, create, patch]
{{- end -}}
