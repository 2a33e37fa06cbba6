//! Where EC2 is: by region and partition, or where the environment says (`AWS_ENDPOINT_URL`).

use url::Url;

/// Where calls go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// With the path `/` if no other is given.
    pub url: Url,
    /// What requests are signed for.
    pub region: String,
}

/// Why there is nowhere to call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It would become part of a host name.
    #[error("`{0}` is not the name of a region")]
    BadRegion(String),
    /// From the environment; without what it has before an `@`, which may be a password.
    #[error("`{0}` is not the http or https URL of an EC2 endpoint (AWS_ENDPOINT_URL_EC2, AWS_ENDPOINT_URL)")]
    BadUrl(String),
}

impl Endpoint {
    /// The endpoint of a region, unless the environment names another.
    pub fn new(region: &str, elsewhere: Option<&str>) -> Result<Self, EndpointError> {
        check_region(region)?;
        let url = match elsewhere {
            Some(text) => parse(text)?,
            None => parse(&format!("https://ec2.{region}.{}/", domain(region)))?,
        };
        Ok(Self { url, region: region.to_owned() })
    }
}

/// Whether that can be the name of a region: whoever reads the configuration asks, before anybody needs EC2.
///
/// # Errors
/// If not.
pub fn check_region(region: &str) -> Result<(), EndpointError> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match !region.is_empty() && region.chars().all(is_name) {
        true => Ok(()),
        false => Err(EndpointError::BadRegion(region.to_owned())),
    }
}

/// Whether that can be called in place of a region's endpoint.
///
/// # Errors
/// If not; a password that may be in it is not shown.
pub fn check_endpoint(text: &str) -> Result<(), EndpointError> {
    parse(text).map(drop)
}

fn parse(text: &str) -> Result<Url, EndpointError> {
    let url = Url::parse(text).ok().filter(is_usable);
    url.ok_or_else(|| EndpointError::BadUrl(without_user(text)))
}

/// The domain of the region's partition: China has its own, GovCloud (us-gov-…) shares the commercial one.
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// Whatever may be a user and a password, also in a text that is no URL.
fn without_user(text: &str) -> String {
    let Some((before, after)) = text.rsplit_once('@') else { return text.to_owned() };
    let scheme = before.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
    format!("{scheme}(secret)@{after}")
}

fn is_usable(url: &Url) -> bool {
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    matches!(url.scheme(), "http" | "https") && url.has_host() && plain && url.fragment().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_domain() {
        for (region, url) in [
            ("us-east-1", "https://ec2.us-east-1.amazonaws.com/"),
            ("eu-central-2", "https://ec2.eu-central-2.amazonaws.com/"),
            ("cn-north-1", "https://ec2.cn-north-1.amazonaws.com.cn/"),
            ("us-gov-west-1", "https://ec2.us-gov-west-1.amazonaws.com/"),
        ] {
            assert_eq!(Endpoint::new(region, None).unwrap().url.as_str(), url);
        }
    }

    #[test]
    fn the_environments_endpoint_comes_first_and_the_region_still_signs() {
        let endpoint = Endpoint::new("eu-west-1", Some("http://127.0.0.1:5000")).unwrap();
        assert_eq!(endpoint.url.as_str(), "http://127.0.0.1:5000/");
        assert_eq!(endpoint.region, "eu-west-1");
    }

    #[test]
    fn a_url_that_is_refused_is_shown_without_its_password() {
        for (url, shown) in [
            ("http://u:hunter2@host", "http://(secret)@host"),
            ("http://hunter2@host:80/x", "http://(secret)@host:80/x"),
            ("u:hunter2@host", "(secret)@host"),
            ("http://u:hunter2/@hunter2@:x", "http://(secret)@:x"),
            ("not a url", "not a url"),
        ] {
            let told = Endpoint::new("us-east-1", Some(url)).unwrap_err().to_string();
            assert!(told.contains(&format!("`{shown}`")) && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for region in ["", "us east 1", "evil.example/", "US-EAST-1"] {
            assert!(Endpoint::new(region, None).is_err(), "{region}");
        }
        for url in ["", "ftp://h/", "127.0.0.1:5000", "http://", "http://u:p@h/", "http://h/?a=b"] {
            assert!(Endpoint::new("us-east-1", Some(url)).is_err(), "{url}");
        }
    }
}
