//! Tests of the driver: what every driver must do, and what this one saves.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use dispatch_adapters::loopback::{LoopbackCloud, LoopbackError, Params};
use dispatch_adapters::ssh::SshClient;
use dispatch_core::id::InstanceId;
use dispatch_core::instance::{Instance, Tags};
use dispatch_core::ports::{CapacityScope, CloudDriver, CloudErrorKind, HostKey, HostKeyVerdict, QuotaScope};

use crate::support::{World, log, order, stdout, tags};

async fn all(cloud: &LoopbackCloud) -> Vec<Instance> {
    cloud.list(&Tags::default()).await.unwrap()
}

#[actix_rt::test]
async fn an_instance_is_created_listed_tagged_and_destroyed() {
    let world = World::new(SshClient::OpenSsh);
    let cloud = world.cloud(2);
    let made = cloud.create(&order("a")).await.unwrap();
    assert_eq!(made.provider_type.as_str(), "t1.tiny");
    assert_eq!(made.tags, order("a").tags);
    assert_eq!(all(&cloud).await, vec![made.clone()]);

    cloud.set_tags(&made.id, &tags(&[("Set", "a"), ("Idle", "hold"), ("Unicode", "é\n\"")])).await.unwrap();
    let listed = all(&cloud).await.remove(0);
    assert_eq!(listed.tags.get("Idle"), Some("hold"));
    assert_eq!(listed.tags.get("Unicode"), Some("é\n\""));
    assert_eq!(listed.tags.get("Secret"), made.tags.get("Secret"), "tags are merged");

    cloud.destroy(&made.id).await.unwrap();
    assert_eq!(all(&cloud).await, vec![]);
    cloud.destroy(&made.id).await.expect("ending what is gone is a success");
    let error = cloud.set_tags(&made.id, &Tags::default()).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::NotFound);
    assert_eq!(std::fs::read_dir(world.state_directory()).unwrap().count(), 0);
}

#[actix_rt::test]
async fn two_sets_side_by_side_are_told_apart_by_their_tags() {
    let world = World::new(SshClient::OpenSsh);
    let cloud = world.cloud(3);
    let a = cloud.create(&order("a")).await.unwrap();
    let b = cloud.create(&order("b")).await.unwrap();
    assert_ne!(a.id, b.id);
    assert_ne!(a.address, b.address);
    assert_eq!(cloud.list(&tags(&[("Set", "a")])).await.unwrap(), vec![a.clone()]);
    assert_eq!(cloud.list(&tags(&[("Set", "c")])).await.unwrap(), vec![]);
    cloud.destroy(&a.id).await.unwrap();
    assert_eq!(all(&cloud).await, vec![b]);
}

#[actix_rt::test]
async fn a_create_beyond_the_limit_is_a_quota_error() {
    let world = World::new(SshClient::OpenSsh);
    let cloud = world.cloud(1);
    let made = cloud.create(&order("a")).await.unwrap();
    let error = cloud.create(&order("b")).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Quota(QuotaScope::All));
    cloud.destroy(&made.id).await.unwrap();
    cloud.create(&order("b")).await.unwrap();
}

#[actix_rt::test]
async fn a_cloud_without_room_has_no_capacity_until_it_has_room_again() {
    let world = World::new(SshClient::OpenSsh);
    let cloud = world.cloud(3);
    cloud.faults().limit_room(Some(1)).await.unwrap();
    let made = cloud.create(&order("a")).await.unwrap();
    let error = cloud.create(&order("b")).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Capacity(CapacityScope::Offering));
    assert_eq!(cloud.create(&order("a")).await.unwrap(), made, "what is there already is no further one");
    cloud.faults().limit_room(None).await.unwrap();
    cloud.create(&order("b")).await.unwrap();
    assert_eq!(all(&cloud).await.len(), 2);
}

#[actix_rt::test]
async fn a_single_instance_has_its_type_as_id_and_is_not_broken_when_made_again() {
    let world = World::new(SshClient::OpenSsh);
    let cloud = world.cloud(1);
    let made = cloud.create(&order("a")).await.unwrap();
    assert_eq!(made.id.as_str(), "t1.tiny");
    let flag = world.state_directory().join("vm-t1.tiny/lock/crunch-run-broken");
    cloud.faults().report_broken(&made.id).await.unwrap();
    assert!(flag.exists());
    cloud.destroy(&made.id).await.unwrap();
    cloud.create(&order("a")).await.unwrap();
    assert!(!flag.exists() && flag.parent().unwrap().exists());
}

#[actix_rt::test]
async fn what_was_saved_is_private_and_found_again() {
    let world = World::new(SshClient::OpenSsh);
    let (made, key) = {
        let cloud = world.cloud(2);
        let made = cloud.create(&order("a")).await.unwrap();
        cloud.set_tags(&made.id, &tags(&[("Idle", "drain")])).await.unwrap();
        (all(&cloud).await.remove(0), host_key(&world, &made.id))
    };
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let directory = world.state_directory().join(format!("vm-{}", made.id));
    assert_eq!((mode(&directory), mode(&directory.join("state.json"))), (0o700, 0o600));

    let cloud = world.cloud(2);
    assert_eq!(all(&cloud).await, vec![made.clone()], "id, type, tags and port are the same");
    assert_eq!(cloud.verify_host_key(&made.id, &key).await.unwrap(), HostKeyVerdict::Genuine);
    let other = HostKey { base64: "AAAA".into(), ..key };
    assert_eq!(cloud.verify_host_key(&made.id, &other).await.unwrap(), HostKeyVerdict::Forged);
    let nobody = InstanceId::new("nobody").unwrap();
    assert_eq!(cloud.verify_host_key(&nobody, &other).await.unwrap_err().kind, CloudErrorKind::NotFound);
}

#[actix_rt::test]
async fn old_connections_do_not_keep_an_instance_from_its_port() {
    let world = World::new(SshClient::OpenSsh);
    let cloud = world.cloud(1);
    let made = cloud.create(&order("a")).await.unwrap();
    stdout(&world.executor(&cloud, &made, true), "true").await;
    // The connection is half open after the cloud has closed its side, until the client closes its own.
    let mut client = std::net::TcpStream::connect(&made.address).unwrap();
    client.read_exact(&mut [0]).expect("a greeting: it was accepted");
    drop(cloud);
    assert_eq!(all(&world.cloud(1)).await, vec![made]);
}

fn host_key(world: &World, id: &InstanceId) -> HostKey {
    let path = world.state_directory().join(format!("vm-{id}/state.json"));
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let key = russh::keys::PrivateKey::from_openssh(state["host_key"].as_str().unwrap()).unwrap();
    let text = key.public_key().to_openssh().unwrap();
    let (algorithm, base64) = text.split_once(' ').unwrap();
    HostKey { algorithm: algorithm.to_owned(), base64: base64.to_owned() }
}

#[actix_rt::test]
async fn half_made_and_half_removed_instances_are_removed_and_other_files_are_kept() {
    let world = World::new(SshClient::OpenSsh);
    let directory = world.state_directory();
    for name in [".new-x", ".ended-x", "precious"] {
        std::fs::create_dir_all(directory.join(name)).unwrap();
    }
    let cloud = world.cloud(1);
    assert_eq!(all(&cloud).await, vec![]);
    let left: Vec<_> = std::fs::read_dir(directory).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["precious"]);
}

#[actix_rt::test]
async fn what_cannot_work_is_refused_at_start() {
    let world = World::new(SshClient::OpenSsh);
    let error = |params| LoopbackCloud::open(params, log()).err().unwrap();
    let relative = Params { state_directory: "cloud".into(), ..world.params(1) };
    assert!(matches!(error(relative), LoopbackError::NotAbsolute(_)));
    let bad_key = Params { authorized_key: Some("hello".into()), ..world.params(1) };
    assert!(matches!(error(bad_key), LoopbackError::Key(_)));
    let unusable = Params { state_directory: "/proc/nowhere".into(), ..world.params(1) };
    assert!(matches!(error(unusable), LoopbackError::State { .. }));
}

#[actix_rt::test]
async fn an_id_that_is_no_file_name_stays_below_the_state_directory() {
    let world = World::new(SshClient::OpenSsh);
    let cloud = world.cloud(1);
    let mut order = order("a");
    let mut of_type = (*order.instance_type).clone();
    of_type.provider_type = dispatch_core::id::ProviderType::new("../../etc").unwrap();
    order.instance_type = of_type.into();
    let made = cloud.create(&order).await.unwrap();
    assert_eq!(made.id.as_str(), "../../etc");
    assert!(world.state_directory().join("vm-hex.2e2e2f2e2e2f657463").is_dir());
}

/// Who can write there chooses host keys, and the commands of a first boot.
#[test]
fn a_state_directory_that_others_can_change_is_refused() {
    let world = World::new(SshClient::OpenSsh);
    let directory = world.state_directory();
    let opened = || LoopbackCloud::open(world.params(1), log());
    let refused = |why: &str| match opened() {
        Err(LoopbackError::State { source, .. }) => source.to_string(),
        Err(other) => panic!("{why}: {other}"),
        Ok(_) => panic!("{why}: it is used"),
    };
    let chmod =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::create_dir(&directory).unwrap();
    for mode in [0o777, 0o1777, 0o770, 0o707] {
        chmod(&directory, mode);
        assert!(refused("mode").contains("nobody else can write"), "{mode:o}");
    }
    chmod(&directory, 0o755);
    drop(opened().unwrap());
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&directory, Some(1), None).unwrap();
        assert!(refused("another user's").contains("of ours"));
        std::os::unix::fs::chown(&directory, Some(0), None).unwrap();
    }
    chmod(world.dir.path(), 0o777);
    assert!(refused("one above it").contains("others can rename"));
    chmod(world.dir.path(), 0o1777);
    drop(opened().expect("as in /tmp"));
    std::fs::rename(&directory, world.dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(world.dir.path().join("elsewhere"), &directory).unwrap();
    assert!(refused("a link").contains("of ours"));
}
