//! The end of a platform.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Stage;
use super::people::two_in_conversation;
use super::wait::until;

pub(super) fn a_deleted_platform_leaves_only_its_data_which_a_new_one_takes_up(stage: &Stage) -> Result<()> {
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let message = ada.send(stage, &conversation, "to be kept")?;

    stage.kubectl(["delete", "chatplatform", &stage.platform, "--timeout=120s"])?;
    until("everything but the data is gone", Duration::from_mins(2), || {
        let left: Vec<String> = stage
            .owned_objects()?
            .iter()
            .filter(|object| object["kind"] != "PersistentVolumeClaim" && object["kind"] != "Secret")
            .map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]))
            .collect();
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    })?;

    let took = stage.apply_platform()?;
    stage.trust_anew()?;
    stage.wait_until_usable()?;
    stage.note(format!("ready again after {}", crate::progress::seconds(took)));
    let history = ben.log_in(stage)?.history(stage, &conversation)?;
    ensure!(history == [message], "the message is not as it was: {history:?}");
    ada.log_in(stage).map(drop)
}
