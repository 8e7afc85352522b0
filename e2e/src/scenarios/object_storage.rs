//! The S3 store and the files in it.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Stage;
use super::chronicle::Chronicle;
use super::faults::{self, name_of, pods_of};
use super::media::{content, upload};
use super::people::Person;
use super::wait::until;

const COMPONENT: &str = "object-storage";
const CONTAINER: &str = "versitygw";
const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn a_killed_store_comes_back_with_every_file(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let ada = Person::register(stage, "ada")?;
    let before = upload(stage, &ada, b"before the crash")?;
    let pods = pods_of(stage, COMPONENT)?;
    ensure!(pods.len() == 1, "there are {} pods", pods.len());
    let chronicle = Chronicle::open(stage)?;
    faults::kill(stage, name_of(&pods[0])?, CONTAINER)?;
    chronicle.tells("ObjectStorageReady", &[COMPONENT])?;
    let after = until("an upload", LIMIT, || upload(stage, &ada, b"after the crash"))?;
    for (media, bytes) in [(&before, b"before the crash".as_slice()), (&after, b"after the crash".as_slice())] {
        let file = ada.get(stage, &content(media)?)?;
        ensure!(file.bytes == bytes, "a file is not as it was: {}", file.status);
    }
    stage.wait_until_ready()
}
