//! What stays in memory of a configuration's secrets when nobody needs it any more: nothing.
//!
//! It looks at all of this process' memory, what was given back to the allocator included. So it is alone in its binary:
//! other tests would keep copies.
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

#[path = "config_support/mod.rs"]
mod config_support;

use std::os::unix::fs::FileExt as _;

use arvados_dispatch_cloud::settings::StartConfig;
use zeroize::Zeroizing;

use config_support::{TestKey, load_text, minimal};

/// Long, because the allocator itself writes over the beginning of what it is given back.
const LENGTH: usize = 200;
/// So much at a secret's end is searched for.
const SEARCHED: usize = 24;
/// Memory is read in pieces of this size.
const PIECE: usize = 1 << 16;
/// What is searched for is kept disguised, so that the search does not find itself.
const MASK: u8 = 0x55;

/// A token that is nowhere else.
struct Token([u8; LENGTH]);

impl Token {
    fn new() -> Self {
        Self(std::array::from_fn(|_| (b'a' + rand::random::<u8>() % 26) ^ MASK))
    }

    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        text.extend(self.0.iter().map(|byte| char::from(byte ^ MASK)));
        text
    }

    fn is(&self, bytes: &[u8]) -> bool {
        bytes.iter().zip(&self.0[LENGTH - SEARCHED..]).all(|(byte, own)| byte ^ MASK == *own)
    }

    /// How often its end stands there.
    fn copies_in(&self, bytes: &[u8]) -> usize {
        bytes.windows(SEARCHED).filter(|it| self.is(it)).count()
    }

    /// How often it stands in this process' memory. The piece that is being looked at may be counted, too.
    fn copies(&self) -> usize {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let writable = maps.lines().filter_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (from, to) = range.split_once('-').filter(|_| rest.starts_with("rw"))?;
            Some((u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap()))
        });
        let mut piece = vec![0; PIECE];
        let mut copies = 0;
        for (from, to) in writable {
            // Pieces overlap, so that none is cut.
            for at in (from..to).step_by(PIECE - SEARCHED + 1) {
                let length = PIECE.min((to - at) as usize);
                // The kernel's own pages cannot be read.
                if memory.read_exact_at(&mut piece[..length], at).is_ok() {
                    copies += self.copies_in(&piece[..length]);
                }
                piece.fill(0);
            }
        }
        copies
    }
}

#[test]
fn a_configuration_that_is_dropped_leaves_no_copy_of_its_secrets_behind() {
    let (token, password) = (Token::new(), Token::new());
    {
        let key = TestKey::new();
        let places = ["T", "P"].map(|letter| letter.repeat(LENGTH));
        let more = format!(
            "    PostgreSQL: {{Connection: {{host: db, password: {}}}}}\n    \
             InstanceTypes: {{a: {{VCPUs: 1, RAM: 1GiB}}}}\n",
            places[1]
        );
        let root_token = format!("SystemRootToken: {}", places[0]);
        let mut text = Zeroizing::new(minimal(&key, &more).replace("SystemRootToken: s", &root_token));
        for (place, secret) in places.iter().zip([&token, &password]) {
            let at = text.find(place.as_str()).unwrap();
            // Of the same length: nothing is moved.
            text.replace_range(at..at + LENGTH, &secret.text());
        }
        let loaded = load_text(&text).unwrap();
        let start = StartConfig::new(&loaded.settings);
        let instance_type = &loaded.settings.policy.catalog.types()[0];
        let stdin = start.stdin("zzzzz-dz642-000000000000001".parse().unwrap(), instance_type, "vm");
        assert_eq!(token.copies_in(&stdin), 2, "it is sent to the VM, with the configuration and beside it");
        assert!(token.copies() >= 3 && password.copies() >= 2, "the search finds it");
    }
    assert_eq!((token.copies(), password.copies()), (0, 0));
}
