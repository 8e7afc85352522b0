//! What a device is sent. It holds nothing of the message itself.

use contract::notification::{Notification, NotificationKind};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::headline::{headline, presentable};

/// For how long it is kept for a device that cannot be reached.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// The body of `messages:send` for one device
/// (<https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages>). A conversation has one place on a device: what is newer
/// takes it, and so does a copy.
pub(super) fn message(
    token: &str,
    notification: &Notification,
    sender: Option<&str>,
    web_url: &str,
    now: Timestamp,
) -> Value {
    let conversation = notification.conversation_id.to_string();
    let kind = match notification.kind {
        NotificationKind::Message => "message",
    };
    let seconds = KEPT.as_secs();
    let mut webpush = json!({
        "headers": {"TTL": seconds.to_string(), "Urgency": "high"},
        "notification": {"tag": conversation},
    });
    // Firebase takes no other links.
    if web_url.starts_with("https://") {
        webpush["fcm_options"] = json!({"link": web_url});
    }
    json!({"message": {
        "token": token,
        "notification": {"title": headline(sender.and_then(presentable).as_deref())},
        "data": {
            "kind": kind,
            "conversationId": conversation,
            "messageId": notification.message_id.to_string(),
            "notificationId": notification.id.to_string(),
        },
        "android": {"priority": "HIGH", "ttl": format!("{seconds}s"), "notification": {"tag": conversation}},
        "apns": {
            "headers": {
                "apns-priority": "10",
                "apns-collapse-id": conversation,
                "apns-expiration": (now + KEPT).as_second().to_string(),
            },
            "payload": {"aps": {"thread-id": conversation, "sound": "default"}},
        },
        "webpush": webpush,
    }})
}
