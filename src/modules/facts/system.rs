//! Service and package managers, security modules, kernel command line, capabilities, load.

use super::{Env, Facts, obj, read};
use crate::modules::support::exec::{Cmd, find_program};
use crate::modules::support::shlex;
use serde_json::{Value as Json, json};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

fn there(p: &str) -> bool {
    Path::new(p).exists()
}

/// True if systemd manages this host now.
pub fn runs_systemd() -> bool {
    ["/run/systemd/system", "/dev/.run/systemd", "/dev/.systemd"].into_iter().any(there)
}

pub fn service_mgr(env: &mut Env) -> Facts {
    let comm = read("/proc/1/comm").unwrap_or_default();
    let by_name = match comm.as_str() {
        "" | "COMMAND" | "init" | "sh" | "bash" | "dash" | "busybox" => None,
        "runit-init" => Some("runit".to_string()),
        "svscan" => Some("svc".to_string()),
        "openrc-init" => Some("openrc".to_string()),
        c => Some(c.to_string()),
    };
    let init_is_systemd =
        || std::fs::read_link("/sbin/init").is_ok_and(|t| t.file_name().is_some_and(|n| n == "systemd"));
    let name = by_name.unwrap_or_else(|| {
        let n = if find_program(&env.ctx, "systemctl").is_some() && (runs_systemd() || init_is_systemd()) {
            "systemd"
        } else if find_program(&env.ctx, "initctl").is_some() && there("/etc/init") {
            "upstart"
        } else if there("/sbin/openrc") {
            "openrc"
        } else if there("/etc/init.d") {
            "sysvinit"
        } else {
            "service"
        };
        n.to_string()
    });
    obj([("service_mgr", name.into())])
}

pub fn pkg_mgr(env: &mut Env) -> Facts {
    let fact = |k: &str| env.known.get(k).and_then(Json::as_str).unwrap_or("").to_string();
    let (family, distribution) = (fact("os_family"), fact("distribution"));
    const PATHS: &[(&str, &str)] = &[
        ("/usr/bin/rpm-ostree", "atomic_container"),
        ("/usr/bin/dnf5", "dnf5"),
        ("/usr/bin/dnf-3", "dnf"),
        ("/usr/bin/dnf", "dnf"),
        ("/usr/bin/yum", "yum"),
        ("/usr/bin/apt-get", "apt"),
        ("/usr/bin/zypper", "zypper"),
        ("/usr/bin/pacman", "pacman"),
        ("/sbin/apk", "apk"),
        ("/usr/bin/emerge", "portage"),
        ("/usr/sbin/urpmi", "urpmi"),
        ("/usr/bin/xbps-install", "xbps"),
        ("/usr/bin/swupd", "swupd"),
        ("/usr/sbin/sorcery", "sorcery"),
        ("/usr/bin/installp", "installp"),
        ("/QOpenSys/pkgs/bin/yum", "yum"),
        ("/opt/local/bin/pkgin", "pkgin"),
        ("/bin/opkg", "opkg"),
        ("/usr/bin/pkg", "pkg5"),
    ];
    let has = |name: &str| PATHS.iter().any(|(p, n)| *n == name && there(p));
    let name = match family.as_str() {
        // Debian and RedHat hosts may carry each other's tools: the family decides.
        "Debian" if has("apt") => "apt",
        "Altlinux" if has("apt") => "apt_rpm",
        "RedHat" if there("/run/ostree-booted") && has("atomic_container") => "atomic_container",
        "RedHat" => {
            let major: u32 = fact("distribution_major_version").parse().unwrap_or(0);
            let five = distribution == "Fedora" && major >= 41 && has("dnf5");
            ["dnf5", "dnf", "yum"]
                .into_iter()
                .find(|n| has(n) && (*n != "dnf5" || five || !has("dnf")))
                .unwrap_or("unknown")
        }
        _ => PATHS.iter().find(|(p, n)| *n != "atomic_container" && there(p)).map(|(_, n)| *n).unwrap_or("unknown"),
    };
    obj([("pkg_mgr", name.into())])
}

pub fn apparmor(_: &mut Env) -> Facts {
    let status = if there("/sys/kernel/security/apparmor") { "enabled" } else { "disabled" };
    obj([("apparmor", json!({"status": status}))])
}

pub fn selinux(_: &mut Env) -> Facts {
    let enforce = read("/sys/fs/selinux/enforce");
    let config = read("/etc/selinux/config").unwrap_or_default();
    let of = |key: &str| {
        let line = config.lines().map(str::trim).find(|l| l.starts_with(key));
        line.and_then(|l| l.split_once('=')).map(|(_, v)| v.trim().to_string()).unwrap_or_else(|| "unknown".into())
    };
    let dict = match enforce {
        None => json!({"status": "disabled"}),
        Some(e) => json!({
            "status": "enabled",
            "policyvers": read("/sys/fs/selinux/policyvers").and_then(|v| v.parse::<i64>().ok()).map(Json::from).unwrap_or("unknown".into()),
            "config_mode": of("SELINUX="),
            "mode": if e == "1" { "enforcing" } else { "permissive" },
            "type": of("SELINUXTYPE="),
        }),
    };
    obj([("selinux", dict), ("selinux_python_present", true.into())])
}

pub fn fips(_: &mut Env) -> Facts {
    obj([("fips", read("/proc/sys/crypto/fips_enabled").is_some_and(|v| v == "1").into())])
}

pub fn cmdline(_: &mut Env) -> Facts {
    let text = read("/proc/cmdline").unwrap_or_default();
    let words = shlex::split(&text).unwrap_or_else(|_| text.split_whitespace().map(str::to_string).collect());
    let (mut last, mut all) = (Facts::new(), Facts::new());
    for w in words {
        match w.split_once('=') {
            None => {
                last.insert(w.clone(), true.into());
                all.insert(w, true.into());
            }
            Some((k, v)) => {
                last.insert(k.into(), v.into());
                let next = match all.remove(k) {
                    None => Json::from(v),
                    Some(Json::Array(mut a)) => {
                        a.push(v.into());
                        Json::Array(a)
                    }
                    Some(one) => Json::Array(vec![one, v.into()]),
                };
                all.insert(k.into(), next);
            }
        }
    }
    obj([("cmdline", Json::Object(last)), ("proc_cmdline", Json::Object(all))])
}

pub fn caps(env: &mut Env) -> Facts {
    let (mut enforced, mut list) = (Json::from("N/A"), Json::from("N/A"));
    if let Some(p) = find_program(&env.ctx, "capsh")
        && let Ok(o) = Cmd::new([p.as_str(), "--print"]).limit(Duration::from_secs(10)).run(&env.ctx)
        && o.ok()
    {
        let out = o.out();
        if let Some(v) = out.lines().find_map(|l| l.strip_prefix("Current:")).map(str::trim) {
            if v == "=ep" {
                enforced = "False".into();
                list = json!([]);
            } else {
                enforced = "True".into();
                let names = v.split('=').nth(1).unwrap_or("");
                list = names.split(',').map(|n| Json::from(n.trim())).collect();
            }
        }
    }
    obj([("system_capabilities_enforced", enforced), ("system_capabilities", list)])
}

pub fn chroot(_: &mut Env) -> Facts {
    let is = match std::env::var_os("debian_chroot") {
        Some(v) if !v.is_empty() => true,
        _ => {
            let mine = std::fs::metadata("/").map(|m| (m.dev(), m.ino()));
            match (mine, std::fs::metadata("/proc/1/root/.")) {
                (Ok(a), Ok(b)) => a != (b.dev(), b.ino()),
                // Without the right to look at init's root, the inode of a real root tells.
                (Ok((_, ino)), Err(_)) => {
                    let fs = super::mounts::root_type().unwrap_or_default();
                    ino != match fs.as_str() {
                        "btrfs" => 256,
                        "xfs" => 128,
                        _ => 2,
                    }
                }
                _ => false,
            }
        }
    };
    obj([("is_chroot", is.into())])
}

pub fn loadavg(_: &mut Env) -> Facts {
    let text = read("/proc/loadavg").unwrap_or_default();
    let n: Vec<f64> = text.split_whitespace().take(3).filter_map(|x| x.parse().ok()).collect();
    match n.as_slice() {
        [a, b, c] => obj([("loadavg", json!({"1m": a, "5m": b, "15m": c}))]),
        _ => Facts::new(),
    }
}

pub fn systemd(env: &mut Env) -> Facts {
    if !runs_systemd() {
        return Facts::new();
    }
    let Some(p) = find_program(&env.ctx, "systemctl") else { return Facts::new() };
    let Ok(o) = Cmd::new([p.as_str(), "--version"]).c_locale().limit(Duration::from_secs(10)).run(&env.ctx) else {
        return Facts::new();
    };
    let out = o.out();
    let mut lines = out.lines();
    let version = lines.next().and_then(|l| l.split_whitespace().nth(1)).and_then(|v| v.parse::<i64>().ok());
    match version {
        Some(v) => obj([("systemd", json!({"features": lines.next().unwrap_or(""), "version": v}))]),
        None => Facts::new(),
    }
}
