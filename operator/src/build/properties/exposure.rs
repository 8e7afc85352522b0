//! How people and controllers reach the edge, and the gateway what is behind it.

use super::*;

#[test]
fn no_way_in_leads_to_an_edge_pod_of_before_a_switch_between_people_and_a_controller() {
    let gateway = json!({"type": "Gateway", "parentRefs": [{"name": "public"}]});
    let direct = ["ClusterIP", "NodePort", "LoadBalancer"].map(|type_| json!({"type": type_}));
    for direct in &direct {
        for behind in [json!({"type": "Ingress"}), gateway.clone()] {
            for (before, after) in [(direct, &behind), (&behind, direct)] {
                let (before, after) = (edge_of(before), edge_of(after));
                for port in &after.service {
                    // By https all of them do the same.
                    let is_for_all = port.target == "https";
                    assert_eq!(before.pods.contains(&port.target), is_for_all, "{} leads there", port.target);
                    let number_is_new = before.service.iter().all(|other| other.number != port.number);
                    assert_eq!(number_is_new, !is_for_all, "a controller may still know {}", port.number);
                }
                assert!(after.service.iter().all(|port| after.pods.contains(&port.target)));
            }
        }
    }
}

struct EdgeOf {
    service: Vec<WayIn>,
    /// Names of ports.
    pods: BTreeSet<String>,
}

struct WayIn {
    number: i32,
    target: String,
}

fn edge_of(exposure: &Value) -> EdgeOf {
    let resources = build(&platform("acme", &json!({"host": "a.example", "exposure": exposure})));
    let is_edge = |metadata: &ObjectMeta| metadata.name.as_deref() == Some("acme-edge");
    let service = resources.services.iter().find(|service| is_edge(&service.metadata)).unwrap();
    let edge = resources.deployments.iter().find(|deployment| is_edge(&deployment.metadata)).unwrap();
    let ports =
        containers(&edge.spec.as_ref().unwrap().template).into_iter().filter_map(|(container, _)| container.ports);
    let ways = json!(service.spec)["ports"].as_array().unwrap().clone();
    let way = |port: &Value| WayIn {
        number: i32::try_from(port["port"].as_i64().unwrap()).unwrap(),
        target: port["targetPort"].as_str().unwrap().to_owned(),
    };
    EdgeOf { service: ways.iter().map(way).collect(), pods: ports.flatten().filter_map(|port| port.name).collect() }
}

#[test]
fn an_ingress_shows_the_certificate_of_the_edge_and_leads_to_its_plain_port() {
    let spec = json!({
        "host": "a.example",
        "exposure": {"type": "Ingress", "className": "traefik", "annotations": {"a.example/b": "c"}},
    });
    let resources = build(&platform("acme", &spec));
    let ingress = json!(resources.ingresses[0]);
    assert_eq!(ingress["apiVersion"], "networking.k8s.io/v1");
    assert_eq!(ingress["spec"]["ingressClassName"], "traefik");
    assert_eq!(ingress["spec"]["tls"], json!([{"hosts": ["a.example"], "secretName": "acme-edge-tls"}]));
    assert_eq!(ingress["metadata"]["annotations"]["a.example/b"], "c");
    let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
    let edge = resources
        .services
        .iter()
        .find(|service| Some(backend["name"].as_str().unwrap()) == service.metadata.name.as_deref())
        .unwrap();
    let http = edge
        .spec
        .as_ref()
        .unwrap()
        .ports
        .as_ref()
        .unwrap()
        .iter()
        .find(|port| backend["port"]["number"] == port.port)
        .unwrap();
    assert_eq!(http.name.as_deref(), Some("controller"));
    assert_eq!(edge.metadata.annotations, None, "they are the Ingress's");
    assert_eq!(json!(edge.spec)["type"], "ClusterIP");
    assert!(resources.http_routes.is_empty() && resources.certificates.is_empty());
}

#[test]
fn a_route_names_its_gateways_and_leads_to_a_port_that_knows_websockets() {
    let parents =
        json!([{"name": "public", "namespace": "gateways", "sectionName": "https", "port": 443}, {"name": "b"}]);
    let spec = json!({"host": "a.example", "exposure": {"type": "Gateway", "parentRefs": parents}});
    let resources = build(&platform("acme", &spec));
    let route = json!(resources.http_routes[0]);
    assert_eq!(route["apiVersion"], "gateway.networking.k8s.io/v1");
    assert_eq!(route["kind"], "HTTPRoute");
    assert_eq!(route["spec"]["parentRefs"], parents);
    assert_eq!(route["spec"]["hostnames"], json!(["a.example"]));
    assert_eq!(route["spec"]["rules"][0]["backendRefs"], json!([{"name": "acme-edge", "port": 8080}]));
    let edge = resources.services.iter().find(|service| service.metadata.name.as_deref() == Some("acme-edge")).unwrap();
    assert_eq!(json!(edge.spec)["ports"][1]["appProtocol"], "kubernetes.io/ws");
    assert!(resources.ingresses.is_empty());
}

#[test]
fn cert_manager_is_asked_for_a_certificate_of_the_host() {
    let spec = |issuer: Value| json!({"host": "a.example", "tls": {"issuerRef": issuer}});
    let of = |issuer| json!(build(&platform("acme", &spec(issuer))).certificates[0]);
    let certificate = of(json!({"name": "letsencrypt"}));
    assert_eq!(certificate["apiVersion"], "cert-manager.io/v1");
    assert_eq!(certificate["spec"]["secretName"], "acme-edge-tls-issued");
    assert_eq!(certificate["spec"]["dnsNames"], json!(["a.example"]));
    let usual = json!({"name": "letsencrypt", "kind": "Issuer", "group": "cert-manager.io"});
    assert_eq!(certificate["spec"]["issuerRef"], usual);
    let other = json!({"name": "pca", "kind": "AWSPCAClusterIssuer", "group": "awspca.cert-manager.io"});
    assert_eq!(of(other.clone())["spec"]["issuerRef"], other);
}

#[test]
fn the_gateway_knows_each_pod_behind_it_by_a_name_that_leads_to_those_that_are_ready() {
    let resources = build(&platform("acme", &json!({"host": "a.example"})));
    let gateway =
        resources.deployments.iter().find(|one| one.metadata.name.as_deref() == Some("acme-gateway")).unwrap();
    let pod = gateway.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let variables = pod.containers[0].env.as_ref().unwrap();
    for upstream in ["AUTH", "CHAT", "MEDIA", "NOTIFICATION"] {
        let host = |section: &str| {
            let name = format!("CHATPLATFORM_{section}__{upstream}");
            let url = variables.iter().find(|variable| variable.name == name).unwrap().value.clone().unwrap();
            url.strip_prefix("http://").unwrap().strip_suffix(":8080").unwrap().to_owned()
        };
        let service = |name: &str| {
            let service = resources.services.iter().find(|one| one.metadata.name.as_deref() == Some(name));
            service.unwrap().spec.clone().unwrap()
        };
        let (headless, own) = (service(&host("ENDPOINTS")), service(&host("UPSTREAMS")));
        assert_eq!((headless.cluster_ip.as_deref(), own.cluster_ip), (Some("None"), None));
        assert_ne!(headless.publish_not_ready_addresses, Some(true));
        assert_eq!((&headless.selector, headless.ports.map(|ports| ports[0].port)), (&own.selector, Some(8080)));
    }
}
