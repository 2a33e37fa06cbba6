//! Identifiers as checked newtypes: what has one was valid once and for all.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not the identifier that was wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct InvalidId {
    /// The text, cut to 80 characters.
    pub text: String,
    /// What would have been accepted.
    pub wanted: &'static str,
}

impl InvalidId {
    fn new(text: &str, wanted: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), wanted }
    }
}

const UUID_LEN: usize = 27;

/// Parses `ccccc-ttttt-` and 15 more of `[0-9a-z]`.
fn parse_uuid(text: &str, kind: Option<&[u8]>) -> Option<[u8; UUID_LEN]> {
    let bytes: [u8; UUID_LEN] = text.as_bytes().try_into().ok()?;
    let well_formed = bytes.iter().enumerate().all(|(position, byte)| match position {
        5 | 11 => *byte == b'-',
        _ => byte.is_ascii_digit() || byte.is_ascii_lowercase(),
    });
    let right_kind = kind.is_none_or(|kind| &bytes[6..11] == kind);
    (well_formed && right_kind).then_some(bytes)
}

macro_rules! uuid_type {
    ($(#[$doc:meta])* $name:ident, $kind:expr, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; UUID_LEN]);

        impl $name {
            /// The 27 characters.
            pub fn as_str(&self) -> &str {
                str::from_utf8(&self.0).expect("only ASCII was accepted")
            }

            /// The five characters of the cluster that made it.
            pub fn cluster(&self) -> &str {
                &self.as_str()[..5]
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_uuid(text, $kind).map(Self).ok_or_else(|| InvalidId::new(text, $wanted))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

uuid_type!(
    /// The identifier of a container record, such as `zzzzz-dz642-000000000000001`. Copied, 27 bytes.
    ContainerUuid,
    Some(b"dz642"),
    "a container uuid (ccccc-dz642- and 15 of 0-9a-z)"
);
uuid_type!(
    /// The identifier of an API token (`zzzzz-gj3su-…`): the owner of a lock.
    TokenUuid,
    Some(b"gj3su"),
    "a token uuid (ccccc-gj3su- and 15 of 0-9a-z)"
);
uuid_type!(
    /// The identifier of a container request (`zzzzz-xvhdp-…`): a user's wish, for which containers are tried one after the
    /// other.
    ContainerRequestUuid,
    Some(b"xvhdp"),
    "a container request uuid (ccccc-xvhdp- and 15 of 0-9a-z)"
);

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes the text.
            ///
            /// # Errors
            /// If it is empty, longer than 512 bytes, or contains a control character.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                let valid = !text.is_empty() && text.len() <= 512 && !text.chars().any(char::is_control);
                if valid { Ok(Self(text.into())) } else { Err(InvalidId::new(text, $wanted)) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name_type!(
    /// A cloud's identifier of a VM, stable for its life. Cheap to clone.
    InstanceId,
    "an instance id (1 to 512 bytes without control characters)"
);
name_type!(
    /// The key of an entry of `InstanceTypes` in the configuration. Cheap to clone.
    TypeName,
    "an instance type name (1 to 512 bytes without control characters)"
);
name_type!(
    /// A cloud's name for a VM type, such as `m5.large`. Cheap to clone.
    ProviderType,
    "a provider type (1 to 512 bytes without control characters)"
);
name_type!(
    /// Which dispatcher's VMs these are (docs/behaviour.md, "One dispatcher at a time"). Cheap to clone.
    InstanceSetId,
    "an instance set id (1 to 512 bytes without control characters)"
);

impl TypeName {
    /// The name of a type that has been read without its key, until the key is known.
    pub(crate) fn unnamed() -> Self {
        Self("unnamed".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_uuid_is_accepted_and_printed_back() {
        let uuid: ContainerUuid = "zzzzz-dz642-000000000000001".parse().unwrap();
        assert_eq!(uuid.to_string(), "zzzzz-dz642-000000000000001");
        assert_eq!(uuid.cluster(), "zzzzz");
    }

    #[test]
    fn anything_else_is_refused_with_what_was_wanted() {
        for text in [
            "",
            "zzzzz-dz642-00000000000000",
            "zzzzz-dz642-0000000000000001",
            "zzzzz-gj3su-000000000000001",
            "ZZZZZ-dz642-000000000000001",
            "zzzzz_dz642-000000000000001",
            "zzzzz-dz642-00000000000000é",
            "zzzzz-dz642-0000000000000'1",
        ] {
            let error = text.parse::<ContainerUuid>().unwrap_err();
            assert!(error.to_string().contains("container uuid"), "{error}");
        }
    }

    #[test]
    fn names_refuse_control_characters_and_emptiness() {
        assert!(InstanceId::new("i-123").is_ok());
        assert!(InstanceId::new("").is_err());
        assert!(InstanceId::new("a\nb").is_err());
    }
}
