//! Which image: `ImageID` names a managed image, or an image definition of the gallery.

/// What is wanted instead of a text that names no image; `None` = it may be one.
pub(crate) fn objection(image: &str) -> Option<String> {
    let lower = image.to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return Some(
            "images that are VHD files in a storage account are not used any more, since Azure has withdrawn unmanaged \
             disks: make a managed image of the file (az image create --source URL --os-type Linux), or a version of \
             an image of a gallery, and give its name"
                .to_owned(),
        );
    }
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = image.len() <= 80 && !image.trim_matches('.').is_empty() && image.chars().all(is_fine);
    (!is_name).then(|| {
        "the name (not the id) of a managed image in ImageResourceGroup, or of an image definition of \
         SharedImageGalleryName"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_and_files_and_ids_are_refused_with_what_to_do() {
        for name in ["zzzzz-compute-v1597349873", "Debian_12.5", "x"] {
            assert_eq!(objection(name), None, "{name}");
        }
        for url in ["https://acc.blob.core.windows.net/system/a.vhd", "HTTP://x"] {
            assert!(objection(url).unwrap().contains("az image create"), "{url}");
        }
        for other in [
            "",
            "/subscriptions/1/resourceGroups/g/providers/Microsoft.Compute/images/i",
            "a b",
            "../x",
            "..",
            ".",
        ] {
            assert!(objection(other).unwrap().starts_with("the name"), "{other}");
        }
    }
}
