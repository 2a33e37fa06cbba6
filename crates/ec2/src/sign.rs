//! Signatures (version 4) of EC2 calls.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use dispatch_cloud_kit::{Failure, Meaning};

use crate::endpoint::Endpoint;

/// The content type of all calls; it is signed.
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// The headers that make a POST of this body to the endpoint a call of ours, the content type among them.
pub(crate) fn headers(
    endpoint: &Endpoint,
    body: &str,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<Vec<(String, String)>, Failure> {
    let failed =
        |text: String| Failure::ours(Meaning::Other, "unsigned", format!("cannot sign the call: {text}"));
    let identity: Identity = credentials.clone().into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(&endpoint.region)
        .name("ec2")
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| failed(error.to_string()))?
        .into();
    let signed_headers = [("content-type", CONTENT_TYPE)];
    let body = SignableBody::Bytes(body.as_bytes());
    let request = SignableRequest::new("POST", endpoint.url.as_str(), signed_headers.into_iter(), body)
        .map_err(|error| failed(error.to_string()))?;
    let (instructions, _) = sign(request, &params).map_err(|error| failed(error.to_string()))?.into_parts();
    let added = instructions.headers();
    let all = signed_headers.into_iter().chain(added);
    Ok(all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn signed(token: Option<&str>) -> Vec<(String, String)> {
        let endpoint = Endpoint::new("eu-west-1", Default::default(), None).unwrap();
        let token = token.map(str::to_owned);
        let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token, None, "test");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        headers(&endpoint, "Action=DescribeInstances&Version=2016-11-15", &credentials, now).unwrap()
    }

    fn value(headers: &[(String, String)], name: &str) -> Option<String> {
        headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    }

    #[test]
    fn a_signature_names_key_day_region_and_service_and_covers_host_type_and_time() {
        let authorization = value(&signed(None), "authorization").unwrap();
        let wanted = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20270115/eu-west-1/ec2/aws4_request, \
            SignedHeaders=content-type;host;x-amz-date, Signature=";
        assert!(authorization.starts_with(wanted), "{authorization}");
        assert_eq!(value(&signed(None), "x-amz-date").unwrap(), "20270115T080000Z");
    }

    #[test]
    fn a_session_token_is_sent_and_signed() {
        let headers = signed(Some("the-token"));
        assert_eq!(value(&headers, "x-amz-security-token").unwrap(), "the-token");
        assert!(value(&headers, "authorization").unwrap().contains("x-amz-date;x-amz-security-token,"));
        assert_eq!(value(&signed(None), "x-amz-security-token"), None);
    }

    #[test]
    fn the_secret_key_stays_here() {
        assert!(signed(None).iter().all(|(_, value)| !value.contains("wJalrXUtnFEMI")));
    }
}
