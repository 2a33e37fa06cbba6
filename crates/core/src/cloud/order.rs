//! What a create asks for: the site's wishes, our tags, and the secret that the instance is to prove itself with.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Account;
use crate::instance::{InstanceType, Tags};
use crate::policy::Policy;
use crate::ports::CreateOrder;
use crate::secret::Secret;
use crate::worker::runner::quote;

/// What every create has in common.
#[derive(Debug, Clone, Default)]
pub struct CreateDefaults {
    /// The site's image id.
    pub image: String,
    /// Tags beside our own.
    pub resource_tags: BTreeMap<String, String>,
    /// Shell text run on first boot, after the secret is written.
    pub init_command: String,
    /// OpenSSH public key to let in, if it is to be deployed.
    pub public_key: Option<String>,
}

impl CreateDefaults {
    /// The whole order of a create: all tags, and the init command that writes the secret first.
    pub fn order(
        &self,
        own_tags: Tags,
        instance_type: Arc<InstanceType>,
        secret: Secret,
        secret_path: &str,
    ) -> CreateOrder {
        let mut tags = Tags(self.resource_tags.clone());
        tags.merge(&own_tags);
        let path = path_text(secret_path);
        let write_secret = format!("umask 0177 && echo -n \"{}\" >{path}", secret.expose());
        CreateOrder {
            instance_type,
            image: self.image.clone(),
            tags,
            init_command: format!("{write_secret}\n{}", self.init_command),
            secret,
            public_key: self.public_key.clone(),
        }
    }
}

impl Account {
    /// The order of an instance of that type.
    pub fn order(
        &self,
        defaults: &CreateDefaults,
        instance_type: Arc<InstanceType>,
        secret: Secret,
        secret_path: &str,
    ) -> CreateOrder {
        let Policy { tag_keys, instance_set_id, blueprint, .. } = &*self.policy;
        let mut tags = tag_keys.for_new(instance_set_id, &instance_type.name, &secret);
        tags.insert(&*tag_keys.blueprint, blueprint.of(&instance_type));
        defaults.order(tags, instance_type, secret, secret_path)
    }
}

/// The path as shell text: bare if it needs no quotes, as other dispatchers write it.
fn path_text(path: &str) -> String {
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    if plain { path.to_owned() } else { quote(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_blanks_is_quoted_and_a_plain_one_is_not() {
        assert_eq!(path_text("/var/run/a-b.c"), "/var/run/a-b.c");
        assert_eq!(path_text("/tmp/my dir/x"), "'/tmp/my dir/x'");
    }
}
