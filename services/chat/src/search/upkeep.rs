//! The index of tokens in `MongoDB`, where that is searched.

use std::time::Duration;

use runtime::migrations;
use runtime::shutdown::Shutdown;
use tokio::time::sleep;

use crate::store::Store;

/// How often it is looked at: a replica that still goes by another backend may drop it once more.
const LOOK_EVERY: Duration = Duration::from_mins(1);
const RETRY: Duration = Duration::from_secs(5);

/// Sees to it that the index is there, which it is not after `OpenSearch` has taken its place. Making it does not keep anybody from
/// writing; until it is whole nothing is found.
pub async fn keep_token_index(store: Store, migrated: migrations::Progress, shutdown: Shutdown) {
    let work = async {
        migrated.reached().await;
        loop {
            let pause = match store.make_token_index().await {
                Ok(()) => LOOK_EVERY,
                Err(error) => {
                    tracing::warn!(error = error.to_string(), "the index for search cannot be made; trying again");
                    RETRY
                }
            };
            sleep(pause).await;
        }
    };
    let _: Option<std::convert::Infallible> = shutdown.soft().run_until_cancelled(work).await;
}
