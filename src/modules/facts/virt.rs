//! What this host is a guest of, and what it can be a host for.

use super::{Env, Facts, obj, read};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

/// What was found; the first finding names type and role.
#[derive(Default)]
struct Found {
    first: Option<(String, &'static str)>,
    guest: BTreeSet<String>,
    host: BTreeSet<String>,
}

impl Found {
    fn guest(&mut self, tech: &str) {
        self.guest.insert(tech.into());
        self.name(tech, "guest");
    }
    fn host(&mut self, tech: &str) {
        self.host.insert(tech.into());
        self.name(tech, "host");
    }
    fn name(&mut self, tech: &str, role: &'static str) {
        if self.first.is_none() {
            self.first = Some((tech.into(), role));
        }
    }
    /// A container technology: guest of it, and of `container`.
    fn container(&mut self, tech: &str, shown: &str) {
        self.guest.insert(tech.into());
        self.guest.insert("container".into());
        self.name(shown, "guest");
    }
}

fn there(p: &str) -> bool {
    Path::new(p).exists()
}

pub fn virt(_: &mut Env) -> Facts {
    let mut f = Found::default();
    containers(&mut f);
    machine(&mut f);
    hosts(&mut f);
    let (kind, role) = f.first.unwrap_or(("NA".into(), "NA"));
    obj([
        ("virtualization_type", kind.into()),
        ("virtualization_role", role.into()),
        ("virtualization_tech_guest", json!(f.guest)),
        ("virtualization_tech_host", json!(f.host)),
    ])
}

fn containers(f: &mut Found) {
    if there("/.dockerenv") || there("/.dockerinit") {
        f.container("docker", "docker");
    }
    for line in read("/proc/1/cgroup").unwrap_or_default().lines() {
        if line.contains("/docker/") || line.contains("/docker-") {
            f.container("docker", "docker");
        }
        if line.contains("/lxc/") || line.contains("/machine.slice/machine-lxc") {
            f.container("lxc", "lxc");
        }
        if line.contains("/system.slice/containerd.service") {
            f.container("containerd", "containerd");
        }
    }
    for var in read("/proc/1/environ").unwrap_or_default().split('\0') {
        match var.strip_prefix("container=") {
            Some("lxc") => f.container("lxc", "lxc"),
            Some("podman") => f.container("podman", "podman"),
            Some(_) => {
                f.guest.insert("container".into());
                f.name("container", "guest");
            }
            None => {}
        }
    }
    if there("/proc/vz") && !there("/proc/lve") {
        if there("/proc/bc") { f.host("openvz") } else { f.container("openvz", "openvz") }
    }
    match read("/run/systemd/container").as_deref() {
        None | Some("") => {}
        Some(s) => f.container(s, "container"),
    }
}

fn machine(f: &mut Found) {
    if there("/proc/xen") {
        let dom0 = read("/proc/xen/capabilities").is_some_and(|c| c.contains("control_d"));
        if dom0 { f.host("xen") } else { f.guest("xen") }
    }
    let dmi = |n: &str| read(format!("/sys/devices/virtual/dmi/id/{n}")).unwrap_or_default();
    let (product, vendor) = (dmi("product_name"), dmi("sys_vendor"));
    let (bios, family) = (dmi("bios_vendor"), dmi("product_family"));
    match product.as_str() {
        "KVM" | "KVM Server" | "Bochs" | "AHV" => f.guest("kvm"),
        "RHEV Hypervisor" => f.guest("RHEV"),
        "oVirt Node" => f.guest("oVirt"),
        "VirtualBox" => f.guest("virtualbox"),
        "Virtual Machine" if vendor == "Microsoft Corporation" => f.guest("VirtualPC"),
        "HVM domU" => f.guest("xen"),
        "Parallels Virtual Platform" | "Parallels ARM Virtual Machine" => f.guest("parallels"),
        p if p.starts_with("VMware") => f.guest("VMware"),
        p if p.starts_with("OpenStack") => f.guest("openstack"),
        _ => {}
    }
    match bios.as_str() {
        "Xen" => f.guest("xen"),
        "innotek GmbH" => f.guest("virtualbox"),
        "Amazon EC2" | "DigitalOcean" | "Hetzner" | "Linode" => f.guest("kvm"),
        _ => {}
    }
    match vendor.as_str() {
        "oVirt" => f.guest("oVirt"),
        "Red Hat" if family == "RHV" => f.guest("RHEV"),
        "QEMU" | "Amazon EC2" | "DigitalOcean" | "Google" | "Scaleway" | "Nutanix" | "Hetzner" | "linode" => {
            f.guest("kvm")
        }
        "OpenStack Foundation" | "Apple Inc." if product.contains("VMM") || vendor.starts_with("OpenStack") => {
            f.guest("kvm")
        }
        "Parallels Software International Inc." | "Parallels International GmbH." => f.guest("parallels"),
        _ => {}
    }
    if dmi("chassis_asset_tag") == "OpenStack" || family == "RHV" {
        f.guest(if family == "RHV" { "RHEV" } else { "openstack" });
    }
    for line in read("/proc/self/status").unwrap_or_default().lines() {
        match line.strip_prefix("VxID:").map(str::trim) {
            Some("0") => f.host("linux_vserver"),
            Some(_) => f.guest("linux_vserver"),
            None => {}
        }
    }
    for line in read("/proc/cpuinfo").unwrap_or_default().lines() {
        let Some((k, v)) = line.split_once(':').map(|(k, v)| (k.trim(), v.trim())) else { continue };
        match (k, v) {
            ("model name", v) if v.contains("QEMU Virtual CPU") => f.guest("kvm"),
            ("vendor_id", "User Mode Linux") | ("model name", "UML") => f.guest("uml"),
            ("machine", v) if v.starts_with("CHRP IBM pSeries (emulated by qemu)") => f.guest("kvm"),
            ("vendor_id", "PowerVM Lx86") => f.guest("powervm_lx86"),
            ("vendor_id", "IBM/S390") => f.guest("PR/SM"),
            _ => {}
        }
    }
}

fn hosts(f: &mut Found) {
    let modules = read("/proc/modules").unwrap_or_default();
    let loaded: BTreeSet<&str> = modules.lines().filter_map(|l| l.split_whitespace().next()).collect();
    if loaded.contains("kvm") {
        if there("/rhev") { f.host("RHEV") } else { f.host("kvm") }
    }
    if there("/dev/kvm") {
        f.host("kvm");
    }
    if loaded.contains("vboxdrv") {
        f.host("virtualbox");
    }
    if loaded.contains("virtio") {
        f.guest("kvm");
    }
    if there("/dev/vmnet-bridge") || loaded.contains("vmnet") && loaded.contains("vmmon") {
        f.host("VMware");
    }
}
