//! Facts: what a host is, in Ansible's names and shapes. Each collector is a function from the
//! surroundings to facts without the `ansible_` prefix; [`gather`] picks them by `gather_subset`.
//!
//! No collector fails: what cannot be read is left out, or has the word that Ansible uses (`NA`).

mod cpu;
mod devices;
mod distribution;
mod interfaces;
mod local;
mod lvm;
mod memory;
pub(crate) mod mounts;
mod network;
mod platform;
mod session;
mod system;
mod tools;
mod virt;

use super::Ctx;
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;
use std::thread::Builder;
use std::time::Duration;

/// Facts of one collector, without prefix.
pub type Facts = Map<String, Json>;

/// What a collector may use.
pub struct Env {
    pub ctx: Ctx<'static>,
    pub fact_path: String,
    pub timeout: Duration,
    /// Facts that earlier collectors found.
    pub known: Facts,
    pub warnings: Vec<String>,
}

impl Env {
    /// With these variables for the programs that are asked.
    fn new(variables: &[(String, String)], fact_path: &str, timeout: Duration) -> Env {
        let ctx = Ctx { env: variables.to_vec(), ..Ctx::bare() };
        Env { ctx, fact_path: fact_path.into(), timeout, known: Facts::new(), warnings: vec![] }
    }
}

struct Collector {
    name: &'static str,
    /// Other names that select it.
    ids: &'static [&'static str],
    needs: &'static [&'static str],
    minimal: bool,
    /// It asks a program that takes its time, and neither needs earlier facts: it runs beside the others.
    beside: bool,
    run: fn(&mut Env) -> Facts,
}

impl Collector {
    const fn beside(self) -> Collector {
        Collector { beside: true, ..self }
    }
}

const fn c(
    name: &'static str,
    minimal: bool,
    ids: &'static [&'static str],
    needs: &'static [&'static str],
    run: fn(&mut Env) -> Facts,
) -> Collector {
    Collector { name, ids, needs, minimal, beside: false, run }
}

/// In the order in which they run: those that others need come first.
const COLLECTORS: &[Collector] = &[
    c(
        "platform",
        true,
        &["system", "kernel", "kernel_version", "machine", "python_version", "architecture", "machine_id"],
        &[],
        platform::platform,
    ),
    c(
        "distribution",
        true,
        &["distribution_version", "distribution_release", "distribution_major_version", "os_family"],
        &[],
        distribution::distribution,
    ),
    c("service_mgr", true, &[], &["platform", "distribution"], system::service_mgr),
    c("pkg_mgr", true, &[], &["distribution"], system::pkg_mgr),
    c("apparmor", true, &[], &[], system::apparmor),
    c("selinux", true, &[], &[], system::selinux),
    c("fips", true, &[], &[], system::fips),
    c("cmdline", true, &[], &[], system::cmdline),
    c("caps", true, &["system_capabilities", "system_capabilities_enforced"], &[], system::caps).beside(),
    c("date_time", true, &[], &[], session::date_time),
    c("env", true, &[], &[], session::env),
    c(
        "user",
        true,
        &[
            "user_id",
            "user_uid",
            "user_gid",
            "user_gecos",
            "user_dir",
            "user_shell",
            "real_user_id",
            "effective_user_id",
            "effective_group_ids",
        ],
        &[],
        session::user,
    ),
    c("dns", true, &[], &[], network::dns),
    c("local", true, &[], &[], local::local).beside(),
    c("lsb", true, &[], &[], distribution::lsb).beside(),
    c("python", true, &[], &[], platform::python).beside(),
    c(
        "ssh_pub_keys",
        true,
        &[
            "ssh_host_pub_keys",
            "ssh_host_key_dsa_public",
            "ssh_host_key_rsa_public",
            "ssh_host_key_ecdsa_public",
            "ssh_host_key_ed25519_public",
        ],
        &[],
        session::ssh_pub_keys,
    ),
    c("chroot", false, &["is_chroot"], &[], system::chroot),
    c("loadavg", false, &[], &[], system::loadavg),
    c("iscsi", false, &[], &[], network::iscsi),
    c("nvme", false, &[], &[], network::nvme),
    c("fibre_channel_wwn", false, &[], &[], network::fibre_channel),
    c("systemd", false, &[], &["service_mgr"], system::systemd),
    c(
        "network",
        false,
        &["interfaces", "default_ipv4", "default_ipv6", "all_ipv4_addresses", "all_ipv6_addresses"],
        &["distribution", "platform"],
        network::network,
    ),
    c(
        "hardware",
        false,
        &["processor", "processor_cores", "processor_count", "mounts", "devices"],
        &["platform"],
        hardware,
    )
    .beside(),
    c(
        "virtual",
        false,
        &["virtualization_type", "virtualization_role", "virtualization_tech_guest", "virtualization_tech_host"],
        &[],
        virt::virt,
    ),
    c("facter", false, &[], &[], tools::facter).beside(),
    c("ohai", false, &[], &[], tools::ohai).beside(),
];

fn hardware(env: &mut Env) -> Facts {
    let mut f = cpu::cpu();
    f.extend(memory::memory());
    f.extend(memory::dmi());
    f.extend(devices::devices(env));
    f.extend(memory::uptime());
    f.extend(lvm::lvm(env));
    f.extend(mounts::mounts(env));
    f
}

fn matching(name: &str) -> impl Iterator<Item = &'static Collector> + '_ {
    COLLECTORS.iter().filter(move |c| c.name == name || c.ids.contains(&name))
}

/// Picks collectors for `gather_subset` with Ansible's rules: an unknown name is an error, the minimal
/// set is always there unless `!min` is, a name brings what it needs.
fn pick(subset: &[String]) -> Result<Vec<&'static Collector>, String> {
    let mut wanted: BTreeSet<&str> = BTreeSet::new();
    let mut refused: BTreeSet<&str> = BTreeSet::new();
    let mut explicit: BTreeSet<&str> = BTreeSet::new();
    let (mut all, mut min) = (subset.is_empty(), true);
    for s in subset {
        let (not, name) = match s.strip_prefix('!') {
            Some(n) => (true, n),
            None => (false, s.as_str()),
        };
        match (not, name) {
            (false, "all") => all = true,
            (false, "min") => {}
            (true, "min") => min = false,
            (true, "all") => {}
            (true, n) => refused.extend(matching(n).map(|c| c.name)),
            (false, n) => {
                let before = explicit.len();
                explicit.extend(matching(n).map(|c| c.name));
                if explicit.len() == before && matching(n).next().is_none() {
                    return Err(bad_subset(n));
                }
            }
        }
    }
    for c in COLLECTORS {
        let taken = if c.minimal { min } else { all };
        if taken && !refused.contains(c.name) {
            wanted.insert(c.name);
        }
    }
    wanted.extend(explicit.iter().filter(|n| !refused.contains(*n)));
    loop {
        let more: Vec<&str> = COLLECTORS
            .iter()
            .filter(|c| wanted.contains(c.name))
            .flat_map(|c| c.needs.iter().copied())
            .filter(|n| !wanted.contains(n))
            .collect();
        if more.is_empty() {
            break;
        }
        wanted.extend(more);
    }
    Ok(COLLECTORS.iter().filter(|c| wanted.contains(c.name)).collect())
}

fn bad_subset(name: &str) -> String {
    let mut names: BTreeSet<&str> = ["all", "min"].into();
    for c in COLLECTORS {
        names.insert(c.name);
        names.extend(c.ids);
    }
    names.remove("min");
    let list = names.into_iter().collect::<Vec<_>>().join(", ");
    format!("Bad subset '{name}' given to Ansible. gather_subset options allowed: {list}")
}

/// Gathers the facts of a subset, without prefix, and the warnings met.
pub fn gather(
    ctx: &Ctx,
    subset: &[String],
    fact_path: &str,
    timeout: Duration,
) -> Result<(Facts, Vec<String>), String> {
    let chosen = pick(subset)?;
    let variables = ctx.env.as_slice();
    let alone = |c: &Collector| {
        let mut own = Env::new(variables, fact_path, timeout);
        ((c.run)(&mut own), own.warnings)
    };
    let mut env = Env::new(variables, fact_path, timeout);
    std::thread::scope(|scope| {
        let begin = |c: &'static Collector| Builder::new().spawn_scoped(scope, move || alone(c)).ok();
        let begun: Vec<_> = chosen.iter().map(|c| c.beside.then(|| begin(c)).flatten()).collect();
        for (c, begun) in chosen.iter().zip(begun) {
            let found = match begun.map(|thread| thread.join()) {
                Some(Ok((found, warnings))) => {
                    env.warnings.extend(warnings);
                    found
                }
                Some(Err(_)) => Facts::new(),
                None => (c.run)(&mut env),
            };
            env.known.extend(found);
        }
    });
    Ok((env.known, env.warnings))
}

fn one(ctx: &Ctx, collectors: &[fn(&mut Env) -> Facts], fact: &str) -> String {
    let mut env = Env::new(&ctx.env, "", Duration::from_secs(10));
    for run in collectors {
        let found = run(&mut env);
        env.known.extend(found);
    }
    env.known.get(fact).and_then(Json::as_str).unwrap_or("").to_string()
}

/// The fact `service_mgr` alone.
pub(crate) fn service_manager(ctx: &Ctx) -> String {
    one(ctx, &[system::service_mgr], "service_mgr")
}

/// The fact `pkg_mgr` alone.
pub(crate) fn package_manager(ctx: &Ctx) -> String {
    one(ctx, &[distribution::distribution, system::pkg_mgr], "pkg_mgr")
}

/// A small file's text without the white space around it.
pub(crate) fn read(path: impl AsRef<std::path::Path>) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_string())
}

/// Names in a directory, sorted; empty if it is not there.
pub(crate) fn names(path: impl AsRef<std::path::Path>) -> Vec<String> {
    let mut v: Vec<String> = std::fs::read_dir(path)
        .map(|d| d.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    v.sort();
    v
}

/// A mapping from pairs.
pub(crate) fn obj<const N: usize>(pairs: [(&str, Json); N]) -> Facts {
    pairs.into_iter().map(|(k, v)| (k.to_string(), v)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(s: &[&str]) -> Vec<&'static str> {
        let s: Vec<String> = s.iter().map(|x| x.to_string()).collect();
        pick(&s).expect("valid").iter().map(|c| c.name).collect()
    }

    #[test]
    fn subsets_as_ansible() {
        assert_eq!(picked(&["all"]).len(), COLLECTORS.len());
        let min = COLLECTORS.iter().filter(|c| c.minimal).count();
        assert_eq!(picked(&["min"]).len(), min);
        assert_eq!(picked(&["!all"]).len(), min);
        assert_eq!(picked(&["!hardware"]).len(), min);
        assert!(picked(&["!all", "!min"]).is_empty());
        assert!(picked(&["!min"]).is_empty());
        assert_eq!(picked(&["!all", "!min", "kernel"]), ["platform"]);
        assert_eq!(picked(&["!all", "!min", "interfaces"]), ["platform", "distribution", "network"]);
        assert!(!picked(&["all", "!hardware"]).contains(&"hardware"));
        let bad: Vec<String> = vec!["bogus".into()];
        assert!(pick(&bad).err().is_some_and(|e| e.starts_with("Bad subset 'bogus' given to Ansible.")));
    }

    #[test]
    fn everything_has_its_type() {
        let (f, _) = gather(&Ctx::bare(), &["all".into()], "/nowhere", Duration::from_secs(5)).expect("gathers");
        for k in ["distribution", "os_family", "kernel", "fqdn", "service_mgr", "pkg_mgr", "virtualization_type"] {
            assert!(f.get(k).is_some_and(Json::is_string), "{k}");
        }
        for k in ["interfaces", "mounts", "processor", "all_ipv4_addresses"] {
            assert!(f.get(k).is_some_and(Json::is_array), "{k}");
        }
        for k in ["memtotal_mb", "processor_vcpus", "user_uid", "uptime_seconds"] {
            assert!(f.get(k).is_some_and(Json::is_i64), "{k}");
        }
        for k in ["default_ipv4", "devices", "date_time", "env", "lo", "selinux", "memory_mb", "local"] {
            assert!(f.get(k).is_some_and(Json::is_object), "{k}");
        }
    }
}
