//! What the Azure driver says of itself before it is opened.

use std::collections::BTreeMap;

use dispatch_cloud_kit::unused_proxy;
use dispatch_core::driver::{
    DriverAdvice, DriverDescription, KeyAlgorithm, Parameter, Parameters, Remark, RemarkKind, Surroundings,
};

use crate::advice::Advice;
use crate::order::{BYTES_BEFORE_INIT_COMMAND, CREATED_AT, LONGEST_CUSTOM_DATA};
use crate::{cloud, credentials, image, params};

/// The description of driver `azure`.
#[derive(Debug, Clone, Copy)]
pub struct Description;

impl DriverDescription for Description {
    fn name(&self) -> &'static str {
        "azure"
    }

    fn parameters(&self) -> Vec<Parameter> {
        params::all()
    }

    fn remarks_on_surroundings(&self, surroundings: &Surroundings<'_>) -> Vec<Remark> {
        // Its endpoint of the environment is EC2's.
        let here = Surroundings { endpoint: None, ..surroundings.clone() };
        let remarks = [
            no_key(surroundings),
            ecdsa_key(surroundings.deployed_key),
            bad_image(surroundings.image),
            unused_proxy(&here, "Azure"),
            unusable_tags(&surroundings.resource_tags),
            long_init_command(surroundings.init_command_bytes),
        ];
        remarks.into_iter().flatten().collect()
    }

    fn remarks_on_parameters(&self, parameters: &Parameters) -> Vec<Remark> {
        let words = WORDS.iter().filter_map(|word| word.remark(parameters));
        let others = [
            unknown_cloud(parameters),
            bad_tenant(parameters),
            half_a_gallery(parameters),
            unused_account(parameters),
            forbidden_user(parameters),
        ];
        words.chain(others.into_iter().flatten()).chain(half_an_account(parameters)).collect()
    }

    fn is_this_machine(&self) -> bool {
        false
    }

    fn refuses_types(&self, _: &Parameters, _: usize) -> Option<String> {
        None
    }

    fn runner_checks_for_interruption(&self) -> bool {
        false
    }

    fn places(&self, _: &Parameters) -> Vec<String> {
        Vec::new()
    }

    fn narrowed(&self, parameters: &Parameters, _: Option<&str>, _: &str) -> Parameters {
        parameters.clone()
    }

    fn advice(&self) -> Option<&'static dyn DriverAdvice> {
        Some(&Advice)
    }
}

/// There would be no way in, neither by key nor by password, and Azure refuses such a VM.
fn no_key(surroundings: &Surroundings<'_>) -> Option<Remark> {
    let wanted = "true: Azure makes no VM that has neither a key nor a password";
    let remark = || Remark::cloud_vms("DeployPublicKey", RemarkKind::Refused(wanted.to_owned()));
    (!surroundings.deploys_key).then(remark)
}

fn ecdsa_key(deployed: Option<KeyAlgorithm>) -> Option<Remark> {
    let message = "DispatchPrivateKey is an ECDSA key, which Azure does not take: use an RSA or ED25519 one";
    let remark = || Remark::cloud_vms("DeployPublicKey", RemarkKind::Failed(message.to_owned()));
    (deployed == Some(KeyAlgorithm::Ecdsa)).then(remark)
}

/// Azure would refuse each order.
fn bad_image(name: &str) -> Option<Remark> {
    let wanted = image::objection(name)?;
    let kind = if name.is_empty() { RemarkKind::Missing(wanted) } else { RemarkKind::Refused(wanted) };
    Some(Remark::cloud_vms("ImageID", kind))
}

/// Azure would refuse each order. It compares names without case.
fn unusable_tags(tags: &BTreeMap<String, String>) -> Option<Remark> {
    let wrong = |name: &str, value: &str| {
        let is_twin = |other: &String| other != name && other.eq_ignore_ascii_case(name);
        if name.is_empty() || name.chars().count() > 512 || name.contains(FORBIDDEN_IN_TAGS) {
            Some("a name has 1 to 512 characters, none of them <, >, %, &, \\, ? or /")
        } else if value.chars().count() > 256 {
            Some("a value has 256 characters at most")
        } else if tags.keys().any(is_twin) || is_twin(&CREATED_AT.to_owned()) {
            Some("there is another of that name but for the case of its letters")
        } else {
            None
        }
    };
    let first = tags.iter().find_map(|(name, value)| Some((name, wrong(name, value)?)));
    let message = match first {
        Some((name, why)) => format!("Azure does not take the tag `{name:.80}`: {why}"),
        None if tags.len() > MOST_TAGS => {
            format!("there are {}, and Azure takes {MOST_TAGS} beside the dispatcher's own", tags.len())
        }
        None => return None,
    };
    Some(Remark::cloud_vms("ResourceTags", RemarkKind::Failed(message)))
}

const FORBIDDEN_IN_TAGS: [char; 7] = ['<', '>', '%', '&', '\\', '?', '/'];
/// Azure takes 50; six are the dispatcher's, and one is `created-at`.
const MOST_TAGS: usize = 50 - 6 - 1;

/// Azure would refuse each order.
fn long_init_command(bytes: usize) -> Option<Remark> {
    let most = LONGEST_CUSTOM_DATA - BYTES_BEFORE_INIT_COMMAND;
    let message = format!(
        "it has {bytes} bytes, and Azure takes {most} (custom data are 64 KiB at most, and we write the VM's secret \
         first); let it fetch the rest"
    );
    (bytes > most).then(|| Remark::cloud_vms("InstanceInitCommand", RemarkKind::Failed(message)))
}

/// A parameter that becomes a part of a URL or of an order.
struct Word {
    name: &'static str,
    is_required: bool,
    wanted: &'static str,
    /// What it may have beside letters and digits.
    others: &'static str,
    longest: usize,
}

const WORDS: [Word; 11] = [
    Word::required(
        "SubscriptionID",
        "the id of a subscription, such as 12345678-9abc-def0-1234-56789abcdef0",
        "-",
        64,
    ),
    Word::required("ResourceGroup", GROUP, "-_.()", 90),
    Word::optional("ImageResourceGroup", GROUP, "-_.()", 90),
    Word::optional("NetworkResourceGroup", GROUP, "-_.()", 90),
    Word::required("Location", "the name of a region, such as centralus", " ", 60),
    Word::required("Network", "the name (not the id) of a virtual network", "-_.", 80),
    Word::required("Subnet", "the name (not the id) of a subnet of Network", "-_.", 80),
    Word::optional("SharedImageGalleryName", "the name of a gallery", "_.", 80),
    Word::optional("SharedImageGalleryImageVersion", "a version such as 1.0.0, or latest", ".", 40),
    Word::required("AdminUsername", "the name of a user", "-_", 32),
    Word::required(
        "AddedScratchStorageType",
        "a type of disks, such as StandardSSD_LRS or Premium_LRS",
        "_",
        40,
    ),
];
const GROUP: &str = "the name (not the id) of a resource group";

impl Word {
    const fn required(
        name: &'static str,
        wanted: &'static str,
        others: &'static str,
        longest: usize,
    ) -> Self {
        Self { name, is_required: true, wanted, others, longest }
    }

    const fn optional(
        name: &'static str,
        wanted: &'static str,
        others: &'static str,
        longest: usize,
    ) -> Self {
        Self { is_required: false, ..Self::required(name, wanted, others, longest) }
    }

    fn remark(&self, parameters: &Parameters) -> Option<Remark> {
        let text = parameters.text(self.name);
        if text.is_empty() {
            let missing = || Remark::parameter(self.name, RemarkKind::Missing(self.wanted.to_owned()));
            return self.is_required.then(missing);
        }
        let is_fine = |c: char| c.is_ascii_alphanumeric() || self.others.contains(c);
        let is_word =
            text.len() <= self.longest && text.chars().all(is_fine) && !text.trim_matches('.').is_empty();
        (!is_word).then(|| Remark::parameter(self.name, RemarkKind::Refused(self.wanted.to_owned())))
    }
}

fn unknown_cloud(parameters: &Parameters) -> Option<Remark> {
    let name = parameters.text("CloudEnvironment");
    let wanted = match name.to_ascii_lowercase().as_str() {
        "azuregermancloud" => {
            "another: Microsoft has closed Azure Germany; its regions of today are AzurePublicCloud's"
        }
        _ => cloud::NAMES.trim_start_matches("wanted is "),
    };
    (!cloud::is_known(&name))
        .then(|| Remark::parameter("CloudEnvironment", RemarkKind::Refused(wanted.to_owned())))
}

fn bad_tenant(parameters: &Parameters) -> Option<Remark> {
    let tenant = parameters.text("TenantID");
    let wanted = "the id of a directory, or a domain of it";
    let is_bad = !tenant.is_empty() && !credentials::is_tenant(&tenant);
    is_bad.then(|| Remark::parameter("TenantID", RemarkKind::Refused(wanted.to_owned())))
}

/// A secret that nobody can use, or a principal without one: the host's own identity would take its place unasked.
fn half_an_account(parameters: &Parameters) -> Vec<Remark> {
    let is_set = |name| !parameters.text(name).is_empty();
    let missing = |name, wanted: &str| Remark::parameter(name, RemarkKind::Missing(wanted.to_owned()));
    let all = "ClientID, ClientSecret and TenantID, or neither ClientSecret nor TenantID: then a managed identity of \
               this host, or a workload identity (AZURE_FEDERATED_TOKEN_FILE)";
    if parameters.secret("ClientSecret").is_empty() {
        return is_set("TenantID").then(|| missing("ClientSecret", all)).into_iter().collect();
    }
    ["ClientID", "TenantID"].into_iter().filter(|name| !is_set(name)).map(|name| missing(name, all)).collect()
}

fn half_a_gallery(parameters: &Parameters) -> Option<Remark> {
    let is_set = |name| !parameters.text(name).is_empty();
    let both = "both or neither of SharedImageGalleryName and SharedImageGalleryImageVersion";
    let missing = |name| Some(Remark::parameter(name, RemarkKind::Missing(both.to_owned())));
    match (is_set("SharedImageGalleryName"), is_set("SharedImageGalleryImageVersion")) {
        (true, false) => missing("SharedImageGalleryImageVersion"),
        (false, true) => missing("SharedImageGalleryName"),
        (true, true) | (false, false) => None,
    }
}

fn unused_account(parameters: &Parameters) -> Option<Remark> {
    let message = "not used: it was for images that are VHD files";
    let name = ["StorageAccount", "BlobContainer"].into_iter().find(|it| !parameters.text(it).is_empty())?;
    Some(Remark::parameter(name, RemarkKind::Doubtful(message.to_owned())))
}

fn forbidden_user(parameters: &Parameters) -> Option<Remark> {
    // The list of Azure's own description of the field.
    const FORBIDDEN: &str = "1 123 a actuser adm admin admin1 admin2 administrator aspnet backup console david guest john \
        owner root server sql support support_388945a0 sys test test1 test2 test3 user user1 user2 user3 user4 user5";
    let user = parameters.text("AdminUsername").to_ascii_lowercase();
    let message = format!("Azure makes no user of the name {user}");
    FORBIDDEN
        .split_whitespace()
        .any(|it| it == user)
        .then(|| Remark::parameter("AdminUsername", RemarkKind::Doubtful(message)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dispatch_core::driver::{ParameterValue, RemarkKey};
    use dispatch_core::secret::Secret;

    use super::*;
    use crate::Params;

    fn usable() -> Parameters {
        let mut parameters = Parameters::defaults(params::all());
        for name in ["SubscriptionID", "ResourceGroup", "Network", "Subnet"] {
            parameters.set(name, ParameterValue::text("x"));
        }
        parameters
    }

    fn told(changes: &[(&str, &str)]) -> Vec<(RemarkKey, RemarkKind)> {
        let mut parameters = usable();
        for (name, text) in changes {
            let value = match *name {
                "ClientSecret" => ParameterValue::Secret(Secret::new(*text)),
                _ => ParameterValue::text(text),
            };
            parameters.set(name, value);
        }
        Description.remarks_on_parameters(&parameters).into_iter().map(|it| (it.key, it.what)).collect()
    }

    #[test]
    fn what_is_usable_is_not_remarked_upon() {
        assert_eq!(told(&[]), []);
        let principal = [("ClientID", "c"), ("ClientSecret", "s"), ("TenantID", "contoso.onmicrosoft.com")];
        assert_eq!(told(&principal), []);
        assert_eq!(told(&[("ClientID", "user-assigned"), ("Location", "West Europe")]), []);
        assert_eq!(
            told(&[
                ("ResourceGroup", "my-group_1.(x)"),
                ("SharedImageGalleryName", "g_1"),
                ("SharedImageGalleryImageVersion", "latest")
            ]),
            []
        );
    }

    #[test]
    fn each_wrong_or_missing_parameter_is_told_with_its_place_and_what_is_accepted() {
        for (name, text, words) in [
            ("SubscriptionID", "", "the id of a subscription"),
            ("SubscriptionID", "a/b", "the id of a subscription"),
            ("ResourceGroup", "", "the name (not the id)"),
            ("ResourceGroup", "..", "the name (not the id)"),
            ("ImageResourceGroup", "/subscriptions/1", "the name (not the id)"),
            ("NetworkResourceGroup", "a?b", "the name (not the id)"),
            ("Location", "", "a region"),
            ("Location", "central-us", "a region"),
            ("Network", "", "a virtual network"),
            ("Subnet", "net/sub", "a subnet"),
            ("SharedImageGalleryName", "g", "both or neither"),
            ("SharedImageGalleryImageVersion", "1.0.0", "both or neither"),
            ("AdminUsername", "", "a user"),
            ("AdminUsername", "a b", "a user"),
            ("AdminUsername", "Root", "no user of the name root"),
            ("AdminUsername", "test", "no user of the name test"),
            ("AddedScratchStorageType", "", "StandardSSD_LRS"),
            ("CloudEnvironment", "AzureGermanCloud", "closed"),
            ("CloudEnvironment", "Azure", "AzureChinaCloud"),
            ("TenantID", "a/b", "directory"),
            ("TenantID", "t", "ClientSecret"),
            ("ClientSecret", "s", "AZURE_FEDERATED_TOKEN_FILE"),
            ("StorageAccount", "acc", "VHD"),
            ("BlobContainer", "vhds", "VHD"),
        ] {
            let told = told(&[(name, text)]);
            assert!(format!("{told:?}").contains(words), "{name} = `{text}`: {told:?}");
        }
        let keys: Vec<_> = told(&[("ClientSecret", "s")]).into_iter().map(|it| it.0).collect();
        assert_eq!(keys, [RemarkKey::Parameter("ClientID"), RemarkKey::Parameter("TenantID")]);
    }

    #[test]
    fn every_parameter_is_typed_under_its_own_name() {
        for parameter in params::all().into_iter().filter(|it| !it.meaning.starts_with("Not used")) {
            let mut changed = Parameters::defaults(params::all());
            changed.set(parameter.name, other(&parameter.default));
            let name = parameter.name;
            assert_ne!(Params::new(&changed), Params::default(), "{name} is not read");
        }
    }

    fn other(value: &ParameterValue) -> ParameterValue {
        match value {
            ParameterValue::Text(_) => ParameterValue::text("other"),
            ParameterValue::Secret(_) => ParameterValue::Secret(Secret::new("other")),
            ParameterValue::TextMap(_) => ParameterValue::TextMap([("a".to_owned(), "b".to_owned())].into()),
            ParameterValue::Duration(duration) => {
                ParameterValue::Duration(*duration + Duration::from_secs(1))
            }
            other => panic!("{other:?}: of what other value is it?"),
        }
    }

    fn around(change: impl FnOnce(&mut Surroundings<'static>)) -> Vec<RemarkKey> {
        let mut surroundings =
            Surroundings { has_image: true, image: "image", deploys_key: true, ..Surroundings::default() };
        change(&mut surroundings);
        Description.remarks_on_surroundings(&surroundings).into_iter().map(|it| it.key).collect()
    }

    #[test]
    fn what_cannot_work_with_the_rest_of_the_configuration_is_told() {
        let key = |name| vec![RemarkKey::CloudVms(name)];
        assert_eq!(around(|_| ()), []);
        assert_eq!(around(|it| it.deployed_key = Some(KeyAlgorithm::Rsa)), []);
        assert_eq!(around(|it| it.deployed_key = Some(KeyAlgorithm::Ecdsa)), key("DeployPublicKey"));
        assert_eq!(around(|it| it.deploys_key = false), key("DeployPublicKey"));
        assert_eq!(around(|it| it.image = ""), key("ImageID"));
        assert_eq!(around(|it| it.image = "https://a.blob.core.windows.net/b/c.vhd"), key("ImageID"));
        assert_eq!(around(|it| it.https_proxy = Some("HTTPS_PROXY")), key("Driver"));
        let most = LONGEST_CUSTOM_DATA - BYTES_BEFORE_INIT_COMMAND;
        assert_eq!(around(|it| it.init_command_bytes = most), []);
        assert_eq!(around(|it| it.init_command_bytes = most + 1), key("InstanceInitCommand"));
        assert_eq!(around(|it| it.endpoint = Some("not EC2's")), []);
    }

    #[test]
    fn tags_that_azure_does_not_take_are_told() {
        let told = |tags: &[(&str, &str)]| {
            let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            unusable_tags(&tags).map(|it| format!("{it:?}"))
        };
        let (longest, longest_value) = ("ü".repeat(512), "ü".repeat(256));
        assert_eq!(told(&[("Owner", "the lab & co"), ("a.b-c:d", ""), (&longest, &longest_value)]), None);
        for (name, value, words) in [
            ("", "x", "1 to 512"),
            (&format!("{longest}x"), "x", "1 to 512"),
            ("a/b", "x", "`a/b`: a name"),
            ("Owner", &format!("{longest_value}x"), "256 characters"),
            ("Created-At", "x", "the case of its letters"),
            ("cost", "x", "the case of its letters"),
        ] {
            let told = told(&[("Cost", "y"), (name, value)]).unwrap_or_default();
            assert!(told.contains(words) && told.contains("ResourceTags"), "{name}: {told}");
        }
        let many: Vec<_> = (0..44).map(|number| number.to_string()).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "x")).collect();
        assert_eq!(told(&many[1..]), None);
        assert!(told(&many).unwrap().contains("there are 44, and Azure takes 43"));
        let tags = [("a?".to_owned(), String::new())].into();
        assert_eq!(around(|it| it.resource_tags = tags), [RemarkKey::CloudVms("ResourceTags")]);
    }
}
