//! The web client: static files.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Service};

use super::component::Component;
use super::container::{container, mount, mount_read_only, port, words};
use super::probe::{Question, probed};
use super::workload::{Pods, deployment, leave_first};
use super::{config, network, nginx, security, volume};
use crate::validate::Platform;

const COMPONENT: Component = Component::Web;

/// The port of requests.
pub const PORT: i32 = 8080;

/// The objects of the web client.
#[must_use]
pub fn build(platform: &Platform) -> (ConfigMap, Service, Deployment) {
    let configuration = configuration();
    let files = config::config_map(platform, COMPONENT, COMPONENT.name(), [("nginx.conf", configuration.clone())]);
    let service = network::service(platform, COMPONENT, vec![network::port("http", PORT)]);
    let pods = Pods {
        user: security::NGINX,
        init_containers: vec![],
        container: leave_first(probed(
            Container {
                command: Some(words(&nginx::COMMAND)),
                ports: Some(vec![port("http", PORT)]),
                volume_mounts: Some(vec![mount_read_only("config", nginx::CONFIG), mount("tmp", "/tmp")]),
                ..container(platform, COMPONENT, "nginx", platform.web.resources.clone())
            },
            30,
            Question::Http("http", "/healthz"),
            Question::Http("http", "/healthz"),
        )),
        volumes: vec![
            volume::config_map("config", &platform.names.object(COMPONENT.name())),
            volume::scratch("tmp", "64Mi"),
        ],
        read_at_start: vec![configuration],
        grace_seconds: 30,
    };
    (files, service, deployment(platform, COMPONENT, platform.web.replicas, pods))
}

fn configuration() -> String {
    let (head, types) = (nginx::HEAD, nginx::TYPES);
    format!(
        r#"{head}{types}    access_log off;
    gzip on;
    gzip_vary on;
    gzip_min_length 1024;
    gzip_types text/css text/javascript application/json application/manifest+json image/svg+xml;
    server {{
        listen {PORT};
        root /usr/share/chatplatform/web;
        location = /healthz {{
            default_type text/plain;
            return 200 "ok\n";
        }}
        # Files here carry a digest in their name: a new release has new names.
        location /assets/ {{
            add_header Cache-Control "public, max-age=31536000, immutable";
            try_files $uri =404;
        }}
        location / {{
            add_header Cache-Control "no-cache";
            add_header Content-Security-Policy "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; connect-src 'self' wss://$http_host; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";
            try_files $uri /index.html;
        }}
    }}
}}
"#
    )
}
