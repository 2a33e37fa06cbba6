//! Text that is never printed, and wiped when nobody needs it any more: tokens, keys, instance secrets.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use zeroize::Zeroize as _;

/// A secret text. Its `Debug` and `Display` show `(secret)`; only [`Secret::expose`] and [`Secret::to_bytes`] give it
/// away. Clones share the text; the memory that it lies in is overwritten when the last of them is dropped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Secret(Arc<Wiped>);

/// The text itself, which does not stay in memory that is given back.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
struct Wiped(String);

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        self.expose().as_bytes()
    }
}

impl Secret {
    /// Takes the text into custody. A `String` is taken as it is, without a copy that would not be wiped; whoever
    /// gives a `&str` keeps the original.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Wiped(text.into())))
    }

    /// The text itself: for the wire, a pipe or a 0600 file, never for a log or a command line.
    pub fn expose(&self) -> &str {
        &self.0.0
    }

    /// The same as bytes for a pipe, which share the text: they are wiped with it.
    pub fn to_bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn a_secret_does_not_print_itself() {
        let secret = Secret::new("xyzzy");
        assert_eq!(format!("{secret} {secret:?}"), "(secret) (secret)");
    }

    /// How many pieces of the text there are in this process' memory, whoever that memory belongs to now.
    fn count_pieces(address: usize, buffer: &mut [u8]) -> usize {
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        memory.read_exact_at(buffer, address as u64).unwrap();
        buffer.windows(7).filter(|it| it == b"of it; ").count()
    }

    #[test]
    fn a_secret_is_wiped_with_its_last_clone_and_not_before() {
        // Many pieces: the allocator itself writes over the first.
        let text: String = (0..30).map(|number| format!("piece {number:04} of it; ")).collect();
        // Allocated now, so that it is not given the memory that it is to look at.
        let mut buffer = vec![0; text.len()];
        let secret = Secret::new(text);
        let address = secret.expose().as_ptr() as usize;
        let (clone, bytes) = (secret.clone(), secret.to_bytes());
        assert_eq!(bytes.as_ptr() as usize, address, "shared, not copied");
        drop((secret, bytes));
        assert_eq!(count_pieces(address, &mut buffer), 30);
        assert_eq!(clone.expose().len(), buffer.len());
        drop(clone);
        assert_eq!(count_pieces(address, &mut buffer), 0);
    }
}
