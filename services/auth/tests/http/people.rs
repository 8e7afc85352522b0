use mongodb::bson::{Document, doc};
use reqwest::StatusCode;
use serde_json::json;

use crate::service::{Auth, fields};

#[tokio::test]
async fn people_are_found_by_the_beginning_of_either_name_in_any_case() {
    let auth = Auth::start().await;
    let ada = auth.register_as("ada", "Countess Lovelace").await;
    auth.register_as("adam", "First Man").await;
    auth.register_as("eve", "Adamina").await;
    auth.register_as("zoe", "Übermut").await;
    let find = async |query| auth.find(query, &ada.access_token).await;
    assert_eq!(find("AD").await, ["ada", "adam", "eve"]);
    assert_eq!(find("count").await, ["ada"]);
    assert_eq!(find("ÜBER").await, ["zoe"]);
    assert!(find("dam").await.is_empty());
    assert!(find(".*").await.is_empty());
}

#[tokio::test]
async fn who_is_found_by_both_names_is_listed_once() {
    let auth = Auth::start().await;
    let ada = auth.register_as("ada", "Ada Lovelace").await;
    assert_eq!(auth.find("ada", &ada.access_token).await, ["ada"]);
    assert_eq!(auth.find("ada l", &ada.access_token).await, ["ada"]);
}

#[tokio::test]
async fn pages_follow_one_another_without_gap_or_repetition() {
    let auth = Auth::start().await;
    let ada = auth.register_as("paa", "P").await;
    for (username, display_name) in
        [("pbb", "P"), ("pcc", "Q"), ("qaa", "pp"), ("qbb", "PP"), ("qcc", "pz"), ("qdd", "Other")]
    {
        auth.register_as(username, display_name).await;
    }
    for limit in 1..=7 {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/v1/users?query=p&limit={limit}{cursor}");
            let (status, page) = auth.get(&path, &ada.access_token).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            let items = page["items"].as_array().unwrap();
            assert!(!items.is_empty() && items.len() <= limit);
            found.extend(items.iter().map(|user| user["username"].as_str().unwrap().to_owned()));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(found, ["paa", "pbb", "pcc", "qaa", "qbb", "qcc"], "limit {limit}");
    }
}

#[tokio::test]
async fn a_query_that_cannot_be_is_refused() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    for query in ["", "?query=", "?query=%20", &format!("?query={}", "x".repeat(65))] {
        let (status, problem) = auth.get(&format!("/api/v1/users{query}"), &ada.access_token).await;
        assert_eq!((status, fields(&problem)), (StatusCode::BAD_REQUEST, vec!["query".to_owned()]), "{query}");
    }
    let (status, problem) = auth.get("/api/v1/users?query=a&cursor=bogus", &ada.access_token).await;
    assert_eq!((status, fields(&problem)), (StatusCode::BAD_REQUEST, vec!["cursor".to_owned()]));
}

#[tokio::test]
async fn every_query_of_a_search_is_a_range_of_an_index_in_its_order() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    for n in 0..5 {
        auth.register_as(&format!("bob{n}"), &format!("Ada number {n}")).await;
    }
    auth.database.run_command(doc! {"profile": 2}).await.unwrap();
    let (_, page) = auth.get("/api/v1/users?query=ad&limit=2", &ada.access_token).await;
    let next = format!("/api/v1/users?query=ad&limit=2&cursor={}", page["nextCursor"].as_str().unwrap());
    assert_eq!(auth.get(&next, &ada.access_token).await.0, StatusCode::OK);
    auth.database.run_command(doc! {"profile": 0}).await.unwrap();
    let searches = doc! {"op": "query", "command.find": "users", "command.sort": {"$exists": true}};
    let profiles = auth.all::<Document>("system.profile", searches).await;
    assert!(profiles.len() >= 3, "{}", json!(profiles));
    for profile in profiles {
        let plan = profile.get_str("planSummary").unwrap();
        assert!(plan.starts_with("IXSCAN") && !plan.contains("COLLSCAN"), "{profile}");
        assert!(!profile.contains_key("hasSortStage"), "{profile}");
    }
}
