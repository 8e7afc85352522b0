//! The description of the routes, as it is checked in and as it is served.

use servers::description;

use crate::platform::Platform;

#[test]
fn the_description_that_is_checked_in_is_that_of_the_routes() {
    description::is_checked_in("chat", &chat::http::openapi()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_served_and_refuses_strangers() {
    let replica = Platform::new().start().await;
    let document = description::of(&replica.url).unwrap();
    assert_eq!(document, chat::http::openapi());
    let operations = description::operations(&document).unwrap();
    for operation in &operations {
        assert_eq!(operation.status_for_strangers(&replica.url).unwrap(), 401, "{operation:?}");
    }
    assert!(operations.len() > 20, "{operations:?}");
    replica.stop().await;
}
