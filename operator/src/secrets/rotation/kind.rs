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
}

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
    pub const ALL: [Self; 2] = [Self::SigningKeys, Self::MessageKeys];

    /// The name in `spec.rotation` and in `status.secrets`.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::SigningKeys => "signingKeys",
            Self::MessageKeys => "messageKeys",
        }
    }

    /// What follows the platform's name in the name of the Secret.
    #[must_use]
    pub const fn object(self) -> &'static str {
        match self {
            Self::SigningKeys => "signing-keys",
            Self::MessageKeys => "message-keys",
        }
    }

    /// What consumers call the ring when they tell of it.
    #[must_use]
    pub const fn ring(self) -> &'static str {
        match self {
            Self::SigningKeys => keys::SIGNING,
            Self::MessageKeys => keys::MESSAGE,
        }
    }

    /// Who must accept a generation before it is used.
    #[must_use]
    pub const fn readers(self) -> &'static [Component] {
        match self {
            Self::SigningKeys => {
                &[Component::Gateway, Component::Auth, Component::Chat, Component::Media, Component::Notification]
            }
            Self::MessageKeys => &[Component::Chat],
        }
    }

    /// Who makes something with it; each of them reads it, too.
    #[must_use]
    pub const fn writers(self) -> &'static [Component] {
        match self {
            Self::SigningKeys => &[Component::Auth],
            Self::MessageKeys => &[Component::Chat],
        }
    }

    /// How long a generation is published before it is used, once everybody accepts it: caches outside have to have it.
    pub(super) fn published_for(self) -> SignedDuration {
        match self {
            Self::SigningKeys => PUBLISHED_KEYS_CACHED + SKEW,
            Self::MessageKeys => SignedDuration::ZERO,
        }
    }

    /// When the old generation can go.
    pub(super) fn retirement(self) -> Retirement {
        match self {
            Self::SigningKeys => Retirement::After(ACCESS_TOKEN_LIFETIME + SKEW),
            Self::MessageKeys => Retirement::OnceNothingIsStored,
        }
    }
}
