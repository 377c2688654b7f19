//! A type for each kind of id, so that one is never taken for another.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::text::{self, form};

macro_rules! uuid_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The longest id that is taken, in characters. A unique index over longer text would fail at the insert, long
            /// after the answer to whoever sent it.
            pub const MAX_LEN: usize = 200;

            /// Takes a name that somebody else gave: 1 to 200 characters, none of them a control character.
            ///
            /// # Errors
            /// Says what is wrong with it.
            pub fn new(text: impl Into<String>) -> Result<Self, &'static str> {
                let text = text.into();
                if text.is_empty() {
                    Err("must not be empty")
                } else if text.chars().nth(Self::MAX_LEN).is_some() {
                    Err("must be at most 200 characters long")
                } else if text.chars().any(char::is_control) {
                    Err("must not contain control characters")
                } else {
                    Ok(Self(text))
                }
            }

            /// The id as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        form!($name, text::printable(Self::MAX_LEN));

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

uuid_id!(
    /// An account opening. Sent to the provider as our `reference`.
    OpeningId
);
uuid_id!(
    /// A fact in the inbox: the evidence that a history row points at.
    InboxId
);
uuid_id!(
    /// Something that a person did, as it is recorded.
    ActId
);
text_id!(
    /// The provider's tracking id for a request that it accepted.
    ProviderRef
);
text_id!(
    /// The user's profile at the profile service.
    ProfileId
);
text_id!(
    /// The virtual card at the card issuer.
    CardId
);
