//! The ids of what is in Azure. They are paths of the resource manager, and the case of their letters is not kept: a list
//! may show the group in capitals. So ours are built from the configuration's words, and all are compared without case.

use dispatch_core::id::InstanceId;

use crate::params::Params;

/// Version of the calls of VMs: from 2021-03-01 on a VM takes its disks and its NIC along when it goes.
pub(crate) const COMPUTE: &str = "2024-07-01";
/// Version of the calls of disks.
pub(crate) const DISKS: &str = "2024-03-02";
/// Version of the calls of NICs.
pub(crate) const NETWORK: &str = "2024-05-01";
/// Version of the calls of tags.
pub(crate) const TAGS: &str = "2021-04-01";

/// The id of the list of that kind, such as `Microsoft.Compute/disks`, in that group.
fn all(params: &Params, group: &str, kind: &str) -> String {
    format!("/subscriptions/{}/resourceGroups/{group}/providers/{kind}", params.subscription_id)
}

/// The VMs of our group.
pub(crate) fn machines(params: &Params) -> String {
    all(params, &params.resource_group, "Microsoft.Compute/virtualMachines")
}

/// The NICs of our group.
pub(crate) fn interfaces(params: &Params) -> String {
    all(params, &params.resource_group, "Microsoft.Network/networkInterfaces")
}

/// The disks of our group.
pub(crate) fn disks(params: &Params) -> String {
    all(params, &params.resource_group, "Microsoft.Compute/disks")
}

/// The subnet.
pub(crate) fn subnet(params: &Params) -> String {
    let networks = all(params, &params.network_resource_group, "Microsoft.Network/virtualNetworks");
    format!("{networks}/{}/subnets/{}", params.network, params.subnet)
}

/// The image of that name.
pub(crate) fn image(params: &Params, name: &str) -> String {
    let below = |kind| all(params, &params.image_resource_group, kind);
    let Params { gallery, gallery_version, .. } = params;
    match gallery.is_empty() {
        true => format!("{}/{name}", below("Microsoft.Compute/images")),
        false => {
            format!(
                "{}/{gallery}/images/{name}/versions/{gallery_version}",
                below("Microsoft.Compute/galleries")
            )
        }
    }
}

/// The path of an instance of ours; `None` = it is no VM of our group.
pub(crate) fn of_instance(params: &Params, id: &InstanceId) -> Option<String> {
    let all = machines(params);
    let (group, name) = id.as_str().rsplit_once('/')?;
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = !name.trim_matches('.').is_empty() && name.chars().all(is_fine);
    (is_name && group.eq_ignore_ascii_case(&all)).then(|| format!("{all}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_vms_of_our_group_are_instances_of_ours() {
        let params =
            Params { subscription_id: "s".to_owned(), resource_group: "g".to_owned(), ..Params::default() };
        let of = |id: &str| of_instance(&params, &InstanceId::new(id).unwrap());
        let all = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines";
        assert_eq!(of(&format!("{all}/x")), Some(format!("{all}/x")));
        assert_eq!(of(&format!("{}/x", all.to_ascii_uppercase())), Some(format!("{all}/x")));
        for id in [
            all.to_owned(),
            format!("{all}/"),
            format!("{all}/.."),
            format!("{all}/x?y"),
            format!("{all}/x/y"),
            format!("https://elsewhere{all}/x"),
            all.replace("/g/", "/other/") + "/x",
            "i-0aaa".to_owned(),
        ] {
            assert_eq!(of(&id), None, "{id}");
        }
    }

    #[test]
    fn what_is_in_other_groups_is_named_there() {
        let params = Params {
            subscription_id: "s".to_owned(),
            resource_group: "g".to_owned(),
            image_resource_group: "i".to_owned(),
            network_resource_group: "n".to_owned(),
            network: "net".to_owned(),
            subnet: "sub".to_owned(),
            ..Params::default()
        };
        assert_eq!(
            subnet(&params),
            "/subscriptions/s/resourceGroups/n/providers/Microsoft.Network/virtualNetworks/net/subnets/sub"
        );
        assert_eq!(
            image(&params, "x"),
            "/subscriptions/s/resourceGroups/i/providers/Microsoft.Compute/images/x"
        );
        let gallery = Params { gallery: "gal".to_owned(), gallery_version: "1.0.0".to_owned(), ..params };
        assert_eq!(
            image(&gallery, "x"),
            "/subscriptions/s/resourceGroups/i/providers/Microsoft.Compute/galleries/gal/images/x/versions/1.0.0"
        );
    }
}
