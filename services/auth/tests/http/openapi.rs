//! The description of the routes, as it is checked in and as it is served.

use servers::description;

use crate::service::Auth;

#[test]
fn the_description_that_is_checked_in_is_that_of_the_routes() {
    description::is_checked_in("auth", &auth::http::openapi()).unwrap();
}

/// Each method that is described is served, and who is not logged in gets as far as the description says.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_served_and_refuses_strangers_as_described() {
    let auth = Auth::start().await;
    let url = auth.url("");
    let document = description::of(&url).unwrap();
    assert_eq!(document, auth::http::openapi());
    let operations = description::operations(&document).unwrap();
    for operation in &operations {
        let status = operation.status_for_strangers(&url).unwrap();
        assert!(status != 405 && status < 500, "{operation:?}: {status}");
        // A log-out is open to who has a refresh token, and to nobody without.
        let refuses = !operation.is_open || operation.path.ends_with("/auth/logout");
        assert_eq!(status == 401, refuses, "{operation:?}: {status}");
    }
    assert!(operations.len() > 30, "{operations:?}");
}
