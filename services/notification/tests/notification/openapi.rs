//! The description of the routes, as it is checked in and as it is served.

use servers::description;

use crate::service::Service;

#[test]
fn the_description_that_is_checked_in_is_that_of_the_routes() {
    description::is_checked_in("notification", &notification::http::openapi()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_served_and_refuses_strangers() {
    let service = Service::start().await;
    let document = description::of(&service.url).unwrap();
    assert_eq!(document, notification::http::openapi());
    let operations = description::operations(&document).unwrap();
    for operation in &operations {
        assert_eq!(operation.status_for_strangers(&service.url).unwrap(), 401, "{operation:?}");
    }
    assert_eq!(operations.len(), 8, "{operations:?}");
    service.stop().await;
}
