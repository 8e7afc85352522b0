//! The edge: Nginx, which terminates TLS, upgrades WebSockets and starts traces.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Service};

use super::component::Component;
use super::container::{container, mount, mount_read_only, port, words};
use super::probe::{Question, probed};
use super::workload::{Pods, deployment, leave_first};
use super::{config, network, nginx, security, service, volume, web};
use crate::api::ExposureType;
use crate::validate::{Platform, TlsSource, Upstreams};

const COMPONENT: Component = Component::Edge;
const HTTPS: i32 = 8443;
const HTTP: i32 = 8080;
const PROBE: i32 = 8081;

/// Annotation of the edge's `ConfigMap`: the addresses in it, so that they are still known while a Service is missing.
pub const UPSTREAMS: &str = "chatplatform.dev/upstreams";

/// The Service of the edge.
#[must_use]
pub fn service(platform: &Platform) -> Service {
    let mut https = network::port("https", 443);
    https.node_port = platform.exposure.node_port;
    let mut service = network::service(platform, COMPONENT, vec![https, network::port("http", 80)]);
    if !platform.exposure.annotations.is_empty() {
        service.metadata.annotations = Some(platform.exposure.annotations.clone());
    }
    if let Some(spec) = &mut service.spec {
        spec.type_ = Some(
            match platform.exposure.type_ {
                ExposureType::ClusterIP => "ClusterIP",
                ExposureType::NodePort => "NodePort",
                ExposureType::LoadBalancer => "LoadBalancer",
            }
            .into(),
        );
    }
    service
}

/// The pods of the edge and their configuration, once the addresses of what stands behind are known.
///
/// Nginx resolves a name once, at its start. With addresses in the configuration, a Service that was deleted and made anew, with
/// another address, is a change of the configuration and so reaches the edge.
#[must_use]
pub fn server(platform: &Platform, upstreams: &Upstreams) -> (ConfigMap, Deployment) {
    let configuration = configuration(upstreams);
    let mut files = config::config_map(platform, COMPONENT, COMPONENT.name(), [("nginx.conf", configuration.clone())]);
    files.metadata.annotations = Some(BTreeMap::from([(UPSTREAMS.to_owned(), upstreams.to_string())]));
    let (secret, certificate) = match &platform.tls {
        TlsSource::Own => (platform.names.object("edge-tls"), platform.material.edge.pem()),
        TlsSource::Secret { name, certificate } => (name.clone(), certificate.as_str()),
    };
    let pods = Pods {
        user: security::NGINX,
        init_containers: vec![],
        container: leave_first(probed(
            Container {
                command: Some(words(&nginx::COMMAND)),
                ports: Some(vec![port("https", HTTPS), port("http", HTTP), port("probe", PROBE)]),
                volume_mounts: Some(vec![
                    mount_read_only("config", nginx::CONFIG),
                    mount_read_only("tls", "/etc/nginx-tls"),
                    mount("tmp", "/tmp"),
                ]),
                ..container(platform, COMPONENT, "nginx", platform.edge.resources.clone())
            },
            30,
            Question::Http("probe", "/healthz"),
            Question::Http("probe", "/healthz"),
        )),
        volumes: vec![
            volume::config_map("config", &platform.names.object(COMPONENT.name())),
            volume::secret("tls", &secret),
            volume::scratch("tmp", "256Mi"),
        ],
        read_at_start: vec![configuration, certificate.to_owned()],
        grace_seconds: 30,
    };
    (files, deployment(platform, COMPONENT, platform.edge.replicas, pods))
}

fn authority(address: IpAddr, port: i32) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    }
}

fn configuration(upstreams: &Upstreams) -> String {
    let head = nginx::HEAD;
    let gateway = authority(upstreams.gateway, service::PORT);
    let web = authority(upstreams.web, web::PORT);
    format!(
        r#"{head}    log_format json escape=json '{{"time":"$time_iso8601","method":"$request_method","path":"$uri","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,"client":"$remote_addr","traceparent":"$edge_traceparent"}}';
    access_log /dev/stdout json;
    default_type application/octet-stream;

    # W3C Trace Context: what the client sent if it is well-formed, else a new trace.
    map $request_id $edge_span {{
        "~^(?<span>[0-9a-f]{{16}})" $span;
    }}
    map $http_traceparent $edge_traceparent {{
        "~^00-[0-9a-f]{{32}}-[0-9a-f]{{16}}-[0-9a-f]{{2}}$" $http_traceparent;
        default "00-$request_id-$edge_span-01";
    }}
    map $http_upgrade $edge_connection {{
        default upgrade;
        "" "";
    }}

    upstream gateway {{
        server {gateway} max_fails=0;
        keepalive 64;
    }}
    upstream web {{
        server {web} max_fails=0;
        keepalive 16;
    }}

    ssl_certificate /etc/nginx-tls/tls.crt;
    ssl_certificate_key /etc/nginx-tls/tls.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;
    ssl_prefer_server_ciphers off;
    ssl_session_cache shared:edge:4m;
    ssl_session_timeout 1d;
    ssl_session_tickets off;

    # The headers of a browser alone are a few KiB; a token in one of them is less than one.
    large_client_header_buffers 4 16k;
    client_header_timeout 15s;
    client_body_timeout 60s;

    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Connection "";
    # What a client says of itself is not passed on: the address that counts is the one that this server sees.
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto https;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header Forwarded "";
    proxy_set_header X-Real-IP "";
    proxy_set_header traceparent $edge_traceparent;
    # Longer than the gateway's own limit, so that it is the gateway that answers.
    proxy_read_timeout 75s;
    proxy_connect_timeout 5s;
    # An answer goes on as it comes; nothing is written to disk.
    proxy_max_temp_file_size 0;

    server {{
        listen {PROBE};
        access_log off;
        location = /healthz {{
            default_type text/plain;
            return 200 "ok\n";
        }}
        location / {{
            return 404;
        }}
    }}

    server {{
        listen {HTTP};
        location / {{
            return 308 https://$host$request_uri;
        }}
    }}

    server {{
        listen {HTTPS} ssl http2;
        add_header Strict-Transport-Security "max-age=31536000" always;
        add_header X-Content-Type-Options nosniff always;
        add_header X-Frame-Options DENY always;
        add_header Referrer-Policy no-referrer always;

        # The services have limits of their own, by route; this one keeps out what none of them takes.
        client_max_body_size 110m;

        location /api/ {{
            proxy_pass http://gateway;
            proxy_request_buffering off;
            proxy_buffering off;
        }}
        location /socket.io/ {{
            proxy_pass http://gateway;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header Forwarded "";
            proxy_set_header X-Real-IP "";
            proxy_set_header traceparent $edge_traceparent;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $edge_connection;
            proxy_request_buffering off;
            proxy_buffering off;
            # Sockets are pinged every 25 seconds; a silence of minutes is a dead one.
            proxy_read_timeout 150s;
            proxy_send_timeout 150s;
        }}
        location /.well-known/ {{
            proxy_pass http://gateway;
        }}
        location / {{
            proxy_pass http://web;
        }}
    }}
}}
"#
    )
}
