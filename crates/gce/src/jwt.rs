//! What a service account shows to be given a token: claims that it has signed, RS256.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dispatch_core::secret::Secret;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use serde_json::{Value, json};

/// All that the driver does.
const SCOPE: &str = "https://www.googleapis.com/auth/compute";
/// The longest that Google takes.
const VALID_FOR: Duration = Duration::from_secs(3600);

/// Whose claims they are, and for whom.
#[derive(Debug, Clone)]
pub(crate) struct Claims<'a> {
    /// The service account's e-mail.
    pub issuer: &'a str,
    /// The id of its key; may be empty.
    pub key_id: &'a str,
    /// Where the token is asked for.
    pub audience: &'a str,
}

impl Claims<'_> {
    /// The signed text; `None` if the key cannot sign.
    pub fn signed(&self, key: &KeyPair, now: SystemTime) -> Option<Secret> {
        let issued = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if !self.key_id.is_empty() {
            header["kid"] = json!(self.key_id);
        }
        let claims = json!({
            "iss": self.issuer,
            "scope": SCOPE,
            "aud": self.audience,
            "iat": issued,
            "exp": issued + VALID_FOR.as_secs(),
        });
        let text = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).ok()?;
        Some(Secret::new(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[cfg(test)]
mod tests {
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;
    use crate::tests::keys;

    #[test]
    fn claims_are_signed_and_valid_for_an_hour() {
        let key = keys::key_pair();
        let claims =
            Claims { issuer: "a@lab.iam.gserviceaccount.com", key_id: "k1", audience: "https://x/token" };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let signed = claims.signed(&key, now).unwrap();
        let parts: Vec<_> = signed.expose().split('.').collect();
        let json =
            |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        assert_eq!(json(parts[0]), json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
        let wanted = json!({
            "iss": "a@lab.iam.gserviceaccount.com", "scope": SCOPE, "aud": "https://x/token",
            "iat": 1_000_000, "exp": 1_003_600,
        });
        assert_eq!(json(parts[1]), wanted);
        let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public().as_ref().to_vec());
        public.verify(format!("{}.{}", parts[0], parts[1]).as_bytes(), &signature).unwrap();
    }
}
