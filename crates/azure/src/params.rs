//! What the site says of its Azure: `DriverParameters`, a row each, and typed. They are read where the rest of the
//! configuration is (`src/settings`), which knows the place of every value in the file.

use std::collections::BTreeMap;
use std::time::Duration;

use dispatch_core::driver::{Parameter, ParameterValue, Parameters};
use dispatch_core::secret::Secret;

/// Parameters of driver `azure`. The defaults are those of the Go program's driver.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// The subscription that everything is in.
    pub subscription_id: String,
    /// Which Azure.
    pub cloud_environment: String,
    /// The application that we are; with a managed identity the one that was assigned to this host, empty = the host's own.
    pub client_id: String,
    /// The application's password; empty = a workload identity or a managed one.
    pub client_secret: Secret,
    /// The directory that knows the application.
    pub tenant_id: String,
    /// Where VMs, NICs and disks are made.
    pub resource_group: String,
    /// Where the image or the gallery is.
    pub image_resource_group: String,
    /// Region of VMs and NICs.
    pub location: String,
    /// The network, by name.
    pub network: String,
    /// Where it is.
    pub network_resource_group: String,
    /// The subnet in it, by name.
    pub subnet: String,
    /// The gallery that has the image; empty = it is a managed image.
    pub gallery: String,
    /// Which version of the image of the gallery.
    pub gallery_version: String,
    /// Age from which NICs and disks that nobody uses are deleted.
    pub delete_dangling_resources_after: Duration,
    /// The user that Azure makes, and that we log in as.
    pub admin_username: String,
    /// Type of the disk of `AddedScratch`.
    pub added_scratch_storage: String,
    /// Quota group by prefix of the provider type.
    pub instance_type_quota_groups: BTreeMap<String, String>,
}

impl Params {
    /// The values that were read, typed.
    pub fn new(parameters: &Parameters) -> Self {
        let resource_group = parameters.text("ResourceGroup");
        let or_group = |name| Some(parameters.text(name)).filter(|it| !it.is_empty());
        Self {
            subscription_id: parameters.text("SubscriptionID"),
            cloud_environment: parameters.text("CloudEnvironment"),
            client_id: parameters.text("ClientID"),
            client_secret: parameters.secret("ClientSecret"),
            tenant_id: parameters.text("TenantID"),
            image_resource_group: or_group("ImageResourceGroup").unwrap_or_else(|| resource_group.clone()),
            network_resource_group: or_group("NetworkResourceGroup")
                .unwrap_or_else(|| resource_group.clone()),
            resource_group,
            location: parameters.text("Location"),
            network: parameters.text("Network"),
            subnet: parameters.text("Subnet"),
            gallery: parameters.text("SharedImageGalleryName"),
            gallery_version: parameters.text("SharedImageGalleryImageVersion"),
            delete_dangling_resources_after: parameters.duration("DeleteDanglingResourcesAfter"),
            admin_username: parameters.text("AdminUsername"),
            added_scratch_storage: parameters.text("AddedScratchStorageType"),
            instance_type_quota_groups: parameters.text_map("InstanceTypeQuotaGroups"),
        }
    }
}

impl Default for Params {
    /// The parameters of a site that sets none.
    fn default() -> Self {
        Self::new(&Parameters::defaults(all()))
    }
}

/// All parameters, one row each.
pub(crate) fn all() -> Vec<Parameter> {
    let text = |name, default, meaning| Parameter { name, default: ParameterValue::text(default), meaning };
    let row = |name, default, meaning| Parameter { name, default, meaning };
    vec![
        text("SubscriptionID", "", "The subscription that VMs are billed to."),
        text(
            "CloudEnvironment",
            "AzurePublicCloud",
            "AzurePublicCloud, AzureUSGovernment, AzureChinaCloud, or AzureStackCloud: whose endpoints are in the file \
             that AZURE_ENVIRONMENT_FILEPATH names.",
        ),
        text(
            "ClientID",
            "",
            "The service principal; without ClientSecret a managed identity of this host, empty: the host's own, or a \
             workload identity.",
        ),
        row("ClientSecret", ParameterValue::no_secret(), "The service principal's secret."),
        text("TenantID", "", "The service principal's directory."),
        text("ResourceGroup", "", "Where VMs, their network interfaces and disks are made."),
        text("ImageResourceGroup", "", "Where the image, or its gallery, is; empty: as ResourceGroup."),
        text("Location", "centralus", "Region of the VMs."),
        text("Network", "", "Name of the VMs' virtual network."),
        text("NetworkResourceGroup", "", "Where the network is; empty: as ResourceGroup."),
        text("Subnet", "", "Name of its subnet."),
        text(
            "SharedImageGalleryName",
            "",
            "The gallery in which ImageID is an image definition; empty: ImageID is a managed image.",
        ),
        text("SharedImageGalleryImageVersion", "", "Version of that image, such as 1.0.0, or latest."),
        text("StorageAccount", "", "Not used: it was for images that are VHD files."),
        text("BlobContainer", "", "Not used: it was for images that are VHD files."),
        row(
            "DeleteDanglingResourcesAfter",
            ParameterValue::Duration(Duration::from_secs(20)),
            "Age from which network interfaces and disks that failed orders left are deleted, though never before \
             three minutes.",
        ),
        text("AdminUsername", "crunch", "The user that Azure makes on each VM, and that we log in as."),
        text("AddedScratchStorageType", "StandardSSD_LRS", "Type of the disk of AddedScratch."),
        row(
            "InstanceTypeQuotaGroups",
            ParameterValue::TextMap(BTreeMap::new()),
            "Which types share a quota, by prefix; else those of a family do, such as Standard_D2s_v5 and \
             Standard_D64s_v5.",
        ),
    ]
}
