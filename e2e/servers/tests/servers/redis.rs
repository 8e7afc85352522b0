use redis::{Client, Commands, RedisResult};
use servers::Redis;

#[test]
fn two_databases_do_not_see_each_others_keys() {
    let mut one = Client::open(Redis::shared().database()).unwrap().get_connection().unwrap();
    let mut other = Client::open(Redis::shared().database()).unwrap().get_connection().unwrap();
    let _: () = one.set("key", 1).unwrap();
    let (here, there): (Option<i32>, Option<i32>) = (one.get("key").unwrap(), other.get("key").unwrap());
    assert_eq!((here, there), (Some(1), None));
}

#[test]
fn a_user_may_only_what_the_acl_allows() {
    let server = Redis::start_with_users("user default off\nuser chat on >secret ~chat:* +@all\n").unwrap();
    assert!(Client::open(server.url()).unwrap().get_connection().unwrap().set::<_, _, ()>("chat:a", 1).is_err());
    let mut chat = Client::open(server.url_for("chat", "secret")).unwrap().get_connection().unwrap();
    let _: () = chat.set("chat:a", 1).unwrap();
    let refused: RedisResult<()> = chat.set("auth:a", 1);
    assert!(refused.unwrap_err().to_string().contains("permissions"));
}

#[test]
fn keys_survive_a_stop_and_a_new_start() {
    let mut server = Redis::start().unwrap();
    let client = Client::open(server.url()).unwrap();
    let _: () = client.get_connection().unwrap().set("key", "value").unwrap();
    server.stop().unwrap();
    assert!(client.get_connection().is_err());
    server.restart().unwrap();
    let value: String = client.get_connection().unwrap().get("key").unwrap();
    assert_eq!(value, "value");
}
