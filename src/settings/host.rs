//! What the machine that we run on has, and what its environment says.

use rustix::fs::statvfs;

/// The size of this machine, for loopback's `localhost` type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// CPUs that we may use.
    pub vcpus: u64,
    /// Bytes of memory.
    pub ram: u64,
    /// Bytes of the file system for temporary files.
    pub scratch: u64,
}

impl Host {
    /// Looks at this machine; what cannot be found out counts as 1 CPU, or no bytes.
    pub fn this() -> Self {
        let vcpus = std::thread::available_parallelism().map_or(1, |it| it.get() as u64);
        let ram =
            std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_total(&text)).unwrap_or(0);
        let scratch = statvfs(std::env::temp_dir()).map_or(0, |it| it.f_blocks.saturating_mul(it.f_frsize));
        Self { vcpus, ram, scratch }
    }
}

/// Bytes of `MemTotal: N kB`.
fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// What comes with the call and not with the file: the variables of the environment that matter (`--config` and
/// `--cluster-id` aside; empty = not set), and one option.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `ARVADOS_SERVICE_INTERNAL_URL`: which of the URLs to listen on.
    pub service_internal_url: Option<String>,
    /// `ARVADOS_API_HOST`: not used, only compared.
    pub api_host: Option<String>,
    /// `ARVADOS_API_TOKEN`: not used, only compared.
    pub api_token: Option<dispatch_core::secret::Secret>,
    /// `ARVADOS_API_HOST_INSECURE`: not used, only compared.
    pub api_host_insecure: Option<String>,
    /// `RUNTIME_DIRECTORY`: systemd's private directory for this service.
    pub runtime_directory: Option<std::path::PathBuf>,
    /// `STATE_DIRECTORY`: systemd's directory for what outlives a restart; of a list of them the first.
    pub state_directory: Option<std::path::PathBuf>,
    /// The image to use in place of `ImageID`: `cloudtest --image-id`, no variable.
    pub image_id: Option<String>,
    /// What stands in place of the file's values: `plan --set`, no variable.
    pub overrides: Vec<super::Override>,
    /// `AWS_ENDPOINT_URL_EC2`, else `AWS_ENDPOINT_URL`: another EC2 than the region's.
    pub ec2_endpoint: Option<String>,
    /// `CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE`: another Compute Engine than Google's.
    pub gce_endpoint: Option<String>,
    /// `HTTPS_PROXY` or `https_proxy`, whichever is set; never its value, which may have a password.
    pub https_proxy: Option<&'static str>,
}

impl Environment {
    /// The environment of this process.
    pub fn this() -> Self {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            service_internal_url: read("ARVADOS_SERVICE_INTERNAL_URL"),
            api_host: read("ARVADOS_API_HOST"),
            api_token: read("ARVADOS_API_TOKEN").map(dispatch_core::secret::Secret::new),
            api_host_insecure: read("ARVADOS_API_HOST_INSECURE"),
            runtime_directory: read("RUNTIME_DIRECTORY").map(Into::into),
            state_directory: read("STATE_DIRECTORY").and_then(|all| std::env::split_paths(&all).next()),
            image_id: None,
            overrides: Vec::new(),
            ec2_endpoint: read("AWS_ENDPOINT_URL_EC2").or_else(|| read("AWS_ENDPOINT_URL")),
            gce_endpoint: read(dispatch_gce::ENDPOINT_VARIABLE),
            https_proxy: ["HTTPS_PROXY", "https_proxy"].into_iter().find(|name| read(name).is_some()),
        }
    }
}

impl Environment {
    /// Where that driver's cloud is called, if the environment says so.
    pub fn endpoint_of(&self, driver: &str) -> Option<&str> {
        match driver {
            "gce" => self.gce_endpoint.as_deref(),
            _ => self.ec2_endpoint.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_machine_is_read() {
        assert_eq!(memory_total("MemFree: 1 kB\nMemTotal:       2048 kB\n"), Some(2 << 20));
        assert_eq!(memory_total("nonsense"), None);
        let host = Host::this();
        assert!(host.vcpus >= 1 && host.ram > 0 && host.scratch > 0, "{host:?}");
    }
}
