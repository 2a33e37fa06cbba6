//! Where EC2 is: by region and partition, with the variants that a site may ask for, or where the environment says
//! (`AWS_ENDPOINT_URL`). The rules are those of AWS's own clients; a test compares all regions that these know.

use dispatch_cloud_kit::endpoint::{is_bare, without_user};
use url::Url;

use crate::environment::{DUAL_STACK, FIPS};

/// Where calls go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// With the path `/` if no other is given.
    pub url: Url,
    /// What requests are signed for.
    pub region: String,
}

/// Which of a region's endpoints are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Variants {
    /// Those with validated cryptography.
    pub fips: bool,
    /// Those that have IPv6 addresses too.
    pub dual_stack: bool,
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
    /// From the environment.
    #[error("{0} is `{1}`; wanted is true or false")]
    BadSwitch(&'static str, String),
    /// Whether that URL is such a one, nobody knows but the site: it must not say both.
    #[error("{0} asks for another endpoint than AWS_ENDPOINT_URL_EC2 or AWS_ENDPOINT_URL: unset one of them")]
    Contradiction(&'static str),
}

impl Endpoint {
    /// The endpoint of a region, unless the environment names another.
    pub fn new(region: &str, variants: Variants, elsewhere: Option<&str>) -> Result<Self, EndpointError> {
        check_region(region)?;
        let url = match elsewhere {
            Some(_) if variants.fips => return Err(EndpointError::Contradiction(FIPS)),
            Some(_) if variants.dual_stack => return Err(EndpointError::Contradiction(DUAL_STACK)),
            Some(text) => parse(text)?,
            None => parse(&of_region(region, variants))?,
        };
        Ok(Self { url, region: region.to_owned() })
    }
}

/// AWS's partitions but the first: what the names of their regions begin with, their domain, and the domain of endpoints
/// that have IPv6 addresses too.
const PARTITIONS: [(&str, &str, &str); 7] = [
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("us-gov-", COMMERCIAL.0, COMMERCIAL.1),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
];
/// The domains of all other regions.
const COMMERCIAL: (&str, &str) = ("amazonaws.com", "api.aws");

fn of_region(region: &str, variants: Variants) -> String {
    let partition = PARTITIONS.iter().find(|(beginning, ..)| region.starts_with(beginning));
    let (domain, dual_stack) = partition.map_or(COMMERCIAL, |(_, domain, dual_stack)| (domain, dual_stack));
    let domain = if variants.dual_stack { dual_stack } else { domain };
    // In GovCloud every endpoint has validated cryptography, and the plain name.
    let is_plain = !variants.fips || (region.starts_with("us-gov-") && !variants.dual_stack);
    let service = if is_plain { "ec2" } else { "ec2-fips" };
    format!("https://{service}.{region}.{domain}/")
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
    let is_usable = |url: &Url| is_bare(url) && matches!(url.scheme(), "http" | "https");
    let url = Url::parse(text).ok().filter(is_usable);
    url.ok_or_else(|| EndpointError::BadUrl(without_user(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Variants = Variants { fips: false, dual_stack: false };

    #[test]
    fn each_partition_has_its_domain() {
        for (region, url) in [
            ("us-east-1", "https://ec2.us-east-1.amazonaws.com/"),
            ("eu-central-2", "https://ec2.eu-central-2.amazonaws.com/"),
            ("cn-north-1", "https://ec2.cn-north-1.amazonaws.com.cn/"),
            ("us-gov-west-1", "https://ec2.us-gov-west-1.amazonaws.com/"),
            ("eusc-de-east-1", "https://ec2.eusc-de-east-1.amazonaws.eu/"),
            ("us-iso-east-1", "https://ec2.us-iso-east-1.c2s.ic.gov/"),
            ("us-isob-east-1", "https://ec2.us-isob-east-1.sc2s.sgov.gov/"),
        ] {
            assert_eq!(Endpoint::new(region, PLAIN, None).unwrap().url.as_str(), url);
        }
    }

    #[test]
    fn variants_have_names_and_domains_of_their_own() {
        for (region, fips, dual_stack, url) in [
            ("us-east-1", true, false, "https://ec2-fips.us-east-1.amazonaws.com/"),
            ("us-east-1", false, true, "https://ec2.us-east-1.api.aws/"),
            ("us-east-1", true, true, "https://ec2-fips.us-east-1.api.aws/"),
            ("us-gov-west-1", true, false, "https://ec2.us-gov-west-1.amazonaws.com/"),
            ("us-gov-west-1", true, true, "https://ec2-fips.us-gov-west-1.api.aws/"),
            ("cn-north-1", false, true, "https://ec2.cn-north-1.api.amazonwebservices.com.cn/"),
        ] {
            assert_eq!(Endpoint::new(region, Variants { fips, dual_stack }, None).unwrap().url.as_str(), url);
        }
    }

    #[test]
    fn the_environments_endpoint_comes_first_and_the_region_still_signs() {
        let endpoint = Endpoint::new("eu-west-1", PLAIN, Some("http://127.0.0.1:5000")).unwrap();
        assert_eq!(endpoint.url.as_str(), "http://127.0.0.1:5000/");
        assert_eq!(endpoint.region, "eu-west-1");
    }

    #[test]
    fn an_endpoint_of_the_environment_and_a_variant_contradict_each_other() {
        for (fips, dual_stack, name) in [(true, false, FIPS), (false, true, DUAL_STACK), (true, true, FIPS)] {
            let variants = Variants { fips, dual_stack };
            let told = Endpoint::new("us-east-1", variants, Some("http://127.0.0.1:5000")).unwrap_err();
            assert_eq!(told, EndpointError::Contradiction(name));
        }
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
            let told = Endpoint::new("us-east-1", PLAIN, Some(url)).unwrap_err().to_string();
            assert!(told.contains(&format!("`{shown}`")) && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for region in ["", "us east 1", "evil.example/", "US-EAST-1"] {
            assert!(Endpoint::new(region, PLAIN, None).is_err(), "{region}");
        }
        for url in ["", "ftp://h/", "127.0.0.1:5000", "http://", "http://u:p@h/", "http://h/?a=b"] {
            assert!(Endpoint::new("us-east-1", PLAIN, Some(url)).is_err(), "{url}");
        }
    }
}
