//! What the database remembers of keys, in the collection `idempotency`.
//!
//! A document is made before the request is carried out, and has the answer once there is one. A process that dies in between leaves a
//! claim that runs out; the same request is then carried out once more.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use contract::id::EventId;
use http::{HeaderValue, StatusCode, header, response};
use jiff::Timestamp;
use mongodb::{
    IndexModel,
    bson::{Binary, DateTime, Document, doc, spec::BinarySubtype},
    error::{Error, ErrorKind, WriteFailure},
    options::{CollectionOptions, IndexOptions, WriteConcern},
};
use serde::{Deserialize, Serialize};

use crate::{
    clock::Clock,
    connect::{Collection, Database},
    migrations::Migration,
};

/// How long a key is kept.
const KEPT_FOR: Duration = Duration::from_hours(24);

/// How long a request may be under way. None takes so long: what has not been answered by then died with its process.
const UNDER_WAY_FOR: Duration = Duration::from_mins(1);

/// How often a claim is tried whose document came or went meanwhile.
const MOST_ATTEMPTS: usize = 8;

const COLLECTION: &str = "idempotency";

/// The step by which a service's database gets what keys need.
pub const MIGRATION: Migration = Migration {
    name: "idempotency-keys",
    run: |database| {
        Box::pin(async move {
            // The database removes what has ended, within a minute or so.
            let options = IndexOptions::builder().name("ends".to_owned()).expire_after(Duration::ZERO).build();
            let ends = IndexModel::builder().keys(doc! {"expiresAt": 1}).options(options).build();
            Ok(database.collection::<Document>(COLLECTION).now().create_index(ends).await.map(drop)?)
        })
    },
};

/// The keys of a service.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    records: Collection<Record>,
    clock: Clock,
}

/// What became of a claim.
#[derive(Debug)]
pub(super) enum Claim {
    /// The key is new: the request is to be carried out.
    Fresh(Ticket),
    /// The request has been carried out, with this answer.
    Answered(Answer),
    /// It is being carried out.
    UnderWay,
    /// The key belongs to another request.
    Other,
}

/// The right to carry a request out.
#[derive(Debug)]
pub(super) struct Ticket {
    place: String,
    claim: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    /// Caller, route and key, as a digest.
    #[serde(rename = "_id")]
    place: String,
    /// The request, as a digest.
    request: String,
    /// Who carries it out.
    claim: String,
    claimed_until: DateTime,
    expires_at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
}

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    status: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    body: Binary,
}

impl Ledger {
    pub(super) fn new(database: &Database, clock: Clock) -> Self {
        let options = CollectionOptions::builder().write_concern(WriteConcern::majority()).build();
        Self { records: database.collection_with_options(COLLECTION, options), clock }
    }

    /// Claims the key at `place` for `request`.
    pub(super) async fn claim(&self, place: String, request: String) -> Result<Claim, Error> {
        for _ in 0..MOST_ATTEMPTS {
            let now = self.clock.now();
            let mine = Record {
                place: place.clone(),
                request: request.clone(),
                claim: EventId::generate().to_string(),
                claimed_until: after(now, UNDER_WAY_FOR),
                expires_at: after(now, KEPT_FOR),
                answer: None,
            };
            let ticket = Ticket { place: place.clone(), claim: mine.claim.clone() };
            match self.records.now().insert_one(&mine).await {
                Ok(_) => return Ok(Claim::Fresh(ticket)),
                Err(error) if is_duplicate(&error) => {}
                Err(error) => return Err(error),
            }
            // Gone since: the first request was refused.
            let Some(theirs) = self.records.now().find_one(doc! {"_id": &place}).await? else { continue };
            let (now, same) = (after(now, Duration::ZERO), theirs.request == request);
            let ended = theirs.expires_at <= now;
            let abandoned = theirs.answer.is_none() && theirs.claimed_until <= now && same;
            if ended || abandoned {
                let unchanged = doc! {"_id": &place, "claim": &theirs.claim};
                if self.records.now().replace_one(unchanged, &mine).await?.matched_count == 1 {
                    return Ok(Claim::Fresh(ticket));
                }
                continue;
            }
            return Ok(match theirs.answer {
                _ if !same => Claim::Other,
                Some(answer) => Claim::Answered(answer),
                None => Claim::UnderWay,
            });
        }
        Ok(Claim::UnderWay)
    }

    /// Keeps the answer from now on.
    pub(super) async fn keep(&self, ticket: Ticket, answer: &Answer) -> Result<(), Error> {
        let answer = mongodb::bson::serialize_to_bson(answer).map_err(Error::from)?;
        let kept = doc! {"$set": {"answer": answer, "expiresAt": after(self.clock.now(), KEPT_FOR)}};
        self.records.now().update_one(ticket.document(), kept).await.map(drop)
    }

    /// Gives the key back: nothing was done.
    pub(super) async fn release(&self, ticket: Ticket) -> Result<(), Error> {
        self.records.now().delete_one(ticket.document()).await.map(drop)
    }
}

impl Ticket {
    /// The document, as long as nobody else has taken the claim over.
    fn document(self) -> Document {
        doc! {"_id": self.place, "claim": self.claim}
    }
}

impl Answer {
    pub(super) fn of(parts: &response::Parts, body: Bytes) -> Self {
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self {
            status: i32::from(parts.status.as_u16()),
            content_type: text(header::CONTENT_TYPE),
            location: text(header::LOCATION),
            body: Binary { subtype: BinarySubtype::Generic, bytes: body.into() },
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = u16::try_from(self.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let mut response = (status.unwrap_or(StatusCode::OK), self.body.bytes).into_response();
        // Bytes are given a type of their own; the answer's is what it had, if it had one.
        response.headers_mut().remove(header::CONTENT_TYPE);
        for (name, value) in [(header::CONTENT_TYPE, self.content_type), (header::LOCATION, self.location)] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

fn after(now: Timestamp, time: Duration) -> DateTime {
    DateTime::from_millis(now.as_millisecond().saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
}

fn is_duplicate(error: &Error) -> bool {
    const DUPLICATE_KEY: i32 = 11_000;
    matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteError(write)) if write.code == DUPLICATE_KEY)
}
