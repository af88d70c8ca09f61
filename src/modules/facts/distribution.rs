//! Distribution, its version and family; LSB.

use super::{Env, Facts, obj, read};
use crate::modules::support::exec::{Cmd, find_program};
use crate::modules::support::shlex;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::time::Duration;

/// `KEY=value` lines as a shell would read them.
fn pairs(text: &str) -> HashMap<String, String> {
    text.lines()
        .map(str::trim)
        .filter(|l| !l.starts_with('#'))
        .filter_map(|l| l.split_once('='))
        .map(|(k, v)| {
            let v = shlex::split(v).map(|w| w.join(" ")).unwrap_or_else(|_| v.trim_matches('"').to_string());
            (k.trim().to_string(), v)
        })
        .collect()
}

pub fn distribution(_: &mut Env) -> Facts {
    let os = read("/etc/os-release").or_else(|| read("/usr/lib/os-release")).unwrap_or_default();
    let file = |p: &str| read(p).filter(|t| !t.is_empty());
    identify(&os, &file)
}

/// What a distribution's own file adds: name, path and variety of the file.
struct Seen {
    name: String,
    path: &'static str,
    variety: &'static str,
}

fn identify(os_text: &str, file: &dyn Fn(&str) -> Option<String>) -> Facts {
    let os = pairs(os_text);
    let get = |k: &str| os.get(k).map(String::as_str).unwrap_or("");
    let id = get("ID");
    let mut version = get("VERSION_ID").to_string();
    let mut release = get("VERSION_CODENAME").to_string();
    let mut minor: Option<String> = None;
    let seen = name_of(id, get("NAME"), file);
    match seen.variety {
        "Debian" if seen.name == "Debian" => {
            if let Some(d) = file("/etc/debian_version").filter(|d| d.starts_with(|c: char| c.is_ascii_digit())) {
                minor = d.split_once('.').map(|(_, m)| m.to_string());
                version = d;
            } else if version.is_empty() {
                version = "n/a".into();
            }
        }
        "RedHat" | "OracleLinux" => {
            let text = file(seen.path).unwrap_or_default();
            // "CentOS Linux release 7.9.2009 (Core)"
            if let Some((_, v)) = text.split_once("release ") {
                let full = v.split_whitespace().next().unwrap_or("");
                let short: Vec<&str> = full.split('.').take(2).collect();
                if !short.is_empty() && version.split('.').count() <= short.len() {
                    version = short.join(".");
                }
            }
            if let Some((_, r)) = text.split_once('(') {
                release = r.split(')').next().unwrap_or("").to_string();
            }
        }
        "Alpine" => version = file("/etc/alpine-release").unwrap_or(version),
        "SUSE" => {
            let parts: Vec<&str> = version.split('.').collect();
            release = parts.get(1).map(|s| s.to_string()).unwrap_or_else(|| "0".into());
        }
        "Archlinux" => version = "rolling".into(),
        _ => {}
    }
    if version.is_empty() {
        version = get("BUILD_ID").to_string();
    }
    let or_na = |s: String| if s.is_empty() { "NA".to_string() } else { s };
    let major = version.split('.').next().unwrap_or("").to_string();
    let mut f = obj([
        ("distribution", seen.name.as_str().into()),
        ("distribution_version", or_na(version).into()),
        ("distribution_major_version", or_na(major).into()),
        ("distribution_release", or_na(release).into()),
        ("os_family", family(&seen.name).into()),
    ]);
    if let Some(m) = minor {
        f.insert("distribution_minor_version".into(), m.into());
    }
    if !seen.path.is_empty() {
        f.extend(obj([
            ("distribution_file_path", seen.path.into()),
            ("distribution_file_variety", seen.variety.into()),
            ("distribution_file_parsed", true.into()),
        ]));
    }
    f
}

fn name_of(id: &str, os_name: &str, file: &dyn Fn(&str) -> Option<String>) -> Seen {
    let seen = |name: &str, path, variety| Seen { name: name.into(), path, variety };
    const OS: &str = "/etc/os-release";
    const RH: &str = "/etc/redhat-release";
    match id {
        "debian" => seen("Debian", OS, "Debian"),
        "ubuntu" => seen("Ubuntu", OS, "Debian"),
        "raspbian" => seen("Raspbian", OS, "Debian"),
        "linuxmint" => seen("Linux Mint", OS, "Debian"),
        "kali" => seen("Kali", OS, "Debian"),
        "devuan" => seen("Devuan", OS, "Debian"),
        "pop" => seen("Pop!_OS", OS, "Debian"),
        "neon" => seen("KDE neon", OS, "Debian"),
        "cumulus-linux" => seen("Cumulus Linux", OS, "Debian"),
        "parrot" => seen("Parrot", OS, "Debian"),
        "steamos" => seen("SteamOS", OS, "Debian"),
        "uos" | "Uos" => seen("Uos", OS, "Debian"),
        "deepin" => seen("Deepin", OS, "Debian"),
        "ol" => seen("OracleLinux", "/etc/oracle-release", "OracleLinux"),
        "rhel" => seen("RedHat", RH, "RedHat"),
        "centos" => seen("CentOS", RH, "RedHat"),
        "fedora" => seen("Fedora", RH, "RedHat"),
        "rocky" => seen("Rocky", RH, "RedHat"),
        "almalinux" => seen("AlmaLinux", RH, "RedHat"),
        "scientific" => seen("Scientific", RH, "RedHat"),
        "cloudlinux" => seen("CloudLinux", RH, "RedHat"),
        "virtuozzo" => seen("Virtuozzo", RH, "RedHat"),
        "miraclelinux" => seen("MIRACLE", RH, "RedHat"),
        "eurolinux" => seen("EuroLinux", RH, "RedHat"),
        "openEuler" | "openeuler" => seen("openEuler", OS, "NA"),
        "amzn" => match file("/etc/system-release") {
            Some(_) => seen("Amazon", "/etc/system-release", "Amazon"),
            None => seen("Amazon", OS, "Amazon"),
        },
        "sles" => seen("SLES", OS, "SUSE"),
        "sles_sap" => seen("SLES_SAP", OS, "SUSE"),
        "sled" => seen("SLED", OS, "SUSE"),
        "opensuse-leap" => seen("openSUSE Leap", OS, "SUSE"),
        "opensuse-tumbleweed" => seen("openSUSE Tumbleweed", OS, "SUSE"),
        "alpine" => seen("Alpine", "/etc/alpine-release", "Alpine"),
        "arch" | "archarm" => seen("Archlinux", "/etc/arch-release", "Archlinux"),
        "manjaro" => seen("Manjaro", OS, "NA"),
        "gentoo" => seen("Gentoo", "/etc/gentoo-release", "NA"),
        "flatcar" => seen("Flatcar", OS, "Flatcar"),
        "coreos" => seen("CoreOS", OS, "Coreos"),
        "clear-linux-os" => seen("Clear Linux OS", "/usr/lib/os-release", "ClearLinux"),
        "slackware" => seen("Slackware", "/etc/slackware-version", "Slackware"),
        "mageia" | "mandriva" => seen("Mandriva", OS, "Mandriva"),
        "altlinux" => seen("Altlinux", "/etc/altlinux-release", "NA"),
        "" => match file(RH) {
            // Hosts older than os-release: CentOS 6 and its like.
            Some(t) => {
                let name = match t.split_whitespace().next().unwrap_or("") {
                    "CentOS" => "CentOS",
                    "Red" => "RedHat",
                    "Scientific" => "Scientific",
                    "Fedora" => "Fedora",
                    _ => "RedHat",
                };
                seen(name, RH, "RedHat")
            }
            None => seen("Linux", "", "NA"),
        },
        _ => seen(os_name.split(' ').next().filter(|n| !n.is_empty()).unwrap_or("Linux"), OS, "NA"),
    }
}

fn family(name: &str) -> String {
    const FAMILIES: &[(&str, &[&str])] = &[
        (
            "RedHat",
            &[
                "RedHat",
                "RHEL",
                "Fedora",
                "CentOS",
                "Scientific",
                "SLC",
                "Ascendos",
                "CloudLinux",
                "PSBM",
                "OracleLinux",
                "OVS",
                "OEL",
                "Amazon",
                "Amzn",
                "Virtuozzo",
                "XenServer",
                "Alibaba",
                "EulerOS",
                "openEuler",
                "AlmaLinux",
                "Rocky",
                "TencentOS",
                "EuroLinux",
                "Kylin Linux Advanced Server",
                "MIRACLE",
            ],
        ),
        (
            "Debian",
            &[
                "Debian",
                "Ubuntu",
                "Raspbian",
                "Neon",
                "KDE neon",
                "Linux Mint",
                "SteamOS",
                "Devuan",
                "Kali",
                "Cumulus Linux",
                "Pop!_OS",
                "Parrot",
                "Pardus GNU/Linux",
                "Uos",
                "Deepin",
                "OSMC",
                "Linuxmint",
            ],
        ),
        (
            "Suse",
            &[
                "SuSE",
                "SLES",
                "SLED",
                "openSUSE",
                "openSUSE Tumbleweed",
                "SLES_SAP",
                "SUSE_LINUX",
                "openSUSE Leap",
                "ALP-Dolomite",
                "SL-Micro",
                "openSUSE MicroOS",
            ],
        ),
        ("Archlinux", &["Archlinux", "Antergos", "Manjaro"]),
        ("Mandrake", &["Mandrake", "Mandriva"]),
        ("Slackware", &["Slackware"]),
        ("Altlinux", &["Altlinux"]),
        ("Gentoo", &["Gentoo", "Funtoo"]),
        ("Alpine", &["Alpine"]),
        ("Flatcar", &["Flatcar"]),
        ("ClearLinux", &["Clear Linux OS", "Clear Linux Mix"]),
    ];
    FAMILIES.iter().find(|(_, l)| l.contains(&name)).map(|(f, _)| f.to_string()).unwrap_or_else(|| name.to_string())
}

pub fn lsb(env: &mut Env) -> Facts {
    let mut m = Facts::new();
    if let Some(p) = find_program(&env.ctx, "lsb_release") {
        if let Ok(o) = Cmd::new([p.as_str(), "-a"]).c_locale().limit(Duration::from_secs(20)).run(&env.ctx)
            && o.ok()
        {
            for line in o.out().lines() {
                let Some((k, v)) = line.split_once(':') else { continue };
                let key = match k.trim() {
                    "LSB Version" => "release",
                    "Distributor ID" => "id",
                    "Description" => "description",
                    "Release" => "release",
                    "Codename" => "codename",
                    _ => continue,
                };
                m.insert(key.into(), v.trim().into());
            }
        }
    } else if let Some(t) = read("/etc/lsb-release") {
        let p = pairs(&t);
        for (k, f) in [
            ("DISTRIB_ID", "id"),
            ("DISTRIB_RELEASE", "release"),
            ("DISTRIB_DESCRIPTION", "description"),
            ("DISTRIB_CODENAME", "codename"),
        ] {
            if let Some(v) = p.get(k) {
                m.insert(f.into(), v.as_str().into());
            }
        }
    }
    if let Some(r) = m.get("release").and_then(Json::as_str) {
        let major = r.split('.').next().unwrap_or("").to_string();
        m.insert("major_release".into(), major.into());
    }
    obj([("lsb", json!(m))])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(os: &str, files: &[(&str, &str)]) -> Vec<String> {
        let f = identify(os, &|p| files.iter().find(|(n, _)| *n == p).map(|(_, t)| t.to_string()));
        ["distribution", "distribution_version", "distribution_major_version", "distribution_release", "os_family"]
            .iter()
            .map(|k| f[*k].as_str().unwrap_or("?").to_string())
            .collect()
    }

    #[test]
    fn well_known_ones() {
        let deb = "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n";
        assert_eq!(shown(deb, &[("/etc/debian_version", "12.11")]), ["Debian", "12.11", "12", "bookworm", "Debian"]);
        let ub = "ID=ubuntu\nVERSION_ID=\"22.04\"\nVERSION_CODENAME=jammy\n";
        assert_eq!(shown(ub, &[("/etc/debian_version", "bookworm/sid")]), ["Ubuntu", "22.04", "22", "jammy", "Debian"]);
        let c7 = "NAME=\"CentOS Linux\"\nID=\"centos\"\nVERSION_ID=\"7\"\n";
        let rh = [("/etc/redhat-release", "CentOS Linux release 7.9.2009 (Core)")];
        assert_eq!(shown(c7, &rh), ["CentOS", "7.9", "7", "Core", "RedHat"]);
        let rocky = "ID=\"rocky\"\nVERSION_ID=\"9.3\"\n";
        let rh = [("/etc/redhat-release", "Rocky Linux release 9.3 (Blue Onyx)")];
        assert_eq!(shown(rocky, &rh), ["Rocky", "9.3", "9", "Blue Onyx", "RedHat"]);
        assert_eq!(shown("", &[])[0], "Linux");
    }
}
