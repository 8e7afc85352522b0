//! Sessions of Socket.IO that go by polling: each of their requests has to reach the pod that made the session, and all that
//! those requests have in common is the `sid` of [Engine.IO](https://github.com/socketio/engine.io-protocol) in their query.
//! Cookies are not kept by every client.
//!
//! So the gateway lets the `sid` itself say where the session is: in the handshake's answer it appends the tag of the endpoint
//! that gave it, and takes it off again on the way in. Clients treat a `sid` as they find it. No table is needed that several
//! gateways would have to share, and none that could be lost. A tag only ever selects one of the endpoints that the gateway
//! knows, so nobody is led anywhere by inventing one.

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};

use crate::upstream::Tag;

/// Between a session's id and the tag. Servers make ids of the letters of base64url, which this is none of.
const SEPARATOR: char = '.';
/// The type of Engine.IO's packet that opens a session.
const OPEN: char = '0';
/// What separates packets of one answer.
const NEXT_PACKET: char = '\u{1e}';
/// An answer to a handshake is about a hundred bytes; what is longer than this is none.
const LONGEST: u64 = 16 * 1024;

/// What a request tells of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// It asks for one, by polling: the answer is to be tagged.
    Asked,
    /// It belongs to one, at the endpoint of this tag if it has any.
    Of(Option<Tag>),
    /// It has and needs none: a `WebSocket` from the start, or not Socket.IO at all.
    None,
}

/// Reads what the query tells, and the URI as the service shall see it: with the `sid` that it gave itself.
#[must_use]
pub fn read(method: &Method, uri: Uri) -> (Session, Uri) {
    let value = |wanted: &str| {
        let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| value).next()
    };
    let Some(sid) = value("sid") else {
        let asks = *method == Method::GET && value("transport") == Some("polling");
        return (if asks { Session::Asked } else { Session::None }, uri);
    };
    let tagged = sid.rsplit_once(SEPARATOR).and_then(|(bare, tag)| Some((bare, tag.parse::<Tag>().ok()?)));
    match tagged {
        Some((bare, tag)) => (Session::Of(Some(tag)), with_sid(&uri, sid, bare)),
        None => (Session::Of(None), uri),
    }
}

fn with_sid(uri: &Uri, sid: &str, bare: &str) -> Uri {
    let (from, to) = (format!("sid={sid}"), format!("sid={bare}"));
    let pairs = uri.query().unwrap_or_default().split('&');
    let query: Vec<_> = pairs.map(|pair| if pair == from { to.as_str() } else { pair }).collect();
    let target = format!("{}?{}", uri.path(), query.join("&"));
    let mut parts = uri.clone().into_parts();
    // Less of what was a URI is one as well.
    let Ok(target) = target.parse::<PathAndQuery>() else { return uri.clone() };
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

/// The answer to a handshake, with the tag in its `sid`. Whatever else it may be stays as it is.
pub async fn label(response: Response, tag: Tag) -> Result<Response, axum::Error> {
    let (mut parts, body) = response.into_parts();
    let size = http_body::Body::size_hint(&body).exact();
    let is_plain = !parts.headers.contains_key(header::CONTENT_ENCODING);
    if parts.status != StatusCode::OK || !is_plain || size.is_none_or(|size| size > LONGEST) {
        return Ok(Response::from_parts(parts, body));
    }
    let bytes = body.collect().await?.to_bytes();
    let Some(labelled) = labelled(&bytes, tag) else {
        return Ok(Response::from_parts(parts, Body::from(bytes)));
    };
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(labelled.len()));
    Ok(Response::from_parts(parts, Body::from(labelled)))
}

/// The packets with the tag in the first of them, if that opens a session.
fn labelled(packets: &Bytes, tag: Tag) -> Option<String> {
    let text = std::str::from_utf8(packets).ok()?;
    let (first, rest) = text.split_once(NEXT_PACKET).map_or((text, None), |(first, rest)| (first, Some(rest)));
    let mut handshake: Map<String, Value> = serde_json::from_str(first.strip_prefix(OPEN)?).ok()?;
    let sid = format!("{}{SEPARATOR}{tag}", handshake.get("sid")?.as_str()?);
    handshake.insert("sid".to_owned(), sid.into());
    let first = format!("{OPEN}{}", serde_json::to_string(&handshake).ok()?);
    Some(rest.map_or(first.clone(), |rest| format!("{first}{NEXT_PACKET}{rest}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn tag() -> Tag {
        Tag::of(([10, 0, 0, 1], 8080).into())
    }

    fn get(uri: &str) -> (Session, String) {
        let (session, uri) = read(&Method::GET, uri.parse().unwrap());
        (session, uri.to_string())
    }

    #[test]
    fn a_handshake_by_polling_is_to_be_tagged_and_one_by_websocket_is_not() {
        assert_eq!(get("/socket.io/?EIO=4&transport=polling&t=abc").0, Session::Asked);
        assert_eq!(get("/socket.io/?EIO=4&transport=websocket").0, Session::None);
        assert_eq!(get("/socket.io/").0, Session::None);
    }

    #[test]
    fn the_service_sees_the_sid_that_it_gave() {
        let tag = tag();
        let seen = get(&format!("/socket.io/?EIO=4&sid=Xy_-9.{tag}&transport=polling&t=xsid"));
        assert_eq!(seen, (Session::Of(Some(tag)), "/socket.io/?EIO=4&sid=Xy_-9&transport=polling&t=xsid".to_owned()));
    }

    #[test]
    fn a_sid_without_a_tag_passes_as_it_is() {
        for sid in ["abc", "abc.def", "abc.", ".", "abc.00000000000000zz"] {
            let uri = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
            assert_eq!(get(&uri), (Session::Of(None), uri.clone()), "{sid}");
        }
    }

    #[test]
    fn the_first_packet_gets_the_tag_and_the_others_stay() {
        let tag = tag();
        let packets = "0{\"sid\":\"abc\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000}\u{1e}40{\"sid\":\"abc\"}";
        let text = labelled(&Bytes::from(packets), tag).unwrap();
        let (first, rest) = text.split_once(NEXT_PACKET).unwrap();
        let handshake: Value = serde_json::from_str(&first[1..]).unwrap();
        assert_eq!(handshake["sid"], format!("abc.{tag}"));
        assert_eq!((&handshake["upgrades"][0], &handshake["pingInterval"]), (&"websocket".into(), &25000.into()));
        assert_eq!(rest, "40{\"sid\":\"abc\"}");
    }

    #[test]
    fn what_opens_no_session_is_left_alone() {
        for text in ["", "2", "0", "0{}", "0{\"sid\":7}", "4{\"sid\":\"abc\"}", "0[\"sid\"]", "{\"sid\":\"abc\"}"] {
            assert_eq!(labelled(&Bytes::from(text), tag()), None, "{text}");
        }
        assert_eq!(labelled(&Bytes::from_static(b"0{\"sid\":\"\xff\"}"), tag()), None);
    }

    proptest! {
        #[test]
        fn any_sid_comes_back_as_the_service_gave_it(sid in "[A-Za-z0-9_.-]{1,40}", address: [u8; 4], port: u16) {
            let tag = Tag::of((address, port).into());
            let opened = format!("0{{\"sid\":\"{sid}\"}}");
            let text = labelled(&Bytes::from(opened), tag).unwrap();
            let handshake: Value = serde_json::from_str(&text[1..]).unwrap();
            let uri = format!("/socket.io/?transport=polling&sid={}", handshake["sid"].as_str().unwrap());
            let expected = format!("/socket.io/?transport=polling&sid={sid}");
            prop_assert_eq!(get(&uri), (Session::Of(Some(tag)), expected));
        }

        #[test]
        fn no_query_panics(query in "[ -~]{0,80}") {
            if let Ok(uri) = format!("/socket.io/?{query}").parse::<Uri>() {
                let _ = read(&Method::POST, uri);
            }
        }
    }
}
