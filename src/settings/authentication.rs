//! libpq's `require_auth`: by which ways a server may ask who we are.

/// A way in which a server asks who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuthMethod {
    /// The password itself.
    Password,
    /// A hash of the password, of a kind that is no longer safe.
    Md5,
    /// Kerberos.
    Gss,
    /// Windows.
    Sspi,
    /// A proof that the password is known, by both sides.
    ScramSha256,
    /// Not at all.
    None,
}

const ALL: [(&str, AuthMethod); 6] = [
    ("password", AuthMethod::Password),
    ("md5", AuthMethod::Md5),
    ("gss", AuthMethod::Gss),
    ("sspi", AuthMethod::Sspi),
    ("scram-sha-256", AuthMethod::ScramSha256),
    ("none", AuthMethod::None),
];

impl AuthMethod {
    /// As `require_auth` has it.
    pub fn as_str(self) -> &'static str {
        ALL.iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }
}

/// What `require_auth` may be, for error texts.
pub(super) const WANTED: &str = "some of password, md5, gss, sspi, scram-sha-256 and none, with commas between, or all of them with ! before";

/// The methods that are accepted; `None`: it is not such a list.
pub(super) fn accepted(list: &str) -> Option<Vec<AuthMethod>> {
    let all = || ALL.iter().map(|(_, method)| *method);
    let names: Vec<_> = list.split(',').map(str::trim).collect();
    if list.trim().is_empty() {
        return Some(all().collect());
    }
    let negated = names.iter().filter(|name| name.starts_with('!')).count();
    let method = |name: &&str| {
        let name = name.trim_start_matches('!');
        ALL.iter().find(|(its, _)| *its == name).map(|(_, method)| *method)
    };
    let named: Vec<_> = names.iter().map(method).collect::<Option<_>>()?;
    match negated {
        0 => Some(named),
        n if n == names.len() => Some(all().filter(|method| !named.contains(method)).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_named_or_excluded() {
        use AuthMethod::{Gss, Md5, None as NoAuth, Password, ScramSha256, Sspi};
        assert_eq!(accepted("scram-sha-256"), Some(vec![ScramSha256]));
        assert_eq!(accepted(" md5, none "), Some(vec![Md5, NoAuth]));
        assert_eq!(accepted("!password,!md5"), Some(vec![Gss, Sspi, ScramSha256, NoAuth]));
        assert_eq!(accepted("").map(|it| it.len()), Some(6));
        for wrong in ["scram", "md5,!none", "md5,", "!"] {
            assert_eq!(accepted(wrong), None, "{wrong}");
        }
        assert_eq!((Password.as_str(), ScramSha256.as_str()), ("password", "scram-sha-256"));
    }
}
