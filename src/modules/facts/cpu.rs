//! Processors, from /proc/cpuinfo.

use super::{Facts, obj, read};
use serde_json::Value as Json;
use std::collections::BTreeSet;

pub fn cpu() -> Facts {
    let status = read("/proc/self/status").unwrap_or_default();
    let allowed = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:")).map(count_cpus);
    let nproc = allowed.filter(|n| *n > 0).unwrap_or(1);
    parse(&read("/proc/cpuinfo").unwrap_or_default(), nproc)
}

fn parse(text: &str, nproc: usize) -> Facts {
    let mut f = Facts::new();
    let mut list: Vec<Json> = vec![];
    let mut sockets: BTreeSet<String> = BTreeSet::new();
    let (mut processors, mut models) = (0i64, 0i64);
    let (mut siblings, mut per_socket) = (0i64, 0i64);
    for line in text.lines() {
        let Some((k, v)) = line.split_once(':') else { continue };
        let (k, v) = (k.trim(), v.trim());
        match k {
            "processor" => {
                processors += 1;
                list.push(v.into());
            }
            "model name" | "Model" | "vendor_id" | "cpu" | "Vendor" | "Processor" => {
                if k != "vendor_id" {
                    models += 1;
                }
                list.push(v.into());
            }
            "flags" => {
                f.insert("flags".into(), v.split_whitespace().map(Json::from).collect());
            }
            "physical id" => drop(sockets.insert(v.to_string())),
            "cpu cores" => per_socket = v.parse().unwrap_or(0),
            "siblings" => siblings = v.parse().unwrap_or(0),
            _ => {}
        }
    }
    let count = if sockets.is_empty() { processors.max(models).max(1) } else { sockets.len() as i64 };
    let cores_each = if per_socket > 0 && !sockets.is_empty() { per_socket } else { 1 };
    let threads = if siblings > 0 && per_socket > 0 { (siblings / per_socket).max(1) } else { 1 };
    let vcpus = if sockets.is_empty() { processors.max(1) } else { threads * count * cores_each };
    f.extend(obj([
        ("processor", Json::Array(list)),
        ("processor_count", count.into()),
        ("processor_cores", cores_each.into()),
        ("processor_threads_per_core", threads.into()),
        ("processor_vcpus", vcpus.into()),
        ("processor_nproc", nproc.into()),
    ]));
    f
}

/// How many processors a list such as `0-3,8` names.
fn count_cpus(list: &str) -> usize {
    list.trim()
        .split(',')
        .map(|r| match r.split_once('-') {
            Some((a, b)) => match (a.parse::<usize>(), b.parse::<usize>()) {
                (Ok(a), Ok(b)) if b >= a => b - a + 1,
                _ => 0,
            },
            None => usize::from(r.parse::<usize>().is_ok()),
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!((count_cpus("\t0-3,8"), count_cpus(""), count_cpus("5-2")), (5, 0, 0));
    }

    #[test]
    fn sockets_cores_threads() {
        let one = |n: u8, p: u8| {
            format!(
                "processor\t: {n}\nvendor_id\t: V\nmodel name\t: M\nphysical id\t: {p}\nsiblings\t: 4\ncore id\t: 0\ncpu cores\t: 2\n\n"
            )
        };
        let text: String = (0..8).map(|n| one(n, n / 4)).collect();
        let f = parse(&text, 8);
        let n = |k: &str| f.get(k).and_then(Json::as_i64);
        assert_eq!((n("processor_count"), n("processor_cores")), (Some(2), Some(2)));
        assert_eq!((n("processor_threads_per_core"), n("processor_vcpus")), (Some(2), Some(8)));
        assert_eq!(f["processor"].as_array().map(Vec::len), Some(24));
        let arm = parse("processor\t: 0\nBogoMIPS: 1\nprocessor\t: 1\n", 2);
        assert_eq!((arm["processor_count"].as_i64(), arm["processor_vcpus"].as_i64()), (Some(2), Some(2)));
    }
}
