//! Refresh tokens: each is good once and buys its successor (OAuth 2.0 Security BCP, RFC 9700 section 4.14.2).
//!
//! All tokens of a session are one family. Presenting a token whose successor has been used can only mean that two
//! parties hold the family, so it ends. A successor nobody has used yet is another matter: the answer that carried it
//! was lost, or two tabs refreshed at once.
//!
//! - Within [`GRACE`] of the exchange the same successor is handed out again, to however many ask.
//! - Later, a lost answer is forgiven once for each token: a fresh successor takes the place of the lost one, which is
//!   dead from then on. Whoever presents that one shows that it was not lost after all, and the family ends.
//!
//! The database holds what checks a token and never what makes one: the SHA-256 of its secret, and the secret of its
//! successor sealed with a pad that only the token itself yields. A tag under the family's own key tells a token that
//! was once issued from one made up, so that nobody can end a session by knowing its id.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use contract::id::SessionId;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use rand::{CryptoRng, Rng};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How long an exchange may be repeated and is answered alike: longer than a slow request, shorter than it takes to
/// make use of a stolen token.
pub const GRACE: SignedDuration = SignedDuration::from_secs(30);

const SECRET_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

type Secret = [u8; SECRET_BYTES];
type Tag = [u8; TAG_BYTES];

/// A refresh token as its holder has it. Its text is the session's id, a dot, and base64url of generation (4 bytes, big
/// endian), secret (32) and tag (16).
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    session: SessionId,
    generation: u32,
    secret: Secret,
    tag: Tag,
}

/// The text is no refresh token of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a refresh token")]
pub struct NotAToken;

/// What the database knows of a session's refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Makes the tags of this family's tokens.
    pub key: [u8; 32],
    /// Number of the current token; the first is 0.
    pub generation: u32,
    /// SHA-256 of the current token's secret.
    pub current: [u8; 32],
    /// The token that bought the current one; absent in a new family.
    pub previous: Option<Exchanged>,
}

/// A token that has bought its successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
    /// The successor's secret, sealed with a pad only this token's secret yields.
    pub sealed_successor: [u8; 32],
    /// When the successor was made.
    pub at: Timestamp,
    /// Whether a lost successor has been replaced already.
    pub forgiven: bool,
}

/// What presenting a token leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Exchange {
    /// Hand out this token once the family has been stored in the place of the one that was asked.
    Issue(Box<(RefreshToken, Family)>),
    /// Hand out this token again; nothing changes.
    Repeat(RefreshToken),
    /// Two parties hold this family: end it.
    Reused,
    /// Not a token of this family; nothing changes.
    Unknown,
}

impl Family {
    /// A new family and its first token.
    pub fn found<R: CryptoRng>(session: SessionId, rng: &mut R) -> (Self, RefreshToken) {
        let key = random(rng);
        let token = RefreshToken::new(session, 0, random(rng), &key);
        let family = Self { key, generation: 0, current: token.hash(), previous: None };
        (family, token)
    }

    /// Whether this family issued `token`, be it spent or not.
    #[must_use]
    pub fn issued(&self, token: &RefreshToken) -> bool {
        tag(&self.key, token.session, token.generation, &token.secret).ct_eq(&token.tag).into()
    }

    /// Presents `token` to its family.
    pub fn exchange<R: CryptoRng>(&self, token: &RefreshToken, now: Timestamp, rng: &mut R) -> Exchange {
        if !self.issued(token) || token.generation > self.generation {
            return Exchange::Unknown;
        }
        let hash = token.hash();
        if token.generation == self.generation && bool::from(self.current.ct_eq(&hash)) {
            return match self.generation.checked_add(1) {
                Some(next) => self.issue(token, next, false, now, rng),
                // Four thousand million refreshes: log in again.
                None => Exchange::Unknown,
            };
        }
        match &self.previous {
            Some(previous) if token.generation + 1 == self.generation && bool::from(previous.hash.ct_eq(&hash)) => {
                if now.duration_since(previous.at) <= GRACE {
                    let secret = seal(token, &previous.sealed_successor, previous.forgiven);
                    let session = token.session;
                    let successor = RefreshToken::new(session, self.generation, secret, &self.key);
                    Exchange::Repeat(successor)
                } else if previous.forgiven {
                    Exchange::Reused
                } else {
                    self.issue(token, self.generation, true, now, rng)
                }
            }
            _ => Exchange::Reused,
        }
    }

    fn issue<R: CryptoRng>(
        &self,
        token: &RefreshToken,
        generation: u32,
        forgiven: bool,
        now: Timestamp,
        rng: &mut R,
    ) -> Exchange {
        let successor = RefreshToken::new(token.session, generation, random(rng), &self.key);
        let family = Self {
            key: self.key,
            generation,
            current: successor.hash(),
            previous: Some(Exchanged {
                hash: token.hash(),
                sealed_successor: seal(token, &successor.secret, forgiven),
                at: now,
                forgiven,
            }),
        };
        Exchange::Issue(Box::new((successor, family)))
    }
}

impl RefreshToken {
    fn new(session: SessionId, generation: u32, secret: Secret, key: &[u8; 32]) -> Self {
        let tag = tag(key, session, generation, &secret);
        Self { session, generation, secret, tag }
    }

    /// The session it belongs to, if it is genuine.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }
}

impl FromStr for RefreshToken {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let (session, rest) = text.split_once('.').ok_or(NotAToken)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(rest).map_err(|_| NotAToken)?;
        let (generation, rest) = bytes.split_first_chunk::<4>().ok_or(NotAToken)?;
        let (secret, tag) = rest.split_first_chunk::<SECRET_BYTES>().ok_or(NotAToken)?;
        Ok(Self {
            session: session.parse().map_err(|_| NotAToken)?,
            generation: u32::from_be_bytes(*generation),
            secret: *secret,
            tag: tag.try_into().map_err(|_| NotAToken)?,
        })
    }
}

impl fmt::Display for RefreshToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.generation.to_be_bytes().to_vec();
        bytes.extend(self.secret);
        bytes.extend(self.tag);
        write!(formatter, "{}.{}", self.session, BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RefreshToken({} #{})", self.session, self.generation)
    }
}

fn tag(key: &[u8; 32], session: SessionId, generation: u32, secret: &Secret) -> Tag {
    let mac = mac(key, &[b"tag", session.to_string().as_bytes(), &generation.to_be_bytes(), secret]);
    let mut tag = Tag::default();
    tag.copy_from_slice(&mac[..TAG_BYTES]);
    tag
}

/// Seals and opens. Each of a token's two possible successors has a pad of its own, which only the token yields.
fn seal(token: &RefreshToken, successor: &Secret, forgiven: bool) -> Secret {
    let pad = mac(
        &token.secret,
        &[b"successor", token.session.to_string().as_bytes(), &token.generation.to_be_bytes(), &[u8::from(forgiven)]],
    );
    std::array::from_fn(|at| pad[at] ^ successor[at])
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn random<R: Rng>(rng: &mut R) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn rng() -> StdRng {
        StdRng::seed_from_u64(7)
    }

    fn session() -> SessionId {
        "01JDAYB7N8000000000000000A".parse().unwrap()
    }

    fn issued(exchange: Exchange) -> (RefreshToken, Family) {
        match exchange {
            Exchange::Issue(issued) => *issued,
            other => panic!("expected a token, got {other:?}"),
        }
    }

    fn after(duration: SignedDuration) -> Timestamp {
        START + duration
    }

    #[test]
    fn each_token_buys_the_next() {
        let mut rng = rng();
        let (family, first) = Family::found(session(), &mut rng);
        let (second, family) = issued(family.exchange(&first, START, &mut rng));
        let (third, _) = issued(family.exchange(&second, START, &mut rng));
        assert!(first != second && second != third);
    }

    #[test]
    fn a_token_whose_successor_was_used_ends_the_family() {
        let mut rng = rng();
        let (family, first) = Family::found(session(), &mut rng);
        let (second, family) = issued(family.exchange(&first, START, &mut rng));
        let (_, family) = issued(family.exchange(&second, START, &mut rng));
        assert_eq!(family.exchange(&first, START, &mut rng), Exchange::Reused);
    }

    #[test]
    fn everyone_who_refreshes_at_once_gets_the_same_token() {
        let mut rng = rng();
        let (family, first) = Family::found(session(), &mut rng);
        let (second, family) = issued(family.exchange(&first, START, &mut rng));
        for seconds in [0, 1, 29, 30] {
            let now = after(SignedDuration::from_secs(seconds));
            assert_eq!(family.exchange(&first, now, &mut rng), Exchange::Repeat(second.clone()));
        }
    }

    #[test]
    fn a_lost_answer_is_forgiven_once() {
        let mut rng = rng();
        let (family, first) = Family::found(session(), &mut rng);
        let (_lost, family) = issued(family.exchange(&first, START, &mut rng));
        let later = after(SignedDuration::from_hours(1));
        let (second, family) = issued(family.exchange(&first, later, &mut rng));
        let much_later = after(SignedDuration::from_hours(2));
        assert_eq!(family.exchange(&first, much_later, &mut rng), Exchange::Reused);
        issued(family.exchange(&second, much_later, &mut rng));
    }

    #[test]
    fn an_answer_that_was_not_lost_after_all_ends_the_family() {
        let mut rng = rng();
        let (family, first) = Family::found(session(), &mut rng);
        let (taken, family) = issued(family.exchange(&first, START, &mut rng));
        let later = after(SignedDuration::from_hours(1));
        let (_, family) = issued(family.exchange(&first, later, &mut rng));
        assert_eq!(family.exchange(&taken, later, &mut rng), Exchange::Reused);
    }

    #[test]
    fn each_token_of_a_family_may_lose_its_answer_once() {
        let mut rng = rng();
        let (mut family, mut token) = Family::found(session(), &mut rng);
        for hour in 0..5 {
            let now = after(SignedDuration::from_hours(2 * hour));
            let (_lost, next) = issued(family.exchange(&token, now, &mut rng));
            let later = now + SignedDuration::from_hours(1);
            (token, family) = issued(next.exchange(&token, later, &mut rng));
        }
    }

    #[test]
    fn a_token_made_up_for_a_known_session_changes_nothing() {
        let mut rng = rng();
        let (family, _) = Family::found(session(), &mut rng);
        let (_, stranger) = Family::found(session(), &mut rng);
        assert_eq!(family.exchange(&stranger, START, &mut rng), Exchange::Unknown);
    }

    #[test]
    fn what_is_stored_does_not_contain_a_token() {
        let mut rng = rng();
        let (family, first) = Family::found(session(), &mut rng);
        let (second, family) = issued(family.exchange(&first, START, &mut rng));
        let previous = family.previous.unwrap();
        for stored in [family.key, family.current, previous.hash, previous.sealed_successor] {
            assert!(stored != first.secret && stored != second.secret);
        }
    }

    proptest! {
        #[test]
        fn a_token_survives_its_text(generation: u32, secret: [u8; 32], key: [u8; 32]) {
            let token = RefreshToken::new(session(), generation, secret, &key);
            prop_assert_eq!(token.to_string().parse::<RefreshToken>().unwrap(), token);
        }

        #[test]
        fn any_other_text_is_no_token(text in ".{0,120}") {
            if let Ok(token) = text.parse::<RefreshToken>() {
                prop_assert_eq!(token.to_string(), text);
            }
        }
    }
}
