use contract::claims::{ACCESS_TOKEN_LIFETIME, PUBLISHED_KEYS_CACHED};
use contract::keys;
use jiff::SignedDuration;

use crate::build::Component;

/// By how much clocks of this cluster may differ, with the time that a request takes.
pub(super) const SKEW: SignedDuration = SignedDuration::from_secs(15);

/// A kind of secret that rotates.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// The keys that sign access tokens.
    SigningKeys,
    /// The keys that wrap the keys of conversations.
    MessageKeys,
    /// What services log in to the platform's own servers with.
    Credentials,
}

/// A ring as its consumers tell of it.
#[derive(Debug)]
pub(super) struct Use {
    /// What they call it.
    pub(super) ring: &'static str,
    /// The server that decides what is accepted; none where consumers decide that.
    pub(super) server: Option<Component>,
    /// Who must accept a generation before it is used; where a server does so, who must be there to be asked.
    pub(super) readers: &'static [Component],
    /// Who makes something with it, or connects by it; each of them is among the readers, too.
    pub(super) writers: &'static [Component],
}

const SERVICES: [Component; 5] =
    [Component::Gateway, Component::Auth, Component::Chat, Component::Media, Component::Notification];
const OF_MONGODB: [Component; 4] = [Component::Auth, Component::Chat, Component::Media, Component::Notification];
const OF_REDIS: [Component; 3] = [Component::Gateway, Component::Auth, Component::Chat];
const OF_RABBITMQ: [Component; 4] = [Component::Auth, Component::Chat, Component::Media, Component::Notification];

/// When an old generation that nobody makes anything with any more can go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Retirement {
    /// What it made lasts so long.
    After(SignedDuration),
    /// What it made is made anew, and whoever does that counts what is left.
    OnceNothingIsStored,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SigningKeys, Self::MessageKeys, Self::Credentials];

    /// The name in `spec.rotation` and in `status.secrets`.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::SigningKeys => "signingKeys",
            Self::MessageKeys => "messageKeys",
            Self::Credentials => "credentials",
        }
    }

    /// What follows the platform's name in the name of the Secret.
    #[must_use]
    pub const fn object(self) -> &'static str {
        match self {
            Self::SigningKeys => "signing-keys",
            Self::MessageKeys => "message-keys",
            Self::Credentials => "credentials",
        }
    }

    /// How its rings are used.
    pub(super) const fn uses(self) -> &'static [Use] {
        match self {
            Self::SigningKeys => {
                &[Use { ring: keys::SIGNING, server: None, readers: &SERVICES, writers: &[Component::Auth] }]
            }
            Self::MessageKeys => {
                const CHAT: [Component; 1] = [Component::Chat];
                &[Use { ring: keys::MESSAGE, server: None, readers: &CHAT, writers: &CHAT }]
            }
            Self::Credentials => &[
                Use {
                    ring: keys::MONGODB,
                    server: Some(Component::MongoDb),
                    readers: &OF_MONGODB,
                    writers: &OF_MONGODB,
                },
                Use { ring: keys::REDIS, server: Some(Component::Redis), readers: &OF_REDIS, writers: &OF_REDIS },
                Use {
                    ring: keys::RABBITMQ,
                    server: Some(Component::RabbitMq),
                    readers: &OF_RABBITMQ,
                    writers: &OF_RABBITMQ,
                },
            ],
        }
    }

    /// Who reads any of its rings.
    #[must_use]
    pub const fn readers(self) -> &'static [Component] {
        match self {
            Self::SigningKeys | Self::Credentials => &SERVICES,
            Self::MessageKeys => &[Component::Chat],
        }
    }

    /// How long a generation is published before it is used, once everybody accepts it: caches outside have to have it.
    pub(super) fn published_for(self) -> SignedDuration {
        match self {
            Self::SigningKeys => PUBLISHED_KEYS_CACHED + SKEW,
            Self::MessageKeys | Self::Credentials => SignedDuration::ZERO,
        }
    }

    /// When the old generation can go.
    pub(super) fn retirement(self) -> Retirement {
        match self {
            Self::SigningKeys => Retirement::After(ACCESS_TOKEN_LIFETIME + SKEW),
            Self::MessageKeys => Retirement::OnceNothingIsStored,
            // What it made are connections, and whoever has one tells of it.
            Self::Credentials => Retirement::After(SignedDuration::ZERO),
        }
    }
}
