//! The program itself, as a container runs it.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use contract::{id::UserId, media::Media};
use futures::{StreamExt, stream};
use reqwest::{Body, Client, StatusCode};
use servers::{ObjectStorage, access_tokens::write_jwks};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    form,
    service::{environment, install_crypto, noise, token, until},
};

struct Program {
    child: Child,
    url: String,
    admin_url: String,
    _folder: TempDir,
}

impl Program {
    fn start() -> Self {
        install_crypto();
        let folder = tempfile::tempdir().unwrap();
        write_jwks(folder.path()).unwrap();
        let [listen, admin] = [free_address(), free_address()];
        let more = [("SERVER__LISTEN", listen.as_str()), ("SERVER__ADMIN_LISTEN", admin.as_str())];
        let child = Command::new(env!("CARGO_BIN_EXE_media"))
            .envs(environment(folder.path(), ObjectStorage::shared(), &more))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (url, admin_url) = (format!("http://{listen}"), format!("http://{admin}"));
        Self { child, url, admin_url, _folder: folder }
    }

    async fn ready(&self, http: &Client) {
        let ready = || http.get(format!("{}/readyz", self.admin_url)).send();
        until("the program is ready", async || ready().await.is_ok_and(|answer| answer.status() == StatusCode::OK))
            .await;
    }

    /// The most memory it ever had, in KiB.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

const PIECE: usize = 1 << 20;
const PIECES: usize = 96;

/// As fast as the program reads, without being held here as a whole either.
fn form_of_96_mib() -> Body {
    let head = stream::iter([form::head("file", "big.bin").into_bytes()]);
    let pieces = stream::iter((0..PIECES).map(|number| noise(number as u64, PIECE)));
    let tail = stream::iter([form::TAIL.as_bytes().to_vec()]);
    Body::wrap_stream(head.chain(pieces).chain(tail).map(Ok::<_, std::io::Error>))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_96_mib_passes_both_ways_in_40_mib_of_memory() {
    let (program, http) = (Program::start(), Client::new());
    program.ready(&http).await;
    let token = token(UserId::generate());
    let idle = program.peak();

    let answer = http
        .post(format!("{}/api/v1/media", program.url))
        .bearer_auth(&token)
        .header("content-type", form::CONTENT_TYPE)
        .body(form_of_96_mib())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let stored: Media = answer.json().await.unwrap();
    assert_eq!(stored.size, (PIECES * PIECE) as u64);

    let content = format!("{}/api/v1/media/{}/content", program.url, stored.id);
    let mut bytes = http.get(content).bearer_auth(&token).send().await.unwrap().bytes_stream();
    let mut digest = Sha256::new();
    while let Some(piece) = bytes.next().await {
        digest.update(piece.unwrap());
    }
    assert_eq!(hex::encode(digest.finalize()), stored.sha256);
    let grown = program.peak() - idle;
    assert!(grown < 40 << 10, "the program has grown by {grown} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_the_upload_in_hand_is_finished_and_the_program_leaves() {
    let (mut program, http) = (Program::start(), Client::new());
    program.ready(&http).await;
    let token = token(UserId::generate());
    let (begun, beginning) = tokio::sync::oneshot::channel::<()>();
    let mut begun = Some(begun);
    let pid = program.child.id().to_string();
    let pieces = (0..12).map(move |number| {
        if number == 6 {
            begun.take().unwrap().send(()).unwrap();
        }
        noise(number, PIECE)
    });
    let head = stream::iter([form::head("file", "x.bin").into_bytes()]);
    let body = stream::iter(pieces).then(async |piece| {
        // A client on a slow link.
        tokio::time::sleep(Duration::from_millis(100)).await;
        piece
    });
    let body = head.chain(body).chain(stream::iter([form::TAIL.as_bytes().to_vec()]));
    let upload = tokio::spawn(
        http.post(format!("{}/api/v1/media", program.url))
            .bearer_auth(&token)
            .header("content-type", form::CONTENT_TYPE)
            .body(Body::wrap_stream(body.map(Ok::<_, std::io::Error>)))
            .send(),
    );
    beginning.await.unwrap();

    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());

    assert_eq!(upload.await.unwrap().unwrap().status(), StatusCode::CREATED);
    let left = tokio::task::spawn_blocking(move || program.child.wait().unwrap()).await.unwrap();
    assert!(left.success(), "{left}");
}
