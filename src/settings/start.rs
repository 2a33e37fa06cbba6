//! What a start command reads on stdin: tokens, the type, and the whole cluster configuration.
//!
//! The configuration is rendered once; a start copies its text and adds a few hundred bytes.

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use dispatch_core::id::ContainerUuid;
use dispatch_core::instance::InstanceType;
use dispatch_core::secret::Secret;

use super::model::Settings;

/// More than everything that a start adds to the configuration.
const SPARE: usize = 16 << 10;

/// Makes the stdin of start commands.
pub struct StartConfig {
    api_host: String,
    token: Secret,
    insecure: bool,
    /// `None` = no storage server beside containers.
    cluster: Option<Box<RawValue>>,
    keep_buffers_per_vcpu: u64,
    checks_for_interruption: bool,
}

impl Drop for StartConfig {
    fn drop(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            Box::<str>::from(cluster).zeroize();
        }
    }
}

impl std::fmt::Debug for StartConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StartConfig").field("api_host", &self.api_host).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Stdin<'a> {
    env: Env<'a>,
    cluster: Option<&'a RawValue>,
    keep_buffers: u64,
    #[serde(rename = "EC2SpotCheck")]
    ec2_spot_check: bool,
}

#[derive(Serialize)]
struct Env<'a> {
    #[serde(rename = "ARVADOS_API_HOST")]
    api_host: &'a str,
    #[serde(rename = "ARVADOS_API_TOKEN")]
    token: &'a str,
    #[serde(rename = "ARVADOS_API_HOST_INSECURE", skip_serializing_if = "Option::is_none")]
    insecure: Option<&'static str>,
    #[serde(rename = "InstanceType")]
    instance_type: String,
    #[serde(rename = "GatewayAddress")]
    gateway_address: String,
    #[serde(rename = "GatewayAuthSecret")]
    gateway_auth_secret: &'a str,
}

impl StartConfig {
    /// Renders the cluster configuration.
    pub fn new(settings: &Settings) -> Self {
        let keep_buffers_per_vcpu = settings.policy.sizing.keep_buffers_per_vcpu;
        let render = || rendered(settings.cluster_json());
        Self {
            api_host: settings.controller.host(),
            token: settings.system_root_token.clone(),
            insecure: settings.controller.insecure,
            cluster: (keep_buffers_per_vcpu > 0).then(render),
            keep_buffers_per_vcpu,
            checks_for_interruption: settings.driver.description.runner_checks_for_interruption(),
        }
    }

    /// The stdin for a container on a worker of that type; `address` is the worker's host, or host:port.
    pub fn stdin(&self, uuid: ContainerUuid, instance_type: &InstanceType, address: &str) -> Bytes {
        let gateway_secret = self.gateway_secret(uuid);
        let stdin = Stdin {
            env: Env {
                api_host: &self.api_host,
                token: self.token.expose(),
                insecure: self.insecure.then_some("1"),
                instance_type: pretty(instance_type),
                gateway_address: format!("{}:0", host_of(address)),
                gateway_auth_secret: gateway_secret.expose(),
            },
            cluster: self.cluster.as_deref(),
            keep_buffers: self.keep_buffers_per_vcpu.saturating_mul(instance_type.vcpus),
            ec2_spot_check: self.checks_for_interruption && instance_type.preemptible,
        };
        // Of its final size from the start, because a text that grows leaves copies behind, and wiped when it is sent.
        let size = self.cluster.as_ref().map_or(0, |it| it.get().len()) + SPARE;
        let mut text = Zeroizing::new(Vec::with_capacity(size));
        serde_json::to_writer(&mut *text, &stdin).expect("a plain struct with text keys is JSON");
        Bytes::from_owner(text)
    }

    /// By which the container's gateway and the controller know each other.
    fn gateway_secret(&self, uuid: ContainerUuid) -> Secret {
        let key = self.token.expose().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(uuid.as_str().as_bytes());
        Secret::new(hex::encode(mac.finalize().into_bytes()))
    }
}

/// The text of a configuration, written once and of its final size from the start: one that grows leaves copies of its
/// secrets behind.
fn rendered(cluster: &Value) -> Box<RawValue> {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, cluster).expect("counting cannot fail");
    let mut text = Vec::with_capacity(length.0);
    serde_json::to_writer(&mut text, cluster).expect("writing JSON to memory cannot fail");
    RawValue::from_string(String::from_utf8(text).expect("JSON is UTF-8")).expect("JSON is JSON")
}

/// Counts what is written.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The type as containers see it in `$InstanceType`: indented by four, whole prices without a fraction.
fn pretty(instance_type: &InstanceType) -> String {
    let mut value = serde_json::to_value(instance_type).expect("a plain struct with text keys is JSON");
    let price = instance_type.price.per_hour();
    if price.fract() == 0.0 && price < 9e15 {
        value["Price"] = (price as u64).into();
    }
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    value.serialize(&mut serializer).expect("writing JSON to memory cannot fail");
    let mut text = String::from_utf8(text).expect("JSON is UTF-8");
    text.push('\n');
    text
}

/// The host of `host`, `host:port`, `[v6]:port` or a bare v6 address, ready for a port to be added.
fn host_of(address: &str) -> String {
    if let Some((host, _)) = address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return format!("[{host}]");
    }
    match address.matches(':').count() {
        0 => address.to_owned(),
        1 => address.split(':').next().unwrap_or(address).to_owned(),
        _ => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_an_address_is_left_out() {
        for (address, host) in [
            ("10.1.0.8", "10.1.0.8"),
            ("127.0.0.1:4022", "127.0.0.1"),
            ("[::1]:22", "[::1]"),
            ("::1", "[::1]"),
        ] {
            assert_eq!(host_of(address), host);
        }
    }
}
