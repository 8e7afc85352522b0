//! How an event travels: attributes as headers, data as body.

use contract::{
    event::{Envelope, Event, EventError, header},
    trace,
};
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};

pub(super) const CONTENT_TYPE: &str = "application/json";
pub(super) const PERSISTENT: u8 = 2;
/// How often the handling of a delivery has failed so far.
pub(super) const ATTEMPTS: &str = "x-attempts";
/// Why the last handling failed.
pub(super) const REASON: &str = "x-reason";
const SPEC_VERSION: &str = "1.0";

/// Why a delivery is not an event.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("header {0} is missing or malformed")]
    Header(&'static str),
    #[error(transparent)]
    Event(#[from] EventError),
}

/// Properties and body of an event.
pub(super) fn encode(envelope: &Envelope) -> Result<(BasicProperties, Vec<u8>), serde_json::Error> {
    let mut headers = FieldTable::default();
    let mut put = |name: &str, value: String| {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    put(header::ID, envelope.id.to_string());
    put(header::SOURCE, envelope.source.clone());
    put(header::TYPE, envelope.event.kind().to_owned());
    put(header::TIME, envelope.time.to_string());
    put(header::SPEC_VERSION, SPEC_VERSION.to_owned());
    if let Some(parent) = envelope.trace_parent {
        put(trace::HEADER, parent.to_string());
    }
    let properties = BasicProperties::default()
        .with_content_type(CONTENT_TYPE.into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(envelope.id.to_string().into())
        .with_headers(headers);
    Ok((properties, serde_json::to_vec(&envelope.event.data()?)?))
}

/// The event of a delivery.
pub(super) fn decode(properties: &BasicProperties, body: &[u8]) -> Result<Envelope, WireError> {
    let text = |name: &'static str| text(properties, name).ok_or(WireError::Header(name));
    let kind = text(header::TYPE)?;
    Ok(Envelope {
        id: text(header::ID)?.parse().map_err(|_| WireError::Header(header::ID))?,
        source: text(header::SOURCE)?,
        time: text(header::TIME)?.parse().map_err(|_| WireError::Header(header::TIME))?,
        trace_parent: text(trace::HEADER).ok().and_then(|text| text.parse().ok()),
        event: Event::parse(&kind, body)?,
    })
}

/// The header `name` as text.
pub(super) fn text(properties: &BasicProperties, name: &str) -> Option<String> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

/// How often the handling of this delivery has failed so far.
pub(super) fn attempts(properties: &BasicProperties) -> u32 {
    let headers = properties.headers().as_ref();
    match headers.and_then(|headers| headers.inner().get(ATTEMPTS)) {
        Some(AMQPValue::LongUInt(attempts)) => *attempts,
        Some(AMQPValue::LongInt(attempts)) => u32::try_from(*attempts).unwrap_or(0),
        Some(AMQPValue::LongLongInt(attempts)) => u32::try_from(*attempts).unwrap_or(0),
        _ => 0,
    }
}

/// The same properties with one more failure noted.
pub(super) fn failed(properties: &BasicProperties, attempts: u32, reason: &str) -> BasicProperties {
    let mut headers = properties.headers().clone().unwrap_or_default();
    headers.insert(ATTEMPTS.into(), AMQPValue::LongLongInt(i64::from(attempts)));
    headers.insert(REASON.into(), AMQPValue::LongString(reason.into()));
    properties.clone().with_headers(headers).with_delivery_mode(PERSISTENT)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use contract::{event::SessionRevoked, id, trace::TraceParent};
    use jiff::Timestamp;

    use super::*;

    fn envelope() -> Envelope {
        let event =
            SessionRevoked { user_id: id::UserId::generate(), session_id: id::SessionId::generate(), reason: None };
        Envelope::new("auth", event.into(), Some(TraceParent::start()), Timestamp::UNIX_EPOCH, &mut rand::rng())
    }

    #[test]
    fn an_event_arrives_as_it_was_sent() {
        let envelope = envelope();
        let (properties, body) = encode(&envelope).unwrap();
        assert_eq!(decode(&properties, &body).unwrap(), envelope);
        assert_eq!(text(&properties, "cloudEvents:type").as_deref(), Some("session.revoked"));
        assert_eq!(text(&properties, "cloudEvents:specversion").as_deref(), Some("1.0"));
    }

    #[test]
    fn failures_are_counted_in_the_headers_and_the_event_stays_the_same() {
        let envelope = envelope();
        let (properties, body) = encode(&envelope).unwrap();
        assert_eq!(attempts(&properties), 0);
        let failed = failed(&properties, 3, "no stamp");
        assert_eq!(attempts(&failed), 3);
        assert_eq!(text(&failed, REASON).as_deref(), Some("no stamp"));
        assert_eq!(decode(&failed, &body).unwrap(), envelope);
    }

    #[test]
    fn a_delivery_without_attributes_is_no_event() {
        assert!(matches!(decode(&BasicProperties::default(), b"{}"), Err(WireError::Header(header::TYPE))));
    }
}
